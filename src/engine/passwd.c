/* SPDX-License-Identifier: Apache-2.0 */
#include "passwd.h"

#include <string.h>

#include "base/memory.h"
#include "base/str.h"

#define ACCOUNT_FILE_MAX (4u << 20)
#define GROUPS_MAX 65536 /* the kernel's NGROUPS_MAX */
#define FIELDS_MAX 7

struct field {
	const char *s;
	size_t n;
};

static bool field_is(const struct field *f, const char *s, size_t n)
{
	return f->n == n && memcmp(f->s, s, n) == 0;
}

static bool all_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return n > 0;
}

static bool field_id(const struct field *f, uint32_t *ret)
{
	uint64_t v = 0;

	if (!all_digits(f->s, f->n))
		return false;
	for (size_t i = 0; i < f->n; i++) {
		v = v * 10 + (uint64_t)(f->s[i] - '0');
		if (v > USER_ID_MAX)
			return false;
	}
	*ret = (uint32_t)v;
	return true;
}

/* Cuts the next line into at most FIELDS_MAX fields (the last one takes the rest); missing ones are empty. */
static bool next_line(const char **at, const char *end, struct field fields[FIELDS_MAX], size_t *ret_n)
{
	if (!*at || *at >= end)
		return false;
	const char *eol = memchr(*at, '\n', (size_t)(end - *at));
	const char *p = *at;
	size_t n = 0;

	if (!eol)
		eol = end;
	memset(fields, 0, sizeof(*fields) * FIELDS_MAX);
	while (n < FIELDS_MAX) {
		const char *colon = n + 1 < FIELDS_MAX ? memchr(p, ':', (size_t)(eol - p)) : NULL;
		fields[n++] = (struct field){p, (size_t)((colon ? colon : eol) - p)};
		if (!colon)
			break;
		p = colon + 1;
	}
	*at = eol < end ? eol + 1 : end;
	*ret_n = n;
	return true;
}

static bool list_contains(const struct field *list, const struct field *name)
{
	const char *p = list->s, *end = list->s + list->n;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t n = (size_t)((comma ? comma : end) - p);
		if (field_is(name, p, n))
			return true;
		p += n + 1;
	}
	return false;
}

static void add_group(struct user *u, uint32_t gid)
{
	if (gid == u->gid || u->n_groups >= GROUPS_MAX)
		return;
	for (size_t i = 0; i < u->n_groups; i++)
		if (u->groups[i] == gid)
			return;
	u->groups = xrealloc(u->groups, u->n_groups + 1, sizeof(*u->groups));
	u->groups[u->n_groups++] = gid;
}

struct accounts {
	const char *passwd, *passwd_end, *group, *group_end;
};

/* By name, or by number when `by_id`. */
static bool find_user(const struct accounts *a, const char *name, size_t n, bool by_id, uint32_t id,
		      struct field *ret_name, uint32_t *ret_uid, uint32_t *ret_gid, struct field *ret_home)
{
	struct field f[FIELDS_MAX];
	const char *at = a->passwd;
	size_t count;

	while (next_line(&at, a->passwd_end, f, &count)) {
		uint32_t uid, gid;

		if (count < 4 || f[0].n == 0 || !field_id(&f[2], &uid) || !field_id(&f[3], &gid))
			continue;
		if (by_id ? uid != id : !field_is(&f[0], name, n))
			continue;
		*ret_name = f[0];
		*ret_uid = uid;
		*ret_gid = gid;
		*ret_home = f[5];
		return true;
	}
	return false;
}

static bool find_group(const struct accounts *a, const char *name, size_t n, uint32_t *ret_gid)
{
	struct field f[FIELDS_MAX];
	const char *at = a->group;
	size_t count;

	while (next_line(&at, a->group_end, f, &count)) {
		if (count >= 3 && f[0].n > 0 && field_is(&f[0], name, n) && field_id(&f[2], ret_gid))
			return true;
	}
	return false;
}

static void add_memberships(const struct accounts *a, const struct field *name, struct user *u)
{
	struct field f[FIELDS_MAX];
	const char *at = a->group;
	size_t count;

	while (next_line(&at, a->group_end, f, &count)) {
		uint32_t gid;
		if (count >= 4 && f[0].n > 0 && field_id(&f[2], &gid) && list_contains(&f[3], name))
			add_group(u, gid);
	}
}

static struct err *resolve_group(const struct accounts *a, const char *s, uint32_t *ret)
{
	struct field f = {s, strlen(s)};

	if (all_digits(f.s, f.n)) {
		if (!field_id(&f, ret))
			return err_new(ERR_INVALID, "group id %.32s is out of range: it must be 0 to %d", s,
				       USER_ID_MAX);
		return NULL;
	}
	if (*s == '-' || *s == '+')
		return err_new(ERR_INVALID, "\"%.64s\" is neither a group name nor a group id", s);
	if (!find_group(a, s, f.n, ret))
		return err_new(ERR_NOT_FOUND, "no group \"%.64s\" in the container's /etc/group", s);
	return NULL;
}

static struct err *resolve(const struct accounts *a, const char *spec, char *const *group_add, struct user *u)
{
	const char *colon = strchr(spec, ':');
	size_t n = colon ? (size_t)(colon - spec) : strlen(spec);
	const char *group = colon && colon[1] ? colon + 1 : NULL;
	struct field name = {0}, home = {0};
	bool known;

	if (n == 0) {
		known = find_user(a, NULL, 0, true, 0, &name, &u->uid, &u->gid, &home);
	} else if (all_digits(spec, n)) {
		struct field f = {spec, n};
		if (!field_id(&f, &u->uid))
			return err_new(ERR_INVALID, "user id %.*s is out of range: it must be 0 to %d",
				       (int)MIN(n, 32u), spec, USER_ID_MAX);
		known = find_user(a, NULL, 0, true, u->uid, &name, &u->uid, &u->gid, &home);
	} else {
		if (*spec == '-' || *spec == '+')
			return err_new(ERR_INVALID, "\"%.64s\" is neither a user name nor a user id", spec);
		known = find_user(a, spec, n, false, 0, &name, &u->uid, &u->gid, &home);
		if (!known)
			return err_new(ERR_NOT_FOUND, "no user \"%.*s\" in the container's /etc/passwd",
				       (int)MIN(n, 64u), spec);
	}
	if (group)
		TRY(resolve_group(a, group, &u->gid));
	else if (known)
		add_memberships(a, &name, u);
	STRV_FOREACH (g, group_add) {
		uint32_t gid = 0;
		TRY(resolve_group(a, *g, &gid));
		add_group(u, gid);
	}
	u->home = home.n > 0 && !memchr(home.s, '\0', home.n) ? xstrndup(home.s, home.n) : xstrdup("/");
	return NULL;
}

struct err *user_lookup(const char *spec, char *const *group_add, const char *passwd, size_t passwd_size,
			const char *group, size_t group_size, struct user *ret)
{
	struct accounts a = {passwd, passwd ? passwd + passwd_size : NULL, group,
			     group ? group + group_size : NULL};
	_cleanup_user_ struct user u = {0};

	TRY(resolve(&a, spec ? spec : "", group_add, &u));
	*ret = u;
	u = (struct user){0};
	return NULL;
}

static struct err *read_account_file(const struct inroot *root, const char *path, char **ret,
				     size_t *ret_size)
{
	struct err *e = inroot_read_file(root, path, ACCOUNT_FILE_MAX, ret, ret_size);

	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	return e ? err_wrap(e, "cannot read the container's /%s", path) : NULL;
}

struct err *user_resolve(const struct inroot *root, const char *spec, char *const *group_add,
			 struct user *ret)
{
	_cleanup_free_ char *passwd = NULL, *group = NULL;
	size_t passwd_size = 0, group_size = 0;

	TRY(read_account_file(root, "etc/passwd", &passwd, &passwd_size));
	TRY(read_account_file(root, "etc/group", &group, &group_size));
	return user_lookup(spec, group_add, passwd, passwd_size, group, group_size, ret);
}

void user_release(struct user *u)
{
	free(u->groups);
	free(u->home);
	*u = (struct user){0};
}
