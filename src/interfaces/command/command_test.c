// SPDX-License-Identifier: Apache-2.0
#include "command/command.h"

#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "command/terminal.h"
#include "unit.h"

struct run_options {
	bool detach, tty, interactive, proxy;
	const char *name, *pull;
	char **env;
	int64_t timeout, memory, cpus;
};
static const struct run_options run_defaults = {.proxy = true, .timeout = -1};
static const struct flag create_flags[] = {
	{FLAG_STRING_FIELD(struct run_options, name), .name = "name", .help = "Name"},
	{FLAG_LIST_FIELD(struct run_options, env), .name = "env", .letter = 'e', .help = "Environment"},
	{FLAG_BOOL_FIELD(struct run_options, tty), .name = "tty", .letter = 't', .help = "Terminal"},
	{FLAG_BOOL_FIELD(struct run_options, interactive), .name = "interactive", .letter = 'i',
	 .help = "Stdin"},
	{FLAG_SIZE_FIELD(struct run_options, memory), .name = "memory", .letter = 'm', .min = -1,
	 .help = "Memory"},
	{FLAG_NANO_FIELD(struct run_options, cpus), .name = "cpus", .help = "CPUs"},
	{FLAG_INT_FIELD(struct run_options, timeout), .name = "stop-timeout", .min = -1, .max = 100,
	 .help = "Timeout"},
	{.kind = FLAG_LIST, .name = "publish", .letter = 'p', .refusal = "bridge networks come later"},
	{0},
};
static const struct flag run_flags[] = {
	{FLAG_BOOL_FIELD(struct run_options, detach), .name = "detach", .letter = 'd', .help = "Background"},
	{FLAG_BOOL_FIELD(struct run_options, proxy), .name = "sig-proxy", .traits = FLAG_SINGLE_DASH,
	 .help = "Proxy"},
	{FLAG_CHOICE_FIELD(struct run_options, pull), .name = "pull", .values = "always missing never",
	 .help = "Pull"},
	{0},
};

static struct err *run_nothing(struct invocation *in, int *ret_status)
{
	return NULL;
}
static struct err *run_fail(struct invocation *in, int *ret_status)
{
	if (str_eq(in->args[0], "noent"))
		return err_new(ERR_NOT_FOUND, "no such image: x");
	if (str_eq(in->args[0], "exec"))
		return err_wrap(err_errno(ENOENT, "y"), "x");
	if (str_eq(in->args[0], "exec127")) {
		struct err *e = err_errno(ENOENT, "cannot execute y");
		e->kind = ERR_EXEC;
		return e;
	}
	if (str_eq(in->args[0], "exec126")) {
		struct err *e = err_errno(EACCES, "cannot execute y");
		e->kind = ERR_EXEC;
		return e;
	}
	*ret_status = 42;
	return NULL;
}
static const struct command cmd_run = {
	.name = "run",
	.aliases = (const char *const[]){"container run", NULL},
	.summary = "Run",
	.usage = "[OPTIONS] IMAGE",
	.flags = run_flags,
	.more_flags = create_flags,
	.options_size = sizeof(struct run_options),
	.defaults = &run_defaults,
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_STOP_AT_ARGUMENT | COMMAND_EXEC_STATUS,
	.failure_status = 125,
	.run = run_fail,
};
static const struct command cmd_ps = {
	.name = "ps",
	.aliases = (const char *const[]){"container ls", "container list", NULL},
	.summary = "List",
	.usage = "[OPTIONS]",
	.flags = create_flags,
	.options_size = sizeof(struct run_options),
	.max_args = 2,
	.run = run_nothing,
};
static void version(void)
{
	puts("test 1");
}
static const struct program program = {
	.name = "test",
	.summary = "Test things",
	.commands =
		(const struct command *const[]){&cmd_run, &cmd_ps, &command_help, &command_completion, NULL},
	.groups = (const struct command_group[]){{"container", "Containers"}, {0}},
	.usage_status = 125,
	.version = version,
};

#define MAX_ARGS 32
static char *argv_[MAX_ARGS];
static int argc_;
static void args(const char *line)
{
	static char buf[256];
	snprintf(buf, sizeof(buf), "%s", line);
	argc_ = 0;
	char *rest;
	for (char *w = strtok_r(buf, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		argv_[argc_++] = w;
	argv_[argc_] = NULL;
}

static struct err *parse(const struct command *c, const char *line, struct invocation *in,
			 struct run_options *o)
{
	bool help;
	args(line);
	*o = run_defaults;
	*in = (struct invocation){.program = &program, .command = c, .options = o};
	return command_parse(in, argc_, argv_, &help);
}

TEST(values_of_each_kind)
{
	struct invocation in;
	struct run_options o;
	CHECK_OK(parse(&cmd_run,
		       "-it --name=a -e A=1 -eB=2 -e=C=3 --env D --memory 64m --cpus 1.5 --stop-timeout -1 "
		       "--pull never img -x -- y",
		       &in, &o));
	CHECK(o.tty && o.interactive && !o.detach && o.proxy);
	CHECK_STR(o.name, "a");
	CHECK(strv_len(o.env) == 4);
	CHECK_STR(o.env[0], "A=1");
	CHECK_STR(o.env[1], "B=2");
	CHECK_STR(o.env[2], "C=3");
	CHECK_STR(o.env[3], "D");
	CHECK(o.memory == 64 << 20 && o.cpus == 1500000000 && o.timeout == -1);
	CHECK_STR(o.pull, "never");
	CHECK(in.n_args == 4);
	CHECK_STR(in.args[1], "-x");
	CHECK_STR(in.args[2], "--");
	strv_free(o.env);
}

TEST(bools_and_dashes)
{
	struct invocation in;
	struct run_options o;
	CHECK_OK(parse(&cmd_run, "--sig-proxy=false -d=true -t=0 img", &in, &o));
	CHECK(!o.proxy && o.detach && !o.tty);
	CHECK_OK(parse(&cmd_run, "-sig-proxy=false img", &in, &o));
	CHECK(!o.proxy);
	CHECK_OK(parse(&cmd_run, "-dti -- -img", &in, &o));
	CHECK(o.detach && o.tty && in.n_args == 1);
	CHECK_STR(in.args[0], "-img");
	CHECK_OK(parse(&cmd_run, "- a", &in, &o));
	CHECK(in.n_args == 2);
	CHECK_OK(parse(&cmd_run, "-m -1 a", &in, &o));
	CHECK(o.memory == -1);
}

TEST(flags_and_arguments_mix)
{
	struct invocation in;
	struct run_options o;
	CHECK_OK(parse(&cmd_ps, "a -t b", &in, &o));
	CHECK(o.tty && in.n_args == 2);
	CHECK_STR(in.args[1], "b");
	CHECK(in.args[2] == NULL);
}

static void check_text(struct err *e, enum err_kind kind, const char *part)
{
	CHECK(e && e->kind == kind);
	_cleanup_free_ char *text = err_text(e);
	if (!strstr(text, part))
		printf("# \"%s\" lacks \"%s\"\n", text, part);
	CHECK(strstr(text, part));
	err_free(e);
}

TEST(wrong_flags_are_explained)
{
	struct invocation in;
	struct run_options o;
	check_text(parse(&cmd_run, "--detatch img", &in, &o), ERR_INVALID, "did you mean --detach?");
	check_text(parse(&cmd_run, "--detatch img", &in, &o), ERR_INVALID, "test run --help");
	check_text(parse(&cmd_run, "--zzzz img", &in, &o), ERR_INVALID, "unknown flag: --zzzz");
	check_text(parse(&cmd_run, "-iz img", &in, &o), ERR_INVALID, "unknown flag: -z in -iz");
	check_text(parse(&cmd_run, "--name", &in, &o), ERR_INVALID, "flag --name requires an argument");
	check_text(parse(&cmd_run, "-ie", &in, &o), ERR_INVALID, "flag -e requires an argument");
	check_text(parse(&cmd_run, "--pull maybe img", &in, &o), ERR_INVALID, "always missing never");
	check_text(parse(&cmd_run, "--tty=perhaps img", &in, &o), ERR_INVALID, "--tty");
	check_text(parse(&cmd_run, "--stop-timeout 101 img", &in, &o), ERR_INVALID, "--stop-timeout");
	check_text(parse(&cmd_run, "-m 1x img", &in, &o), ERR_INVALID, "-m");
	check_text(parse(&cmd_run, "-p 80:80 img", &in, &o), ERR_UNSUPPORTED, "bridge networks come later");
	check_text(parse(&cmd_run, "-t", &in, &o), ERR_INVALID, "requires at least 1 argument");
	check_text(parse(&cmd_ps, "a b c", &in, &o), ERR_INVALID, "requires at most 2 arguments");
}

static int main_status(const char *line, char *out, size_t size)
{
	char path[] = "/tmp/command_test.XXXXXX";
	int fd = mkstemp(path);
	unlink(path);
	fflush(stdout);
	int saved1 = dup(1), saved2 = dup(2);
	dup2(fd, 1);
	dup2(fd, 2);
	args(line);
	int status = command_main(&program, argc_, argv_);
	fflush(stdout);
	dup2(saved1, 1);
	dup2(saved2, 2);
	close(saved1);
	close(saved2);
	ssize_t n = pread(fd, out, size - 1, 0);
	out[n < 0 ? 0 : n] = '\0';
	close(fd);
	return status;
}

TEST(exit_status)
{
	char out[1 << 16];
	CHECK(main_status("test run noent", out, sizeof(out)) == 125);
	CHECK_STR(out, "test: run: no such image: x\n");
	CHECK(main_status("test run exec", out, sizeof(out)) == 125);
	CHECK(main_status("test run exec127", out, sizeof(out)) == 127);
	CHECK(main_status("test container run exec126", out, sizeof(out)) == 126);
	CHECK(main_status("test run ok", out, sizeof(out)) == 42);
	CHECK(main_status("test run --foo", out, sizeof(out)) == 125);
	CHECK(main_status("test ps --foo", out, sizeof(out)) == 125);
	CHECK(main_status("test run", out, sizeof(out)) == 1);
	CHECK(main_status("test --foo", out, sizeof(out)) == 125);
	CHECK(main_status("test rnu", out, sizeof(out)) == 1);
	CHECK(strstr(out, "did you mean 'test run'?"));
	CHECK(main_status("test container lst", out, sizeof(out)) == 1);
	CHECK(strstr(out, "did you mean 'test container ls'?") ||
	      strstr(out, "did you mean 'test container list'?"));
	CHECK(main_status("test container", out, sizeof(out)) == 0);
	CHECK(strstr(out, "run") && strstr(out, "ls"));
	CHECK(main_status("test -v", out, sizeof(out)) == 0);
	CHECK_STR(out, "test 1\n");
}

TEST(help_shows_the_tables)
{
	char out[1 << 16];
	CHECK(main_status("test run --help", out, sizeof(out)) == 0);
	CHECK(strstr(out, "Usage:  test run [OPTIONS] IMAGE") && strstr(out, "-e, --env list") &&
	      !strstr(out, "--publish"));
	CHECK(strstr(out, "test container run"));
	CHECK(main_status("test help container ls", out, sizeof(out)) == 0);
	CHECK(strstr(out, "Usage:  test ps"));
	CHECK(main_status("test help rum", out, sizeof(out)) == 1);
	CHECK(main_status("test", out, sizeof(out)) == 0);
	CHECK(strstr(out, "Groups"));
}

TEST(completion_scripts_name_everything)
{
	static const char *const shells[] = {"bash", "zsh", "fish"};
	char out[1 << 16], line[64];
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		snprintf(line, sizeof(line), "test completion %s", shells[i]);
		CHECK(main_status(line, out, sizeof(out)) == 0);
		CHECK(strstr(out, "sig-proxy") && strstr(out, "container") && strstr(out, "ps") &&
		      !strstr(out, "@@"));
	}
	CHECK(main_status("test completion tcsh", out, sizeof(out)) == 1);
}

TEST(distances)
{
	CHECK(suggest_distance("run", "run", 3) == 0);
	CHECK(suggest_distance("rnu", "run", 3) == 1);
	CHECK(suggest_distance("detatch", "detach", 3) == 1);
	CHECK(suggest_distance("abc", "xyz", 2) == 3);
	CHECK(suggest_distance("", "ab", 3) == 2);
	struct suggest s = {.word = "inspct"};
	suggest_offer(&s, "images");
	suggest_offer(&s, "inspect");
	CHECK_STR(s.best, "inspect");
}

TEST(widths)
{
	CHECK(text_width("abc") == 3 && text_width("äöü…") == 4 && text_width("") == 0);
}

UNIT_MAIN
