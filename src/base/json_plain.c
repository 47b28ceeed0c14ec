/* SPDX-License-Identifier: Apache-2.0 */
/* json-c's reader is a state machine that may stop after every byte, and takes three quarters of what a container's configuration costs to
 * read. Where nothing is special about a document its tree is made here, of the same objects: a document that both read has the
 * same tree (json_plain_test.c). */
#include "json_plain.h"

#include <json-c/json.h>
#include <stdint.h>
#include <string.h>

#define DEPTH_MAX 24  /* deeper ones are json-c's: far below JSON_DEPTH_MAX */
#define DIGITS_MAX 18 /* fits 63 bits */
#define KEY_MAX 255
#define ARRAY_START 4 /* json-c's own start with 32 */

struct reader {
	const char *at, *end;
};

static void skip_space(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
}

/* The next character that is not white space, which is taken; 0 at the end. */
static char next(struct reader *r)
{
	skip_space(r);
	return r->at < r->end ? *r->at++ : '\0';
}

static bool word(struct reader *r, const char *rest)
{
	size_t n = strlen(rest);

	if ((size_t)(r->end - r->at) < n || memcmp(r->at, rest, n) != 0)
		return false;
	r->at += n;
	return true;
}

/* Behind the opening quote; the text is *ret up to the closing one. */
static bool read_string(struct reader *r, const char **ret, size_t *ret_n)
{
	const char *start = r->at;

	for (; r->at < r->end; r->at++) {
		unsigned char c = (unsigned char)*r->at;
		if (c == '"') {
			*ret = start;
			*ret_n = (size_t)(r->at++ - start);
			return true;
		}
		if (c < 0x20 || c > 0x7e || c == '\\')
			return false;
	}
	return false;
}

static bool read_number(struct reader *r, char first, struct json_object **ret)
{
	bool negative = first == '-';
	uint64_t n = 0; /* one digit too many is read, and is refused below */
	int digits = 0;

	if (!negative)
		r->at--;
	const char *start = r->at;
	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9' && digits <= DIGITS_MAX; r->at++, digits++)
		n = n * 10 + (uint64_t)(*r->at - '0');
	bool zero = digits > 0 && *start == '0';
	if (digits == 0 || digits > DIGITS_MAX || (zero && (digits > 1 || negative)))
		return false;
	/* A number ends at one of these; everything else makes it another kind, or none. */
	if (r->at == r->end || !memchr(",]} \n\t\r", *r->at, 7))
		return false;
	*ret = json_object_new_int64(negative ? -(int64_t)n : (int64_t)n);
	return *ret != NULL;
}

static bool read_value(struct reader *r, unsigned depth, struct json_object **ret);

static bool read_members(struct reader *r, unsigned depth, struct json_object *object)
{
	char c = next(r);

	if (c == '}')
		return true;
	while (c == '"') {
		struct json_object *value = NULL;
		const char *name;
		char key[KEY_MAX + 1];
		size_t n;

		if (!read_string(r, &name, &n) || n > KEY_MAX || next(r) != ':')
			return false;
		memcpy(key, name, n);
		key[n] = '\0';
		if (!read_value(r, depth, &value))
			return false;
		if (json_object_object_add(object, key, value) != 0) {
			json_object_put(value);
			return false;
		}
		c = next(r);
		if (c == '}')
			return true;
		if (c != ',')
			return false;
		c = next(r);
	}
	return false;
}

static bool read_elements(struct reader *r, unsigned depth, struct json_object *array)
{
	skip_space(r);
	if (r->at < r->end && *r->at == ']') {
		r->at++;
		return true;
	}
	while (true) {
		struct json_object *value = NULL;
		if (!read_value(r, depth, &value))
			return false;
		if (json_object_array_add(array, value) != 0) {
			json_object_put(value);
			return false;
		}
		char c = next(r);
		if (c == ']')
			return true;
		if (c != ',')
			return false;
	}
}

static bool read_container(struct reader *r, unsigned depth, bool object, struct json_object **ret)
{
	if (depth == DEPTH_MAX)
		return false;
	struct json_object *o = object ? json_object_new_object() : json_object_new_array_ext(ARRAY_START);
	bool whole = o && (object ? read_members(r, depth + 1, o) : read_elements(r, depth + 1, o));

	if (!whole) {
		json_object_put(o);
		return false;
	}
	*ret = o;
	return true;
}

/* *ret is NULL for null, as json-c has it. */
static bool read_value(struct reader *r, unsigned depth, struct json_object **ret)
{
	const char *s;
	size_t n;
	char c = next(r);

	switch (c) {
	case '"':
		if (!read_string(r, &s, &n))
			return false;
		*ret = json_object_new_string_len(s, (int)n);
		return *ret != NULL;
	case '{':
	case '[':
		return read_container(r, depth, c == '{', ret);
	case 't':
	case 'f':
		if (!word(r, c == 't' ? "rue" : "alse"))
			return false;
		*ret = json_object_new_boolean(c == 't');
		return *ret != NULL;
	case 'n':
		*ret = NULL;
		return word(r, "ull");
	case '-':
	case '0' ... '9':
		return read_number(r, c, ret);
	default:
		return false;
	}
}

bool json_plain_parse(const char *text, size_t size, struct json_object **ret)
{
	struct reader r = {.at = text, .end = text + size};
	struct json_object *o = NULL;

	skip_space(&r);
	if (r.at == r.end || (*r.at != '{' && *r.at != '['))
		return false;
	if (!read_value(&r, 0, &o))
		return false;
	skip_space(&r);
	if (r.at != r.end) {
		json_object_put(o);
		return false;
	}
	*ret = o;
	return true;
}
