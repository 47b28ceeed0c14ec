// SPDX-License-Identifier: Apache-2.0
/* The terminal around attach_run: whatever happens inside, it is as it was when we end. */
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"

static struct termios saved;
static bool have_saved;

static void restore_terminal(void)
{
	if (have_saved)
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
	have_saved = false;
}

/* A signal that ends us must not leave the terminal raw. tcsetattr is async-signal-safe. */
static void on_fatal(int signum)
{
	restore_terminal();
	signal(signum, SIG_DFL);
	raise(signum);
}

static void save_terminal(void)
{
	static const int fatal[] = {SIGHUP,  SIGINT, SIGQUIT, SIGTERM, SIGABRT,
				    SIGSEGV, SIGBUS, SIGFPE,  SIGILL};

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	have_saved = true;
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		signal(fatal[i], on_fatal);
}

struct err *cli_check_tty(bool tty, bool stdin_)
{
	if (tty && stdin_ && !isatty(STDIN_FILENO))
		return err_new(ERR_INVALID, "the input device is not a TTY; leave out -t when standard input "
					    "is a pipe or a file");
	return NULL;
}

struct err *cli_pump(struct attach *a, const struct stream_options *o, bool *ret_detached, int *ret_code)
{
	struct attach_pump p = {
		.in = o->stdin_ ? STDIN_FILENO : -1,
		.out = o->stdout_ ? STDOUT_FILENO : -1,
		.err = o->stderr_ ? STDERR_FILENO : -1,
		.tty = o->tty,
		.sig_proxy = o->sig_proxy,
		.detach_keys = o->detach_keys ? o->detach_keys : "ctrl-p,ctrl-q",
	};
	enum attach_end end;
	int code = 0;

	if (o->tty)
		save_terminal();
	struct err *e = attach_run(a, &p, &end, &code);
	restore_terminal();
	TRY(e);
	if (end == ATTACH_LOST)
		return err_new(ERR_UNREACHABLE, "the container's monitor has died; 'ps -a' and 'logs' show "
						"what became of the container");
	*ret_detached = end == ATTACH_DETACHED;
	*ret_code = end == ATTACH_EXITED ? code : 0;
	return NULL;
}
