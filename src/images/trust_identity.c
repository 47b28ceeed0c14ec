/* SPDX-License-Identifier: Apache-2.0 */
/* signedIdentity: which names in signatures stand for which images (containers-policy.json(5), "signedBy"). */
#include "base/memory.h"
#include "base/str.h"
#include "trust_policy.h"

/* As it was written: with a tag or a digest, or a bare repository, which reference_parse would complete. */
struct name {
	struct reference r;
	bool bare;
};

static bool name_parse(const char *s, struct name *ret)
{
	const char *slash = strrchr(s, '/');
	struct err *e = reference_parse(s, &ret->r);
	bool good = !e;

	err_free(e);
	ret->bare = !strchr(slash ? slash : s, ':') && !strchr(s, '@');
	return good;
}

static void name_release(struct name *n)
{
	reference_release(&n->r);
}

static bool same_repository(const struct reference *a, const struct reference *b)
{
	return str_eq(a->domain, b->domain) && str_eq(a->path, b->path);
}

static bool same(const struct reference *a, const struct reference *b)
{
	return same_repository(a, b) && str_eq(a->tag, b->tag) && digest_equal(&a->digest, &b->digest);
}

static bool repo_digest_or_exact(const struct reference *asked, const struct name *is)
{
	if (digest_is_set(&asked->digest)) /* the digest has been checked against the manifest */
		return same_repository(asked, &is->r);
	return !is->bare && same(asked, &is->r);
}

/* The image's name with its prefix replaced. False: it becomes no valid name. */
static bool remap(const struct trust_identity *i, const struct reference *asked, struct reference *ret)
{
	_cleanup_free_ char *name = reference_string(asked);
	size_t n = strlen(i->value);
	/* "host" covers "host/…", not "host:5000/…". */
	bool covers = strncmp(name, i->value, n) == 0 &&
		      (name[n] == '/' || (strchr(i->value, '/') && (name[n] == ':' || name[n] == '@')));
	_cleanup_free_ char *mapped = covers ? xasprintf("%s%s", i->signed_prefix, name + n) : xstrdup(name);
	struct err *e = reference_parse(mapped, ret);
	bool good = !e;

	err_free(e);
	return good;
}

bool trust_identity_matches(const struct trust_identity *i, const struct reference *asked,
			    const char *signed_reference)
{
	_cleanup_(name_release) struct name is = {0}, must = {0};
	_cleanup_reference_ struct reference mapped = REFERENCE_NONE;

	if (!name_parse(signed_reference, &is))
		return false;
	switch (i->match) {
	case TRUST_EXACT_REFERENCE:
		return name_parse(i->value, &must) && !must.bare && !is.bare && same(&must.r, &is.r);
	case TRUST_EXACT_REPOSITORY:
		return name_parse(i->value, &must) && same_repository(&must.r, &is.r);
	case TRUST_MATCH_EXACT:
		return asked && !is.bare && same(asked, &is.r);
	case TRUST_MATCH_REPOSITORY:
		return asked && same_repository(asked, &is.r);
	case TRUST_REMAP:
		return asked && remap(i, asked, &mapped) && repo_digest_or_exact(&mapped, &is);
	case TRUST_MATCH_REPO_DIGEST_OR_EXACT:
		return asked && repo_digest_or_exact(asked, &is);
	}
	return false;
}
