/* SPDX-License-Identifier: Apache-2.0 */
/* What a container has written: shown, exported, made an image. */
#include "event.h"
#include "images/snapshot.h"
#include "private.h"

static bool is_running(const struct container *c)
{
	return c->status == CONTAINER_RUNNING;
}

/* docker's rule: the image gets the configuration that the container was made with, in which the old image's was merged. */
static struct err *image_config(struct engine *e, const struct container *c, struct json **ret)
{
	const struct container_spec *s = c->spec;
	_cleanup_image_ struct image *image = NULL;
	_cleanup_json_ struct json *config = NULL;
	struct json_cursor root, old, volumes;
	struct store *store;

	TRY(engine_store(e, &store));
	TRY(store_find(store, c->image.s, &image));
	root = json_root(image->config);
	TRY(json_get_object(&root, "config", JSON_OPTIONAL, &old));
	config = old.value ? json_deep_copy(old.value) : json_new_object();
	if (s->user)
		json_set_string(config, "User", s->user);
	if (strv_len(s->env))
		json_set_strv(config, "Env", s->env);
	json_remove(config, "Entrypoint");
	json_remove(config, "Cmd");
	if (strv_len(s->entrypoint))
		json_set_strv(config, "Entrypoint", s->entrypoint);
	if (strv_len(s->command))
		json_set_strv(config, "Cmd", s->command);
	if (s->workdir)
		json_set_string(config, "WorkingDir", s->workdir);
	if (s->stop_signal)
		json_set_string(config, "StopSignal", s->stop_signal);
	if (strv_len(s->labels)) {
		struct json *labels = json_new_object();
		STRV_FOREACH (label, s->labels) {
			size_t n = strcspn(*label, "=");
			_cleanup_free_ char *key = xstrndup(*label, n);
			json_set_string(labels, key, (*label)[n] ? *label + n + 1 : "");
		}
		json_set(config, "Labels", labels);
	}
	struct json_cursor top = json_root(config);
	TRY(json_get_object(&top, "Volumes", JSON_OPTIONAL, &volumes));
	for (size_t i = 0; i < s->n_mounts; i++) {
		if (s->mounts[i].type != MOUNT_VOLUME || !s->mounts[i].anonymous)
			continue;
		if (!volumes.value) {
			json_set(config, "Volumes", json_new_object());
			TRY(json_get_object(&top, "Volumes", JSON_REQUIRED, &volumes));
		}
		json_set(volumes.value, s->mounts[i].target, json_new_object());
	}
	*ret = TAKE_PTR(config);
	return NULL;
}

struct err *container_commit(struct engine *e, struct container *c, const struct container_commit_options *o,
			     struct digest *ret_id)
{
	_cleanup_json_ struct json *config = NULL;
	_cleanup_free_ char *command = strv_join(c->spec->command, " ");
	struct store *store;

	TRY(engine_store(e, &store));
	TRY(image_config(e, c, &config));
	const struct snapshot_commit_options commit = {
		.name = o->name,
		.author = o->author,
		.message = o->message,
		.created_by = command,
		.config = config,
		.changes = o->changes,
		.progress = o->progress,
	};
	bool pause = o->pause && is_running(c);
	if (pause) {
		struct err *no = container_pause(e, c, true);
		pause = !no;
		/* An ordinary user's container has no freezer unless one was delegated: it goes on meanwhile, as with podman. */
		if (no && no->kind != ERR_UNSUPPORTED)
			return no;
		err_free(no);
	}
	struct err *error = snapshot_commit(store, c->id, &commit, ret_id);
	if (!error)
		event_container(e, c, "commit", "comment", o->message ?: "", NULL);
	struct err *resumed = pause ? container_pause(e, c, false) : NULL;
	/* It may have been killed, or resumed by somebody else. */
	if (!resumed || resumed->kind == ERR_STATE || resumed->kind == ERR_NOT_FOUND || error) {
		err_free(resumed);
		return error;
	}
	return resumed;
}

struct err *container_export(struct engine *e, struct container *c, int fd)
{
	struct store *store;

	TRY(engine_store(e, &store));
	TRY(snapshot_export(store, c->id, fd));
	event_container(e, c, "export", NULL);
	return NULL;
}

struct err *container_changes(struct engine *e, struct container *c, struct snapshot_change **ret,
			      size_t *ret_n)
{
	struct store *store;

	TRY(engine_store(e, &store));
	return snapshot_changes(store, c->id, ret, ret_n);
}

struct err *container_size(struct engine *e, const struct container *c, uint64_t *ret_own,
			   uint64_t *ret_whole)
{
	struct store *store;
	_cleanup_image_ struct image *image = NULL;
	uint64_t own = 0;

	TRY(engine_store(e, &store));
	TRY(snapshot_usage(store, c->id, &own));
	struct err *gone = store_find(store, c->image.s, &image);
	err_free(
		gone); /* an image whose names and rows were forced away: its layers are there, their size is not known */
	*ret_own = own;
	*ret_whole = own + (image ? image->size : 0);
	return NULL;
}
