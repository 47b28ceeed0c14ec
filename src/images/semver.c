/* SPDX-License-Identifier: Apache-2.0 */
#include "semver.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"

#define PART_MAX 1000000000000ull

static bool parse_number(const char **s, uint64_t *ret)
{
	uint64_t v = 0;

	if (**s < '0' || **s > '9')
		return false;
	for (; **s >= '0' && **s <= '9'; ++*s) {
		v = v * 10 + (uint64_t)(**s - '0');
		if (v > PART_MAX)
			return false;
	}
	*ret = v;
	return true;
}

static bool is_wild(char c)
{
	return c == 'x' || c == 'X' || c == '*';
}

/* With `wild`, a part may be x or *: that and what follows count as not given. */
static bool parse(const char *s, bool wild, struct semver *ret)
{
	struct semver v = {0};
	bool open = false;

	if (*s == 'v')
		s++;
	for (unsigned i = 0; i < 3; i++) {
		if (wild && is_wild(*s)) {
			open = true;
			s++;
		} else if (!parse_number(&s, &v.v[i])) {
			return false;
		} else if (!open) {
			v.n = i + 1;
		}
		if (*s != '.')
			break;
		if (i == 2)
			return false;
		s++;
	}
	if (*s == '-') {
		size_t n = strcspn(++s, "+");
		if (n == 0 || n >= sizeof(v.pre))
			return false;
		memcpy(v.pre, s, n);
		s += n;
	}
	if (*s && *s != '+')
		return false;
	*ret = v;
	return true;
}

bool semver_parse(const char *s, struct semver *ret)
{
	return parse(s, false, ret);
}

/* Identifier by identifier: numbers by value and below words, words bytewise, the shorter first (semver.org, 11). */
static int compare_pre(const char *a, const char *b)
{
	if (!*a || !*b)
		return (*a == '\0') - (*b == '\0');
	while (*a && *b) {
		size_t na = strcspn(a, "."), nb = strcspn(b, ".");
		bool da = strspn(a, "0123456789") == na, db = strspn(b, "0123456789") == nb;
		int order;
		if (da && db && na != nb)
			order = na < nb ? -1 : 1;
		else if (da != db)
			order = da ? -1 : 1;
		else
			order = memcmp(a, b, MIN(na, nb));
		if (order == 0 && na != nb)
			order = na < nb ? -1 : 1;
		if (order)
			return order;
		a += na + (a[na] == '.');
		b += nb + (b[nb] == '.');
	}
	return (*a != '\0') - (*b != '\0');
}

int semver_compare(const struct semver *a, const struct semver *b)
{
	for (int i = 0; i < 3; i++)
		if (a->v[i] != b->v[i])
			return a->v[i] < b->v[i] ? -1 : 1;
	return compare_pre(a->pre, b->pre);
}

/* -- constraints ---------------------------------------------------------------------------------------------------- */

/* The first version that is too new when the parts before and including `part` stay. */
static struct semver above(const struct semver *v, unsigned part)
{
	struct semver next = {.n = 3};

	for (unsigned i = 0; i <= part; i++)
		next.v[i] = v->v[i];
	next.v[part]++;
	return next;
}

static bool within(const struct semver *v, const struct semver *from, const struct semver *below)
{
	return semver_compare(v, from) >= 0 && semver_compare(v, below) < 0;
}

static bool fits_caret(const struct semver *v, const struct semver *c)
{
	unsigned part = 0;

	while (part + 1 < MAX(c->n, 1u) && c->v[part] == 0)
		part++;
	struct semver below = above(c, part);
	return within(v, c, &below);
}

static bool fits_operator(const char *op, const struct semver *v, const struct semver *c)
{
	struct semver below = c->n ? above(c, MIN(c->n, 3u) - 1) : (struct semver){0};
	int order = semver_compare(v, c);
	/* "1.2" means all of 1.2. */
	bool same = c->n == 0 || (c->n < 3 ? within(v, c, &below) : order == 0);

	if (str_eq(op, "") || str_eq(op, "="))
		return same;
	if (str_eq(op, "!="))
		return !same;
	if (str_eq(op, ">"))
		return c->n && order > 0 && !(c->n < 3 && same);
	if (str_eq(op, ">=") || str_eq(op, "=>"))
		return order >= 0;
	if (str_eq(op, "<"))
		return order < 0;
	if (str_eq(op, "<=") || str_eq(op, "=<"))
		return order <= 0 || same;
	if (str_eq(op, "~") || str_eq(op, "~>")) {
		below = c->n ? above(c, c->n == 1 ? 0 : 1) : below;
		return c->n == 0 || within(v, c, &below);
	}
	return c->n == 0 || fits_caret(v, c);
}

static struct err *fits_one(const char *text, const struct semver *v, bool *ret)
{
	size_t n = strspn(text, "=!<>~^");
	_cleanup_free_ char *op = xstrndup(text, n);
	static const char *const known[] = {"", "=", "!=", ">", ">=", "=>", "<", "<=", "=<", "~", "~>", "^"};
	const char *version = text + n + strspn(text + n, " ");
	struct semver c;
	bool good = parse(version, true, &c);

	if (good) {
		good = false;
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			good |= str_eq(op, known[i]);
	}
	if (!good)
		return err_new(ERR_INVALID, "\"%.80s\" is not a constraint on versions", text);
	*ret = !(v->pre[0] && !c.pre[0]) && fits_operator(op, v, &c);
	return NULL;
}

/* Constraints of one alternative: separated by commas or blanks, or "1.2 - 1.4". */
static struct err *fits_all(char *text, const struct semver *v, bool *ret)
{
	char *range = strstr(text, " - "), *state = NULL;
	bool one, all = true;

	if (range) {
		*range = '\0';
		_cleanup_free_ char *from = xasprintf(">=%s", text + strspn(text, " "));
		_cleanup_free_ char *to = xasprintf("<=%s", range + 3 + strspn(range + 3, " "));
		from[strcspn(from, " ")] = to[strcspn(to, " ")] = '\0';
		TRY(fits_one(from, v, ret));
		TRY(fits_one(to, v, &one));
		*ret &= one;
		return NULL;
	}
	/* A blank behind an operator separates nothing. */
	_cleanup_strbuf_ struct strbuf tight = {0};
	for (const char *p = text; *p; p++)
		if (*p != ' ' || !tight.len || !strchr("=!<>~^", tight.data[tight.len - 1]))
			strbuf_putc(&tight, *p);
	_cleanup_free_ char *copy = strbuf_take(&tight);
	bool any = false;
	for (char *word = strtok_r(copy, ", ", &state); word; word = strtok_r(NULL, ", ", &state)) {
		any = true;
		TRY(fits_one(word, v, &one));
		all &= one;
	}
	if (!any)
		return err_new(ERR_INVALID, "an empty constraint on versions");
	*ret = all;
	return NULL;
}

struct err *semver_fits(const char *constraint, const char *version, bool *ret)
{
	_cleanup_free_ char *copy = xstrdup(constraint);
	struct semver v = {0};
	bool is_version = semver_parse(version, &v), any = false, one;

	for (char *at = copy; at;) {
		char *end = strstr(at, "||"), *next = end ? end + 2 : NULL;
		if (end)
			*end = '\0';
		TRY_WRAP(fits_all(at, &v, &one), "constraint \"%.200s\"", constraint);
		any |= one;
		at = next;
	}
	*ret = is_version && any;
	return NULL;
}
