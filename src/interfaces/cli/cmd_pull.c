// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "commands.h"
#include "embedded.h"
#include "images/remote.h"
#include "name_choice.h"
#include "pull.h"
#include "registry_flags.h"

struct pull_flags {
	struct registry_flags registry;
	const char *platform, *signature_policy;
	bool quiet, all_tags;
	int64_t parallel;
};

char *pull_intro(const struct reference *r)
{
	return xasprintf("%s: Pulling from %s\n", r->tag ? r->tag : r->digest.s, r->path);
}

/* docker prints this line when the user named neither tag nor digest. */
bool reference_has_tag(const char *s)
{
	const char *slash = strrchr(s, '/');
	return strchr(slash ? slash : s, ':') || strchr(s, '@');
}

static struct err *pull(const struct invocation *in, struct store *s, const struct pull_flags *f,
			const struct reference *r)
{
	_cleanup_free_ char *intro = pull_intro(r);
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDOUT_FILENO, PROGRESS_PULL, f->quiet, intro);
	_cleanup_free_ char *username = NULL;
	struct pull_options o = {
		.platform = platform_host(),
		.signature_policy = f->signature_policy,
		.insecure = !f->registry.tls_verify,
		.ca_file = f->registry.ca_file,
		.cert_dir = f->registry.cert_dir,
		.auth_file = f->registry.auth_file,
		.parallel = (unsigned)f->parallel,
		.progress = progress_display_callbacks(display),
	};
	_cleanup_image_ struct image *image = NULL;
	bool changed = false;

	TRY(registry_flags_credentials(in, &f->registry, &username, &o.password));
	o.username = username;
	if (f->platform)
		TRY(platform_parse(f->platform, &o.platform));
	interrupt_catch();
	struct err *e = image_pull(s, r, &o, &image, &changed);
	interrupt_restore();
	progress_display_finish(display);
	TRY(e);

	_cleanup_free_ char *name = reference_string(r);
	if (!f->quiet) {
		_cleanup_free_ char *familiar = reference_familiar(r);
		printf("Digest: %s\n", image->target.s);
		printf("Status: %s for %s\n", changed ? "Downloaded newer image" : "Image is up to date",
		       familiar);
	}
	puts(name);
	return NULL;
}

/* One after the other, as docker does: layers that they share are there for the second. */
static struct err *pull_all(const struct invocation *in, struct store *s, const struct pull_flags *f,
			    const struct reference *r)
{
	_cleanup_free_ char *location = xasprintf("docker://%s/%s", r->domain, r->path);
	_cleanup_free_ char *username = NULL, *repository = NULL;
	_cleanup_strv_ char **tags = NULL;
	struct transport_options o;

	TRY(registry_flags_options(in, &f->registry, &username, &o));
	TRY(remote_tags(location, &o, &repository, &tags));
	if (strv_len(tags) == 0)
		return err_new(ERR_NOT_FOUND, "repository %s/%s has no tags", r->domain, r->path);
	STRV_FOREACH (tag, tags) {
		_cleanup_free_ char *name = xasprintf("%s/%s:%s", r->domain, r->path, *tag);
		_cleanup_reference_ struct reference one = REFERENCE_NONE;
		TRY(reference_parse(name, &one));
		TRY(pull(in, s, f, &one));
	}
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct pull_flags *f = in->options;
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	struct store *s;

	if (f->registry.credentials && !strchr(f->registry.credentials, ':'))
		return usage_error(in, "--creds: the form is USER:PASSWORD");
	TRY(reference_parse(in->args[0], &r));
	if (!f->quiet && !f->all_tags && !reference_has_tag(in->args[0]))
		puts("Using default tag: latest");
	fflush(stdout);
	TRY(cli_store(&s));
	return f->all_tags ? pull_all(in, s, f, &r) : pull(in, s, f, &r);
}

/* A name without a registry may be several; the first one that can be pulled counts. */
static struct err *run_names(struct invocation *in, int *ret_status)
{
	const struct pull_flags *f = in->options;
	char *const what = in->args[0];
	_cleanup_strv_ char **names = NULL;
	struct err *e = NULL;
	bool asked;

	if (f->all_tags && reference_has_tag(what))
		return usage_error(in, "--all-tags: a tag or digest cannot be named as well");
	TRY(cli_choose_names(what, f->quiet, &names, &asked));
	if (!f->quiet && !f->all_tags && !reference_has_tag(what))
		puts("Using default tag: latest");
	STRV_FOREACH (name, names) {
		_cleanup_reference_ struct reference r = REFERENCE_NONE;
		if (e) {
			command_report(in, e);
			err_free(TAKE_PTR(e));
		}
		in->args[0] = *name;
		e = run(in, ret_status);
		in->args[0] = what;
		if (!e && asked) {
			TRY(reference_parse(*name, &r));
			return short_name_remember(what, &r);
		}
		if (!e || e->kind == ERR_CANCELLED || e->kind == ERR_NO_SPACE)
			return e;
	}
	return e;
}

static const struct flag flags[] = {
	{FLAG_INT_FIELD(struct pull_flags, parallel), .name = "parallel", .min = 0, .max = 32,
	 .help = "Connections to the registry (0: the default)"},
	{FLAG_STRING_FIELD(struct pull_flags, platform), .name = "platform", .metavar = "os/arch",
	 .help = "Platform to choose from an image of several (linux/arm64)"},
	{FLAG_BOOL_FIELD(struct pull_flags, quiet), .name = "quiet", .letter = 'q',
	 .help = "Print the image's name only"},
	{FLAG_STRING_FIELD(struct pull_flags, signature_policy), .name = "signature-policy",
	 .metavar = "file", .help = "Ask this signature policy instead of the usual one", .values = "@file"},
	REGISTRY_FLAGS_REACH(struct pull_flags, registry, ""),
	REGISTRY_FLAGS_FILES(struct pull_flags, registry, ""),
	{FLAG_BOOL_FIELD(struct pull_flags, all_tags), .name = "all-tags", .letter = 'a',
	 .help = "Pull every tag of the repository"},
	{.kind = FLAG_BOOL,
	 .name = "disable-content-trust",
	 .traits = FLAG_HIDDEN,
	 .refusal = "docker's content trust is not part of havre"},
	{0},
};

const struct command cmd_pull = {
	.name = "pull",
	.aliases = ALIASES("image pull"),
	.summary = "Download an image from a registry",
	.usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
	.help = "A name without a host is an alias or searched in the registries that registries.conf names "
		"(containers-registries.conf(5)), and otherwise one of docker.io. A registry on this machine "
		"(localhost, "
		"127.0.0.1) is also tried without TLS. Mirrors are those of registries.conf, or else those "
		"of containerd's "
		"certs.d/HOST/hosts.toml.\n\n"
		"Layers that are present are not downloaded again; all content is checked against its "
		"digest. Connections that have no layer of their own help with large ones.\n\n"
		"Whether an image may be used, ~/.config/containers/policy.json or else "
		"/etc/containers/policy.json says "
		"(containers-policy.json(5)); where there is neither, all may.",
	.examples = "# the tag \"latest\"\nPROGRAM pull debian\n# one version, exactly\n"
		    "PROGRAM pull debian@sha256:…\n# a registry of one's own\nPROGRAM pull "
		    "localhost:5000/app:1.2",
	.flags = flags,
	.options_size = sizeof(struct pull_flags),
	.defaults = &(const struct pull_flags){.registry = REGISTRY_FLAGS_DEFAULT},
	.min_args = 1,
	.max_args = 1,
	.args_values = "!images",
	.run = run_names,
};

/* What is said before the first layer; NULL: nothing. */
static char *ensure_intro(const struct container_spec *s, enum progress_work *ret_work)
{
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	struct err *bad = reference_parse(s->image, &r);

	if (bad) { /* an image's id: nothing is pulled */
		err_free(bad);
		return NULL;
	}
	_cleanup_free_ char *familiar = reference_familiar(&r);
	if (str_eq(familiar, EMBEDDED_REFERENCE)) {
		*ret_work = PROGRESS_LOAD;
		return NULL;
	}
	_cleanup_free_ char *pulling = pull_intro(&r);
	if (s->pull == PULL_ALWAYS)
		return TAKE_PTR(pulling);
	return xasprintf("Unable to find image '%s' locally\n%s", familiar, pulling);
}

/* The static program has what is in the store and what is embedded; for anything else it starts over as the other one. */
static struct err *ensure_local(struct engine *e, const struct container_spec *s, struct image **ret)
{
	struct container_spec local = *s;

	local.pull = PULL_NEVER;
	struct err *failed = s->pull == PULL_ALWAYS ? NULL : engine_ensure_image(e, &local, NULL, ret);
	if (*ret || (failed && (failed->kind != ERR_NOT_FOUND || s->pull == PULL_NEVER)))
		return failed;
	err_free(failed);
	return cli_transfer();
}

struct err *cli_ensure_image(struct engine *e, const struct container_spec *s, bool quiet, struct image **ret)
{
	if (cli_is_static())
		return ensure_local(e, s, ret);
	enum progress_work work = PROGRESS_PULL;
	_cleanup_free_ char *intro = ensure_intro(s, &work);
	_cleanup_progress_display_ struct progress_display *display =
		progress_display_new(STDERR_FILENO, work, quiet || work == PROGRESS_LOAD, intro);

	interrupt_catch();
	struct err *failed = engine_ensure_image(e, s, progress_display_callbacks(display), ret);
	interrupt_restore();
	progress_display_finish(display);
	return failed;
}
