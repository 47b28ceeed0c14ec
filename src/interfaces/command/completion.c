// SPDX-License-Identifier: Apache-2.0
/* Completion scripts for bash, zsh and fish, from the tables. Names of containers and images are asked of the
 * program itself (hidden command __complete), which starts in about a millisecond. */
#include <stdio.h>

#include "base/memory.h"
#include "base/str.h"
#include "command/command.h"

static bool command_shown(const struct command *c)
{
	return !(c->traits & COMMAND_HIDDEN);
}

static bool flag_shown(const struct flag *f)
{
	return !(f->traits & FLAG_HIDDEN) && !f->refusal;
}

static const char *flag_dashes(const struct flag *f)
{
	return strlen(f->name) == 1 ? "-" : "--";
}

/* Calls f(path) for the command's name and all aliases. */
#define FOREACH_PATH(path, c)                                                  \
	for (const char *path = (c)->name, *const *more_ = (c)->aliases; path; \
	     path = more_ && *more_ ? *more_++ : NULL)

/* Single-quoted for a shell. */
static void shell_quote(const char *s)
{
	putchar('\'');
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*s);
	}
	putchar('\'');
}

/* The words below `group` (NULL: top level), each after a blank; for NULL the groups too. */
static void print_words(const struct program *p, const char *group)
{
	for (const struct command *const *c = p->commands; *c; c++) {
		if (!command_shown(*c))
			continue;
		FOREACH_PATH(path, *c)
		{
			const char *space = strchr(path, ' ');
			if (!group && !space)
				printf(" %s", path);
			if (group && space && (size_t)(space - path) == strlen(group) &&
			    str_starts(path, group))
				printf(" %s", space + 1);
		}
	}
	for (const struct command_group *g = p->groups; !group && g && g->name; g++)
		printf(" %s", g->name);
}

/* -- bash ---------------------------------------------------------------------------------------------------
 */

static void bash_flags(const struct flag *f)
{
	for (; f && f->name; f++)
		if (flag_shown(f))
			printf(" %s%s", flag_dashes(f), f->name);
}

/* Every spelling that takes a value, hidden ones too: the scan must skip their values. Refused ones end in an error anyway. */
static void bash_valued(const struct flag *f)
{
	for (; f && f->name; f++) {
		if (f->kind == FLAG_BOOL || f->refusal)
			continue;
		printf(" %s%s", flag_dashes(f), f->name);
		if (f->letter)
			printf(" -%c", f->letter);
	}
}

static void bash_values(const struct flag *f)
{
	for (; f && f->name; f++) {
		if (!f->values || !flag_shown(f))
			continue;
		printf("\t\t%s%s", flag_dashes(f), f->name);
		if (f->letter)
			printf("|-%c", f->letter);
		printf(") values=");
		shell_quote(f->values);
		fputs(" ;;\n", stdout);
	}
}

static void bash_command(const char *symbol, const struct command *c)
{
	fputs("\t", stdout);
	bool first = true;
	FOREACH_PATH(path, c)
	{
		if (!first)
			putchar('|');
		first = false;
		shell_quote(path);
	}
	fputs(")\n\t\twords='' flags='", stdout);
	bash_flags(c->flags);
	bash_flags(c->more_flags);
	fputs(" --help' valued='", stdout);
	bash_valued(c->flags);
	bash_valued(c->more_flags);
	printf(" ' arguments=");
	shell_quote(c->max_args == 0 ? "" : c->args_values ? c->args_values : "@file");
	printf(" stop=%d\n", (c->traits & COMMAND_STOP_AT_ARGUMENT) ? 1 : 0);
	fputs("\t\tcase $2 in\n", stdout);
	bash_values(c->flags);
	bash_values(c->more_flags);
	fputs("\t\tesac ;;\n", stdout);
}

/* Where the shell splits words at ':' and '=' (COMP_WORDBREAKS), what it sees as the current word begins
 * after the last of them: the line is therefore split here at blanks, and the replies lose that beginning. */
static const char bash_driver[] =
	"_@() {\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} typed current word path='' skip='' count=0 i\n"
	"\tlocal words flags valued arguments stop values=''\n"
	"\tCOMPREPLY=()\n"
	"\tread -ra typed <<< \"$line\"\n"
	"\tcase $line in\n"
	"\t*' ') current='' ;;\n"
	"\t*) current=${typed[-1]}; unset 'typed[-1]' ;;\n"
	"\tesac\n"
	"\t_@_table ''\n"
	"\tfor ((i = 1; i < ${#typed[@]}; i++)); do\n"
	"\t\tword=${typed[i]}\n"
	"\t\tif [[ -n $skip ]]; then\n"
	"\t\t\tskip=''\n"
	"\t\telif [[ $word == -* ]]; then\n"
	"\t\t\t[[ $valued == *\" $word \"* ]] && skip=$word\n"
	"\t\telif [[ -n $words && \" $words \" == *\" $word \"* ]]; then\n"
	"\t\t\tpath=${path:+$path }$word\n"
	"\t\t\t_@_table \"$path\"\n"
	"\t\telse\n"
	"\t\t\tcount=$((count + 1))\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tlocal begin=''\n"
	"\tif [[ -n $skip ]]; then\n"
	"\t\t_@_table \"$path\" \"$skip\"\n"
	"\telif [[ $current == --*=* ]]; then\n"
	"\t\t_@_table \"$path\" \"${current%%=*}\"\n"
	"\t\tcurrent=${current#*=}\n"
	"\telif [[ $stop == 1 && $count -gt 0 ]]; then\n"
	"\t\tvalues=@file\n"
	"\telif [[ $current == -* ]]; then\n"
	"\t\tvalues=$flags\n"
	"\telif [[ -n $words ]]; then\n"
	"\t\tvalues=$words\n"
	"\telse\n"
	"\t\tvalues=$arguments\n"
	"\tfi\n"
	"\tcase $values in\n"
	"\t@file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$current\") ;;\n"
	"\t@dir) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$current\") ;;\n"
	"\t!*) mapfile -t COMPREPLY < <(\"${COMP_WORDS[0]}\" __complete \"${values#!}\" \"$current\" "
	"2>/dev/null) ;;\n"
	"\t*) mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$current\") ;;\n"
	"\tesac\n"
	"\tif [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	"\t\tbegin=${current%\"${current##*:}\"}\n"
	"\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"$begin\"}\")\n"
	"\tfi\n"
	"}\n"
	"complete -F _@ @\n";

/* Prints a template in which '@' before a letter-free context stands for the program: "_@", " @", "@_".
 * "@file" and "@dir" stay. */
static void print_driver(const char *text, const char *program, const char *symbol)
{
	for (const char *c = text; *c; c++) {
		if (*c != '@' || str_starts(c, "@file") || str_starts(c, "@dir") || c[1] == ']')
			putchar(*c);
		else
			fputs(c > text && c[-1] == '_' ? symbol : program, stdout);
	}
}

/* The program's name as part of a shell function's name. */
static char *symbol_of(const struct program *p)
{
	char *s = xstrdup(p->name);
	for (char *c = s; *c; c++)
		if (*c == '-')
			*c = '_';
	return s;
}

static void bash_script(const struct program *p, const char *symbol)
{
	printf("# bash completion for %s, made by '%s completion bash'\n", p->name, p->name);
	printf("_%s_table() {\n\tvalues=''\n\tcase $1 in\n\t'')\n\t\twords='", symbol);
	print_words(p, NULL);
	fputs(" ' flags='", stdout);
	bash_flags(p->flags);
	fputs(" --help --version' valued='", stdout);
	bash_valued(p->flags);
	fputs(" ' arguments='' stop=0\n\t\tcase $2 in\n", stdout);
	bash_values(p->flags);
	fputs("\t\tesac ;;\n", stdout);
	for (const struct command_group *g = p->groups; g && g->name; g++) {
		fputs("\t", stdout);
		shell_quote(g->name);
		fputs(")\n\t\twords='", stdout);
		print_words(p, g->name);
		fputs(" ' flags=' --help' valued='' arguments='' stop=0 ;;\n", stdout);
	}
	for (const struct command *const *c = p->commands; *c; c++)
		if (command_shown(*c))
			bash_command(symbol, *c);
	fputs("\tesac\n}\n\n", stdout);
	print_driver(bash_driver, p->name, symbol);
}

/* -- zsh ----------------------------------------------------------------------------------------------------
 */

/* Inside '…[…]' of an _arguments specification. */
static void zsh_text(const char *s)
{
	for (; s && *s; s++) {
		if (*s == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *s))
			printf("\\%c", *s);
		else
			putchar(*s);
	}
}

static void zsh_action(const char *symbol, const char *values)
{
	if (!values)
		return;
	if (str_eq(values, "@file"))
		fputs("_files", stdout);
	else if (str_eq(values, "@dir"))
		fputs("_files -/", stdout);
	else if (values[0] == '!')
		printf("_%s_ask %s", symbol, values + 1);
	else {
		putchar('(');
		zsh_text(values);
		putchar(')');
	}
}

static void zsh_flags(const char *symbol, const struct flag *f)
{
	for (; f && f->name; f++) {
		if (!flag_shown(f))
			continue;
		const char *assign = f->kind == FLAG_BOOL ? "" : strlen(f->name) == 1 ? "+" : "=";
		fputs(" \\\n\t\t", stdout);
		if (f->kind == FLAG_LIST)
			fputs("'*'", stdout);
		else if (f->letter)
			printf("'(-%c --%s)'", f->letter, f->name);
		if (f->letter)
			printf("{-%c%s,%s%s%s}", f->letter, *assign ? "+" : "", flag_dashes(f), f->name,
			       assign);
		else
			printf("%s%s%s", flag_dashes(f), f->name, assign);
		fputs("'[", stdout);
		zsh_text(f->help);
		fputs("]", stdout);
		if (f->kind != FLAG_BOOL) {
			fputs(":", stdout);
			zsh_text(flag_metavar(f));
			fputs(":", stdout);
			zsh_action(symbol, f->values);
		}
		putchar('\'');
	}
}

static void zsh_function_name(const char *symbol, const char *path)
{
	printf("_%s__", symbol);
	for (; *path; path++)
		putchar(*path == ' ' || *path == '-' ? '_' : *path);
}

static void zsh_describe(const struct program *p, const char *group)
{
	fputs("\t\tcommands=(\n", stdout);
	for (const struct command *const *c = p->commands; *c; c++) {
		if (!command_shown(*c))
			continue;
		FOREACH_PATH(path, *c)
		{
			const char *space = strchr(path, ' ');
			bool here = group ? space && (size_t)(space - path) == strlen(group) &&
						    str_starts(path, group)
					  : !space;
			if (!here)
				continue;
			printf("\t\t\t'%s:", group ? space + 1 : path);
			zsh_text((*c)->summary);
			fputs("'\n", stdout);
		}
	}
	for (const struct command_group *g = p->groups; !group && g && g->name; g++) {
		printf("\t\t\t'%s:", g->name);
		zsh_text(g->summary);
		fputs("'\n", stdout);
	}
	fputs("\t\t)\n\t\t_describe command commands ;;\n", stdout);
}

static void zsh_dispatch(const struct program *p, const char *symbol, const char *group)
{
	for (const struct command *const *c = p->commands; *c; c++) {
		if (!command_shown(*c))
			continue;
		FOREACH_PATH(path, *c)
		{
			const char *space = strchr(path, ' ');
			bool here = group ? space && (size_t)(space - path) == strlen(group) &&
						    str_starts(path, group)
					  : !space;
			if (!here)
				continue;
			printf("\t\t%s) ", group ? space + 1 : path);
			zsh_function_name(symbol, (*c)->name);
			fputs(" ;;\n", stdout);
		}
	}
}

/* A function that completes the words of one level and hands over to the command's. */
static void zsh_level(const struct program *p, const char *symbol, const char *group)
{
	if (group)
		zsh_function_name(symbol, group);
	else
		printf("_%s", symbol);
	fputs("() {\n\tlocal -a commands\n\tlocal curcontext=\"$curcontext\" state line\n\t_arguments -C -s "
	      "-S",
	      stdout);
	if (!group)
		zsh_flags(symbol, p->flags);
	fputs(" \\\n\t\t'(-h --help)'{-h,--help}'[Print help]' \\\n\t\t'1: :->command' '*:: :->arguments' && "
	      "return\n",
	      stdout);
	fputs("\tcase $state in\n\tcommand)\n", stdout);
	zsh_describe(p, group);
	fputs("\targuments)\n\t\tcase $words[1] in\n", stdout);
	zsh_dispatch(p, symbol, group);
	for (const struct command_group *g = p->groups; !group && g && g->name; g++) {
		printf("\t\t%s) ", g->name);
		zsh_function_name(symbol, g->name);
		fputs(" ;;\n", stdout);
	}
	fputs("\t\tesac ;;\n\tesac\n}\n\n", stdout);
}

static void zsh_script(const struct program *p, const char *symbol)
{
	printf("#compdef %s\n# zsh completion for %s, made by '%s completion zsh'\n\n", p->name, p->name,
	       p->name);
	printf("_%s_ask() {\n\tlocal -a answers\n\tanswers=(${(f)\"$(%s __complete $1 \"$PREFIX\" "
	       "2>/dev/null)\"})\n"
	       "\tcompadd -a answers\n}\n\n",
	       symbol, p->name);
	for (const struct command *const *c = p->commands; *c; c++) {
		if (!command_shown(*c))
			continue;
		zsh_function_name(symbol, (*c)->name);
		fputs("() {\n\t_arguments -s -S", stdout);
		zsh_flags(symbol, (*c)->flags);
		zsh_flags(symbol, (*c)->more_flags);
		fputs(" \\\n\t\t'(-h --help)'{-h,--help}'[Print help]'", stdout);
		if ((*c)->max_args) {
			const char *values = (*c)->args_values ? (*c)->args_values : "@file";
			bool stop = (*c)->traits & COMMAND_STOP_AT_ARGUMENT;
			fputs(stop ? " \\\n\t\t'1:argument:" : " \\\n\t\t'*:argument:", stdout);
			zsh_action(symbol, values);
			fputs(stop ? "' '*::command:_normal'" : "'", stdout);
		}
		fputs("\n}\n\n", stdout);
	}
	for (const struct command_group *g = p->groups; g && g->name; g++)
		zsh_level(p, symbol, g->name);
	zsh_level(p, symbol, NULL);
	/* Works both as an autoloaded function file and when sourced. */
	printf("if [[ \"$funcstack[1]\" = _%s ]]; then\n\t_%s \"$@\"\nelse\n\tcompdef _%s %s\nfi\n", symbol,
	       symbol, symbol, p->name);
}

/* -- fish ---------------------------------------------------------------------------------------------------
 */

static void fish_quote(const char *s)
{
	putchar('\'');
	for (; s && *s; s++) {
		if (*s == '\'' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('\'');
}

static void fish_values(const struct program *p, const char *values)
{
	if (!values || str_eq(values, "@file") || str_eq(values, "@dir"))
		return;
	fputs(" -f -a ", stdout);
	if (values[0] == '!')
		printf("'(%s __complete %s (commandline -ct) 2>/dev/null)'", p->name, values + 1);
	else
		fish_quote(values);
}

static void fish_flags(const struct program *p, const char *condition, const struct flag *f)
{
	for (; f && f->name; f++) {
		if (!flag_shown(f))
			continue;
		printf("complete -c %s -n %s", p->name, condition);
		printf(strlen(f->name) == 1 ? " -s %s" : " -l %s", f->name);
		if (f->letter)
			printf(" -s %c", f->letter);
		if (f->kind != FLAG_BOOL)
			fputs(" -r", stdout);
		fputs(" -d ", stdout);
		fish_quote(f->help);
		if (f->kind != FLAG_BOOL)
			fish_values(p, f->values);
		putchar('\n');
	}
}

static void fish_script(const struct program *p, const char *symbol)
{
	printf("# fish completion for %s, made by '%s completion fish'\n", p->name, p->name);
	/* Answers whether the words typed so far, without flags, are exactly (-x) or begin with those given.
	 */
	printf("function __%s_at\n\tset -l typed (commandline -opc)[2..-1]\n\tset -l words\n"
	       "\tfor w in $typed\n\t\tstring match -q -- '-*' $w; or set -a words $w\n\tend\n"
	       "\tif test \"$argv[1]\" = -x\n\t\ttest \"$words\" = \"$argv[2..-1]\"\n\telse\n"
	       "\t\ttest \"$words[1..\"(count $argv)\"]\" = \"$argv\"\n\tend\nend\n",
	       symbol);
	printf("complete -c %s -f\n", p->name);
	_cleanup_free_ char *top = xasprintf("'__%s_at -x'", symbol);
	fish_flags(p, top, p->flags);
	for (const struct command_group *g = p->groups; g && g->name; g++) {
		printf("complete -c %s -n %s -a %s -d ", p->name, top, g->name);
		fish_quote(g->summary);
		putchar('\n');
	}
	for (const struct command *const *c = p->commands; *c; c++) {
		if (!command_shown(*c))
			continue;
		FOREACH_PATH(path, *c)
		{
			const char *space = strchr(path, ' ');
			printf("complete -c %s -n '__%s_at -x%s%.*s' -a %s -d ", p->name, symbol,
			       space ? " " : "", space ? (int)(space - path) : 0, path,
			       space ? space + 1 : path);
			fish_quote((*c)->summary);
			putchar('\n');
			_cleanup_free_ char *at = xasprintf("'__%s_at %s'", symbol, path);
			fish_flags(p, at, (*c)->flags);
			fish_flags(p, at, (*c)->more_flags);
			const char *values = (*c)->args_values ? (*c)->args_values : "@file";
			if ((*c)->max_args == 0)
				continue;
			printf("complete -c %s -n %s%s", p->name, at, values[0] == '@' ? " -F" : "");
			fish_values(p, values);
			putchar('\n');
		}
	}
}

static struct err *run_completion(struct invocation *in, int *ret_status)
{
	_cleanup_free_ char *symbol = symbol_of(in->program);

	if (str_eq(in->args[0], "bash"))
		bash_script(in->program, symbol);
	else if (str_eq(in->args[0], "zsh"))
		zsh_script(in->program, symbol);
	else if (str_eq(in->args[0], "fish"))
		fish_script(in->program, symbol);
	else
		return usage_error(in, "there is no completion for \"%s\"; the shells are bash, zsh and fish",
				   in->args[0]);
	return NULL;
}

const struct command command_completion = {
	.name = "completion",
	.summary = "Print a completion script for a shell",
	.usage = "bash|zsh|fish",
	.help = "Put the script where the shell looks for it, or load it in the shell's start-up file.",
	.examples = "# bash, for this shell\n"
		    "source <(PROGRAM completion bash)\n"
		    "# zsh, once\n"
		    "PROGRAM completion zsh > \"${fpath[1]}/_PROGRAM\"\n"
		    "# fish, once\n"
		    "PROGRAM completion fish > ~/.config/fish/completions/PROGRAM.fish",
	.min_args = 1,
	.max_args = 1,
	.args_values = "bash zsh fish",
	.traits = COMMAND_LOCAL | COMMAND_STATELESS,
	.run = run_completion,
};

static struct err *run_complete(struct invocation *in, int *ret_status)
{
	const struct program *p = in->program;
	const char *prefix = in->n_args > 1 ? in->args[1] : "";

	if (str_eq(in->args[0], "commands")) {
		for (const struct command *const *c = p->commands; *c; c++)
			if (command_shown(*c) && str_starts((*c)->name, prefix))
				puts((*c)->name);
	} else if (p->complete) {
		p->complete(p, in->args[0], prefix);
	}
	return NULL;
}

const struct command command_complete = {
	.name = "__complete",
	.summary = "Print the words that complete a prefix",
	.usage = "TOPIC [PREFIX]",
	.min_args = 1,
	.max_args = 2,
	.traits = COMMAND_LOCAL | COMMAND_HIDDEN | COMMAND_RAW,
	.run = run_complete,
};
