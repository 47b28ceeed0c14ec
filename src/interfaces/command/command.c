// SPDX-License-Identifier: Apache-2.0
/* Finding the command, running it, and the end: errors printed once, exit status from one table. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "command/command.h"

/* Kinds that have a status of their own; all others end with the command's failure status. */
static const struct {
	enum err_kind kind;
	int errnum; /* 0: any */
	unsigned needs_trait;
	int status;
} exit_statuses[] = {
	{ERR_EXEC, ENOENT, COMMAND_EXEC_STATUS, 127},
	{ERR_EXEC, 0, COMMAND_EXEC_STATUS, 126},
	{ERR_CANCELLED, 0, 0, 130},
};

int command_exit_status(const struct command *c, const struct err *e)
{
	unsigned traits = c ? c->traits : 0;

	for (size_t i = 0; i < ARRAY_SIZE(exit_statuses); i++) {
		if (exit_statuses[i].kind != e->kind)
			continue;
		if (exit_statuses[i].errnum && exit_statuses[i].errnum != e->errnum)
			continue;
		if ((exit_statuses[i].needs_trait & traits) == exit_statuses[i].needs_trait)
			return exit_statuses[i].status;
	}
	return c && c->failure_status ? c->failure_status : 1;
}

struct err *usage_error(const struct invocation *in, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	va_end(ap);
	const char *program = in->program->name;

	if (in->command)
		return err_new(ERR_INVALID, "%s (see '%s %s --help')", text, program, in->command->name);
	return err_new(ERR_INVALID, "%s (see '%s --help')", text, program);
}

void command_report(const struct invocation *in, const struct err *e)
{
	if (in->program->report) {
		in->program->report(in, e);
		return;
	}
	_cleanup_free_ char *text = err_text(e);
	str_hide_controls(text);
	fflush(stdout);
	if (in->command)
		fprintf(stderr, "%s: %s: %s\n", in->program->name, in->command->name, text);
	else
		fprintf(stderr, "%s: %s\n", in->program->name, text);
}

/* Does `path` ("container ls") consist of the first words of argv? */
static int path_matches(const char *path, int argc, char **argv)
{
	int words = 0;

	for (;; words++) {
		size_t len = strcspn(path, " ");
		if (words == argc || strncmp(argv[words], path, len) != 0 || argv[words][len] != '\0')
			return 0;
		path += len;
		if (*path == '\0')
			return words + 1;
		path++;
	}
}

const struct command *command_lookup(const struct program *p, int argc, char **argv, int *ret_words)
{
	for (const struct command *const *c = p->commands; *c; c++) {
		int words = path_matches((*c)->name, argc, argv);
		for (const char *const *a = (*c)->aliases; !words && a && *a; a++)
			words = path_matches(*a, argc, argv);
		if (words) {
			*ret_words = words;
			return *c;
		}
	}
	return NULL;
}

bool command_is_group(const struct program *p, const char *word)
{
	for (const struct command_group *g = p->groups; g && g->name; g++)
		if (str_eq(g->name, word))
			return true;
	return false;
}

/* Offers the last word of a path in `group` (NULL: top level) to the suggestion. */
static void offer_path(struct suggest *s, const char *path, const char *group)
{
	const char *space = strchr(path, ' ');

	if (!group && !space)
		suggest_offer(s, path);
	if (group && space && (size_t)(space - path) == strlen(group) && str_starts(path, group))
		suggest_offer(s, space + 1);
}

static struct err *unknown_command(const struct invocation *in, const char *group, const char *word)
{
	const struct program *p = in->program;
	struct suggest s = {.word = word};

	for (const struct command *const *c = p->commands; *c; c++) {
		if ((*c)->traits & COMMAND_HIDDEN)
			continue;
		offer_path(&s, (*c)->name, group);
		for (const char *const *a = (*c)->aliases; a && *a; a++)
			offer_path(&s, *a, group);
	}
	for (const struct command_group *g = p->groups; !group && g && g->name; g++)
		suggest_offer(&s, g->name);

	const char *g = group ? group : "", *blank = group ? " " : "";
	if (p->single_dash && !group && !s.best) /* runc's words, which its callers look for */
		return err_new(ERR_INVALID, "No help topic for '%s': unknown command: %s (see '%s --help')",
			       word, word, p->name);
	if (s.best)
		return err_new(ERR_INVALID, "unknown command: %s%s%s (did you mean '%s %s%s%s'?)", g, blank,
			       word, p->name, g, blank, s.best);
	return err_new(ERR_INVALID, "unknown command: %s%s%s (see '%s %s%s--help')", g, blank, word, p->name,
		       g, blank);
}

static struct err *run_command(struct invocation *in, int argc, char **argv, int *ret_status)
{
	const struct command *c = in->command;
	struct err *e;
	bool help = false;

	if (c->options_size) {
		in->options = xcalloc(1, c->options_size);
		if (c->defaults)
			memcpy(in->options, c->defaults, c->options_size);
	}
	e = command_parse(in, argc, argv, &help);
	if (e) {
		/* As docker: a wrong flag has a status of its own, a wrong number of arguments is 1. */
		*ret_status = in->args ? 1 : in->program->usage_status;
	} else if (help) {
		help_command(in->program, c);
	} else {
		if (in->program->prepare)
			e = in->program->prepare(in);
		if (!e)
			e = c->run(in, ret_status);
	}
	command_options_release(c, in->options);
	in->options = NULL;
	return e;
}

/* --version and -v are looked for by hand: they are not flags of the table, so that a table may use the letter. */
static bool is_version(const struct program *p, const char *word)
{
	return str_eq(word, "--version") || str_eq(word, "-v") ||
	       (p->single_dash && (str_eq(word, "-version") || str_eq(word, "-V")));
}

/* Callers of runc put their global flags in front of it. */
static bool version_follows(const struct invocation *in, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		struct invocation before = {.program = in->program};
		bool help = false;
		if (!is_version(in->program, argv[i]))
			continue;
		_cleanup_err_ struct err *e = command_parse(&before, i - 1, argv + 1, &help);
		return !e && !help && before.n_args == 0;
	}
	return false;
}

static struct err *dispatch(struct invocation *in, int argc, char **argv, int *ret_status)
{
	const struct program *p = in->program;
	bool help = false;

	if (argc >= 2 && is_version(p, argv[1])) {
		p->version();
		return NULL;
	}
	struct err *e = command_parse(in, argc - 1, argv + 1, &help);
	if (e && version_follows(in, argc, argv)) {
		err_free(e);
		p->version();
		return NULL;
	}
	if (e) {
		*ret_status = p->usage_status;
		return e;
	}
	argv = in->args;
	argc = (int)in->n_args;
	if (help || argc == 0) {
		help_program(p);
		return NULL;
	}

	int words = 0;
	const struct command *c = command_lookup(p, argc, argv, &words);
	if (!c && command_is_group(p, argv[0])) {
		if (argc > 1 && argv[1][0] != '-')
			return unknown_command(in, argv[0], argv[1]);
		help_group(p, argv[0]);
		return NULL;
	}
	if (!c)
		return unknown_command(in, NULL, argv[0]);
	in->command = c;
	in->args = NULL;
	return run_command(in, argc - words, argv + words, ret_status);
}

/* A full disk or a closed pipe must not look like success. */
static int flush_output(const struct invocation *in, int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	_cleanup_err_ struct err *e = err_errno(errno ? errno : EIO, "cannot write the output");
	command_report(in, e);
	return status ? status : 1;
}

int command_main(const struct program *p, int argc, char **argv)
{
	struct invocation in = {.program = p};
	int status = 0;

	log_init(p->name);
	_cleanup_err_ struct err *e = argc > 0 ? dispatch(&in, argc, argv, &status) : NULL;
	if (e) {
		command_report(&in, e);
		if (!status)
			status = command_exit_status(in.command, e);
	}
	return flush_output(&in, status);
}
