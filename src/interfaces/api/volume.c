/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "engine/describe.h"
#include "objects.h"
#include "routes.h"

static bool match_name(const void *object, const char *value)
{
	return name_matches(((const struct volume *)object)->name, value);
}

static bool match_driver(const void *object, const char *value)
{
	return str_eq(value, "local");
}

static bool match_dangling(const void *object, const char *value)
{
	bool wanted = str_eq(value, "true") || str_eq(value, "1");
	return (((const struct volume *)object)->links == 0) == wanted;
}

static bool wanted(const struct volume *v, char *const *filters)
{
	return filter_any(filters, "name", match_name, v) && filter_any(filters, "driver", match_driver, v) &&
	       filter_any(filters, "dangling", match_dangling, v) && filter_labels(filters, v->labels);
}

struct err *handle_volume_list(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL;
	struct volume *list;
	size_t n;

	TRY(exchange_filters(x, "dangling driver label label! name", &filters));
	TRY(volume_list(x->engine, &list, &n));
	struct json *o = json_new_object(), *rows = json_new_array();
	for (size_t i = 0; i < n; i++)
		if (wanted(&list[i], filters))
			json_append(rows, volume_json(&list[i]));
	volumes_free(list, n);
	json_set(o, "Volumes", rows);
	json_set(o, "Warnings", NULL);
	return answer_json(x, 200, o);
}

static struct err *answer_volume(struct exchange *x, int status, const char *name)
{
	struct volume v = {0};
	struct err *e = volume_find(x->engine, name, &v);

	if (!e)
		e = answer_json(x, status, volume_json(&v));
	volume_release(&v);
	return e;
}

struct err *handle_volume_inspect(struct exchange *x)
{
	return answer_volume(x, 200, x->captures[0]);
}

struct err *handle_volume_create(struct exchange *x)
{
	_cleanup_json_ struct json *body = NULL;
	_cleanup_strv_ char **labels = NULL, **options = NULL;
	_cleanup_free_ char *made = NULL;
	const char *name = NULL, *driver = "local";

	TRY(exchange_json(x, false, &body));
	struct json_cursor root = json_root(body);
	TRY(json_get_string(&root, "Name", JSON_OPTIONAL, &name));
	TRY(json_get_string(&root, "Driver", JSON_OPTIONAL, &driver));
	TRY(json_pairs(&root, "Labels", false, &labels));
	TRY(json_pairs(&root, "DriverOpts", false, &options));
	if (*driver && !str_eq(driver, "local"))
		return err_new(ERR_NOT_FOUND,
			       "error looking up volume plugin %.64s: plugin \"%.64s\" not found", driver,
			       driver);
	TRY(volume_create(x->engine, str_empty(name) ? NULL : name, labels, options, &made));
	return answer_volume(x, 201, made);
}

struct err *handle_volume_remove(struct exchange *x)
{
	struct err *e = volume_delete(x->engine, x->captures[0]);

	if (e && e->kind == ERR_NOT_FOUND && exchange_flag(x, "force", false)) {
		err_free(e);
		e = NULL;
	}
	TRY(e);
	return answer_empty(x, 204);
}

/* From 1.42 on only those without a name of their own, unless all=true. */
struct err *handle_volume_prune(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL;
	struct volume *list;
	uint64_t bytes = 0;
	size_t n;
	bool all = x->version < 42;

	TRY(exchange_filters(x, "all label label!", &filters));
	STRV_FOREACH (f, filters)
		all |= str_eq(*f, "all=true") || str_eq(*f, "all=1");
	TRY(volume_list(x->engine, &list, &n));
	struct json *o = json_new_object(), *removed = json_new_array();
	for (size_t i = 0; i < n; i++) {
		bool gone = false;
		if (list[i].links || (!all && !list[i].generated) || !filter_labels(filters, list[i].labels))
			continue;
		uint64_t size = volume_bytes(&list[i]);
		err_free(volume_remove_unused(x->engine, list[i].name, &gone));
		if (gone) {
			bytes += size;
			json_append(removed, json_new_string(list[i].name));
		}
	}
	volumes_free(list, n);
	json_set(o, "VolumesDeleted", removed);
	json_set_u64(o, "SpaceReclaimed", bytes);
	return answer_json(x, 200, o);
}
