/* SPDX-License-Identifier: Apache-2.0 */
#include "images/reference.h"

#include "base/memory.h"
#include "base/str.h"

#define REFERENCE_MAX 1024 /* domain 255, path 255, tag 128, digest 136, and their separators */
#define DOMAIN_MAX 255
#define PATH_MAX_CHARS 255
#define TAG_MAX 128

#define DEFAULT_DOMAIN "docker.io"
#define OFFICIAL_PREFIX "library/"

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

static bool is_hex_id(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static bool port_valid(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	return digits >= 1 && digits <= 5 && s[digits] == '\0';
}

/* "[" IPv6 "]" or dot-separated components of letters, digits and inner hyphens; then an optional port. */
static bool domain_valid(const char *s)
{
	if (strlen(s) > DOMAIN_MAX)
		return false;
	if (*s == '[') {
		size_t n = strspn(s + 1, "0123456789abcdefABCDEF:.");
		if (n < 2 || s[1 + n] != ']')
			return false;
		s += n + 2;
		return !*s || (*s == ':' && port_valid(s + 1));
	}
	while (true) {
		size_t n = 0;
		while (is_alnum(s[n]) || s[n] == '-')
			n++;
		if (n == 0 || s[0] == '-' || s[n - 1] == '-')
			return false;
		s += n;
		if (*s != '.')
			break;
		s++;
	}
	return !*s || (*s == ':' && port_valid(s + 1));
}

/* Runs of lower-case letters and digits, separated by ".", "_", "__" or any number of "-". */
static bool path_component_valid(const char *s, size_t n)
{
	size_t i = 0;

	while (true) {
		size_t start = i;
		while (i < n && is_lower_alnum(s[i]))
			i++;
		if (i == start)
			return false;
		if (i == n)
			return true;
		if (s[i] == '.') {
			i++;
		} else if (s[i] == '_') {
			i += i + 1 < n && s[i + 1] == '_' ? 2 : 1;
		} else if (s[i] == '-') {
			while (i < n && s[i] == '-')
				i++;
		} else {
			return false;
		}
	}
}

static bool path_valid(const char *s)
{
	while (true) {
		size_t n = strcspn(s, "/");
		if (!path_component_valid(s, n))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

static bool tag_valid(const char *s)
{
	if (!is_alnum(*s) && *s != '_')
		return false;
	size_t n = 1;
	while (is_alnum(s[n]) || s[n] == '_' || s[n] == '.' || s[n] == '-')
		n++;
	return !s[n] && n <= TAG_MAX;
}

static bool has_upper(const char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			return true;
	return false;
}

/* What is before the first slash is a domain when it cannot be a path component of the default registry. */
static bool looks_like_domain(const char *s)
{
	return strpbrk(s, ".:[") || strcmp(s, "localhost") == 0 || has_upper(s);
}

static struct err *split_name(const char *s, const char *name, struct reference *r)
{
	const char *slash = strchr(name, '/');
	_cleanup_free_ char *first = slash ? xstrndup(name, (size_t)(slash - name)) : NULL;
	const char *path = name;

	if (first && looks_like_domain(first)) {
		path = slash + 1;
		r->domain = xstrdup(strcmp(first, "index.docker.io") == 0 ? DEFAULT_DOMAIN : first);
		if (!domain_valid(r->domain))
			return err_new(ERR_INVALID,
				       "invalid reference \"%s\": \"%s\" is not a registry's host[:port]", s,
				       first);
	} else {
		r->domain = xstrdup(DEFAULT_DOMAIN);
	}
	if (has_upper(path))
		return err_new(ERR_INVALID, "invalid reference \"%s\": repository name must be lowercase", s);
	bool official = strcmp(r->domain, DEFAULT_DOMAIN) == 0 && !strchr(path, '/');
	r->path = xasprintf("%s%s", official ? OFFICIAL_PREFIX : "", path);
	if (!path_valid(path))
		return err_new(ERR_INVALID,
			       "invalid reference \"%s\": expected [HOST[:PORT]/]NAME[:TAG][@DIGEST], NAME "
			       "of a-z, 0-9 and single "
			       "\".\", \"_\", \"-\", \"/\" between them",
			       s);
	if (strlen(r->path) > PATH_MAX_CHARS)
		return err_new(ERR_INVALID,
			       "invalid reference \"%.40s…\": repository name is longer than %d characters",
			       s, PATH_MAX_CHARS);
	return NULL;
}

static struct err *parse(const char *s, struct reference *r)
{
	if (!*s)
		return err_new(ERR_INVALID, "invalid reference: it is empty");
	if (strlen(s) > REFERENCE_MAX)
		return err_new(ERR_INVALID, "invalid reference \"%.40s…\": longer than %d characters", s,
			       REFERENCE_MAX);
	if (is_hex_id(s))
		return err_new(ERR_INVALID,
			       "invalid reference \"%s\": 64 hexadecimal digits are an image id, not a name",
			       s);
	_cleanup_free_ char *name = xstrdup(s);
	char *at = strchr(name, '@');
	if (at) {
		*at = '\0';
		TRY_WRAP(digest_parse(at + 1, &r->digest), "invalid reference \"%s\"", s);
	}
	char *slash = strrchr(name, '/');
	char *colon = strrchr(slash ? slash : name, ':');
	if (colon) {
		*colon = '\0';
		if (!tag_valid(colon + 1))
			return err_new(ERR_INVALID,
				       "invalid reference \"%s\": a tag is 1 to %d letters, digits, \"_\", "
				       "\".\" and \"-\", not "
				       "beginning with the last two",
				       s, TAG_MAX);
		r->tag = xstrdup(colon + 1);
	}
	TRY(split_name(s, name, r));
	if (!r->tag && !digest_is_set(&r->digest))
		r->tag = xstrdup("latest");
	return NULL;
}

struct err *reference_parse(const char *s, struct reference *ret)
{
	struct reference r = REFERENCE_NONE;
	struct err *e = parse(s, &r);

	if (e) {
		reference_release(&r);
		return e;
	}
	*ret = r;
	return NULL;
}

void reference_release(struct reference *r)
{
	free(r->domain);
	free(r->path);
	free(r->tag);
	*r = REFERENCE_NONE;
}

static char *with_tag_and_digest(const struct reference *r, const char *name)
{
	bool digest = digest_is_set(&r->digest);

	return xasprintf("%s%s%s%s%s", name, r->tag ? ":" : "", r->tag ? r->tag : "", digest ? "@" : "",
			 digest ? r->digest.s : "");
}

char *reference_string(const struct reference *r)
{
	_cleanup_free_ char *name = xasprintf("%s/%s", r->domain, r->path);

	return with_tag_and_digest(r, name);
}

char *reference_familiar_name(const struct reference *r)
{
	if (strcmp(r->domain, DEFAULT_DOMAIN) != 0)
		return xasprintf("%s/%s", r->domain, r->path);
	const char *path = r->path;
	const char *slash = strchr(path, '/');
	_cleanup_free_ char *first = slash ? xstrndup(path, (size_t)(slash - path)) : NULL;
	if (first && looks_like_domain(first)) /* without its domain it would name another registry */
		return xasprintf("%s/%s", r->domain, path);
	if (str_starts(path, OFFICIAL_PREFIX) && !strchr(path + strlen(OFFICIAL_PREFIX), '/'))
		path += strlen(OFFICIAL_PREFIX);
	return xstrdup(path);
}

char *reference_familiar(const struct reference *r)
{
	_cleanup_free_ char *name = reference_familiar_name(r);

	return with_tag_and_digest(r, name);
}
