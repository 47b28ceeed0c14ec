/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers from strings: what is not wholly a number is an error that quotes it. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"

#define QUOTED_MAX 64

static struct err *parse_error(const char *s, const char *what, const char *expected)
{
	return err_new(ERR_INVALID, "%s: \"%.*s\" is not %s", what, QUOTED_MAX, s, expected);
}

static bool digits_to_u64(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

struct err *parse_u64(const char *s, const char *what, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;

	if (!digits_to_u64(s, &v))
		return parse_error(s, what, "a whole number");
	if (v < min || v > max)
		return err_new(ERR_INVALID, "%s: %s is out of range, it must be from %" PRIu64 " to %" PRIu64,
			       what, s, min, max);
	*ret = v;
	return NULL;
}

struct err *parse_i64(const char *s, const char *what, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t v;

	if (!digits_to_u64(s + negative, &v) || v > (uint64_t)INT64_MAX + negative)
		return parse_error(s, what, "a whole number");
	int64_t n = negative ? (int64_t)(0 - v) : (int64_t)v;
	if (n < min || n > max)
		return err_new(ERR_INVALID, "%s: %s is out of range, it must be from %" PRId64 " to %" PRId64,
			       what, s, min, max);
	*ret = n;
	return NULL;
}

struct err *parse_octal(const char *s, const char *what, uint32_t max, uint32_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return parse_error(s, what, "an octal number");
	for (const char *p = s; *p; p++) {
		if (*p < '0' || *p > '7')
			return parse_error(s, what, "an octal number");
		v = v * 8 + (uint64_t)(*p - '0');
		if (v > max)
			return err_new(ERR_INVALID, "%s: %.*s is out of range, it must be at most %o", what,
				       QUOTED_MAX, s, max);
	}
	*ret = (uint32_t)v;
	return NULL;
}

#define NANO 1000000000u

/* A number without a sign: not 128 bits wide, which 32-bit machines cannot do. */
struct decimal {
	uint64_t whole;
	uint32_t nano;
};

/* Returns the first character behind the number, or NULL. */
static const char *decimal(const char *s, struct decimal *ret)
{
	struct decimal d = {0};
	int digits = 0, fraction = 0;

	for (; isdigit((unsigned char)*s); s++, digits++) {
		if (digits > 18)
			return NULL;
		d.whole = d.whole * 10 + (unsigned)(*s - '0');
	}
	if (*s == '.') {
		for (s++; isdigit((unsigned char)*s); s++) {
			if (fraction < 9) {
				d.nano = d.nano * 10 + (unsigned)(*s - '0');
				fraction++;
			}
			digits++;
		}
	}
	if (digits == 0)
		return NULL;
	for (; fraction < 9; fraction++)
		d.nano *= 10;
	*ret = d;
	return s;
}

struct err *parse_size(const char *s, const char *what, uint64_t *ret_bytes)
{
	static const char units[] = "bkmgtp";
	struct decimal d;
	unsigned thousands = 0;

	const char *rest = decimal(s, &d);
	if (!rest)
		return parse_error(s, what, "a size such as 512m, 1.5g or 65536");
	while (*rest == ' ')
		rest++;
	if (*rest) {
		const char *unit = strchr(units, tolower((unsigned char)*rest));
		if (!unit)
			return parse_error(s, what, "a size such as 512m, 1.5g or 65536");
		thousands = (unsigned)(unit - units);
		rest++;
		if (thousands && (*rest == 'i' || *rest == 'I'))
			rest++;
		if (thousands && (*rest == 'b' || *rest == 'B'))
			rest++;
		if (*rest)
			return parse_error(s, what, "a size such as 512m, 1.5g or 65536");
	}
	uint64_t bytes = d.whole, nano = d.nano;
	for (; thousands > 0 && bytes <= INT64_MAX / 1024; thousands--) {
		bytes = bytes * 1024 + nano * 1024 / NANO;
		nano = nano * 1024 % NANO;
	}
	if (thousands > 0 || bytes > INT64_MAX)
		return err_new(ERR_INVALID, "%s: %.*s is too large", what, QUOTED_MAX, s);
	*ret_bytes = bytes;
	return NULL;
}

struct err *parse_decimal_nano(const char *s, const char *what, int64_t *ret)
{
	struct decimal d;
	const char *rest = decimal(s, &d);

	if (!rest || *rest)
		return parse_error(s, what, "a number such as 2 or 0.5");
	if (d.whole > ((uint64_t)INT64_MAX - d.nano) / NANO)
		return err_new(ERR_INVALID, "%s: %.*s is too large", what, QUOTED_MAX, s);
	*ret = (int64_t)(d.whole * NANO + d.nano);
	return NULL;
}

struct err *parse_bool(const char *s, const char *what, bool *ret)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
			*ret = strcmp(s, yes[i]) == 0;
			return NULL;
		}
	}
	return parse_error(s, what, "true or false");
}
