// SPDX-License-Identifier: Apache-2.0
/* run: make sure of the image, create, start, and stay attached or not. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "commands.h"
#include "engine/pod.h"
#include "make.h"

struct run_flags {
	struct create_options create; /* first: create_flags point here */
	bool detach, sig_proxy;
	const char *detach_keys;
};

/* docker's rules: -a chooses the streams; without it output is attached, input too with -i. */
static struct err *choose_streams(const struct run_flags *f, struct stream_options *ret)
{
	*ret = (struct stream_options){
		.tty = f->create.tty, .sig_proxy = f->sig_proxy, .detach_keys = f->detach_keys};
	STRV_FOREACH (a, f->create.attach) {
		if (strcasecmp(*a, "stdin") == 0)
			ret->stdin_ = true;
		else if (strcasecmp(*a, "stdout") == 0)
			ret->stdout_ = true;
		else if (strcasecmp(*a, "stderr") == 0)
			ret->stderr_ = true;
		else
			return err_new(ERR_INVALID, "--attach \"%s\" is none of stdin, stdout, stderr", *a);
	}
	if (!f->create.attach) {
		ret->stdin_ = f->create.interactive;
		ret->stdout_ = ret->stderr_ = true;
	}
	return NULL;
}

void window_size(unsigned *ret_rows, unsigned *ret_cols)
{
	struct winsize w;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &w) < 0)
		return;
	*ret_rows = w.ws_row;
	*ret_cols = w.ws_col;
}

/* The file must not exist; it is made before anything else is, so that a refusal costs nothing. */
static struct err *open_cidfile(const char *path, int *ret_fd)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 && errno == EEXIST)
		return err_new(ERR_EXISTS,
			       "the container id file %s exists: make sure that the other container is not "
			       "running, or delete it",
			       path);
	if (fd < 0)
		return err_errno(errno, "cannot make the container id file %s", path);
	*ret_fd = fd;
	return NULL;
}

/* --replace: what has the name makes room. */
static struct err *remove_named(struct engine *e, const char *name)
{
	_cleanup_container_ struct container *c = NULL;
	struct err *error = container_find(e, name, &c);

	if (!error && str_eq(c->name, name))
		return container_remove(e, c, true, true);
	if (error && error->kind == ERR_NOT_FOUND) {
		err_free(error);
		return NULL;
	}
	return error;
}

/* --pod new:NAME: with what belongs to the pod and not to one of its containers. */
static struct err *make_pod(struct engine *e, struct container_spec *s)
{
	_cleanup_container_ struct container *pod = NULL;
	_cleanup_strv_ char **warnings = NULL;
	char *share[] = {(char *)"ipc", (char *)"net", (char *)"uts", NULL};
	struct container_spec p = {.name = s->pod + strlen("new:"),
				   .pod_share = share,
				   .network = s->network,
				   .networks = s->networks,
				   .publish = s->publish,
				   .publish_all = s->publish_all,
				   .hostname = s->hostname};
	struct err *error = pod_create(e, &p, &warnings, &pod);

	STRV_FOREACH (w, warnings)
		cli_warn("%s", *w);
	TRY(error);
	strv_free(s->networks);
	strv_free(s->publish);
	free(s->network);
	free(s->hostname);
	free(s->pod);
	s->networks = s->publish = NULL;
	s->network = s->hostname = NULL;
	s->publish_all = false;
	s->pod = xstrdup(pod->id);
	return NULL;
}

static struct err *make(struct engine *e, const struct create_options *o, struct container_spec *s,
			struct container **ret)
{
	_cleanup_image_ struct image *image = NULL;
	_cleanup_strv_ char **warnings = NULL;

	if (!s->rootfs)
		TRY(cli_ensure_image(e, s, o->quiet, &image));
	if (o->replace)
		TRY(remove_named(e, o->name));
	if (s->pod && str_starts(s->pod, "new:"))
		TRY(make_pod(e, s));
	struct err *failed = container_create(e, s, &warnings, ret);
	STRV_FOREACH (w, warnings)
		cli_warn("%s", *w);
	return failed;
}

struct err *make_container(struct engine *e, const struct create_options *o, struct container_spec *s,
			   struct container **ret)
{
	_cleanup_fd_ int cidfile = -1;

	if (o->cidfile)
		TRY(open_cidfile(o->cidfile, &cidfile));
	struct err *failed = make(e, o, s, ret);
	if (!failed && cidfile >= 0)
		failed = fd_write_full(cidfile, (*ret)->id, strlen((*ret)->id), o->cidfile);
	if (failed && cidfile >= 0)
		unlink(o->cidfile);
	return failed;
}

static struct err *run_attached(struct engine *e, struct container *c, const struct stream_options *o,
				int *ret_status)
{
	struct attach_options a = {.stdin_ = o->stdin_, .stdout_ = o->stdout_, .stderr_ = o->stderr_};
	struct attach *attach = NULL;
	bool detached;

	if (o->tty)
		window_size(&a.rows, &a.cols);
	TRY(container_start(e, c, &a, &attach));
	struct err *failed = cli_pump(attach, o, &detached, ret_status);
	if (!failed && !detached)
		failed = container_finish(e, c, attach);
	attach_free(attach);
	return failed;
}

static struct err *run_container(const struct run_flags *f, char *const *args, struct container_spec *s,
				 int *ret_status)
{
	struct engine *e;
	struct stream_options streams;
	_cleanup_container_ struct container *c = NULL;

	TRY(choose_streams(f, &streams));
	if (f->detach && f->create.attach)
		return err_new(ERR_INVALID, "--detach conflicts with --attach");
	TRY(create_spec(&f->create, args, s));
	if (!f->detach) {
		TRY(cli_check_tty(streams.tty, streams.stdin_));
		/* Attached input ends with the attachment: the program then sees the end of file. */
		s->stdin_once = streams.stdin_;
	}
	TRY(cli_engine(&e));
	TRY(make_container(e, &f->create, s, &c));
	if (!f->detach)
		return run_attached(e, c, &streams, ret_status);
	TRY(container_start(e, c, NULL, NULL));
	puts(c->id);
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct container_spec s = {0};
	struct err *e = run_container(in->options, in->args, &s, ret_status);

	container_spec_release(&s);
	return e;
}

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct run_flags, detach), .name = "detach", .letter = 'd',
	 .help = "Run in the background and print the container's id"},
	{FLAG_STRING_FIELD(struct run_flags, detach_keys), .name = "detach-keys", .metavar = "keys",
	 .help = "Keys that detach (ctrl-p,ctrl-q)"},
	{FLAG_BOOL_FIELD(struct run_flags, sig_proxy), .name = "sig-proxy",
	 .help = "Pass our signals on to the program (true)"},
	{0},
};

const struct command cmd_run = {
	.name = "run",
	.aliases = ALIASES("container run"),
	.summary = "Make a container from an image and run it",
	.usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	.help = "The image is pulled when it is not present. Without -d havre stays attached, passes signals "
		"on, and ends with the program's exit "
		"status; 125 means that havre failed, 126 that the command could not be executed, 127 that "
		"it was not found.\n\n"
		"The image havre/hello is part of the program; it needs no network.",
	.examples = "# look around\nPROGRAM run --rm havre/hello\n# a shell, removed when it ends\nPROGRAM "
		    "run --rm -it debian bash\n"
		    "# in the background, with limits\nPROGRAM run -d --name web --memory 256m --cpus 1.5 "
		    "--network host nginx",
	.flags = flags,
	.more_flags = create_flags,
	.options_size = sizeof(struct run_flags),
	.defaults = &(const struct run_flags){.create = {CREATE_OPTIONS_DEFAULT}, .sig_proxy = true},
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.traits = COMMAND_LOCAL | COMMAND_STOP_AT_ARGUMENT | COMMAND_EXEC_STATUS,
	.failure_status = 125,
	.run = run,
};
