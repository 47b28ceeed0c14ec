/* SPDX-License-Identifier: Apache-2.0 */
/* Images that are here: list, inspect, tag, remove, load, save, prune. */
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "engine/describe.h"
#include "engine/usage.h"
#include "images/archive.h"
#include "images/history.h"
#include "images/usage.h"
#include "objects.h"
#include "progress.h"
#include "routes.h"

static struct err *find_image(struct exchange *x, struct store **ret_store, struct image **ret)
{
	TRY(engine_store(x->engine, ret_store));
	struct err *e = store_find(*ret_store, x->captures[0], ret);

	if (!e || e->kind != ERR_NOT_FOUND)
		return e;
	err_free(e);
	return err_new(ERR_NOT_FOUND, "No such image: %.256s", x->captures[0]);
}

static struct json *familiar(char *const *names)
{
	struct json *list = json_new_array();

	STRV_FOREACH (n, names) {
		_cleanup_free_ char *name = familiar_name(*n);
		json_append(list, json_new_string(name));
	}
	return list;
}

struct json *image_row(const struct image *i)
{
	struct json *o = json_new_object();
	_cleanup_strv_ char **labels = image_labels(i->config);

	json_set_i64(o, "Containers", -1);
	json_set_i64(o, "Created", i->created_ns / 1000000000);
	json_set_string(o, "Id", i->id.s);
	json_set(o, "Labels", json_new_pairs(labels));
	json_set_string(o, "ParentId", "");
	json_set(o, "RepoDigests", familiar(i->repo_digests));
	json_set(o, "RepoTags", familiar(i->names));
	json_set_i64(o, "SharedSize", -1);
	json_set_u64(o, "Size", i->size);
	return o;
}

/* docker's patterns: NAME or NAME:TAG with * and ?; without a tag any tag. */
static bool reference_matches(const struct image *i, const char *pattern)
{
	STRV_FOREACH (n, i->names) {
		_cleanup_free_ char *name = familiar_name(*n);
		char *tag = strrchr(name, ':');
		if (fnmatch(pattern, name, FNM_PATHNAME) == 0)
			return true;
		if (tag && !strchr(tag, '/')) {
			*tag = '\0';
			if (fnmatch(pattern, name, FNM_PATHNAME) == 0)
				return true;
		}
	}
	return false;
}

static bool match_reference(const void *object, const char *value)
{
	return reference_matches(object, value);
}

static bool match_dangling(const void *object, const char *value)
{
	const struct image *i = object;
	bool wanted = str_eq(value, "true") || str_eq(value, "1");

	return (strv_len(i->names) == 0) == wanted;
}

struct borders {
	int64_t before, since;
};

static struct err *borders_of(struct store *s, char *const *filters, struct borders *ret)
{
	*ret = (struct borders){INT64_MAX, INT64_MIN};
	STRV_FOREACH (f, filters) {
		_cleanup_image_ struct image *i = NULL;
		const char *value = strchr(*f, '=') + 1;
		if (str_starts(*f, "until=")) {
			int64_t until;
			TRY(moment_ns(value, "until", &until));
			ret->before = MIN(ret->before, until);
		} else if (str_starts(*f, "before=") || str_starts(*f, "since=")) {
			TRY(store_find(s, value, &i));
			*(**f == 'b' ? &ret->before : &ret->since) = i->created_ns;
		}
	}
	return NULL;
}

static bool wanted(const struct image *i, char *const *filters, const struct borders *b)
{
	_cleanup_strv_ char **labels = image_labels(i->config);

	return i->created_ns < b->before && i->created_ns > b->since && filter_labels(filters, labels) &&
	       filter_any(filters, "reference", match_reference, i) &&
	       filter_any(filters, "dangling", match_dangling, i);
}

struct err *handle_image_list(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL;
	struct borders b;
	struct store *s;
	struct image **list;
	size_t n;

	TRY(exchange_filters(x, "before dangling label label! reference since until", &filters));
	TRY(engine_store(x->engine, &s));
	TRY(borders_of(s, filters, &b));
	TRY(store_list(s, &list, &n));
	struct json *rows = json_new_array();
	for (size_t i = 0; i < n; i++) {
		if (wanted(list[i], filters, &b))
			json_append(rows, image_row(list[i]));
		image_free(list[i]);
	}
	free(list);
	return answer_json(x, 200, rows);
}

struct err *handle_image_inspect(struct exchange *x)
{
	_cleanup_image_ struct image *i = NULL;
	struct store *s;

	TRY(find_image(x, &s, &i));
	return answer_json(x, 200, image_inspect_json(s, i));
}

/* The newest step first; only it has the image's id and names. */
static struct json *step_object(const struct image *i, const struct image_step *step, bool top)
{
	struct json *o = json_new_object();
	int64_t created_ns = 0;

	if (*step->created)
		err_free(timestamp_parse(step->created, &created_ns));
	json_set_string(o, "Comment", step->comment);
	json_set_i64(o, "Created", created_ns / 1000000000);
	json_set_string(o, "CreatedBy", step->created_by);
	json_set_string(o, "Id", top ? i->id.s : "<missing>");
	json_set_u64(o, "Size", step->size);
	json_set(o, "Tags", top && i->names ? familiar(i->names) : NULL);
	return o;
}

struct err *handle_image_history(struct exchange *x)
{
	_cleanup_image_ struct image *i = NULL;
	_cleanup_free_ struct image_step *steps = NULL;
	struct store *s;
	size_t n;

	TRY(find_image(x, &s, &i));
	TRY(image_history(s, i, &steps, &n));
	struct json *list = json_new_array();
	for (size_t k = n; k > 0; k--)
		json_append(list, step_object(i, &steps[k - 1], k == n));
	return answer_json(x, 200, list);
}

struct err *handle_image_tag(struct exchange *x)
{
	_cleanup_image_ struct image *i = NULL;
	_cleanup_free_ char *repo = http_query(&x->request, "repo"), *tag = http_query(&x->request, "tag"),
			    *name = NULL;
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	struct store *s;

	TRY(find_image(x, &s, &i));
	name = str_empty(tag) ? xstrdup(repo ? repo : "") : xasprintf("%s:%s", repo ? repo : "", tag);
	TRY(reference_parse(name, &ref));
	TRY(store_tag(s, i, &ref));
	return answer_empty(x, 201);
}

/* "Untagged: x", "Deleted: y" as docker's objects. */
static void append_lines(struct json *list, char *const *lines)
{
	STRV_FOREACH (l, lines) {
		const char *colon = strstr(*l, ": ");
		if (!colon)
			continue;
		_cleanup_free_ char *key = xstrndup(*l, (size_t)(colon - *l));
		struct json *o = json_new_object();
		json_set_string(o, key, colon + 2);
		json_append(list, o);
	}
}

struct err *handle_image_remove(struct exchange *x)
{
	_cleanup_image_ struct image *i = NULL;
	_cleanup_strv_ char **lines = NULL;
	struct store *s;

	TRY(find_image(x, &s, &i));
	TRY(engine_remove_image(x->engine, x->captures[0], exchange_flag(x, "force", false), &lines));
	struct json *list = json_new_array();
	append_lines(list, lines);
	return answer_json(x, 200, list);
}

/* -- archives --- */

struct err *handle_image_load(struct exchange *x)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_strv_ char **lines = NULL;
	struct progress_stream p = {.x = x, .quiet = exchange_flag(x, "quiet", false), .loading = true};
	struct progress callbacks = progress_stream_callbacks(&p);
	struct store *s;

	TRY(engine_store(x->engine, &s));
	TRY(exchange_spool(x, &fd));
	TRY(stream_begin(x, "application/json", NULL));
	struct err *e = archive_load(s, fd, NULL, &callbacks, &lines);
	STRV_FOREACH (l, lines) {
		_cleanup_json_ struct json *o = json_new_object();
		_cleanup_free_ char *line = xasprintf("%s\n", *l);
		json_set_string(o, "stream", line);
		err_free(stream_json(x, o));
	}
	return progress_stream_end(&p, e);
}

static struct err *save(struct exchange *x, char *const *names)
{
	_cleanup_fd_ int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct store *s;
	char piece[65536];
	size_t n;

	if (strv_len(names) == 0)
		return err_new(ERR_INVALID, "no image is named");
	if (fd < 0)
		return err_errno(errno, "cannot make a file for the archive");
	TRY(engine_store(x->engine, &s));
	TRY(archive_save(s, fd, ARCHIVE_DOCKER, names));
	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_errno(errno, "cannot rewind the archive");
	TRY(stream_begin(x, "application/x-tar", NULL));
	do {
		TRY(fd_read_full(fd, piece, sizeof(piece), "the archive", &n));
		TRY(stream_write(x, piece, n));
	} while (n);
	return stream_end(x);
}

struct err *handle_image_save(struct exchange *x)
{
	_cleanup_strv_ char **names = http_query_all(&x->request, "names");

	return save(x, names);
}

struct err *handle_image_save_one(struct exchange *x)
{
	char *const names[] = {x->captures[0], NULL};

	return save(x, names);
}

/* -- prune --- */

static bool prune_all(char *const *filters)
{
	STRV_FOREACH (f, filters)
		if (str_eq(*f, "dangling=false") || str_eq(*f, "dangling=0"))
			return true;
	return false;
}

struct err *handle_image_prune(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL, **lines = NULL;
	_cleanup_usage_ struct usage u = {0};
	struct borders b;
	struct store *s;
	uint64_t freed = 0;
	bool collected;
	size_t n = 0;

	TRY(exchange_filters(x, "dangling label label! until", &filters));
	TRY(engine_store(x->engine, &s));
	TRY(borders_of(s, filters, &b));
	TRY(usage_read(x->engine, USAGE_IMAGES, &u));
	_cleanup_free_ struct digest *ids = xnew_array(struct digest, u.n_images + 1);
	for (size_t i = 0; i < u.n_images; i++) {
		const struct image *image = u.images[i];
		_cleanup_strv_ char **labels = image_labels(image->config);
		if (!u.containers_of_image[i] && (prune_all(filters) || strv_len(image->names) == 0) &&
		    image->created_ns < b.before && filter_labels(filters, labels))
			ids[n++] = image->id;
	}
	TRY(store_remove_images(s, ids, n, &lines, &freed, &collected));
	struct json *o = json_new_object(), *list = json_new_array();
	append_lines(list, lines);
	json_set(o, "ImagesDeleted", lines ? list : NULL);
	if (!lines)
		json_unref(list);
	json_set_u64(o, "SpaceReclaimed", freed);
	return answer_json(x, 200, o);
}
