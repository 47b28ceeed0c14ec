/* SPDX-License-Identifier: Apache-2.0 */
/* A new database for a store that lost its own: names and images are in index.json and the blobs, layers are known by their directories,
 * which have the chain id for a name and are complete (S3).
 *
 * index.json is written anew with each image that is recorded, so the list to work from is kept beside it until the work is done: killed in
 * between, the next check finds that list and goes on. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "layer_add.h"
#include "layer_index.h"
#include "manifest.h"
#include "store_check.h"
#include "tar.h"

#define LIST "index.json.rebuild"
#define TREE_DEPTH_MAX 256

struct err *store_set_database_aside(int root_fd, const char *root)
{
	static const char *const files[][2] = {{"store.db-shm", NULL},
					       {"store.db-wal", "store.db.damaged-wal"},
					       {"store.db", "store.db.damaged"}};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int r = files[i][1] ? renameat(root_fd, files[i][0], root_fd, files[i][1])
				    : unlinkat(root_fd, files[i][0], 0);
		if (r < 0 && errno != ENOENT)
			return err_errno(errno, "cannot move %s/%s away", root, files[i][0]);
	}
	return NULL;
}

/* -- layers ------------------------------------------------------------------------------------------------------------ */

/* Bytes of the regular files below; owns fd. */
static struct err *tree_size(int fd, unsigned depth, uint64_t *bytes)
{
	DIR *dir = fdopendir(fd);
	struct err *e = NULL;

	if (!dir) {
		e = err_errno(errno, "cannot list a layer's directory");
		close(fd);
		return e;
	}
	for (struct dirent *d; !e && (d = readdir(dir));) {
		struct stat st;
		if (str_eq(d->d_name, ".") || str_eq(d->d_name, "..") ||
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode))
			*bytes += (uint64_t)st.st_size / (st.st_nlink ? st.st_nlink : 1);
		if (!S_ISDIR(st.st_mode) || depth == 0)
			continue;
		int sub = openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			e = tree_size(sub, depth - 1, bytes);
	}
	closedir(dir);
	return e;
}

static struct err *tar_size(int fd, const char *what, uint64_t *bytes)
{
	_cleanup_free_ struct file_source *source = xnew(struct file_source);
	const struct tar_entry *entry;

	TRY(file_source_init(source, fd, 0));
	_cleanup_tar_reader_ struct tar_reader *tar = tar_reader_new(&source->source, what);
	while (true) {
		TRY(tar_reader_next(tar, &entry));
		if (!entry)
			return NULL;
		if (entry->type == TAR_FILE)
			*bytes += entry->size;
	}
}

/* Makes the row for a directory that is in its place. *ret: there was one. */
static struct err *adopt_layer(struct store *s, const struct digest *chain, const struct digest *diff,
			       const struct digest *parent, bool *ret)
{
	struct layer_row row = {.chain = *chain, .diff = *diff};

	*ret = false;
	if (parent)
		row.parent = *parent;
	for (int tar = 0; tar < 2; tar++) {
		snprintf(row.dir, sizeof(row.dir), "%s%s", digest_hex(chain), tar ? ".tar" : "");
		_cleanup_free_ char *path = xasprintf("layers/%s%s", row.dir, tar ? "/tar" : "");
		int fd = openat(s->root_fd, path,
				O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (tar ? O_NONBLOCK : O_DIRECTORY));
		if (fd < 0)
			continue;
		struct err *e =
			tar ? tar_size(fd, path, &row.size) : tree_size(fd, TREE_DEPTH_MAX, &row.size);
		if (tar)
			close(fd);
		if (e) { /* a tar that cannot be read is no layer */
			err_free(e);
			continue;
		}
		*ret = true;
		return layer_row_add(s, &row);
	}
	return NULL;
}

static struct err *bring_layers_back(struct store *s, const struct manifest *m,
				     const struct image_config *config)
{
	_cleanup_free_ struct digest *chains = xnew_array(struct digest, config->n_layers + 1);

	if (config->n_layers != m->n_entries)
		return err_new(ERR_INVALID, "the manifest lists %zu layers, the config %zu", m->n_entries,
			       config->n_layers);
	for (size_t i = 0; i < config->n_layers; i++) {
		const struct digest *parent = i ? &chains[i - 1] : NULL;
		_cleanup_fd_ int fd = -1;
		struct digest added;
		bool adopted = false;

		layer_chain_id(parent, &config->diff_ids[i], &chains[i]);
		if (layer_exists(s, &chains[i]))
			continue;
		TRY(adopt_layer(s, &chains[i], &config->diff_ids[i], parent, &adopted));
		if (adopted)
			continue;
		TRY(store_blob_open(s, &m->entries[i].digest, &fd));
		TRY(layer_add(s, fd, NULL, &config->diff_ids[i], parent, NULL, &added));
	}
	return NULL;
}

/* -- images ------------------------------------------------------------------------------------------------------------ */

static struct err *bring_image_back(struct store *s, const struct digest *manifest, const char *name)
{
	_cleanup_manifest_ struct manifest *m = NULL;
	_cleanup_image_config_ struct image_config config = {0};
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	_cleanup_image_ struct image *image = NULL;
	_cleanup_free_ char *text = NULL, *config_text = NULL;
	size_t size;

	TRY(store_blob_read(s, manifest, MANIFEST_SIZE_MAX, &text, &size));
	TRY(manifest_parse(text, size, NULL, &m));
	if (m->is_index)
		return err_new(ERR_INVALID, "%s is an index", manifest->s);
	TRY(store_blob_read(s, &m->config.digest, CONFIG_SIZE_MAX, &config_text, &size));
	TRY(image_config_parse(config_text, size, &config));
	TRY(bring_layers_back(s, m, &config));
	if (name)
		TRY(reference_parse(name, &ref));
	struct image_record r = {.manifest = *manifest,
				 .target = *manifest,
				 .name = name ? &ref : NULL,
				 .layer_blobs_optional = true};
	return image_record(s, &r, &image, NULL);
}

static struct err *bring_entry_back(struct check *c, const struct json_cursor *entry)
{
	struct json_cursor annotations = {0};
	const char *digest = "", *name = NULL;
	struct digest manifest;

	TRY(json_get_string(entry, "digest", JSON_REQUIRED, &digest));
	TRY(digest_parse(digest, &manifest));
	TRY(json_get_object(entry, "annotations", JSON_OPTIONAL, &annotations));
	if (annotations.value)
		TRY(json_get_string(&annotations, "org.opencontainers.image.ref.name", JSON_OPTIONAL, &name));
	struct err *e = bring_image_back(c->store, &manifest, name);
	if (!e || e->kind == ERR_NO_SPACE || e->kind == ERR_CANCELLED)
		return e;
	_cleanup_free_ char *problem = err_text(e),
			    *remedy = xasprintf("havre pull %s", name ? name : "its name");
	err_free(e);
	c->keep_garbage = true;
	check_add(c, CHECK_LOST, xasprintf("image %s", name ? name : digest), TAKE_PTR(problem), remedy);
	return NULL;
}

/* Each is "NAME@DIGEST IMAGE". */
static struct err *bring_digest_back(struct store *s, char *const *pair)
{
	_cleanup_store_db_ struct store *locked = store_db_lock(s);
	_cleanup_strv_ char **words = strv_split(*pair, " ");
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;

	struct err *bad = strv_len(words) == 2 ? reference_parse(words[0], &ref) : NULL;
	if (strv_len(words) != 2 || bad || !digest_is_set(&ref.digest)) { /* of a damaged file: anything */
		err_free(bad);
		return NULL;
	}
	return db_run(locked->db, NULL,
		      "INSERT OR IGNORE INTO names(name, kind, image, manifest, target) SELECT ?1, ?2, id, "
		      "manifest, ?3 FROM images WHERE id=?4",
		      "siss", words[0], (int64_t)NAME_DIGEST, ref.digest.s, words[1]);
}

static struct err *bring_all_back(struct check *c, const char *list, char *const *salvaged)
{
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor root, manifests;

	TRY(json_parse_file_at(c->store->root_fd, list, &doc));
	root = json_root(doc);
	TRY(json_get_array(&root, "manifests", JSON_REQUIRED, &manifests));
	for (size_t i = 0, n = json_array_len(&manifests); i < n; i++) {
		struct json_cursor entry = json_at(&manifests, i);
		TRY(check_cancelled(c));
		TRY(bring_entry_back(c, &entry));
	}
	STRV_FOREACH (pair, salvaged)
		TRY(bring_digest_back(c->store, pair));
	return NULL;
}

/* Without a usable index.json: every blob that is an image's manifest. The names are gone. */
static struct err *bring_nameless_back(struct check *c)
{
	_cleanup_strv_ char **names = NULL;

	TRY(check_list(c, "blobs/sha256", &names));
	STRV_FOREACH (name, names) {
		_cleanup_free_ char *text = xasprintf("sha256:%s", *name), *data = NULL;
		_cleanup_manifest_ struct manifest *m = NULL;
		struct digest d;
		uint64_t size;
		size_t read_size;

		struct err *e = digest_parse(text, &d);
		if (!e && (!blob_exists(c->store, &d, &size) || size > MANIFEST_SIZE_MAX))
			continue;
		if (!e)
			e = store_blob_read(c->store, &d, MANIFEST_SIZE_MAX, &data, &read_size);
		if (!e)
			e = manifest_parse(data, read_size, NULL, &m);
		if (!e && !m->is_index)
			e = bring_image_back(c->store, &d, NULL);
		if (e && (e->kind == ERR_NO_SPACE || e->kind == ERR_CANCELLED))
			return e;
		err_free(e); /* most blobs are no manifests */
	}
	return NULL;
}

static bool exists(struct store *s, const char *name)
{
	return faccessat(s->root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

struct err *store_rebuild(struct check *c, char *const *salvaged)
{
	struct store *s = c->store;

	if (!exists(s, LIST) && exists(s, "index.json") &&
	    linkat(s->root_fd, "index.json", s->root_fd, LIST, 0) < 0)
		return err_errno(errno, "cannot keep %s/index.json", s->root);
	struct err *e = exists(s, LIST) ? bring_all_back(c, LIST, salvaged)
					: err_new(ERR_NOT_FOUND, "there is no %s/index.json", s->root);
	if (e && (e->kind == ERR_NOT_FOUND || e->kind == ERR_INVALID || e->kind == ERR_LIMIT)) {
		_cleanup_free_ char *text = err_text(e);
		err_free(e);
		c->keep_garbage = true;
		check_add(c, CHECK_LOST, xstrdup("names of images"), xstrdup(text),
			  "the images are back without names: give them names with havre tag, or pull them "
			  "again");
		e = bring_nameless_back(c);
	}
	TRY(e);
	if (unlinkat(s->root_fd, LIST, 0) < 0 && errno != ENOENT)
		return err_errno(errno, "cannot remove %s/" LIST, s->root);
	return NULL;
}

struct err *store_rebuild_needed(struct check *c, bool *ret)
{
	_cleanup_strv_ char **images = NULL;
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor root, manifests = {0};

	*ret = exists(c->store, LIST);
	TRY(check_query(c, "SELECT id FROM images LIMIT 1", &images));
	if (*ret || images || !exists(c->store, "index.json"))
		return NULL;
	struct err *e = json_parse_file_at(c->store->root_fd, "index.json", &doc);
	if (!e) {
		root = json_root(doc);
		e = json_get_array(&root, "manifests", JSON_OPTIONAL, &manifests);
	}
	for (size_t i = 0, n = e ? 0 : json_array_len(&manifests); i < n && !*ret; i++) {
		struct json_cursor entry = json_at(&manifests, i);
		struct digest d;
		const char *text = "";
		struct err *bad = json_get_string(&entry, "digest", JSON_REQUIRED, &text);
		if (!bad)
			bad = digest_parse(text, &d);
		*ret = !bad && blob_exists(c->store, &d, NULL);
		err_free(bad);
	}
	err_free(e); /* what index.json should say is looked at elsewhere */
	return NULL;
}

/* -- snapshots --------------------------------------------------------------------------------------------------------- */

struct err *store_rebuild_snapshot(struct store *s, const char *key, const struct digest *image_id)
{
	_cleanup_image_ struct image *image = NULL;

	TRY(store_find(s, image_id->s, &image));
	return snapshot_row_add(s, key, &image->id,
				image->n_layers ? &image->layers[image->n_layers - 1] : NULL);
}
