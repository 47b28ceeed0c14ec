/* SPDX-License-Identifier: Apache-2.0 */
/* ROOT/lists/HEX.json, HEX being the digest of the name: {"name", "index", "sources": {DIGEST: PLACE}}. */
#include "list.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "content.h"

#define LIST_MAX ((size_t)16 << 20)

static char *file_of(const struct reference *name)
{
	_cleanup_free_ char *text = reference_string(name);
	struct digest d;

	digest_of(text, strlen(text), &d);
	return xasprintf("lists/%s.json", digest_hex(&d));
}

void list_close(struct list *l)
{
	json_unref(l->doc);
	free(l->file);
	fd_close(l->lock);
}

static struct err *load(struct list *l, const struct reference *name)
{
	_cleanup_free_ char *text = NULL, *shown = reference_familiar(name);
	size_t size;

	struct err *e = file_read_at(l->store->root_fd, l->file, LIST_MAX, &text, &size);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return err_new(ERR_NOT_FOUND, "no such manifest list: %s", shown);
	}
	TRY(e);
	TRY_WRAP(json_parse(text, size, "manifest list", &l->doc), "%s/%s", l->store->root, l->file);
	struct json_cursor root = json_root(l->doc), index;
	TRY(json_get_object(&root, "index", JSON_REQUIRED, &index));
	l->index = index.value;
	TRY(json_get_object(&root, "sources", JSON_REQUIRED, &index));
	l->sources = index.value;
	return NULL;
}

struct err *list_open(struct store *s, const struct reference *name, bool change, struct list *l)
{
	*l = (struct list){.store = s, .file = file_of(name), .lock = -1};
	if (change) {
		TRY(store_check_writable(s));
		if (mkdirat(s->root_fd, "lists", 0755) < 0 && errno != EEXIST)
			return err_errno(errno, "cannot make %s/lists", s->root);
		TRY(file_lock_at(s->root_fd, "lists/lock", FILE_LOCK_EXCLUSIVE, &l->lock));
	}
	return load(l, name);
}

struct err *list_write(const struct list *l)
{
	_cleanup_free_ char *text = json_print(l->doc, JSON_COMPACT);

	return file_replace_at(l->store->root_fd, l->file, text, strlen(text), 0644, FILE_DURABLE);
}

struct err *list_create(struct store *s, const struct reference *name, bool amend)
{
	_cleanup_list_ struct list l = {.lock = -1};
	_cleanup_free_ char *text = reference_string(name), *shown = reference_familiar(name);
	struct err *e = list_open(s, name, true, &l);

	if (!e)
		return amend ? NULL
			     : err_new(ERR_EXISTS, "the manifest list %s exists already (--amend adds to it)",
				       shown);
	if (e->kind != ERR_NOT_FOUND || l.lock < 0)
		return e;
	err_free(e);
	l.doc = json_new_object();
	l.index = json_new_object();
	json_set_string(l.doc, "name", text);
	json_set(l.doc, "index", l.index);
	json_set(l.doc, "sources", json_new_object());
	json_set_i64(l.index, "schemaVersion", 2);
	json_set_string(l.index, "mediaType", MEDIA_OCI_INDEX);
	json_set(l.index, "manifests", json_new_array());
	return list_write(&l);
}

struct err *list_read(struct store *s, const struct reference *name, char **ret)
{
	_cleanup_list_ struct list l = {.lock = -1};

	TRY(list_open(s, name, false, &l));
	*ret = json_print(l.index, JSON_PRETTY);
	return NULL;
}

struct err *list_delete(struct store *s, const struct reference *name)
{
	_cleanup_list_ struct list l = {.lock = -1};

	TRY(list_open(s, name, true, &l));
	if (unlinkat(s->root_fd, l.file, 0) < 0)
		return err_errno(errno, "cannot remove %s/%s", s->root, l.file);
	return NULL;
}

/* -- entries ------------------------------------------------------------------------------------------------------ */

struct err *list_entries(const struct list *l, struct json_cursor *root, struct json_cursor *ret)
{
	*root = json_root(l->index);
	return json_get_array(root, "manifests", JSON_REQUIRED, ret);
}

static bool is_digest(const struct json_cursor *entry, const struct digest *d)
{
	const char *s = "";
	struct err *e = json_get_string(entry, "digest", JSON_OPTIONAL, &s);

	err_free(e);
	return str_eq(s, d->s);
}

/* All entries but the one of this digest; *ret_found is that one, or NULL. */
static struct err *without(struct list *l, const struct digest *d, struct json **ret_list,
			   struct json **ret_found)
{
	struct json_cursor root, entries;
	struct json *kept;

	TRY(list_entries(l, &root, &entries));
	kept = json_new_array();
	*ret_found = NULL;
	for (size_t i = 0, n = json_array_len(&entries); i < n; i++) {
		struct json_cursor one = json_at(&entries, i);
		if (is_digest(&one, d))
			*ret_found = one.value;
		else
			json_append(kept, json_ref(one.value));
	}
	*ret_list = kept;
	return NULL;
}

static void set_word(struct json *o, const char *key, const char *value)
{
	if (!str_empty(value))
		json_set_string(o, key, value);
}

static struct err *describe(struct json *entry, const struct list_entry_options *o)
{
	struct json_cursor root = json_root(entry), platform, annotations;

	TRY(json_get_object(&root, "platform", JSON_OPTIONAL, &platform));
	if (!platform.value) {
		json_set(entry, "platform", json_new_object());
		TRY(json_get_object(&root, "platform", JSON_REQUIRED, &platform));
	}
	set_word(platform.value, "architecture", o->architecture);
	set_word(platform.value, "os", o->os);
	set_word(platform.value, "os.version", o->os_version);
	if (strv_len(o->os_features))
		json_set_strv(platform.value, "os.features", o->os_features);
	set_word(platform.value, "variant", o->variant);
	STRV_FOREACH (text, o->annotations) {
		const char *value = strchr(*text, '=');
		if (!value || value == *text)
			return err_new(ERR_INVALID, "annotation \"%.200s\": the form is KEY=VALUE", *text);
		TRY(json_get_object(&root, "annotations", JSON_OPTIONAL, &annotations));
		if (!annotations.value) {
			json_set(entry, "annotations", json_new_object());
			TRY(json_get_object(&root, "annotations", JSON_REQUIRED, &annotations));
		}
		_cleanup_free_ char *key = xstrndup(*text, (size_t)(value - *text));
		json_set_string(annotations.value, key, value + 1);
	}
	return NULL;
}

struct err *list_put(struct list *l, const struct descriptor *d, const char *source,
		     const struct list_entry_options *o)
{
	struct json *kept, *old;
	_cleanup_json_ struct json *entry = json_new_object();

	json_set_string(entry, "mediaType", d->media_type);
	json_set_string(entry, "digest", d->digest.s);
	json_set_u64(entry, "size", d->size);
	const struct list_entry_options own = {.os = d->platform.os,
					       .architecture = d->platform.architecture,
					       .variant = d->platform.variant};
	TRY(describe(entry, &own));
	TRY(describe(entry, o));
	TRY(without(l, &d->digest, &kept, &old));
	json_append(kept, TAKE_PTR(entry));
	json_set(l->index, "manifests", kept);
	json_set_string(l->sources, d->digest.s, source);
	return NULL;
}

struct err *list_annotate(struct store *s, const struct reference *name, const struct digest *entry,
			  const struct list_entry_options *o)
{
	_cleanup_list_ struct list l = {.lock = -1};
	_cleanup_json_ struct json *kept = NULL;
	struct json *found;

	TRY(list_open(s, name, true, &l));
	TRY(without(&l, entry, &kept, &found));
	if (!found)
		return err_new(ERR_NOT_FOUND, "the list has no manifest %s", entry->s);
	TRY(describe(found, o));
	return list_write(&l);
}

struct err *list_remove(struct store *s, const struct reference *name, const struct digest *entry)
{
	_cleanup_list_ struct list l = {.lock = -1};
	struct json *kept, *found;

	TRY(list_open(s, name, true, &l));
	TRY(without(&l, entry, &kept, &found));
	json_set(l.index, "manifests", kept);
	if (!found)
		return err_new(ERR_NOT_FOUND, "the list has no manifest %s", entry->s);
	json_remove(l.sources, entry->s);
	return list_write(&l);
}
