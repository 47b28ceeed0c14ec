/* SPDX-License-Identifier: Apache-2.0 */
/* The quick way into json-c's tree, for what nearly every document consists of. */
#ifndef BASE_JSON_PLAIN_H
#define BASE_JSON_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

/* Reads a document of objects, arrays, true, false, null, whole numbers of up to 18 digits, and strings of printable ASCII without escapes.
 * False for every other one, right or wrong: that is for json-c's own reader, which also knows what to say about it. */
bool json_plain_parse(const char *text, size_t size, struct json_object **ret);

#endif
