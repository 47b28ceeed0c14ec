// SPDX-License-Identifier: Apache-2.0
/* login and logout, with docker's behaviour and podman's flags. */
#include <errno.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "images/login.h"

#define ANSWER_MAX ((size_t)4096)

struct login_flags {
	const char *username, *password, *auth_file, *ca_file;
	bool password_stdin, get_login, verbose, tls_verify;
};

/* -- asking ----------------------------------------------------------------------------------------------------- */

/* One line from the terminal, without its end. */
static struct err *read_line(char **ret)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	char c;

	while (true) {
		ssize_t n = read(STDIN_FILENO, &c, 1);
		if (interrupted() || (n < 0 && errno == EINTR))
			return err_new(ERR_CANCELLED, "interrupted");
		if (n < 0)
			return err_errno(errno, "cannot read the terminal");
		if (n == 0 || c == '\n')
			break;
		if (b.len == ANSWER_MAX)
			return err_new(ERR_LIMIT, "the answer has more than %zu characters", ANSWER_MAX);
		strbuf_putc(&b, c);
	}
	*ret = strbuf_take(&b);
	return NULL;
}

/* The terminal is as it was, however the question ends: an interrupt is a flag meanwhile. */
struct err *cli_ask(const char *question, bool secret, char **ret)
{
	struct termios before, dark;

	fputs(question, stdout);
	fflush(stdout);
	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return err_errno(errno, "cannot ask on the terminal");
	dark = before;
	dark.c_lflag &= ~(tcflag_t)ECHO;
	interrupt_catch();
	if (secret && tcsetattr(STDIN_FILENO, TCSAFLUSH, &dark) < 0) {
		interrupt_restore();
		return err_errno(errno, "cannot keep the terminal from showing the password");
	}
	struct err *e = read_line(ret);
	if (secret) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		putchar('\n');
		fflush(stdout);
	}
	interrupt_restore();
	return e;
}

static struct err *read_password_stdin(char **ret)
{
	size_t size;

	TRY(file_read_fd(STDIN_FILENO, "standard input", ANSWER_MAX, ret, &size));
	if (strlen(*ret) != size)
		return err_new(ERR_INVALID, "the password on standard input has a NUL byte");
	while (size && ((*ret)[size - 1] == '\n' || (*ret)[size - 1] == '\r'))
		(*ret)[--size] = '\0';
	return NULL;
}

static struct err *ask_for_both(const char *known_username, char **username, char **password)
{
	if ((!*username || !*password) && !isatty(STDIN_FILENO))
		return err_new(ERR_INVALID, "standard input is no terminal: give -u and --password-stdin");
	if (!*username) {
		_cleanup_free_ char *question =
			known_username ? xasprintf("Username (%s): ", known_username) : xstrdup("Username: ");
		TRY(cli_ask(question, false, username));
		if (!**username && known_username) {
			free(*username);
			*username = xstrdup(known_username);
		}
	}
	if (!**username)
		return err_new(ERR_INVALID, "a user name is needed");
	if (!*password)
		TRY(cli_ask("Password: ", true, password));
	return **password ? NULL : err_new(ERR_INVALID, "a password is needed");
}

/* -- login ------------------------------------------------------------------------------------------------------ */

static struct err *get_login(const char *server, const struct login_flags *f)
{
	_cleanup_free_ char *username = NULL, *password = NULL;

	TRY(login_current(server, f->auth_file, &username, &password));
	if (!username)
		return err_new(ERR_NOT_FOUND, "not logged in to %s", server);
	puts(username);
	return NULL;
}

static bool is_cancelled(void *user)
{
	return interrupted();
}

static const struct progress quiet = {.cancelled = is_cancelled};

/* What is kept already may do: nothing is asked then. */
static struct err *try_known(const char *server, struct login_options *o, char **ret_username, bool *ret_done)
{
	_cleanup_free_ char *password = NULL;

	TRY(login_current(server, o->auth_file, ret_username, &password));
	*ret_done = false;
	if (!*ret_username || !*password)
		return NULL;
	printf("Authenticating with existing credentials for %s\n", server);
	fflush(stdout);
	o->username = *ret_username;
	o->password = password;
	interrupt_catch();
	struct err *e = login_check(server, o);
	interrupt_restore();
	o->username = o->password = NULL;
	if (e && e->kind != ERR_UNAUTHORIZED)
		return e;
	if (e)
		puts("Existing credentials are invalid, please enter valid username and password");
	err_free(e);
	*ret_done = !e;
	return NULL;
}

static struct err *log_in(const char *server, const struct login_flags *f)
{
	struct login_options o = {.insecure = !f->tls_verify,
				  .ca_file = f->ca_file,
				  .auth_file = f->auth_file,
				  .progress = &quiet};
	_cleanup_free_ char *username = xstrdup_null(f->username), *password = xstrdup_null(f->password),
			    *known = NULL, *place = NULL;
	bool done = false, plain;

	if (f->password)
		cli_warn("a password on the command line can be seen by others: use --password-stdin");
	if (f->password_stdin)
		TRY(read_password_stdin(&password));
	if (!username && !password)
		TRY(try_known(server, &o, &known, &done));
	if (!done) {
		TRY(ask_for_both(known, &username, &password));
		o.username = username;
		o.password = password;
		interrupt_catch();
		struct err *e = login(server, &o, &place, &plain);
		interrupt_restore();
		TRY(e);
		if (plain)
			cli_warn("the password is kept in %s, where whoever can read that file can read it",
				 place);
		else if (f->verbose)
			printf("Kept by %s\n", place);
	}
	puts("Login Succeeded");
	return NULL;
}

static struct err *run_login(struct invocation *in, int *ret_status)
{
	const struct login_flags *f = in->options;
	_cleanup_free_ char *server = NULL;

	if (f->password && f->password_stdin)
		return usage_error(in, "--password and --password-stdin exclude each other");
	if (f->password_stdin && !f->username)
		return usage_error(in, "--password-stdin needs --username");
	TRY(login_server_parse(in->args[0], &server));
	if (f->get_login)
		return get_login(server, f);
	return log_in(server, f);
}

const struct command cmd_login = {
	.name = "login",
	.summary = "Log in to a registry",
	.usage = "[OPTIONS] [SERVER]",
	.help = "The registry is asked whether it knows the user before anything is kept. Without SERVER it "
		"is "
		"docker.io.\n\n"
		"The credentials go where there are some for this registry already (auth.json of podman and "
		"skopeo, docker's config.json, or the credential helper that one of them names), otherwise "
		"to "
		"docker's config.json, which all of these read. A server may be followed by a namespace: "
		"registry.example/team.",
	.examples = "PROGRAM login -u me registry.example\npass show registry | PROGRAM login -u me "
		    "--password-stdin registry.example",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct login_flags, auth_file), .name = "authfile",
			 .metavar = "file", .help = "Keep the credentials in this file", .values = "@file"},
			{FLAG_STRING_FIELD(struct login_flags, ca_file), .name = "ca-file", .metavar = "file",
			 .help = "Trust the certificate authorities in this file too", .values = "@file"},
			{FLAG_BOOL_FIELD(struct login_flags, get_login), .name = "get-login",
			 .help = "Print who is logged in and do nothing else"},
			{FLAG_STRING_FIELD(struct login_flags, password), .name = "password", .letter = 'p',
			 .help = "Password (others can see it: use --password-stdin)"},
			{FLAG_BOOL_FIELD(struct login_flags, password_stdin), .name = "password-stdin",
			 .help = "Read the password from standard input"},
			{FLAG_BOOL_FIELD(struct login_flags, tls_verify), .name = "tls-verify",
			 .help = "Require HTTPS with a valid certificate (not for this machine's own "
				 "registry)"},
			{FLAG_STRING_FIELD(struct login_flags, username), .name = "username", .letter = 'u',
			 .help = "User name"},
			{FLAG_BOOL_FIELD(struct login_flags, verbose), .name = "verbose",
			 .help = "Say what keeps the credentials"},
			{0},
		},
	.options_size = sizeof(struct login_flags),
	.defaults = &(const struct login_flags){.tls_verify = true},
	.max_args = 1,
	.run = run_login,
};

/* -- logout ----------------------------------------------------------------------------------------------------- */

struct logout_flags {
	const char *auth_file;
	bool all;
};

static struct err *run_logout(struct invocation *in, int *ret_status)
{
	const struct logout_flags *f = in->options;
	_cleanup_free_ char *server = NULL;
	_cleanup_strv_ char **servers = NULL;
	bool found = false;

	if (f->all && in->n_args)
		return usage_error(in, "--all: a registry cannot be named as well");
	if (f->all) {
		TRY(logout_all(f->auth_file, &servers));
		STRV_FOREACH (s, servers)
			printf("Removing login credentials for %s\n", *s);
		return NULL;
	}
	TRY(login_server_parse(in->args[0], &server));
	TRY(logout(server, f->auth_file, &found));
	printf(found ? "Removing login credentials for %s\n" : "Not logged in to %s\n", server);
	return NULL;
}

const struct command cmd_logout = {
	.name = "logout",
	.summary = "Log out from a registry",
	.usage = "[OPTIONS] [SERVER]",
	.help = "Removes the credentials from all files and credential helpers that have them; without "
		"SERVER "
		"those for docker.io.",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct logout_flags, all), .name = "all", .letter = 'a',
			 .help = "Log out from all registries"},
			{FLAG_STRING_FIELD(struct logout_flags, auth_file), .name = "authfile",
			 .metavar = "file", .help = "Remove them from this file only", .values = "@file"},
			{0},
		},
	.options_size = sizeof(struct logout_flags),
	.max_args = 1,
	.run = run_logout,
};
