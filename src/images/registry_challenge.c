/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_challenge.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/str.h"

void challenges_release(struct challenges *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->v[i].realm);
		free(c->v[i].service);
		free(c->v[i].scope);
		free(c->v[i].error);
	}
	*c = (struct challenges){0};
}

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_length(const char *p)
{
	size_t n = 0;

	while (is_token_char(p[n]))
		n++;
	return n;
}

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* token or quoted-string; NULL: neither. The value must be printable: it goes into requests and messages. */
static char *take_value(const char **p)
{
	const char *s = *p;
	struct strbuf b = {0};

	if (*s != '"') {
		size_t n = token_length(s);
		*p = s + n;
		return n ? xstrndup(s, n) : NULL;
	}
	for (s++; *s && *s != '"'; s++) {
		if (*s == '\\' && s[1])
			s++;
		if ((unsigned char)*s < ' ' || *s == 127)
			break;
		strbuf_putc(&b, *s);
	}
	if (*s != '"') {
		strbuf_release(&b);
		return NULL;
	}
	*p = s + 1;
	return strbuf_take(&b);
}

static void keep(struct challenge *c, const char *name, size_t n, char *value)
{
	static const char *const names[] = {"realm", "service", "scope", "error"};
	char **const slots[] = {&c->realm, &c->service, &c->scope, &c->error};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i]) == n && strncasecmp(names[i], name, n) == 0 && !*slots[i]) {
			*slots[i] = value;
			return;
		}
	}
	free(value);
}

/* Parameters of one challenge: ends at the end or where a word without "=" begins the next one. *ret_next points there. */
static struct err *take_parameters(const char *p, struct challenge *c, const char **ret_next)
{
	while (true) {
		while (*p == ',' || *p == ' ' || *p == '\t')
			p++;
		size_t n = token_length(p);
		const char *after = skip_blanks(p + n);
		if (n == 0 || *after != '=')
			break;
		const char *name = p;
		p = skip_blanks(after + 1);
		char *value = take_value(&p);
		if (!value)
			return err_new(ERR_INVALID, "malformed parameter in a WWW-Authenticate header");
		keep(c, name, n, value);
		p = skip_blanks(p);
		if (*p && *p != ',')
			return err_new(ERR_INVALID, "malformed WWW-Authenticate header");
	}
	*ret_next = p;
	return NULL;
}

/* "Negotiate dGhpcw==": a scheme of no interest with a token68 instead of parameters. */
static const char *skip_token68(const char *p)
{
	size_t n = 0;

	while (is_token_char(p[n]) || p[n] == '/')
		n++;
	size_t pad = strspn(p + n, "=");
	const char *end = skip_blanks(p + n + pad);
	return n && (*end == ',' || !*end) ? end : p;
}

struct err *challenge_parse(const char *header, struct challenges *c)
{
	const char *p = header;

	if (strlen(header) > CHALLENGE_SIZE_MAX)
		return err_new(ERR_LIMIT, "a WWW-Authenticate header has more than %d bytes",
			       CHALLENGE_SIZE_MAX);
	while (true) {
		while (*p == ',' || *p == ' ' || *p == '\t')
			p++;
		if (!*p)
			return NULL;
		size_t n = token_length(p);
		if (n == 0 || (p[n] && p[n] != ' ' && p[n] != '\t' && p[n] != ','))
			return err_new(ERR_INVALID, "malformed WWW-Authenticate header");
		if (c->n == CHALLENGES_PARSED_MAX)
			return NULL;
		struct challenge *one = &c->v[c->n++];
		if (n == 5 && strncasecmp(p, "basic", n) == 0)
			one->scheme = CHALLENGE_BASIC;
		else if (n == 6 && strncasecmp(p, "bearer", n) == 0)
			one->scheme = CHALLENGE_BEARER;
		p = skip_blanks(p + n);
		if (one->scheme == CHALLENGE_OTHER)
			p = skip_token68(p);
		if (*p != ',')
			TRY(take_parameters(p, one, &p));
	}
}
