/* SPDX-License-Identifier: Apache-2.0 */
/* The command line as tables. A program is a struct program; a command is one constant struct command in a
 * file of its own, with its flags, its help and its function. Parsing, help, suggestions, completion scripts
 * and man pages all read the same tables.
 *
 * Tables are constant and borrowed for ever. Parsing works on argv in place; memory is taken only for a
 * command's options struct and for lists, and is freed after the command ran.
 *
 * Syntax: program [GLOBAL FLAGS] COMMAND [FLAGS] [ARGUMENTS]. Flags: --name value, --name=value, --bool,
 * --bool=false, -x value, -xvalue, -x=value, bundles of bool letters (-it), "--" ends them. Flags and
 * arguments mix unless the command says COMMAND_STOP_AT_ARGUMENT.
 */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What a flag's value becomes in the options struct. A repeated flag replaces the value; a list grows. */
enum flag_kind {
	FLAG_BOOL,   /* bool */
	FLAG_STRING, /* const char *, borrowed from argv */
	FLAG_CHOICE, /* const char *, one of the words in `values` */
	FLAG_LIST,   /* char **, a string vector; freed after the run unless the command took it (TAKE_PTR) */
	FLAG_INT,    /* int64_t within [min, max]; both 0: any */
	FLAG_SIZE,   /* int64_t bytes, "64m"; -1 only where min is -1 */
	FLAG_NANO,   /* int64_t, a decimal number times 10^9 */
	FLAG_IGNORED /* accepted with a value and without effect; no field */
};

enum {
	FLAG_HIDDEN = 1,      /* not in help, man page or completion */
	FLAG_SINGLE_DASH = 2, /* also as -name */
};

struct flag {
	const char *name; /* without dashes; NULL ends a table */
	char letter;      /* 0: none */
	unsigned char kind;
	unsigned char traits;
	unsigned short offset;
	const char *metavar; /* NULL: "string", "int", … by kind */
	const char *help;    /* one sentence, capital, no full stop */
	/* Values: words separated by blanks, or "@file", "@dir", or "!TOPIC" for the program's own
	 * completion. May be NULL. */
	const char *values;
	int64_t min, max;
	const char *refusal; /* the flag is known and refused: this says why */
};

/* Table rows with the field's type checked: { FLAG_BOOL_FIELD(struct run_options, detach), .name = "detach",
 * .letter = 'd', … }. */
#define FLAG_FIELD_(type, field, ctype, flag_kind_)                                                \
	.kind = (flag_kind_),                                                                      \
	.offset = (unsigned short)(offsetof(type, field) +                                         \
				   0 * sizeof(char[_Generic(((type *)0)->field, ctype : 1, default \
							    : -1)]))
#define FLAG_BOOL_FIELD(type, field) FLAG_FIELD_(type, field, bool, FLAG_BOOL)
#define FLAG_STRING_FIELD(type, field) FLAG_FIELD_(type, field, const char *, FLAG_STRING)
#define FLAG_CHOICE_FIELD(type, field) FLAG_FIELD_(type, field, const char *, FLAG_CHOICE)
#define FLAG_LIST_FIELD(type, field) FLAG_FIELD_(type, field, char **, FLAG_LIST)
#define FLAG_INT_FIELD(type, field) FLAG_FIELD_(type, field, int64_t, FLAG_INT)
#define FLAG_SIZE_FIELD(type, field) FLAG_FIELD_(type, field, int64_t, FLAG_SIZE)
#define FLAG_NANO_FIELD(type, field) FLAG_FIELD_(type, field, int64_t, FLAG_NANO)

enum {
	COMMAND_HIDDEN = 1,
	COMMAND_STOP_AT_ARGUMENT = 2, /* what follows the first argument is not ours (run, exec) */
	COMMAND_EXEC_STATUS = 4,      /* ERR_EXEC ends with 127 (not found) or 126, as in a shell */
	COMMAND_RAW = 8,              /* no flags at all: everything is an argument (hidden helpers) */
	COMMAND_LOCAL = 16,    /* loads no library (base/library.h): the program may treat it as quick */
	COMMAND_STATELESS = 32 /* touches nothing of the user's: help and the like */
};

#define ARGS_UNLIMITED SIZE_MAX

struct invocation;
struct command {
	const char *name; /* words of its path: "run", "container prune" */
	const char *const
		*aliases;    /* other paths, NULL-terminated; may be NULL. The first word may be a group */
	const char *summary; /* one line, capital, no full stop */
	const char *usage;   /* what follows the name, "[OPTIONS] IMAGE [COMMAND] [ARG...]" */
	const char *help; /* paragraphs separated by an empty line; lines that begin with a blank stay as they
			     are. May be NULL */
	/* Command lines, each with a comment line "# …" before it; the word PROGRAM stands for the program.
	 * May be NULL. */
	const char *examples;
	const struct flag *flags, *more_flags; /* both end with a zero row; may be NULL */
	size_t options_size;
	const void *defaults; /* initial options; NULL: zero */
	size_t min_args, max_args;
	const char *args_values; /* completion of arguments, as flag.values; "!x" */
	unsigned traits;
	int failure_status; /* exit status of errors; 0: 1 */
	/* Outputs the program's exit status, 0 beforehand. Errors are printed by the framework. */
	struct err *(*run)(struct invocation *in, int *ret_status);
};

struct command_group {
	const char *name, *summary;
};

struct program {
	const char *name, *summary, *help;
	const struct command *const *commands; /* NULL-terminated, in the order of the help */
	const struct command_group *groups;    /* ends with a zero row; may be NULL */
	const struct flag *flags;              /* global; may be NULL */
	void *options;                         /* the struct that they fill */
	int usage_status;                      /* exit status of an unknown or wrong flag; 0: 1 */
	bool single_dash;      /* every long flag also with one dash (Go's flag package, runc's callers) */
	const char *epilogue;  /* last lines of the program's help; may be NULL */
	void (*version)(void); /* prints; for --version and -v */
	struct err *(*prepare)(struct invocation *in); /* before each command's run; may be NULL */
	/* Prints an error; NULL: "PROGRAM: COMMAND: text" on stderr. */
	void (*report)(const struct invocation *in, const struct err *e);
	/* Prints the words for "!TOPIC" that begin with prefix, a line each; may be NULL. */
	void (*complete)(const struct program *p, const char *topic, const char *prefix);
};

struct invocation {
	const struct program *program;
	const struct command *command; /* NULL while global flags are parsed */
	void *options;
	char **args; /* NULL-terminated; borrowed from argv */
	size_t n_args;
};

/* Parses, runs and reports; answers the exit status. argv is permuted. Flushes stdout and reports when that
 * fails. */
int command_main(const struct program *p, int argc, char **argv);

/* err_kind -> exit status, in one table. */
int command_exit_status(const struct command *c, const struct err *e);

/* Prints an error as the end of the program would: for commands that go on with their other arguments. */
void command_report(const struct invocation *in, const struct err *e);

/* An error of the user's making: kind ERR_INVALID; the report adds where help is. */
_must_check_ struct err *usage_error(const struct invocation *in, const char *fmt, ...) _printf_(2, 3);

/* Commands that every program may list in its table: help, completion (SHELL), man (DIRECTORY; hidden),
 * __complete (hidden). */
extern const struct command command_help, command_completion, command_man, command_complete;

/* -- for the framework's own files and for tests
 * ------------------------------------------------------------- */

/* Parses the flags of in->command from argv[0..argc): fills in->options and in->args. *ret_help: --help was
 * given. */
_must_check_ struct err *command_parse(struct invocation *in, int argc, char **argv, bool *ret_help);
void command_options_release(const struct command *c, void *options);
/* The command that begins at argv[0]; *ret_words says how many words its path took. NULL: none. */
const struct command *command_lookup(const struct program *p, int argc, char **argv, int *ret_words);
bool command_is_group(const struct program *p, const char *word);
/* Iterates over the rows of both tables: for (f = command_flag_first(c); f; f = command_flag_next(c, f)). */
const struct flag *command_flag_first(const struct command *c);
const struct flag *command_flag_next(const struct command *c, const struct flag *f);
const char *flag_metavar(const struct flag *f); /* NULL for bool */
char *command_examples(const struct program *p,
		       const struct command *c); /* with the program's name; caller frees */

/* Edit distance with transpositions, at most `max` + 1. */
unsigned suggest_distance(const char *a, const char *b, unsigned max);
/* The most similar of the names offered to it; start with SUGGEST_NONE. */
struct suggest {
	const char *word; /* what was typed */
	const char *best; /* NULL: nothing is similar */
	unsigned distance;
};
void suggest_offer(struct suggest *s, const char *candidate);

void help_program(const struct program *p);
void help_group(const struct program *p, const char *group);
void help_command(const struct program *p, const struct command *c);

#endif
