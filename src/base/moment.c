// SPDX-License-Identifier: Apache-2.0
#include "base/moment.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"

/* Go's durations: "1h30m", "10s", "500ms". */
static bool parse_duration(const char *s, int64_t *ret_ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1},  {"us", 1e3}, {"µs", 1e3},   {"ms", 1e6},
		     {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
	double total = 0;

	if (!*s)
		return false;
	while (*s) {
		char *end;
		if (*s < '0' || *s > '9')
			return false;
		double v = strtod(s, &end);
		size_t len = strcspn(end, "0123456789.");
		size_t u = 0;
		while (u < ARRAY_SIZE(units) &&
		       (strlen(units[u].unit) != len || strncmp(units[u].unit, end, len) != 0))
			u++;
		if (u == ARRAY_SIZE(units))
			return false;
		total += v * units[u].ns;
		s = end + len;
	}
	*ret_ns = (int64_t)total;
	return total < 9e18;
}

struct err *duration_parse(const char *s, const char *what, int64_t *ret_ns)
{
	if (str_eq(s, "0")) {
		*ret_ns = 0;
		return NULL;
	}
	return parse_duration(s, ret_ns)
		       ? NULL
		       : err_new(ERR_INVALID, "%s \"%.64s\" is no duration like 30s, 1m30s or 500ms", what,
				 s);
}

/* A date or time without zone is local: "2026-01-02", "2026-01-02T15:04", "2026-01-02T15:04:05". */
static bool parse_local(const char *s, int64_t *ret_ns)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(s, forms[i], &tm);
		if (end && !*end) {
			*ret_ns = (int64_t)mktime(&tm) * 1000000000;
			return true;
		}
	}
	return false;
}

/* "1700000000" and "1700000000.123456789", to the nanosecond. */
static bool parse_seconds(const char *s, int64_t *ret_ns)
{
	size_t whole = strspn(s, "0123456789"), fraction = 0;
	int64_t ns = 0, unit = 1000000000;

	if (s[whole] == '.')
		fraction = strspn(s + whole + 1, "0123456789") + 1;
	if (whole == 0 || whole > 10 || s[whole + fraction])
		return false;
	for (size_t i = 0; i < whole; i++)
		ns = ns * 10 + (s[i] - '0');
	if (ns > INT64_MAX / unit - 1)
		return false;
	ns *= unit;
	for (size_t i = 1; i < fraction && unit > 1; i++) {
		unit /= 10;
		ns += (s[whole + i] - '0') * unit;
	}
	*ret_ns = ns;
	return true;
}

struct err *moment_parse(const char *s, const char *what, int64_t *ret_ns)
{
	int64_t ns;

	if (parse_duration(s, &ns)) {
		*ret_ns = timestamp_now_ns() - ns;
		return NULL;
	}
	if (parse_seconds(s, ret_ns))
		return NULL;
	if (parse_local(s, ret_ns))
		return NULL;
	struct err *e = timestamp_parse(s, ret_ns);
	if (!e)
		return NULL;
	err_free(e);
	return err_new(
		ERR_INVALID,
		"%s \"%s\" is no time: 10m, 1h30m, 2026-01-02T15:04:05Z, 2026-01-02 or seconds since 1970",
		what, s);
}
