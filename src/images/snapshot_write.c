/* SPDX-License-Identifier: Apache-2.0 */
/* Layers and tars written from snapshots: export and commit. */
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "config_change.h"
#include "image_draft.h"
#include "overlay.h"
#include "snapshot_view.h"
#include "store_image.h"
#include "tar.h"
#include "tree_diff.h"

/* -- export ------------------------------------------------------------------------------------------------------ */

struct err *snapshot_export(struct store *s, const char *key, int fd)
{
	_cleanup_(fd_sink_release) struct fd_sink sink;
	_cleanup_fd_ int root = -1;
	struct tar_tree_options o = {.clamp_s = INT64_MAX, .omit_root = true};
	struct tar_writer w = {.sink = &sink.sink};

	fd_sink_init(&sink, fd, "the archive");
	TRY(source_date_epoch(&o.clamp_s));
	TRY(snapshot_open_merged(s, key, &root));
	TRY(tar_writer_tree(&w, root, &o));
	TRY(tar_writer_end(&w));
	return fd_sink_flush(&sink);
}

/* -- commit ------------------------------------------------------------------------------------------------------ */

struct layer_job {
	const struct snapshot_view *view;
	int64_t clamp_s;
};

static struct err *write_layer(struct tar_writer *w, void *user)
{
	const struct layer_job *job = user;
	const struct snapshot_view *v = job->view;
	struct tar_tree_options o = {.clamp_s = job->clamp_s,
				     .overlay = !v->whole,
				     .userxattr = overlay_userxattr(),
				     .skip = v->made};
	struct snapshot_change *changes;
	size_t n;

	/* An unchanged root is not in the layer: its entry would say nothing. */
	if (v->base >= 0)
		TRY(tree_same_attributes(v->upper, v->base, &o.omit_root));
	if (!v->whole)
		return tar_writer_tree(w, v->upper, &o);
	TRY(snapshot_view_diff(v, &changes, &n));
	struct err *e = tar_writer_changes(w, v->upper, changes, n, &o);
	snapshot_changes_free(changes, n);
	return e;
}

static struct err *change_config(struct image_draft *draft, const struct snapshot_commit_options *o)
{
	_cleanup_config_change_ struct config_change change = {0};
	struct json_cursor root = json_root(draft->config), config;

	if (o->config)
		json_set(draft->config, "config", json_deep_copy(o->config));
	if (!strv_len(o->changes))
		return NULL;
	TRY(json_get_object(&root, "config", JSON_OPTIONAL, &config));
	if (!config.value) {
		json_set(draft->config, "config", json_new_object());
		TRY(json_get_object(&root, "config", JSON_REQUIRED, &config));
	}
	TRY(config_change_load(&change, &config));
	STRV_FOREACH (instruction, o->changes)
		TRY(config_change_apply(&change, *instruction));
	config_change_store(&change, config.value);
	return NULL;
}

static struct err *commit(struct store *s, const char *key, const struct snapshot_commit_options *o,
			  struct digest *ret_id)
{
	_cleanup_fd_ int lock = -1;
	_cleanup_snapshot_view_ struct snapshot_view view = SNAPSHOT_VIEW_NONE;
	_cleanup_image_draft_ struct image_draft draft = {0};
	_cleanup_image_ struct image *image = NULL, *made = NULL;
	struct image_draft_step step = {
		.author = o->author, .comment = o->message, .created_by = o->created_by};
	int64_t epoch_s = INT64_MAX;

	TRY(source_date_epoch(&epoch_s));
	TRY(store_check_writable(s));
	TRY(store_lock_shared(s, &lock));
	TRY(snapshot_view_open(s, key, &view));
	TRY(store_find(s, view.image.s, &image));
	TRY(image_draft_from(s, image, &draft));
	/* What can be wrong with the request is found before the first byte is written. */
	TRY(change_config(&draft, o));
	struct layer_job job = {&view, epoch_s};
	TRY(image_draft_write_layer(s, &draft, &view.top, write_layer, &job, o->progress));
	step.created_ns = epoch_s == INT64_MAX ? timestamp_now_ns() : epoch_s * 1000000000;
	TRY(image_draft_add_step(&draft, &step));
	TRY(image_draft_record(s, &draft, o->name, &made));
	*ret_id = made->id;
	return NULL;
}

struct err *snapshot_commit(struct store *s, const char *key, const struct snapshot_commit_options *o,
			    struct digest *ret_id)
{
	struct err *e = commit(s, key, o, ret_id);

	if (e && e->kind == ERR_NO_SPACE)
		store_give_back(s);
	return e;
}
