/* SPDX-License-Identifier: Apache-2.0 */
/* Private: JSON of which everything must be understood. Policies and signatures are refused when they say a thing twice or say something
 * unknown (containers-policy.json(5), containers-signature(5)): two readers must never see two meanings. */
#ifndef IMAGES_TRUST_JSON_H
#define IMAGES_TRUST_JSON_H

#include "base/json.h"

#define TRUST_JSON_MEMBERS_MAX 8192 /* of one object */

/* As json_parse, for an object; a key that comes twice in one object, or is written with escapes, is ERR_INVALID. */
_must_check_ struct err *trust_json_parse(const char *text, size_t size, const char *what, struct json **ret);
/* ERR_INVALID when the object has a member that is not among the words of `known`. */
_must_check_ struct err *trust_json_only(const struct json_cursor *object, const char *known);

#endif
