/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle is a directory with `rootfs` and, made last, `havre.json`: nothing in rootfs that was touched before it has an older ctime than
 * it, so that what was changed later is found without reading everything. */
#include "images/edit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "config_change.h"
#include "image_draft.h"
#include "layer_path.h"
#include "snapshot_whole.h"
#include "tree_diff.h"

#define METADATA "havre.json"

/* -- what all have in common ---------------------------------------------------------------------------------------- */

static struct err *created_ns(const struct image_edit *edit, int64_t *ret)
{
	int64_t epoch_s = INT64_MAX;

	*ret = edit->created_ns;
	if (edit->created_ns != INT64_MIN)
		return NULL;
	TRY(source_date_epoch(&epoch_s));
	*ret = epoch_s == INT64_MAX ? timestamp_now_ns() : epoch_s * 1000000000;
	return NULL;
}

static struct err *finish(struct store *s, struct image_draft *draft, const struct image_edit *edit,
			  bool empty_layer, struct digest *ret_id)
{
	_cleanup_image_ struct image *made = NULL;
	struct image_draft_step step = {
		.author = edit->author,
		.comment = edit->comment,
		.created_by = edit->created_by,
		.empty_layer = empty_layer,
	};

	TRY(created_ns(edit, &step.created_ns));
	if (!edit->no_history)
		TRY(image_draft_add_step(draft, &step));
	TRY(image_draft_record(s, draft, edit->name, &made));
	*ret_id = made->id;
	return NULL;
}

static const struct digest *top_of(const struct image *image)
{
	static const struct digest none;

	return image->n_layers ? &image->layers[image->n_layers - 1] : &none;
}

/* -- unpack and repack ------------------------------------------------------------------------------------------------ */

static struct err *write_metadata(int dirfd, const struct image *image)
{
	_cleanup_json_ struct json *o = json_new_object();

	json_set_i64(o, "version", 1);
	json_set_string(o, "image", image->id.s);
	_cleanup_free_ char *text = json_print(o, JSON_PRETTY);
	return file_replace_at(dirfd, METADATA, text, strlen(text), 0644, FILE_VOLATILE);
}

struct err *image_unpacked_from(int dirfd, struct digest *ret_id)
{
	_cleanup_json_ struct json *o = NULL;
	const char *image;
	int64_t version = 0;

	struct err *e = json_parse_file_at(dirfd, METADATA, &o);
	if (e && e->kind == ERR_NOT_FOUND)
		return err_wrap(e, "this is no directory that havre image unpack has made");
	TRY(e);
	struct json_cursor root = json_root(o);
	TRY(json_get_i64(&root, "version", JSON_REQUIRED, 1, 1, &version));
	TRY(json_get_string(&root, "image", JSON_REQUIRED, &image));
	return digest_parse(image, ret_id);
}

struct err *image_unpack(struct store *s, const struct image *image, int dirfd,
			 const struct progress *progress)
{
	_cleanup_fd_ int rootfs = -1, lock = -1;

	TRY(store_lock_shared(s, &lock));
	if (mkdirat(dirfd, "rootfs", 0755) < 0)
		return err_errno(errno, "cannot make the directory rootfs");
	rootfs = openat(dirfd, "rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rootfs < 0)
		return err_errno(errno, "cannot open the directory rootfs");
	TRY(layers_unpack(s, top_of(image), rootfs, progress));
	return write_metadata(dirfd, image);
}

struct packing {
	int rootfs;
	int64_t clamp_s;
	bool omit_root;
	struct snapshot_change *changes;
	size_t n;
};

static struct err *write_changes(struct tar_writer *w, void *user)
{
	const struct packing *p = user;
	const struct tar_tree_options o = {.clamp_s = p->clamp_s, .omit_root = p->omit_root};

	return tar_writer_changes(w, p->rootfs, p->changes, p->n, &o);
}

static struct err *find_changes(struct store *s, const struct image *image, int dirfd, char *const *masked,
				struct packing *p)
{
	struct tree_diff_options o = {.skip = masked, .whole = true};
	_cleanup_free_ char *temporary = NULL;
	_cleanup_fd_ int base = -1;
	struct stat st;

	if (fstatat(dirfd, METADATA, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(errno, "cannot look at " METADATA);
	o.since = st.st_ctim;
	TRY(layers_open(s, top_of(image), &base, &temporary));
	struct err *e = tree_diff(p->rootfs, base, &o, &p->changes, &p->n);
	if (!e && base >= 0) {
		bool same;
		e = tree_same_attributes(p->rootfs, base, &same);
		p->omit_root = !e && same;
	}
	if (temporary)
		err_free(file_remove_tree_at(s->root_fd, temporary));
	return e;
}

static struct err *repack(struct store *s, int dirfd, char *const *masked, bool refresh,
			  const struct image_edit *edit, struct packing *p, struct digest *ret_id)
{
	_cleanup_image_ struct image *image = NULL, *made = NULL;
	_cleanup_image_draft_ struct image_draft draft = {0};
	struct digest id;

	TRY(source_date_epoch(&p->clamp_s));
	TRY(image_unpacked_from(dirfd, &id));
	TRY(store_find(s, id.s, &image));
	p->rootfs = openat(dirfd, "rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->rootfs < 0)
		return err_errno(errno, "cannot open the directory rootfs");
	TRY_WRAP(find_changes(s, image, dirfd, masked, p), "cannot compare rootfs with the image");
	if (p->n == 0 && p->omit_root) {
		if (edit->name)
			TRY(store_tag(s, image, edit->name));
		*ret_id = image->id;
		return NULL;
	}
	TRY(image_draft_from(s, image, &draft));
	TRY(image_draft_write_layer(s, &draft, top_of(image), write_changes, p, edit->progress));
	TRY(finish(s, &draft, edit, false, ret_id));
	if (!refresh)
		return NULL;
	TRY(store_find(s, ret_id->s, &made));
	return write_metadata(dirfd, made);
}

struct err *image_repack(struct store *s, int dirfd, char *const *masked, bool refresh,
			 const struct image_edit *edit, struct digest *ret_id)
{
	_cleanup_fd_ int lock = -1;
	struct packing p = {.rootfs = -1, .clamp_s = INT64_MAX};

	TRY(store_lock_shared(s, &lock));
	struct err *e = repack(s, dirfd, masked, refresh, edit, &p, ret_id);
	snapshot_changes_free(p.changes, p.n);
	if (p.rootfs >= 0)
		close(p.rootfs);
	return e;
}

/* -- insert ------------------------------------------------------------------------------------------------------------ */

struct inserting {
	const struct image_insertion *what;
	char *target; /* "usr/bin/x" */
	int fd;
};

static struct err *write_insertion(struct tar_writer *w, void *user)
{
	const struct inserting *i = user;
	const char *slash = strrchr(i->target, '/'), *name = slash ? slash + 1 : i->target;
	struct tar_tree_options o = {.clamp_s = INT64_MAX};

	TRY(source_date_epoch(&o.clamp_s));
	if (!i->what->source) {
		_cleanup_free_ char *whiteout =
			xasprintf("%.*s.wh.%s", (int)(name - i->target), i->target, name);
		return tar_writer_file(w, whiteout, NULL, 0);
	}
	return tar_writer_path(w, i->fd, i->target, i->what->opaque, &o);
}

/* "/usr//bin/./x/" is "usr/bin/x"; ".." would depend on symbolic links of the image. */
static struct err *clean_target(const char *target, char **ret)
{
	_cleanup_strv_ char **parts = strv_split(target, "/");
	_cleanup_strbuf_ struct strbuf clean = {0};

	STRV_FOREACH (part, parts) {
		if (str_empty(*part) || str_eq(*part, "."))
			continue;
		if (str_eq(*part, ".."))
			return err_new(ERR_INVALID, "%s: the target must not contain \"..\"", target);
		if (str_starts(*part, ".wh."))
			return err_new(ERR_INVALID,
				       "%s: names that begin with .wh. mark what was deleted in a layer",
				       target);
		strbuf_printf(&clean, "%s%s", clean.len ? "/" : "", *part);
	}
	if (!clean.len)
		return err_new(ERR_INVALID, "the target \"%s\" is the root directory", target);
	*ret = strbuf_take(&clean);
	return NULL;
}

struct err *image_insert(struct store *s, const struct image *image, const struct image_insertion *what,
			 const struct image_edit *edit, struct digest *ret_id)
{
	_cleanup_image_draft_ struct image_draft draft = {0};
	_cleanup_free_ char *target = NULL;
	_cleanup_fd_ int lock = -1, fd = -1;

	TRY(clean_target(what->target, &target));
	if (what->source) {
		fd = open(what->source, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_errno(errno, "cannot open %s", what->source);
	}
	struct inserting i = {what, target, fd};
	TRY(store_lock_shared(s, &lock));
	TRY(image_draft_from(s, image, &draft));
	TRY(image_draft_write_layer(s, &draft, top_of(image), write_insertion, &i, edit->progress));
	return finish(s, &draft, edit, false, ret_id);
}

/* -- configuration ----------------------------------------------------------------------------------------------------- */

static void set_text(struct json *o, const char *key, const char *value)
{
	if (value)
		json_set_string(o, key, value);
}

static struct err *object_in(struct json *o, const char *key, struct json **ret)
{
	struct json_cursor root = json_root(o), member;

	TRY(json_get_object(&root, key, JSON_OPTIONAL, &member));
	if (!member.value) {
		json_set(o, key, json_new_object());
		TRY(json_get_object(&root, key, JSON_REQUIRED, &member));
	}
	*ret = member.value;
	return NULL;
}

static struct err *annotate(struct image_draft *d, const struct image_config_edit *c)
{
	struct json *annotations;

	if (c->clear_annotations)
		json_remove(d->manifest, "annotations");
	if (!strv_len(c->annotations))
		return NULL;
	TRY(object_in(d->manifest, "annotations", &annotations));
	STRV_FOREACH (pair, c->annotations) {
		const char *equals = strchr(*pair, '=');
		if (!equals || equals == *pair)
			return err_new(ERR_INVALID, "annotation %s is not KEY=VALUE", *pair);
		_cleanup_free_ char *key = xstrndup(*pair, (size_t)(equals - *pair));
		json_set_string(annotations, key, equals + 1);
	}
	return NULL;
}

static struct err *change_document(struct image_draft *d, const struct image_config_edit *c)
{
	_cleanup_config_change_ struct config_change change = {0};
	struct json *config;

	set_text(d->config, "created", c->created);
	set_text(d->config, "author", c->author);
	set_text(d->config, "architecture", c->architecture);
	set_text(d->config, "os", c->os);
	TRY(object_in(d->config, "config", &config));
	STRV_FOREACH (key, c->clear)
		json_remove(config, *key);
	if (c->entrypoint)
		json_set_strv(config, "Entrypoint", c->entrypoint);
	if (c->cmd)
		json_set_strv(config, "Cmd", c->cmd);
	struct json_cursor root = json_root(config);
	TRY(config_change_load(&change, &root));
	STRV_FOREACH (instruction, c->changes)
		TRY(config_change_apply(&change, *instruction));
	config_change_store(&change, config);
	return annotate(d, c);
}

struct err *image_configure(struct store *s, const struct image *image, const struct image_config_edit *c,
			    const struct image_edit *edit, struct digest *ret_id)
{
	_cleanup_image_draft_ struct image_draft draft = {0};
	_cleanup_fd_ int lock = -1;

	TRY(store_lock_shared(s, &lock));
	TRY(image_draft_from(s, image, &draft));
	TRY(change_document(&draft, c));
	return finish(s, &draft, edit, true, ret_id);
}
