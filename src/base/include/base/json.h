/* SPDX-License-Identifier: Apache-2.0 */
/* JSON (RFC 8259) over json-c, in two halves.
 *
 * Reading: a document is parsed whole (strict, capped size and depth) and walked with cursors that know where
 * they are, so that every error names the property: "process.rlimits[2].type: is a number, must be a string".
 * A cursor is a plain value that borrows from the document and from the cursor it was made of: both must
 * outlive it.
 *
 * Writing: a tree of struct json values built by hand, or streamed text. Nothing of json-c is visible here.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/str.h"

struct json; /* a value; reference counted */

#define JSON_SIZE_MAX (16u << 20)
#define JSON_DEPTH_MAX 64

/* `what` names the document in errors ("config.json"). Duplicate keys: the last one wins, as in Go. Trailing
 * bytes other than white space are an error. */
_must_check_ struct err *json_parse(const char *text, size_t size, const char *what, struct json **ret);
_must_check_ struct err *json_parse_file_at(int dirfd, const char *name,
					    struct json **ret); /* at most JSON_SIZE_MAX */
/* The same, and its text as it stands there; caller frees. */
_must_check_ struct err *json_parse_file_text_at(int dirfd, const char *name, char **ret_text,
						 struct json **ret);
void json_unref(struct json *v);
struct json *json_ref(struct json *v);
DEFINE_CLEANUP(struct json *, json_unref)
#define _cleanup_json_ _cleanup_(json_unrefp)

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_cursor {
	struct json *value; /* NULL: absent */
	const struct json_cursor *parent;
	const char *key; /* name in an object; NULL: element `index` of an array, or the document */
	size_t index;
};

struct json_cursor json_root(struct json *doc);
enum json_kind json_kind(const struct json_cursor *c);
/* "process.args[1]"; the document itself is "" . Caller frees. */
char *json_path(const struct json_cursor *c);
/* ERR_INVALID "<path>: <text>". */
_must_check_ struct err *json_error(const struct json_cursor *c, const char *fmt, ...) _printf_(2, 3);
/* The same about a member of `obj`, which may be absent. */
_must_check_ struct err *json_error_at(const struct json_cursor *obj, const char *key, const char *fmt, ...)
	_printf_(3, 4);

/* Members. `key` must be a literal or live as long as the cursor. An absent or null member gives a cursor
 * with value NULL and success; the typed getters below then leave *ret as it is (the default). JSON_REQUIRED
 * makes absence an error. */
enum json_need { JSON_OPTIONAL, JSON_REQUIRED };
_must_check_ struct err *json_get(const struct json_cursor *obj, const char *key, enum json_need need,
				  struct json_cursor *ret); /* obj must be an object */
_must_check_ struct err *json_get_object(const struct json_cursor *obj, const char *key, enum json_need need,
					 struct json_cursor *ret);
_must_check_ struct err *json_get_array(const struct json_cursor *obj, const char *key, enum json_need need,
					struct json_cursor *ret);
_must_check_ struct err *json_get_string(const struct json_cursor *obj, const char *key, enum json_need need,
					 const char **ret); /* borrowed from the document; no NUL inside */
_must_check_ struct err *json_get_bool(const struct json_cursor *obj, const char *key, enum json_need need,
				       bool *ret);
_must_check_ struct err *json_get_i64(const struct json_cursor *obj, const char *key, enum json_need need,
				      int64_t min, int64_t max, int64_t *ret);
_must_check_ struct err *json_get_u64(const struct json_cursor *obj, const char *key, enum json_need need,
				      uint64_t max, uint64_t *ret);
_must_check_ struct err *json_get_u32(const struct json_cursor *obj, const char *key, enum json_need need,
				      uint32_t *ret);
/* An array of strings as an owned vector; absent leaves *ret. */
_must_check_ struct err *json_get_strv(const struct json_cursor *obj, const char *key, enum json_need need,
				       char ***ret);

/* The value under the cursor itself. */
_must_check_ struct err *json_as_string(const struct json_cursor *c, const char **ret);
_must_check_ struct err *json_as_bool(const struct json_cursor *c, bool *ret);
_must_check_ struct err *json_as_i64(const struct json_cursor *c, int64_t min, int64_t max, int64_t *ret);
_must_check_ struct err *json_as_u64(const struct json_cursor *c, uint64_t max, uint64_t *ret);
_must_check_ struct err *json_as_double(const struct json_cursor *c, double *ret);

size_t json_array_len(const struct json_cursor *array); /* 0 when absent */
struct json_cursor json_at(const struct json_cursor *array, size_t index);
/* for (size_t i = 0, n = json_array_len(&a); i < n; i++) { struct json_cursor e = json_at(&a, i); … } */

/* Members of an object in document order: `struct json_iter it = json_iter(&obj); while (json_next(&it,
 * &member)) … member.key`. */
struct json_iter {
	const struct json_cursor *object;
	void *next;
};
struct json_iter json_iter(const struct json_cursor *object); /* an absent object has no members */
bool json_next(struct json_iter *it, struct json_cursor *ret_member);

/* Building. The json_set and json_append functions own `value` from then on and return nothing; a NULL value
 * is JSON null. */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_string(const char *s); /* NULL gives null */
struct json *json_new_i64(int64_t v);
struct json *json_new_u64(uint64_t v);
struct json *json_new_double(double v);
struct json *json_new_bool(bool v);
struct json *json_new_strv(char *const *v);
struct json *json_new_pairs(char *const *v); /* an object of KEY=value; KEY alone has an empty value */
void json_set(struct json *obj, const char *key, struct json *value);
void json_set_string(struct json *obj, const char *key, const char *s);
void json_set_i64(struct json *obj, const char *key, int64_t v);
void json_set_u64(struct json *obj, const char *key, uint64_t v);
void json_set_bool(struct json *obj, const char *key, bool v);
void json_set_strv(struct json *obj, const char *key, char *const *v);
void json_remove(struct json *obj, const char *key);
void json_append(struct json *array, struct json *value);
struct json *json_deep_copy(const struct json *v);

enum json_style { JSON_COMPACT, JSON_PRETTY /* four spaces a level, as docker inspect prints */ };
char *json_print(const struct json *v, enum json_style style); /* caller frees; no trailing newline */
/* Appends `s` as a quoted JSON string: for writers that must not build a tree (log lines). `n` bytes; invalid
 * UTF-8 becomes U+FFFD. */
void json_quote(struct strbuf *out, const char *s, size_t n);

#endif
