// SPDX-License-Identifier: Apache-2.0
/* Flags from argv into an options struct. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/str.h"
#include "command/command.h"

struct parser {
	struct invocation *in;
	const struct flag *tables[2];
	void *options;
	bool single_dash;
	bool help;
	char **argv;
	int argc, next;
};

static const struct flag *find_long(const struct parser *p, const char *name, size_t len)
{
	for (size_t t = 0; t < ARRAY_SIZE(p->tables); t++)
		for (const struct flag *f = p->tables[t]; f && f->name; f++)
			if (strncmp(f->name, name, len) == 0 && f->name[len] == '\0')
				return f;
	return NULL;
}

static const struct flag *find_letter(const struct parser *p, char letter)
{
	for (size_t t = 0; t < ARRAY_SIZE(p->tables); t++)
		for (const struct flag *f = p->tables[t]; f && f->name; f++)
			if (f->letter && f->letter == letter)
				return f;
	return NULL;
}

static struct err *unknown_long(const struct parser *p, const char *name, size_t len)
{
	_cleanup_free_ char *typed = xstrndup(name, len);
	struct suggest s = {.word = typed};

	for (size_t t = 0; t < ARRAY_SIZE(p->tables); t++)
		for (const struct flag *f = p->tables[t]; f && f->name; f++)
			if (!(f->traits & FLAG_HIDDEN))
				suggest_offer(&s, f->name);
	suggest_offer(&s, "help");
	if (s.best)
		return usage_error(p->in, "unknown flag: --%s; did you mean --%s?", typed, s.best);
	return usage_error(p->in, "unknown flag: --%s", typed);
}

static struct err *check_choice(const struct parser *p, const struct flag *f, const char *value)
{
	size_t len = strlen(value);

	for (const char *w = f->values; w && *w;) {
		size_t n = strcspn(w, " ");
		if (n == len && strncmp(w, value, n) == 0)
			return NULL;
		w += n + strspn(w + n, " ");
	}
	return usage_error(p->in, "flag --%s: \"%s\" is not one of: %s", f->name, value, f->values);
}

static struct err *set_int(const struct flag *f, const char *what, const char *value, int64_t *field)
{
	int64_t min = f->min, max = f->max;
	if (min == 0 && max == 0) {
		min = INT64_MIN;
		max = INT64_MAX;
	}
	return parse_i64(value, what, min, max, field);
}

static struct err *set_size(const struct flag *f, const char *what, const char *value, int64_t *field)
{
	if (f->min == -1 && str_eq(value, "-1")) {
		*field = -1;
		return NULL;
	}
	uint64_t bytes;
	TRY(parse_size(value, what, &bytes));
	if (bytes > INT64_MAX)
		return err_new(ERR_INVALID, "%s: %s is too large", what, value);
	*field = (int64_t)bytes;
	return NULL;
}

/* `spelled` is how the user wrote the flag, for errors. */
static struct err *set_value(struct parser *p, const struct flag *f, const char *spelled, const char *value)
{
	void *field = (char *)p->options + f->offset;
	_cleanup_free_ char *what = NULL;
	struct err *e = NULL;

	switch ((enum flag_kind)f->kind) {
	case FLAG_STRING:
		*(const char **)field = value;
		return NULL;
	case FLAG_CHOICE:
		TRY(check_choice(p, f, value));
		*(const char **)field = value;
		return NULL;
	case FLAG_LIST:
		strv_push((char ***)field, value);
		return NULL;
	case FLAG_IGNORED:
		return NULL;
	case FLAG_BOOL:
		what = xasprintf("flag %s", spelled);
		e = parse_bool(value, what, field);
		break;
	case FLAG_INT:
		what = xasprintf("flag %s", spelled);
		e = set_int(f, what, value, field);
		break;
	case FLAG_SIZE:
		what = xasprintf("flag %s", spelled);
		e = set_size(f, what, value, field);
		break;
	case FLAG_NANO:
		what = xasprintf("flag %s", spelled);
		e = parse_decimal_nano(value, what, field);
		break;
	}
	if (!e)
		return NULL;
	_cleanup_free_ char *text = err_text(e);
	err_free(e);
	return usage_error(p->in, "%s", text);
}

static struct err *refuse(const struct parser *p, const struct flag *f)
{
	return err_new(ERR_UNSUPPORTED, "flag --%s is not supported: %s", f->name, f->refusal);
}

/* `text` points behind the dashes. */
static struct err *parse_long(struct parser *p, const char *dashes, char *text)
{
	size_t len = strcspn(text, "=");
	char *value = text[len] == '=' ? text + len + 1 : NULL;
	const struct flag *f = find_long(p, text, len);

	if (!f) {
		if (len == 4 && strncmp(text, "help", 4) == 0) {
			p->help = true;
			return NULL;
		}
		return unknown_long(p, text, len);
	}
	if (f->refusal)
		return refuse(p, f);
	char spelled[80];
	snprintf(spelled, sizeof(spelled), "%s%s", dashes, f->name);
	if (!value && f->kind == FLAG_BOOL) {
		*(bool *)((char *)p->options + f->offset) = true;
		return NULL;
	}
	if (!value) {
		if (p->next == p->argc)
			return usage_error(p->in, "flag %s requires an argument", spelled);
		value = p->argv[p->next++];
	}
	return set_value(p, f, spelled, value);
}

/* `text` points behind the dash: one letter or more. */
static struct err *parse_letters(struct parser *p, char *text)
{
	for (char *c = text; *c; c++) {
		const struct flag *f = find_letter(p, *c);
		if (!f && *c == 'h') {
			p->help = true;
			continue;
		}
		if (!f && *c == '=' && c > text)
			return usage_error(p->in, "flag -%c takes no such value in -%s", c[-1], text);
		if (!f)
			return text[1] ? usage_error(p->in, "unknown flag: -%c in -%s", *c, text)
				       : usage_error(p->in, "unknown flag: -%c", *c);
		if (f->refusal)
			return refuse(p, f);
		char spelled[3] = {'-', *c, '\0'};
		if (f->kind == FLAG_BOOL) {
			if (c[1] == '=')
				return set_value(p, f, spelled, c + 2);
			*(bool *)((char *)p->options + f->offset) = true;
			continue;
		}
		if (c[1])
			return set_value(p, f, spelled, c[1] == '=' ? c + 2 : c + 1);
		if (p->next == p->argc)
			return usage_error(p->in, "flag %s requires an argument", spelled);
		return set_value(p, f, spelled, p->argv[p->next++]);
	}
	return NULL;
}

static bool is_single_dash_long(const struct parser *p, const char *text)
{
	size_t len = strcspn(text, "=");
	if (len < 2)
		return false;
	const struct flag *f = find_long(p, text, len);
	if (f)
		return p->single_dash || (f->traits & FLAG_SINGLE_DASH);
	return p->single_dash && len == 4 && strncmp(text, "help", 4) == 0;
}

static struct err *parse(struct parser *p, bool stop_at_argument, int *ret_n_args)
{
	int n_args = 0;

	while (p->next < p->argc && !p->help) {
		char *a = p->argv[p->next++];
		if (a[0] != '-' || a[1] == '\0') {
			if (stop_at_argument) {
				p->next--;
				break;
			}
			p->argv[n_args++] = a;
			continue;
		}
		if (str_eq(a, "--"))
			break;
		if (a[1] == '-')
			TRY(parse_long(p, "--", a + 2));
		else if (is_single_dash_long(p, a + 1))
			TRY(parse_long(p, "-", a + 1));
		else
			TRY(parse_letters(p, a + 1));
	}
	while (p->next < p->argc)
		p->argv[n_args++] = p->argv[p->next++];
	*ret_n_args = n_args;
	return NULL;
}

static struct err *check_count(const struct invocation *in)
{
	const struct command *c = in->command;
	const char *verb;
	size_t want;

	if (in->n_args < c->min_args) {
		verb = c->min_args == c->max_args ? "exactly" : "at least";
		want = c->min_args;
	} else if (in->n_args > c->max_args) {
		verb = c->min_args == c->max_args ? "exactly" : "at most";
		want = c->max_args;
	} else {
		return NULL;
	}
	if (want == 0)
		return usage_error(in, "takes no arguments, but got \"%s\"", in->args[0]);
	return usage_error(in, "requires %s %zu argument%s", verb, want, want == 1 ? "" : "s");
}

struct err *command_parse(struct invocation *in, int argc, char **argv, bool *ret_help)
{
	const struct command *c = in->command;
	struct parser p = {.in = in, .argv = argv, .argc = argc, .single_dash = in->program->single_dash};
	int n_args = argc;

	if (c) {
		p.tables[0] = c->flags;
		p.tables[1] = c->more_flags;
		p.options = in->options;
	} else {
		p.tables[0] = in->program->flags;
		p.options = in->program->options;
	}
	if (!c || !(c->traits & COMMAND_RAW))
		TRY(parse(&p, !c || (c->traits & COMMAND_STOP_AT_ARGUMENT), &n_args));
	argv[n_args] = NULL;
	in->args = argv;
	in->n_args = (size_t)n_args;
	if (c && !p.help)
		TRY(check_count(in));
	*ret_help = p.help;
	return NULL;
}

const struct flag *command_flag_first(const struct command *c)
{
	if (c->flags && c->flags->name)
		return c->flags;
	return c->more_flags && c->more_flags->name ? c->more_flags : NULL;
}

const struct flag *command_flag_next(const struct command *c, const struct flag *f)
{
	if (f[1].name)
		return f + 1;
	/* The end of the first table leads to the second; the end of the second ends the walk. */
	if (!c->more_flags || !c->more_flags->name)
		return NULL;
	for (const struct flag *m = c->more_flags; m->name; m++)
		if (m == f)
			return NULL;
	return c->more_flags;
}

void command_options_release(const struct command *c, void *options)
{
	if (!options)
		return;
	for (const struct flag *f = command_flag_first(c); f; f = command_flag_next(c, f)) {
		if (f->kind != FLAG_LIST || f->refusal)
			continue;
		char ***field = (char ***)((char *)options + f->offset);
		strv_free(*field);
		*field = NULL; /* a second name of the same flag */
	}
	free(options);
}

const char *flag_metavar(const struct flag *f)
{
	if (f->kind == FLAG_BOOL)
		return NULL;
	if (f->metavar)
		return f->metavar;
	switch ((enum flag_kind)f->kind) {
	case FLAG_LIST:
		return "list";
	case FLAG_INT:
		return "int";
	case FLAG_SIZE:
		return "bytes";
	case FLAG_NANO:
		return "decimal";
	case FLAG_BOOL:
	case FLAG_STRING:
	case FLAG_CHOICE:
	case FLAG_IGNORED:
		break;
	}
	return "string";
}
