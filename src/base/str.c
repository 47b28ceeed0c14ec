/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <regex.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

void strbuf_release(struct strbuf *b)
{
	free(b->data);
	*b = (struct strbuf){0};
}

void strbuf_reset(struct strbuf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

void strbuf_reserve(struct strbuf *b, size_t extra)
{
	size_t need;

	if (__builtin_add_overflow(b->len, extra, &need) || __builtin_add_overflow(need, 1, &need))
		need = SIZE_MAX; /* fails in the allocation */
	if (need <= b->cap)
		return;
	size_t cap = b->cap ? b->cap : 64;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	b->data = xrealloc(b->data, cap, 1);
	b->cap = cap;
}

void strbuf_append(struct strbuf *b, const void *data, size_t len)
{
	strbuf_reserve(b, len);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void strbuf_puts(struct strbuf *b, const char *s)
{
	strbuf_append(b, s, strlen(s));
}

void strbuf_putc(struct strbuf *b, char c)
{
	strbuf_append(b, &c, 1);
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	if (n > 0) {
		strbuf_reserve(b, (size_t)n);
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

const char *strbuf_str(const struct strbuf *b)
{
	return b->data ? b->data : "";
}

char *strbuf_take(struct strbuf *b)
{
	char *s = b->data ? b->data : xstrdup("");

	*b = (struct strbuf){0};
	return s;
}

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

void strv_free(char **v)
{
	STRV_FOREACH (s, v)
		free(*s);
	free(v);
}

void strv_push_take(char ***v, char *s)
{
	size_t n = strv_len(*v);

	/* Grown at powers of two, so that a long vector is not copied for each push. */
	if (n == 0 || (n & (n + 1)) == 0)
		*v = xrealloc(*v, 2 * (n + 1) + 1, sizeof(char *));
	(*v)[n] = s;
	(*v)[n + 1] = NULL;
}

void strv_push(char ***v, const char *s)
{
	strv_push_take(v, xstrdup(s));
}

char **strv_dup(char *const *v)
{
	if (!v)
		return NULL;
	size_t n = strv_len(v);
	char **copy = NULL;

	if (n == 0)
		return xnew_array(char *, 1);
	for (size_t i = 0; i < n; i++)
		strv_push(&copy, v[i]);
	return copy;
}

bool strv_contains(char *const *v, const char *s)
{
	STRV_FOREACH (e, v)
		if (strcmp(*e, s) == 0)
			return true;
	return false;
}

char **strv_split(const char *s, const char *separators)
{
	char **v = NULL;

	while (*s) {
		s += strspn(s, separators);
		size_t n = strcspn(s, separators);
		if (n)
			strv_push_take(&v, xstrndup(s, n));
		s += n;
	}
	return v;
}

char *strv_join(char *const *v, const char *separator)
{
	struct strbuf out = {0};

	STRV_FOREACH (s, v) {
		if (s != v)
			strbuf_puts(&out, separator);
		strbuf_puts(&out, *s);
	}
	return strbuf_take(&out);
}

void str_hide_controls(char *s)
{
	for (unsigned char *p = (unsigned char *)s; *p; p++) {
		if ((*p < ' ' && *p != '\n' && *p != '\t') || *p == 0x7f)
			*p = '?';
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
	}
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

static char **env_find(char *const *env, const char *name)
{
	size_t n = strlen(name);

	STRV_FOREACH (e, env)
		if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
			return (char **)e;
	return NULL;
}

void env_set(char ***env, const char *name, const char *value)
{
	char *entry = xasprintf("%s=%s", name, value);
	char **old = env_find(*env, name);

	if (old) {
		free(*old);
		*old = entry;
	} else {
		strv_push_take(env, entry);
	}
}

const char *env_get(char *const *env, const char *name)
{
	char **e = env_find(env, name);

	return e ? *e + strlen(name) + 1 : NULL;
}

bool label_matches(char *const *labels, const char *filter)
{
	size_t key = strcspn(filter, "=");

	STRV_FOREACH (l, labels) {
		if (strncmp(*l, filter, key) != 0 || ((*l)[key] != '=' && (*l)[key] != '\0'))
			continue;
		if (filter[key] == '\0' || str_eq((*l)[key] ? *l + key + 1 : "", filter + key + 1))
			return true;
	}
	return false;
}

bool name_matches(const char *name, const char *pattern)
{
	regex_t r;

	if (str_eq(name, pattern))
		return true;
	if (regcomp(&r, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	bool found = regexec(&r, name, 0, NULL, 0) == 0;
	regfree(&r);
	return found;
}

void env_drop_repeated(char **env)
{
	size_t n = strv_len(env), to = n;

	for (size_t i = n; i-- > 0;) {
		size_t name = strcspn(env[i], "="), j = to;
		while (j < n && (strncmp(env[j], env[i], name) != 0 || env[j][name] != env[i][name]))
			j++;
		if (j < n)
			free(env[i]);
		else
			env[--to] = env[i];
	}
	if (env && to > 0)
		memmove(env, env + to, (n - to + 1) * sizeof(*env));
}

char *format_size(uint64_t bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double v = (double)bytes;
	size_t unit = 0;

	while (v >= 1000.0 && unit + 1 < ARRAY_SIZE(units)) {
		v /= 1000.0;
		unit++;
	}
	/* %.3g would print 1e+03 for 999.6 and above. */
	if (v >= 999.5)
		return unit + 1 < ARRAY_SIZE(units) ? xasprintf("1%s", units[unit + 1])
						    : xasprintf("%.0f%s", v, units[unit]);
	return xasprintf("%.3g%s", v, units[unit]);
}

char *format_duration(int64_t seconds)
{
	int64_t minutes = seconds / 60, hours = (seconds + 1800) / 3600;

	if (seconds < 1)
		return xstrdup("Less than a second");
	if (seconds == 1)
		return xstrdup("1 second");
	if (seconds < 60)
		return xasprintf("%lld seconds", (long long)seconds);
	if (minutes == 1)
		return xstrdup("About a minute");
	if (minutes < 60)
		return xasprintf("%lld minutes", (long long)minutes);
	if (hours == 1)
		return xstrdup("About an hour");
	if (hours < 48)
		return xasprintf("%lld hours", (long long)hours);
	if (hours < 24 * 7 * 2)
		return xasprintf("%lld days", (long long)(hours / 24));
	if (hours < 24 * 30 * 2)
		return xasprintf("%lld weeks", (long long)(hours / 24 / 7));
	if (hours < 24 * 365 * 2)
		return xasprintf("%lld months", (long long)(hours / 24 / 30));
	return xasprintf("%lld years", (long long)(seconds / 86400 / 365));
}
