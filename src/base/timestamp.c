/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timestamp.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000LL

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t timestamp_now_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t timestamp_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void timestamp_format(int64_t ns, char ret[static TIMESTAMP_STRING_MAX])
{
	time_t s = ns / NS_PER_S;
	long fraction = (long)(ns % NS_PER_S);
	struct tm tm;

	if (fraction < 0) {
		fraction += NS_PER_S;
		s--;
	}
	gmtime_r(&s, &tm);
	size_t n = strftime(ret, TIMESTAMP_STRING_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	if (fraction)
		snprintf(ret + n, TIMESTAMP_STRING_MAX - n, ".%09ldZ", fraction);
	else
		snprintf(ret + n, TIMESTAMP_STRING_MAX - n, "Z");
}

/* Exactly n digits; returns false otherwise. */
static bool number(const char **p, int n, int *ret)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	return true;
}

static bool literal(const char **p, const char *any_of)
{
	if (!**p || !strchr(any_of, **p))
		return false;
	(*p)++;
	return true;
}

static bool parse(const char *p, int64_t *ret_ns)
{
	struct tm tm = {0};
	int64_t fraction = 0, offset = 0;
	int h, m;

	if (!number(&p, 4, &tm.tm_year) || !literal(&p, "-") || !number(&p, 2, &tm.tm_mon) ||
	    !literal(&p, "-") || !number(&p, 2, &tm.tm_mday) || !literal(&p, "Tt ") ||
	    !number(&p, 2, &tm.tm_hour) || !literal(&p, ":") || !number(&p, 2, &tm.tm_min) ||
	    !literal(&p, ":") || !number(&p, 2, &tm.tm_sec))
		return false;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (literal(&p, ".")) {
		int64_t unit = NS_PER_S / 10;
		if (!isdigit((unsigned char)*p))
			return false;
		for (; isdigit((unsigned char)*p); p++, unit /= 10)
			fraction += (*p - '0') * unit;
	}
	if (!literal(&p, "Zz")) {
		bool negative = *p == '-';
		if (!literal(&p, "+-") || !number(&p, 2, &h) || !literal(&p, ":") || !number(&p, 2, &m) ||
		    h > 23 || m > 59)
			return false;
		offset = (negative ? -1 : 1) * (h * 3600 + m * 60);
	}
	int64_t s = timegm(&tm) - offset, ns;
	/* The year 1 (Go's zero time) does not fit into 64 bits of nanoseconds: bounded to what does. */
	if (__builtin_mul_overflow(s, NS_PER_S, &ns))
		ns = s < 0 ? INT64_MIN : INT64_MAX;
	else
		ns += fraction;
	if (*p)
		return false;
	*ret_ns = ns;
	return true;
}

struct err *timestamp_parse(const char *s, int64_t *ret_ns)
{
	if (!parse(s, ret_ns))
		return err_new(ERR_INVALID, "\"%.64s\" is not a time such as 2006-01-02T15:04:05Z", s);
	return NULL;
}
