/* SPDX-License-Identifier: Apache-2.0 */
#include "restart_policy.h"

#include "base/memory.h"
#include "base/str.h"

static const char *const names[] = {
	[RESTART_NO] = "no",
	[RESTART_ON_FAILURE] = "on-failure",
	[RESTART_ALWAYS] = "always",
	[RESTART_UNLESS_STOPPED] = "unless-stopped",
	[RESTART_ON_UNHEALTHY] = "on-unhealthy",
};

const char *restart_policy_name(const struct restart_policy *p)
{
	return names[p->kind];
}

struct err *restart_policy_parse(const char *s, struct restart_policy *ret)
{
	struct restart_policy p = {0};
	size_t n = s ? strcspn(s, ":") : 0, i = 0;
	uint64_t max = 0;

	if (str_empty(s)) {
		*ret = p;
		return NULL;
	}
	while (i < ARRAY_SIZE(names) && (strlen(names[i]) != n || strncmp(names[i], s, n) != 0))
		i++;
	if (i == ARRAY_SIZE(names))
		return err_new(ERR_INVALID,
			       "invalid restart policy: unknown policy '%.64s'; use one of 'no', 'always', "
			       "'on-failure[:N]', 'unless-stopped', or 'on-unhealthy'",
			       s);
	p.kind = (enum restart_kind)i;
	if (s[n] && p.kind != RESTART_ON_FAILURE)
		return err_new(
			ERR_INVALID,
			"invalid restart policy: maximum retry count can only be used with 'on-failure'");
	if (s[n])
		TRY_WRAP(parse_u64(s + n + 1, "maximum retry count", 0, 1000000, &max),
			 "invalid restart policy");
	p.max = (unsigned)max;
	*ret = p;
	return NULL;
}

bool restart_is_due(const struct restart_policy *p, int exit_code, unsigned restarts, bool unhealthy)
{
	switch (p->kind) {
	case RESTART_ALWAYS:
	case RESTART_UNLESS_STOPPED:
		return true;
	case RESTART_ON_FAILURE:
		return exit_code != 0 && (p->max == 0 || restarts < p->max);
	case RESTART_ON_UNHEALTHY:
		return exit_code != 0 || unhealthy;
	default:
		return false;
	}
}

unsigned restart_delay_ms(unsigned last_ms, int64_t ran_ns)
{
	if (last_ms == 0 || ran_ns >= RESTART_RAN_WELL_NS)
		return RESTART_DELAY_FIRST_MS;
	return MIN(last_ms * 2, (unsigned)RESTART_DELAY_MAX_MS);
}
