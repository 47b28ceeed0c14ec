// SPDX-License-Identifier: Apache-2.0
/* Points in time as users write them: --since, --until, --filter until=. */
#include <stdlib.h>
#include <time.h>

#include "base/timestamp.h"
#include "cli.h"

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

struct err *moment_parse(const char *s, const char *what, int64_t *ret_ns)
{
	int64_t ns;
	char *end;

	if (parse_duration(s, &ns)) {
		*ret_ns = timestamp_now_ns() - ns;
		return NULL;
	}
	double seconds = strtod(s, &end);
	if (*s && !*end && seconds >= 0 && seconds < 9e9) {
		*ret_ns = (int64_t)(seconds * 1e9);
		return NULL;
	}
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
