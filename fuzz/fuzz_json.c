/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader: what it accepts it can print, and reads back as the same text. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "json_plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Asks every getter: a wrong type must be an error, never a crash. */
static void walk(const struct json_cursor *c, unsigned depth)
{
	const char *s;
	bool b;
	int64_t i;
	uint64_t u;

	err_free(json_as_string(c, &s));
	err_free(json_as_bool(c, &b));
	err_free(json_as_i64(c, -5, INT64_MAX, &i));
	err_free(json_as_u64(c, UINT64_MAX, &u));
	free(json_path(c));
	if (depth > JSON_DEPTH_MAX + 1)
		abort();
	if (json_kind(c) == JSON_OBJECT) {
		struct json_iter it = json_iter(c);
		struct json_cursor member;
		while (json_next(&it, &member))
			walk(&member, depth + 1);
	} else if (json_kind(c) == JSON_ARRAY) {
		for (size_t k = 0, n = json_array_len(c); k < n; k++) {
			struct json_cursor element = json_at(c, k);
			walk(&element, depth + 1);
		}
	}
}

/* What the quick reader takes json-c takes as well, and both read the same. */
static void check_plain(const char *text, size_t size)
{
	struct json_object *plain = NULL;

	if (!json_plain_parse(text, size, &plain))
		return;
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH_MAX);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *full = json_tokener_parse_ex(tok, text, (int)size);
	if (json_tokener_get_error(tok) != json_tokener_success || !json_object_equal(plain, full))
		abort();
	json_tokener_free(tok);
	json_object_put(plain);
	json_object_put(full);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_plain((const char *)data, size);
	_cleanup_json_ struct json *doc = NULL, *again = NULL;
	struct err *e = json_parse((const char *)data, size, "input", &doc);

	if (e) {
		free(err_text(e));
		err_free(e);
		return 0;
	}
	struct json_cursor root = json_root(doc);
	walk(&root, 0);
	_cleanup_free_ char *printed = json_print(doc, size % 2 ? JSON_COMPACT : JSON_PRETTY);
	if (json_parse(printed, strlen(printed), "what was printed", &again))
		abort();
	_cleanup_free_ char *twice = json_print(again, size % 2 ? JSON_COMPACT : JSON_PRETTY);
	if (strcmp(printed, twice) != 0)
		abort();
	return 0;
}
