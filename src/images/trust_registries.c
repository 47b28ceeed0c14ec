/* SPDX-License-Identifier: Apache-2.0 */
/* containers-registries.d(5). Files are YAML, read by libyaml as a series of events; nothing but two levels of mappings of texts is in them. */
#include "trust_registries.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yaml.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/user.h"
#include "trust_policy.h"

#define SYSTEM_DIRECTORY "/etc/containers/registries.d"
#define SYSTEM_STORAGE "/var/lib/containers/sigstore"
#define EVENTS_MAX 200000

void trust_place_release(struct trust_place *p)
{
	free(p->lookaside);
	free(p->staging);
	*p = (struct trust_place){0};
}

/* -- the files -------------------------------------------------------------------------------------------------- */

/* Where in the document the reader is: keys of the mappings around it. */
struct reader {
	yaml_parser_t yaml;
	const char *what;
	struct err *(*set)(void *user, const struct registries_d_setting *s);
	void *user;
	unsigned depth, events;
	char *keys[3]; /* of each level; NULL: a key comes next */
};

static struct err *bad(const struct reader *r, const char *text)
{
	return err_new(ERR_INVALID, "%s line %zu: %s", r->what, r->yaml.mark.line + 1, text);
}

/* docker: {SCOPE: {KEY: VALUE}}, default-docker: {KEY: VALUE}. */
static struct err *take_value(struct reader *r, const char *value)
{
	bool docker = str_eq(r->keys[0], "docker"), fallback = str_eq(r->keys[0], "default-docker");
	unsigned expected = docker ? 3 : 2;
	static const char *const known[] = {"lookaside", "lookaside-staging", "sigstore", "sigstore-staging",
					    "use-sigstore-attachments"};

	if ((!docker && !fallback) || r->depth != expected)
		return bad(r,
			   "must have docker: with a mapping for each scope, and default-docker: with one");
	struct registries_d_setting s = {docker ? r->keys[1] : NULL, r->keys[expected - 1], value};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (str_eq(s.key, known[i]))
			return r->set(r->user, &s);
	return bad(r, "unknown key");
}

static struct err *take_scalar(struct reader *r, const char *text, size_t size)
{
	if (r->depth == 0)
		return size ? bad(r, "must be a mapping") : NULL;
	if (strlen(text) != size)
		return bad(r, "a text has a NUL byte");
	char **key = &r->keys[r->depth - 1];
	if (!*key) {
		*key = xstrdup(text);
		return NULL;
	}
	struct err *e = NULL;
	/* "docker:" with nothing below is empty. */
	if (size || r->depth > 1)
		e = take_value(r, text);
	free(TAKE_PTR(*key));
	return e;
}

static struct err *take_event(struct reader *r, const yaml_event_t *event)
{
	if (++r->events > EVENTS_MAX)
		return bad(r, "there is too much in it");
	switch (event->type) {
	case YAML_MAPPING_START_EVENT:
		if (r->depth == ARRAY_SIZE(r->keys) || (r->depth && !r->keys[r->depth - 1]))
			return bad(r, "a mapping where none can be");
		r->depth++;
		return NULL;
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		if (r->depth)
			free(TAKE_PTR(r->keys[r->depth - 1]));
		return NULL;
	case YAML_SCALAR_EVENT:
		return take_scalar(r, (const char *)event->data.scalar.value, event->data.scalar.length);
	case YAML_SEQUENCE_START_EVENT:
		return bad(r, "a list where none can be");
	case YAML_ALIAS_EVENT:
		return bad(r, "aliases are not supported");
	default:
		return NULL;
	}
}

struct err *registries_d_parse(const char *text, size_t size, const char *what,
			       struct err *(*set)(void *user, const struct registries_d_setting *s),
			       void *user)
{
	struct reader r = {.what = what, .set = set, .user = user};
	struct err *e = NULL;
	bool done = false;

	if (!yaml_parser_initialize(&r.yaml))
		return err_new(ERR_INTERNAL, "libyaml cannot start");
	yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, size);
	while (!e && !done) {
		yaml_event_t event;
		if (!yaml_parser_parse(&r.yaml, &event)) {
			e = err_new(ERR_INVALID, "%s line %zu: %s", what, r.yaml.problem_mark.line + 1,
				    r.yaml.problem ? r.yaml.problem : "not YAML");
			break;
		}
		done = event.type == YAML_STREAM_END_EVENT;
		e = take_event(&r, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&r.yaml);
	for (size_t i = 0; i < ARRAY_SIZE(r.keys); i++)
		free(r.keys[i]);
	return e;
}

/* -- the answer ------------------------------------------------------------------------------------------------- */

/* Each setting comes from the most specific scope that has it. */
struct found {
	char *value;
	size_t rank; /* place in the list of scopes; smaller is better */
};
struct search {
	char **scopes; /* most specific first */
	struct found lookaside, old_lookaside, staging, old_staging, attachments;
};

static struct err *consider(void *user, const struct registries_d_setting *s)
{
	struct search *q = user;
	struct {
		const char *key;
		struct found *slot;
	} const slots[] = {{"lookaside", &q->lookaside},
			   {"sigstore", &q->old_lookaside},
			   {"lookaside-staging", &q->staging},
			   {"sigstore-staging", &q->old_staging},
			   {"use-sigstore-attachments", &q->attachments}};
	size_t rank = 0, n = strv_len(q->scopes);

	while (s->scope && rank < n && !str_eq(q->scopes[rank], s->scope))
		rank++;
	if (!s->scope)
		rank = n;
	else if (rank == n)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		struct found *f = slots[i].slot;
		if (!str_eq(slots[i].key, s->key))
			continue;
		if (f->value && f->rank == rank)
			return err_new(ERR_INVALID, "%s is set twice for %s", s->key,
				       s->scope ? s->scope : "default-docker");
		if (f->value && f->rank < rank)
			return NULL;
		free(f->value);
		*f = (struct found){xstrdup(s->value), rank};
	}
	return NULL;
}

static int is_yaml(const struct dirent *d)
{
	return str_ends(d->d_name, ".yaml");
}

static struct err *read_directory(const char *path, struct search *q)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_yaml, alphasort);
	struct err *e = NULL;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = xasprintf("%s/%s", path, names[i]->d_name), *text = NULL;
		size_t size;
		if (!e)
			e = file_read(file, REGISTRIES_D_SIZE_MAX, &text, &size);
		if (!e && text)
			e = registries_d_parse(text, size, file, consider, q);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return e;
}

static struct err *read_configuration(const char *directory, struct search *q)
{
	const char *home = getenv("HOME");
	_cleanup_free_ char *own =
		str_empty(home) ? NULL : xasprintf("%s/.config/containers/registries.d", home);

	if (directory)
		return read_directory(directory, q);
	return read_directory(own && access(own, F_OK) == 0 ? own : SYSTEM_DIRECTORY, q);
}

static char *default_storage(void)
{
	const char *home = getenv("HOME");

	if (user_is_root() || str_empty(home))
		return xstrdup("file://" SYSTEM_STORAGE);
	return xasprintf("file://%s/.local/share/containers/sigstore", home);
}

/* The newer name of a setting counts before the older one in the same section. */
static struct found *better(struct found *now, struct found *old)
{
	return !old->value || (now->value && now->rank <= old->rank) ? now : old;
}

static void search_release(struct search *q)
{
	strv_free(q->scopes);
	free(q->lookaside.value);
	free(q->old_lookaside.value);
	free(q->staging.value);
	free(q->old_staging.value);
	free(q->attachments.value);
}

struct err *trust_place_find(const char *directory, const struct reference *r, struct trust_place *ret)
{
	_cleanup_(search_release) struct search q = {.scopes = trust_docker_scopes(r)};
	bool attachments = false;

	TRY_WRAP(read_configuration(directory, &q), "signature configuration");
	if (q.attachments.value)
		TRY_WRAP(parse_bool(q.attachments.value, "use-sigstore-attachments", &attachments),
			 "signature configuration");
	struct found *read = better(&q.lookaside, &q.old_lookaside),
		     *write = better(&q.staging, &q.old_staging);
	/* Reading's own place is where to write as well, unless another one is named as specifically. */
	if (read->value && (!write->value || read->rank < write->rank))
		write = read;
	ret->attachments = attachments;
	ret->lookaside = read->value ? xstrdup(read->value) : default_storage();
	ret->staging = write->value ? xstrdup(write->value) : default_storage();
	return NULL;
}
