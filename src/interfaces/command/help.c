// SPDX-License-Identifier: Apache-2.0
/* --help, from the tables. */
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "command/command.h"
#include "command/terminal.h"

#define HELP_WIDTH 100 /* when stdout is no terminal, and the most on a wide one */
#define FLAG_COLUMN_MAX 38

static size_t help_width(void)
{
	return MIN(terminal_width(STDOUT_FILENO, HELP_WIDTH), (size_t)HELP_WIDTH);
}

static void heading(const char *text)
{
	if (terminal_colours(STDOUT_FILENO))
		printf("\n\033[1m%s:\033[0m\n", text);
	else
		printf("\n%s:\n", text);
}

/* Paragraphs are refilled; lines that begin with a blank are kept. */
static void paragraphs(const char *text, size_t width)
{
	while (*text) {
		size_t len;
		if (*text == ' ') {
			len = strcspn(text, "\n");
			printf("%.*s\n", (int)len, text);
			text += len + (text[len] == '\n');
			continue;
		}
		if (*text == '\n') {
			putchar('\n');
			text++;
			continue;
		}
		const char *end = strstr(text, "\n\n");
		len = end ? (size_t)(end - text) : strlen(text);
		const char *kept = strstr(text, "\n ");
		if (kept && (size_t)(kept - text) < len)
			len = (size_t)(kept - text);
		_cleanup_free_ char *paragraph = xstrndup(text, len);
		for (char *c = paragraph; *c; c++)
			if (*c == '\n')
				*c = ' ';
		text_wrap(paragraph, 0, 0, width);
		text += len + (text[len] == '\n');
	}
}

/* "  -e, --env list" without trailing blanks; the width is answered. */
static size_t flag_left(const struct flag *f, char *buf, size_t size)
{
	const char *metavar = flag_metavar(f);
	char letter[8] = "    ";

	if (f->letter)
		snprintf(letter, sizeof(letter), "-%c, ", f->letter);
	snprintf(buf, size, "  %s%s%s%s%s", letter, strlen(f->name) == 1 ? "-" : "--", f->name,
		 metavar ? " " : "", metavar ? metavar : "");
	return text_width(buf);
}

static bool flag_shown(const struct flag *f)
{
	return !(f->traits & FLAG_HIDDEN) && !f->refusal;
}

/* Alphabetical, as everyone's help is, whatever the tables' order: pick the next larger name each time. */
static const struct flag *flag_after(const struct flag *const tables[2], const char *name)
{
	const struct flag *best = NULL;
	for (size_t t = 0; t < 2; t++)
		for (const struct flag *f = tables[t]; f && f->name; f++)
			if (flag_shown(f) && (!name || strcmp(f->name, name) > 0) &&
			    (!best || strcmp(f->name, best->name) < 0))
				best = f;
	return best;
}

static void flags(const char *title, const struct flag *first, const struct flag *second, size_t width)
{
	const struct flag *const tables[2] = {first, second};
	char left[160];
	size_t column = 0;

	for (const struct flag *f = flag_after(tables, NULL); f; f = flag_after(tables, f->name)) {
		size_t n = flag_left(f, left, sizeof(left));
		if (n <= FLAG_COLUMN_MAX)
			column = MAX(column, n);
	}
	if (!column && !flag_after(tables, NULL))
		return;
	column += 3;
	heading(title);
	for (const struct flag *f = flag_after(tables, NULL); f; f = flag_after(tables, f->name)) {
		size_t n = flag_left(f, left, sizeof(left));
		if (n + 1 > column)
			printf("%s\n%*s", left, (int)column, "");
		else
			printf("%s%*s", left, (int)(column - n), "");
		_cleanup_free_ char *text = f->kind == FLAG_CHOICE ? xasprintf("%s (%s)", f->help, f->values)
								   : xstrdup(f->help ? f->help : "");
		text_wrap(text, column, column, width);
	}
}

char *command_examples(const struct program *p, const struct command *c)
{
	struct strbuf b = {0};
	const char *s = c->examples, *found;

	while ((found = strstr(s, "PROGRAM"))) {
		strbuf_append(&b, s, (size_t)(found - s));
		strbuf_puts(&b, p->name);
		s = found + strlen("PROGRAM");
	}
	strbuf_puts(&b, s);
	return strbuf_take(&b);
}

void help_command(const struct program *p, const struct command *c)
{
	size_t width = help_width();

	printf("Usage:  %s %s%s%s\n\n", p->name, c->name, c->usage && *c->usage ? " " : "",
	       c->usage ? c->usage : "");
	printf("%s\n", c->summary);
	if (c->help) {
		putchar('\n');
		paragraphs(c->help, width);
	}
	if (c->aliases && c->aliases[0]) {
		heading("Aliases");
		printf("  %s %s", p->name, c->name);
		for (const char *const *a = c->aliases; *a; a++)
			printf(", %s %s", p->name, *a);
		putchar('\n');
	}
	flags("Options", c->flags, c->more_flags, width);
	if (c->examples) {
		heading("Examples");
		_cleanup_free_ char *text = command_examples(p, c);
		for (const char *line = text; *line;) {
			size_t len = strcspn(line, "\n");
			printf("  %.*s\n", (int)len, line);
			line += len + (line[len] == '\n');
		}
	}
}

struct row {
	const char *word, *summary;
};

/* The last word of the first of the command's paths that lies in `group` (NULL: top level). */
static const char *word_in_group(const struct command *c, const char *group)
{
	const char *path = c->name;
	for (const char *const *a = c->aliases;; a++) {
		const char *space = strchr(path, ' ');
		if (!group && !space)
			return path;
		if (group && space && (size_t)(space - path) == strlen(group) && str_starts(path, group))
			return space + 1;
		if (!a || !*a)
			return NULL;
		path = *a;
	}
}

static void command_rows(const struct program *p, const char *group, size_t width)
{
	size_t column = 0;

	for (const struct command *const *c = p->commands; *c; c++) {
		const char *word = word_in_group(*c, group);
		if (word && !((*c)->traits & COMMAND_HIDDEN))
			column = MAX(column, strlen(word));
	}
	heading("Commands");
	for (const struct command *const *c = p->commands; *c; c++) {
		const char *word = word_in_group(*c, group);
		if (!word || ((*c)->traits & COMMAND_HIDDEN))
			continue;
		printf("  %-*s   ", (int)column, word);
		text_wrap((*c)->summary, column + 5, column + 5, width);
	}
}

void help_group(const struct program *p, const char *group)
{
	printf("Usage:  %s %s COMMAND\n", p->name, group);
	for (const struct command_group *g = p->groups; g && g->name; g++)
		if (str_eq(g->name, group))
			printf("\n%s\n", g->summary);
	command_rows(p, group, help_width());
	printf("\nRun '%s %s COMMAND --help' for more on a command.\n", p->name, group);
}

void help_program(const struct program *p)
{
	size_t width = help_width(), column = 0;

	printf("Usage:  %s [OPTIONS] COMMAND\n\n%s\n", p->name, p->summary);
	if (p->help) {
		putchar('\n');
		paragraphs(p->help, width);
	}
	command_rows(p, NULL, width);
	for (const struct command_group *g = p->groups; g && g->name; g++)
		column = MAX(column, strlen(g->name));
	if (column) {
		heading("Groups");
		for (const struct command_group *g = p->groups; g->name; g++)
			printf("  %-*s   %s\n", (int)column, g->name, g->summary);
	}
	static const struct flag always[] = {
		{.name = "help", .letter = 'h', .kind = FLAG_BOOL, .help = "Print this help"},
		{.name = "version", .letter = 'v', .kind = FLAG_BOOL, .help = "Print the version and exit"},
		{0},
	};
	flags("Global options", p->flags, always, width);
	printf("\nRun '%s COMMAND --help' for more on a command.\n", p->name);
	if (p->epilogue)
		printf("%s\n", p->epilogue);
}

static struct err *run_help(struct invocation *in, int *ret_status)
{
	const struct program *p = in->program;
	int words = 0;

	if (in->n_args == 0) {
		help_program(p);
		return NULL;
	}
	const struct command *c = command_lookup(p, (int)in->n_args, in->args, &words);
	if (c && (size_t)words == in->n_args) {
		help_command(p, c);
		return NULL;
	}
	if (in->n_args == 1 && command_is_group(p, in->args[0])) {
		help_group(p, in->args[0]);
		return NULL;
	}
	_cleanup_free_ char *typed = strv_join(in->args, " ");
	struct suggest s = {.word = typed};
	for (const struct command *const *known = p->commands; *known; known++)
		if (!((*known)->traits & COMMAND_HIDDEN))
			suggest_offer(&s, (*known)->name);
	if (s.best)
		return err_new(ERR_INVALID, "there is no command '%s' (did you mean '%s help %s'?)", typed,
			       p->name, s.best);
	return err_new(ERR_INVALID, "there is no command '%s' (see '%s --help')", typed, p->name);
}

const struct command command_help = {
	.name = "help",
	.summary = "Show how a command is used",
	.usage = "[COMMAND]",
	.max_args = 3,
	.args_values = "!commands",
	.traits = COMMAND_LOCAL | COMMAND_STATELESS,
	.run = run_help,
};
