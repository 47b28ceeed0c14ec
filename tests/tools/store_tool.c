/* SPDX-License-Identifier: Apache-2.0 */
/* The image store and the registry client from a command line, for tests that look at them alone:
 *
 *   store_tool ROOT pull REF [platform=P] [insecure] [ca=FILE] [user=NAME:PASSWORD] [parallel=N]
 *   store_tool ROOT list | find WHAT | tag WHAT NAME | rm [-f] WHAT | collect
 *
 * Errors are printed as "error: KIND: text". An interrupt (SIGINT) cancels a pull. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "images/pull.h"
#include "images/store.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signum)
{
	interrupted = 1;
}

static const char *const phase_names[] = {"waiting", "downloading", "applying",  "done",
					  "exists",  "retrying",    "uploading", "mounted"};

static void on_update(void *user, const char *id, enum progress_phase phase, uint64_t done, uint64_t total)
{
	printf("%s %s %" PRIu64 "/%" PRIu64 "\n", id, phase_names[phase], done, total);
	fflush(stdout);
}

static void on_message(void *user, const char *text)
{
	printf("message: %s\n", text);
}

static bool on_cancelled(void *user)
{
	return interrupted;
}

static void print_image(const struct image *i)
{
	printf("id=%s manifest=%s target=%s layers=%zu size=%" PRIu64 " platform=%s/%s created=%lld\n",
	       i->id.s, i->manifest.s, i->target.s, i->n_layers, i->size, i->platform.os,
	       i->platform.architecture, (long long)(i->created_ns / 1000000000));
	STRV_FOREACH (name, i->names)
		printf("name=%s\n", *name);
	STRV_FOREACH (name, i->repo_digests)
		printf("digest=%s\n", *name);
}

static struct err *cmd_pull(struct store *s, int argc, char **argv)
{
	static const struct progress progress = {on_update, on_message, on_cancelled, NULL};
	struct pull_options o = {.platform = platform_host(), .progress = &progress};
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	_cleanup_image_ struct image *image = NULL;
	_cleanup_free_ char *user = NULL;
	bool changed = false;

	TRY(reference_parse(argv[0], &ref));
	for (int i = 1; i < argc; i++) {
		if (str_starts(argv[i], "platform=")) {
			TRY(platform_parse(argv[i] + 9, &o.platform));
		} else if (strcmp(argv[i], "insecure") == 0) {
			o.insecure = true;
		} else if (str_starts(argv[i], "ca=")) {
			o.ca_file = argv[i] + 3;
		} else if (str_starts(argv[i], "user=")) {
			user = xstrdup(argv[i] + 5);
			char *colon = strchr(user, ':');
			if (!colon)
				return err_new(ERR_INVALID, "user=NAME:PASSWORD");
			*colon = '\0';
			o.username = user;
			o.password = colon + 1;
		} else if (str_starts(argv[i], "parallel=")) {
			uint64_t n;
			TRY(parse_u64(argv[i] + 9, "parallel", 1, 100, &n));
			o.parallel = (unsigned)n;
		} else {
			return err_new(ERR_INVALID, "unknown word %s", argv[i]);
		}
	}
	TRY(image_pull(s, &ref, &o, &image, &changed));
	printf("changed=%d\n", changed);
	print_image(image);
	return NULL;
}

static struct err *cmd_list(struct store *s, int argc, char **argv)
{
	struct image **v;
	size_t n;

	TRY(store_list(s, &v, &n));
	for (size_t i = 0; i < n; i++) {
		print_image(v[i]);
		image_free(v[i]);
	}
	free(v);
	return NULL;
}

static struct err *cmd_find(struct store *s, int argc, char **argv)
{
	_cleanup_image_ struct image *image = NULL;

	TRY(store_find(s, argv[0], &image));
	print_image(image);
	_cleanup_free_ char *config = json_print(image->config, JSON_COMPACT);
	printf("config=%s\n", config);
	return NULL;
}

static struct err *cmd_tag(struct store *s, int argc, char **argv)
{
	_cleanup_image_ struct image *image = NULL;
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;

	if (argc < 2)
		return err_new(ERR_INVALID, "tag WHAT NAME");
	TRY(store_find(s, argv[0], &image));
	TRY(reference_parse(argv[1], &ref));
	return store_tag(s, image, &ref);
}

static struct err *cmd_rm(struct store *s, int argc, char **argv)
{
	bool force = strcmp(argv[0], "-f") == 0;
	_cleanup_strv_ char **lines = NULL;

	if (force && argc < 2)
		return err_new(ERR_INVALID, "rm [-f] WHAT");
	TRY(store_remove(s, argv[force], force, &lines));
	STRV_FOREACH (line, lines)
		puts(*line);
	return NULL;
}

static struct err *cmd_collect(struct store *s, int argc, char **argv)
{
	uint64_t freed;

	TRY(store_collect(s, &freed));
	printf("freed=%" PRIu64 "\n", freed);
	return NULL;
}

static const struct {
	const char *name;
	int min_args;
	struct err *(*run)(struct store *s, int argc, char **argv);
} commands[] = {
	{"pull", 1, cmd_pull}, {"list", 0, cmd_list}, {"find", 1, cmd_find},
	{"tag", 2, cmd_tag},   {"rm", 1, cmd_rm},     {"collect", 0, cmd_collect},
};

static struct err *run(int argc, char **argv)
{
	_cleanup_(store_closep) struct store *s = NULL;

	for (size_t i = 0; argc >= 3 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, argv[2]) == 0 && argc - 3 >= commands[i].min_args) {
			TRY(store_open(argv[1], &s));
			return commands[i].run(s, argc - 3, argv + 3);
		}
	}
	return err_new(ERR_INVALID, "usage: store_tool ROOT pull|list|find|tag|rm|collect …");
}

int main(int argc, char **argv)
{
	signal(SIGINT, on_interrupt);
	_cleanup_err_ struct err *e = run(argc, argv);
	if (!e)
		return 0;
	_cleanup_free_ char *text = err_text(e);
	fprintf(stderr, "error: %s: %s\n", err_kind_name(e->kind), text);
	return 1;
}
