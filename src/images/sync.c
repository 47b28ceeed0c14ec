/* SPDX-License-Identifier: Apache-2.0 */
#include "images/sync.h"

#include <dirent.h>
#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "images/remote.h"
#include "semver.h"
#include "sync_list.h"

#define DEPTH_MAX 32
#define IMAGES_MAX ((size_t)1 << 20)

/* One image to copy. */
struct task {
	char *source; /* "docker://…", "dir:…" */
	char *name;   /* of the copy, below the destination: "registry/path:tag" */
	size_t registry;
};

struct sync {
	const struct sync_options *o;
	struct sync_list list;
	struct task *tasks;
	size_t n, cap;
	struct sync_result result;
	struct err *last; /* with keep_going */
};

static void say(struct sync *s, const char *fmt, ...) _printf_(2, 3);
static void say(struct sync *s, const char *fmt, ...)
{
	const struct progress *p = s->o->copy->source.progress;
	va_list ap;

	va_start(ap, fmt);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	va_end(ap);
	if (p && p->message)
		p->message(p->user, text);
}

/* Whether to go on after a failure; owns `e`. */
static struct err *failed(struct sync *s, struct err *e)
{
	if (!s->o->keep_going || e->kind == ERR_CANCELLED)
		return e;
	_cleanup_free_ char *text = err_text(e);
	say(s, "Failed: %s", text);
	s->result.failed++;
	err_free(s->last);
	s->last = e;
	return NULL;
}

static struct err *add_task(struct sync *s, char *source, char *name, size_t registry)
{
	if (s->n == IMAGES_MAX) {
		free(source);
		free(name);
		return err_new(ERR_LIMIT, "more than %zu images", IMAGES_MAX);
	}
	GROW(s->tasks, s->n, s->cap);
	s->tasks[s->n++] = (struct task){source, name, registry};
	return NULL;
}

/* -- what a registry has ------------------------------------------------------------------------------------------- */

/* The command line's, and on top of it what the file says of this registry. */
static struct transport_options options_for(const struct sync *s, size_t registry)
{
	struct transport_options o = s->o->copy->source;

	if (registry < s->list.n_registries) {
		const struct sync_registry *r = &s->list.registries[registry];
		if (r->username) {
			o.username = r->username;
			o.password = r->password ? r->password : "";
		}
		if (r->cert_dir)
			o.cert_dir = r->cert_dir;
		if (r->tls_verify >= 0)
			o.insecure = !r->tls_verify;
	}
	return o;
}

static struct err *tag_fits(enum sync_which which, const char *pattern, const regex_t *regex, const char *tag,
			    bool *ret)
{
	*ret = true;
	if (which == SYNC_REGEX)
		*ret = regexec(regex, tag, 0, NULL, 0) == 0;
	return which == SYNC_SEMVER ? semver_fits(pattern, tag, ret) : NULL;
}

static struct err *add_matching(struct sync *s, const struct sync_repository *r, char *const *tags,
				const regex_t *regex)
{
	size_t before = s->n;
	bool fits;

	STRV_FOREACH (tag, tags) {
		TRY(tag_fits(r->which, r->pattern, regex, *tag, &fits));
		if (fits && s->o->semver)
			TRY(semver_fits(s->o->semver, *tag, &fits));
		if (fits)
			TRY(add_task(s, xasprintf("docker://%s:%s", r->name, *tag),
				     xasprintf("%s:%s", r->name, *tag), r->registry));
	}
	if (s->n == before)
		say(s, "No tag of %s is to be copied", r->name);
	return NULL;
}

static struct err *list_repository(struct sync *s, const struct sync_repository *r)
{
	const struct transport_options o = options_for(s, r->registry);
	_cleanup_free_ char *place = xasprintf("docker://%s", r->name), *name = NULL;
	_cleanup_strv_ char **tags = NULL;
	regex_t regex;

	if (r->which == SYNC_NAMED) {
		STRV_FOREACH (tag, r->tags) {
			const char *separator = str_starts(*tag, "sha256:") ? "@" : ":";
			TRY(add_task(s, xasprintf("%s%s%s", place, separator, *tag),
				     xasprintf("%s%s%s", r->name, separator, *tag), r->registry));
		}
		return NULL;
	}
	if (r->which == SYNC_REGEX && regcomp(&regex, r->pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return err_new(ERR_INVALID, "%s: \"%.200s\" is not a regular expression", r->name,
			       r->pattern);
	struct err *e = remote_tags(place, &o, &name, &tags);
	if (!e)
		e = add_matching(s, r, tags, &regex);
	if (r->which == SYNC_REGEX)
		regfree(&regex);
	return e;
}

static struct err *list_docker(struct sync *s, const char *source)
{
	const char *slash = strrchr(source, '/'), *last = slash ? slash : source;
	const char *at = strchr(last, '@'), *colon = strchr(last, ':');
	struct sync_repository r = {.name = xstrdup(source), .which = SYNC_ALL_TAGS, .registry = SIZE_MAX};

	struct err *e;
	if (at || colon) {
		e = add_task(s, xasprintf("docker://%s", source), xstrdup(source), SIZE_MAX);
	} else {
		if (s->o->tag_regex) {
			r.which = SYNC_REGEX;
			r.pattern = xstrdup(s->o->tag_regex);
		}
		e = list_repository(s, &r);
	}
	free(r.name);
	free(r.pattern);
	return e;
}

static struct err *list_yaml(struct sync *s, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	TRY(file_read(path, SYNC_YAML_MAX, &text, &size));
	TRY(sync_list_parse(text, size, path, &s->list));
	for (size_t i = 0; i < s->list.n; i++) {
		struct err *e = list_repository(s, &s->list.repositories[i]);
		if (e)
			TRY(failed(s, e));
	}
	return NULL;
}

/* -- what a directory has ------------------------------------------------------------------------------------------- */

/* `at` below `base`: an image when it has a manifest.json. */
static struct err *walk(struct sync *s, const char *base, const char *at, unsigned depth)
{
	_cleanup_free_ char *path = xasprintf("%s%s%s", base, *at ? "/" : "", at);
	struct dirent **names;
	struct err *e = NULL;
	int n = scandir(path, &names, NULL, alphasort);

	if (n < 0)
		return err_errno(errno, "cannot read directory %s", path);
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		_cleanup_free_ char *below = xasprintf("%s%s%s", at, *at ? "/" : "", name);
		_cleanup_free_ char *full = xasprintf("%s/%s", base, below);
		struct stat st;
		if (e || str_eq(name, ".") || str_eq(name, "..") || lstat(full, &st) < 0)
			;
		else if (S_ISREG(st.st_mode) && str_eq(name, "manifest.json"))
			e = add_task(s, xasprintf("dir:%s", path), xstrdup(*at ? at : base), SIZE_MAX);
		else if (S_ISDIR(st.st_mode) && depth == 0)
			e = err_new(ERR_LIMIT, "directory %s is nested too deeply", full);
		else if (S_ISDIR(st.st_mode))
			e = walk(s, base, below, depth - 1);
		free(names[i]);
	}
	free(names);
	return e;
}

/* -- copying ---------------------------------------------------------------------------------------------------------- */

static char *destination_of(const struct sync *s, const char *destination, const struct task *t)
{
	const char *slash = strrchr(t->name, '/');
	const char *name = s->o->scoped || !slash ? t->name : slash + 1;
	size_t n = strlen(destination);

	while (*name == '/')
		name++;
	while (n > 1 && destination[n - 1] == '/')
		n--;
	return xasprintf("%s%.*s/%s%s", s->o->to == SYNC_DOCKER ? "docker://" : "dir:", (int)n, destination,
			 name, s->o->append_suffix ? s->o->append_suffix : "");
}

static struct err *make_parent(const char *place)
{
	const char *path = place + strlen("dir:");
	_cleanup_free_ char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));

	return file_mkdir_p(parent, 0755);
}

static struct err *copy_task(struct sync *s, const char *destination, const struct task *t, size_t position)
{
	struct copy_options o = *s->o->copy;
	_cleanup_free_ char *place = destination_of(s, destination, t);
	struct copy_result result;

	say(s, "%s image %s to %s (%zu/%zu)", s->o->dry_run ? "Would copy" : "Copying", t->source, place,
	    position + 1, s->n);
	if (s->o->dry_run)
		return NULL;
	o.source = options_for(s, t->registry);
	if (s->o->to == SYNC_DIR)
		TRY(make_parent(place));
	TRY(image_copy(t->source, place, &o, &result));
	s->result.copied++;
	return NULL;
}

static struct err *run(struct sync *s, const char *source, const char *destination)
{
	switch (s->o->from) {
	case SYNC_DOCKER:
		TRY(list_docker(s, source));
		break;
	case SYNC_DIR:
		TRY(walk(s, source, "", DEPTH_MAX));
		break;
	case SYNC_YAML:
		TRY(list_yaml(s, source));
		break;
	}
	if (s->n == 0 && !s->last)
		return err_new(ERR_NOT_FOUND, "%s has no images to copy", source);
	for (size_t i = 0; i < s->n; i++) {
		struct err *e = copy_task(s, destination, &s->tasks[i], i);
		if (e)
			TRY(failed(s, e));
	}
	say(s, "%s %zu images from %s", s->o->dry_run ? "Would have copied" : "Copied",
	    s->o->dry_run ? s->n : (size_t)s->result.copied, source);
	return NULL;
}

struct err *image_sync(const char *source, const char *destination, const struct sync_options *o,
		       struct sync_result *ret)
{
	struct sync s = {.o = o};
	struct err *e = run(&s, source, destination);

	if (!e && s.last)
		e = err_wrap(TAKE_PTR(s.last), "%u images could not be copied; the last of them",
			     s.result.failed);
	err_free(s.last);
	for (size_t i = 0; i < s.n; i++) {
		free(s.tasks[i].source);
		free(s.tasks[i].name);
	}
	free(s.tasks);
	sync_list_release(&s.list);
	*ret = s.result;
	return e;
}
