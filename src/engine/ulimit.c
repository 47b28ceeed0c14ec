/* SPDX-License-Identifier: Apache-2.0 */
#include "ulimit.h"

#include <sys/resource.h>

#include "base/memory.h"
#include "base/str.h"

static const struct {
	const char *name, *spec_name;
	int resource;
} limits[] = {
	{"core", "RLIMIT_CORE", RLIMIT_CORE},
	{"cpu", "RLIMIT_CPU", RLIMIT_CPU},
	{"data", "RLIMIT_DATA", RLIMIT_DATA},
	{"fsize", "RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"locks", "RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"memlock", "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"msgqueue", "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"nice", "RLIMIT_NICE", RLIMIT_NICE},
	{"nofile", "RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"nproc", "RLIMIT_NPROC", RLIMIT_NPROC},
	{"rss", "RLIMIT_RSS", RLIMIT_RSS},
	{"rtprio", "RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"rttime", "RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"sigpending", "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"stack", "RLIMIT_STACK", RLIMIT_STACK},
};

static struct err *parse_value(const char *s, const char *whole, uint64_t *ret)
{
	if (str_eq(s, "-1") || str_eq(s, "unlimited")) {
		*ret = (uint64_t)RLIM_INFINITY;
		return NULL;
	}
	TRY_WRAP(parse_u64(s, "limit", 0, UINT64_MAX, ret), "invalid ulimit \"%.64s\"", whole);
	return NULL;
}

struct err *ulimit_parse(const char *s, struct ulimit *ret)
{
	const char *eq = strchr(s, '=');
	struct ulimit l = {.resource = -1};

	if (!eq || eq == s || !eq[1])
		return err_new(
			ERR_INVALID,
			"invalid ulimit \"%.64s\": write NAME=SOFT[:HARD], for example nofile=1024:2048", s);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		if (strlen(limits[i].name) == (size_t)(eq - s) &&
		    strncmp(limits[i].name, s, (size_t)(eq - s)) == 0) {
			l.name = limits[i].name;
			l.spec_name = limits[i].spec_name;
			l.resource = limits[i].resource;
		}
	}
	if (l.resource < 0)
		return err_new(ERR_INVALID, "unknown ulimit \"%.*s\"", (int)MIN((size_t)(eq - s), (size_t)64),
			       s);
	const char *colon = strchr(eq + 1, ':');
	_cleanup_free_ char *soft = colon ? xstrndup(eq + 1, (size_t)(colon - eq - 1)) : xstrdup(eq + 1);
	TRY(parse_value(soft, s, &l.soft));
	l.hard = l.soft;
	if (colon)
		TRY(parse_value(colon + 1, s, &l.hard));
	if (l.soft > l.hard)
		return err_new(ERR_INVALID, "invalid ulimit \"%.64s\": the soft limit is above the hard one",
			       s);
	*ret = l;
	return NULL;
}
