// SPDX-License-Identifier: Apache-2.0
/* load, save and import: images as files. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "images/archive.h"

struct load_flags {
	const char *input, *platform, *signature_policy;
	bool quiet;
};

/* "-" or NULL: standard input, which must not be a terminal. */
static struct err *open_input(const char *path, int *ret_fd)
{
	if (path && !str_eq(path, "-")) {
		*ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		return *ret_fd < 0 ? err_errno(errno, "cannot open %s", path) : NULL;
	}
	if (isatty(STDIN_FILENO))
		return err_new(ERR_INVALID, "standard input is a terminal; name a file or redirect one");
	return fd_dup(STDIN_FILENO, 3, ret_fd);
}

static struct err *run_load(struct invocation *in, int *ret_status)
{
	const struct load_flags *f = in->options;
	_cleanup_strv_ char **lines = NULL;
	_cleanup_fd_ int fd = -1;
	struct store *s;

	TRY(open_input(f->input, &fd));
	TRY(cli_store(&s));
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDERR_FILENO, PROGRESS_LOAD, f->quiet, NULL);
	interrupt_catch();
	struct archive_origin origin = {str_eq(f->input, "-") ? NULL : f->input, f->signature_policy};
	struct err *e = archive_load(s, fd, &origin, progress_display_callbacks(display), &lines);
	interrupt_restore();
	progress_display_finish(display);
	STRV_FOREACH (l, lines)
		puts(*l);
	return e ? err_wrap(e, "cannot load %s", f->input ? f->input : "standard input") : NULL;
}

const struct command cmd_load = {
	.name = "load",
	.aliases = ALIASES("image load"),
	.summary = "Load images from an archive",
	.usage = "[OPTIONS]",
	.help = "Reads what docker save, podman save, skopeo and buildah write: docker archives and OCI "
		"archives, compressed or not.",
	.flags =
		(const struct flag[]){
			{FLAG_STRING_FIELD(struct load_flags, input), .name = "input", .letter = 'i',
			 .metavar = "file", .help = "Read from a file, not standard input",
			 .values = "@file"},
			{FLAG_BOOL_FIELD(struct load_flags, quiet), .name = "quiet", .letter = 'q',
			 .help = "Show no progress"},
			{.kind = FLAG_STRING,
			 .name = "platform",
			 .refusal = "choosing a platform from an archive comes later"},
			{FLAG_STRING_FIELD(struct load_flags, signature_policy), .name = "signature-policy",
			 .metavar = "file", .help = "Ask this signature policy instead of the usual one",
			 .values = "@file"},
			{0},
		},
	.options_size = sizeof(struct load_flags),
	.max_args = 0,
	.run = run_load,
};

struct save_flags {
	const char *output, *format;
	bool several;
};

struct save_job {
	struct store *store;
	enum archive_format format;
	char *const *names;
};

static struct err *save(void *user, int fd)
{
	const struct save_job *job = user;

	return archive_save(job->store, fd, job->format, job->names);
}

static struct err *run_save(struct invocation *in, int *ret_status)
{
	const struct save_flags *f = in->options;
	struct save_job job = {.format = str_eq(f->format, "oci-archive") ? ARCHIVE_OCI : ARCHIVE_DOCKER,
			       .names = in->args};

	TRY(cli_store(&job.store));
	return cli_write_output(f->output, save, &job);
}

const struct command cmd_save = {
	.name = "save",
	.aliases = ALIASES("image save"),
	.summary = "Write images to an archive",
	.usage = "[OPTIONS] IMAGE [IMAGE...]",
	.help = "The archive is a docker archive and an OCI layout at once, which docker, podman, skopeo and "
		"havre load. The same images give the "
		"same bytes.",
	.flags =
		(const struct flag[]){
			{FLAG_CHOICE_FIELD(struct save_flags, format), .name = "format",
			 .help = "Form of the archive", .values = "docker-archive oci-archive"},
			{FLAG_BOOL_FIELD(struct save_flags, several), .name = "multi-image-archive",
			 .letter = 'm',
			 .traits = FLAG_HIDDEN}, /* podman's: an archive may always have several */
			{FLAG_STRING_FIELD(struct save_flags, output), .name = "output", .letter = 'o',
			 .metavar = "file", .help = "Write to a file, not standard output",
			 .values = "@file"},
			{.kind = FLAG_STRING,
			 .name = "platform",
			 .refusal = "choosing a platform for an archive comes later"},
			{0},
		},
	.options_size = sizeof(struct save_flags),
	.defaults = &(const struct save_flags){.format = "docker-archive"},
	.min_args = 1,
	.max_args = ARGS_UNLIMITED,
	.args_values = "!images",
	.run = run_save,
};

struct import_flags {
	char **changes;
	const char *message, *platform;
};

static struct err *run_import(struct invocation *in, int *ret_status)
{
	const struct import_flags *f = in->options;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	_cleanup_fd_ int fd = -1;
	struct platform platform;
	struct archive_import_options o = {.changes = f->changes, .message = f->message};
	struct digest id;
	struct store *s;

	if (str_starts(in->args[0], "http://") || str_starts(in->args[0], "https://"))
		return err_new(ERR_UNSUPPORTED,
			       "import from an address is not supported; fetch the file first: curl %s | "
			       "havre import -",
			       in->args[0]);
	if (in->n_args > 1) {
		TRY(reference_parse(in->args[1], &name));
		o.name = &name;
	}
	if (f->platform) {
		TRY(platform_parse(f->platform, &platform));
		o.platform = &platform;
	}
	TRY(open_input(in->args[0], &fd));
	TRY(cli_store(&s));
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDERR_FILENO, PROGRESS_LOAD, false, NULL);
	o.progress = progress_display_callbacks(display);
	interrupt_catch();
	struct err *e = archive_import(s, fd, &o, &id);
	interrupt_restore();
	progress_display_finish(display);
	TRY_WRAP(e, "cannot import %s", in->args[0]);
	puts(id.s);
	return NULL;
}

const struct command cmd_import = {
	.name = "import",
	.aliases = ALIASES("image import"),
	.summary = "Make an image of one layer from a tar of a root file system",
	.usage = "[OPTIONS] FILE|- [NAME[:TAG]]",
	.examples = "# Debian, from its own packages\nmmdebstrap --variant=minbase bookworm - | PROGRAM "
		    "import -c 'CMD [\"bash\"]' - debian:mine",
	.flags =
		(const struct flag[]){
			{FLAG_LIST_FIELD(struct import_flags, changes), .name = "change", .letter = 'c',
			 .metavar = "instruction",
			 .help = "Apply a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, "
				 "STOPSIGNAL, USER, VOLUME, WORKDIR)"},
			{FLAG_STRING_FIELD(struct import_flags, message), .name = "message", .letter = 'm',
			 .help = "Comment of the image"},
			{FLAG_STRING_FIELD(struct import_flags, platform), .name = "platform",
			 .metavar = "os/arch", .help = "Platform of the image"},
			{0},
		},
	.options_size = sizeof(struct import_flags),
	.min_args = 1,
	.max_args = 2,
	.args_values = "@file",
	.run = run_import,
};
