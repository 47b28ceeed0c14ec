/* SPDX-License-Identifier: Apache-2.0 */
/* The image store: content as an OCI image layout (blobs/sha256/…, index.json kept current for skopeo and umoci), names and layer
 * facts in SQLite, layers applied to directories, all below one root. Several processes use it at once.
 *
 * Invariants
 *  S1 A blob file under its digest's name is complete and has that digest; it got there by rename after verification.
 *  S2 A name in the database points to a manifest whose config and (for the platform) layers are all present as blobs or
 *     applied layers; it is recorded last, in one transaction.
 *  S3 A layer directory under its chain id is complete; it got there by rename; a directory without a row is garbage.
 *  S4 Garbage (temporary files, unreferenced blobs and layers) is removed only under the store's exclusive lock; whoever
 *     adds content holds the shared lock from before the first blob until the name is recorded.
 */
#ifndef IMAGES_STORE_H
#define IMAGES_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "images/reference.h"

struct store;

/* Told what is done to images, in docker's words: pull, push, tag, untag, delete, load, save, import. id: the image's digest, or the name where
 * docker has that (pull, push). May be called in any thread that uses the store, after the fact. */
typedef void store_observer(void *user, const char *action, const char *id, const char *name);
void store_observe(struct store *s, store_observer *observer, void *user);

/* root is made when missing (0700). */
_must_check_ struct err *store_open(const char *root, struct store **ret);
void store_close(struct store *s);
DEFINE_CLEANUP(struct store *, store_close)
/* How new images are kept: "overlay" (unpacked directories), "erofs" (layers as plain tar files under an EROFS index; adding a layer is
 * ERR_UNSUPPORTED where the kernel cannot mount that) or "vfs" (plain tar files, and a whole copy for each container). What is in the store
 * stays as it is and goes on working. Without a choice the configuration file's is taken, or else the first of overlay and vfs that works on the
 * store's file system. */
_must_check_ struct err *store_set_driver(struct store *s, const char *name, const char *reason);
/* The name, and why it is that one; borrowed. */
_must_check_ struct err *store_driver_name(struct store *s, const char **ret, const char **ret_reason);

struct platform {
	char os[32], architecture[32], variant[32]; /* Go's words: linux, amd64, v2 */
};
struct platform platform_host(void);
_must_check_ struct err *platform_parse(const char *s, struct platform *ret); /* "linux/arm64/v8" */

/* What one local image is. `id` is the config digest (docker's image id). */
struct image {
	struct digest id;
	struct digest manifest; /* of the platform's manifest */
	struct digest target;   /* what the name points to: that manifest or the index around it */
	char **names;           /* canonical references with tag that point here */
	char **repo_digests;    /* "docker.io/library/debian@sha256:…" */
	struct digest *layers;  /* chain ids, lowest first */
	struct digest *diff_ids;
	size_t n_layers;
	int64_t created_ns;
	int64_t last_tag_ns; /* when one of the names came to stand for it; 0: not known */
	uint64_t size;       /* bytes of the unpacked layers */
	struct platform platform;
	struct json *config; /* the image config document */
};
void image_free(struct image *i);
DEFINE_CLEANUP(struct image *, image_free)
#define _cleanup_image_ _cleanup_(image_freep)

/* By reference, "name@digest", image id or unique prefix of an id (>= 3 hex digits here is not required; ambiguous is ERR_INVALID).
 * ERR_NOT_FOUND: "no such image: …". */
_must_check_ struct err *store_find(struct store *s, const char *what, struct image **ret);
_must_check_ struct err *store_list(struct store *s, struct image ***ret,
				    size_t *ret_n); /* newest first; free each and the array */
/* The same without layers and diff_ids, which cost most of it where there are many images. */
_must_check_ struct err *store_list_brief(struct store *s, struct image ***ret, size_t *ret_n);
_must_check_ struct err *store_tag(struct store *s, const struct image *image, const struct reference *name);
/* Takes a name from the image, which stays. ERR_NOT_FOUND: it is not one of its names. */
_must_check_ struct err *store_untag(struct store *s, const struct image *image,
				     const struct reference *name);
/* Removes a name; when it was the last one, the image and all content nobody else needs. Reports what happened in docker's
 * words in *ret_lines ("Untagged: …", "Deleted: …"). `what` as store_find. in_use: callback-free; the engine checks before. */
_must_check_ struct err *store_remove(struct store *s, const char *what, bool force, char ***ret_lines);
/* Host paths of the directories that a container of the image is mounted over, the topmost first; NULL where its layers are tar files. Caller frees. */
_must_check_ struct err *store_layer_directories(struct store *s, const struct image *image, char ***ret);
/* What the image's name points to: size and, borrowed from literals, type. */
_must_check_ struct err *store_target_facts(struct store *s, const struct image *image, uint64_t *ret_size,
					    const char **ret_media_type);
/* Reads a blob into memory (manifest, config), verifying its digest. */
_must_check_ struct err *store_blob_read(struct store *s, const struct digest *d, size_t max, char **ret_data,
					 size_t *ret_size);
_must_check_ struct err *store_blob_open(struct store *s, const struct digest *d, int *ret_fd);
/* Removes what nothing refers to. */
_must_check_ struct err *store_collect(struct store *s, uint64_t *ret_freed_bytes);

/* Progress of long work, called from worker threads under a lock of the caller's making (calls are serialised). */
enum progress_phase {
	PROGRESS_WAITING,
	PROGRESS_DOWNLOADING,
	PROGRESS_APPLYING,
	PROGRESS_DONE,
	PROGRESS_EXISTS,
	PROGRESS_RETRYING,
	PROGRESS_UPLOADING,
	PROGRESS_MOUNTED /* the registry had it in another repository */
};
struct progress {
	void (*update)(void *user, const char *id /* short digest */, enum progress_phase phase,
		       uint64_t done, uint64_t total);
	void (*message)(void *user, const char *text);
	bool (*cancelled)(void *user); /* may be NULL */
	void *user;
};

#endif
