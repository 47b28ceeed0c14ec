/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the images layer: the inside of the store. store.h has the invariants S1 to S4; this is what
 * keeps them.
 *
 *   ROOT/oci-layout, index.json   an OCI image layout; index.json is derived from the database
 *   ROOT/blobs/ALG/HEX            complete, verified content (S1)
 *   ROOT/ingest/                  everything that is not finished: blobs being written, layer directories
 * being applied or deleted. Same file system as the rest, so that rename finishes a thing. ROOT/layers/NAME/
 * applied layers (S3); NAME is chosen by layer.c and recorded in the layer's row ROOT/snapshots/KEY/
 * snapshots (owned by snapshot.c) ROOT/store.db                 names, images, layers, snapshots ROOT/lock
 * the store lock (S4), flock
 *
 * Who may do what
 *  C1 Adding content (blobs, layers, names) happens between store_lock_shared and closing that lock;
 * layer_add's callers hold it. C2 A file in ingest/ is flocked exclusively by whoever writes it. Deleting
 * garbage needs the exclusive store lock. C3 Removing first deletes rows (a transaction), then files without
 * a row. A snapshot is pinned by inserting its row in a transaction that sees its layers' rows.
 *
 * A struct store may be used by several threads; the database handle is guarded by a mutex inside these
 * functions.
 */
#ifndef IMAGES_CONTENT_H
#define IMAGES_CONTENT_H

#include <pthread.h>

#include "base/db.h"
#include "images/store.h"

enum store_driver { STORE_DRIVER_UNKNOWN, STORE_DRIVER_OVERLAY, STORE_DRIVER_EROFS, STORE_DRIVER_VFS };

struct store {
	enum store_driver driver; /* of layers that have none below them; storage_driver.h */
	char *driver_reason;
	char *root;
	int root_fd; /* O_RDONLY | O_DIRECTORY */
	bool read_only;
	store_observer *observer; /* may be NULL */
	void *observer_user;
	struct db *db;
	pthread_mutex_t db_mutex; /* held around every use of db */
};

/* For code that runs its own statements: `_cleanup_store_db_ struct store *locked = store_db_lock(s);` */
struct store *store_db_lock(struct store *s);
void store_db_unlockp(struct store **s);
#define _cleanup_store_db_ _cleanup_(store_db_unlockp)

void store_tell(const struct store *s, const char *action, const char *id, const char *name);

/* ERR_PERMISSION that names the root when the store could only be opened for reading. */
_must_check_ struct err *store_check_writable(const struct store *s);

/* S4. Shared: waits while somebody collects (seconds at most). Exclusive: `try` answers ERR_BUSY. Released by
 * closing the fd. */
_must_check_ struct err *store_lock_shared(struct store *s, int *ret_fd);
_must_check_ struct err *store_lock_exclusive(struct store *s, bool try, int *ret_fd);

/* -- blobs (content.c)
 * --------------------------------------------------------------------------------------- */

/* "blobs/sha256/HEX", relative to root_fd. */
struct blob_path {
	char s[sizeof("blobs/sha512/") + 128];
};
struct blob_path blob_path(const struct digest *d);
bool blob_exists(struct store *s, const struct digest *d, uint64_t *ret_size /* may be NULL */);

/* Reads the whole blob. ERR_CORRUPT says that its bytes have another digest (`what to do` is in the message), ERR_NOT_FOUND that it is not there.
 * `cancelled` may be NULL. */
_must_check_ struct err *blob_verify(struct store *s, const struct digest *d, bool (*cancelled)(void *),
				     void *user);
/* Removes a blob whose bytes were found to be wrong, so that it can be fetched again. Absent is success. */
_must_check_ struct err *blob_discard(struct store *s, const struct digest *d);
/* A blob that was here and turned out to be damaged makes room for a good one; `found`, the error that said so (or NULL), is consumed. */
_must_check_ struct err *blob_discard_damaged(struct store *s, struct err *found, const struct digest *d);
/* The words of an error about a blob that was found to be `got`. */
_must_check_ struct err *blob_damaged(struct store *s, const struct digest *d, const struct digest *got);

/* Writes one blob. With `expected` the ingest file is named after the digest and locked: another process
 * writing the same blob is waited for (progress->cancelled is asked meanwhile; progress may be NULL), and
 * when it has finished *ret is NULL: the blob is there. So is it when the blob existed already. Without
 * `expected` the digest is found by writing (sha256). */
struct blob_writer;
_must_check_ struct err *blob_writer_begin(struct store *s, const struct digest *expected,
					   const struct progress *progress, struct blob_writer **ret);
/* Bytes that an interrupted earlier attempt left; already hashed. Continue behind them, or
 * blob_writer_restart. */
int blob_writer_fd(const struct blob_writer *w); /* borrowed; readable */
uint64_t blob_writer_offset(const struct blob_writer *w);
_must_check_ struct err *blob_writer_restart(struct blob_writer *w);
_must_check_ struct err *blob_writer_write(struct blob_writer *w, const void *data, size_t size);
/* Out of order, for several threads at once: bytes at `offset`, behind blob_writer_offset, and later, when all of [offset, to) is written, what
 * the next bytes of the blob are. */
_must_check_ struct err *blob_writer_write_at(struct blob_writer *w, const void *data, size_t size,
					      uint64_t offset);
_must_check_ struct err *blob_writer_advance(struct blob_writer *w, uint64_t to);
/* Verifies the digest and, unless it is UINT64_MAX, the size (ERR_CORRUPT), syncs and renames. Consumes w in
 * any case; on failure nothing is left. ret_digest and ret_fd (a readable fd of the blob, at offset 0) may be
 * NULL. */
_must_check_ struct err *blob_writer_commit(struct blob_writer *w, uint64_t size, struct digest *ret_digest,
					    int *ret_fd);
/* keep: the bytes stay for a later attempt to continue (only with `expected`). */
void blob_writer_abort(struct blob_writer *w, bool keep);
static inline void blob_writer_discard(struct blob_writer *w)
{
	blob_writer_abort(w, false);
}
DEFINE_CLEANUP(struct blob_writer *, blob_writer_discard)
#define _cleanup_blob_writer_ _cleanup_(blob_writer_discardp)

/* Whether a file of that name in ingest/ may be continued later: a blob whose digest was not known yet cannot be found again. */
bool ingest_can_be_continued(const char *name);

/* A small blob from memory (manifest, config): begin, write, commit. */
_must_check_ struct err *blob_put(struct store *s, const void *data, size_t size, struct digest *ret);

/* A new empty directory in ingest/ for a layer being applied: name "ingest/layer-…" relative to root_fd, its
 * fd (flocked: C2). The caller renames it into layers/ or removes it with file_remove_tree_at. */
_must_check_ struct err *ingest_directory(struct store *s, char **ret_name, int *ret_fd);

/* -- layers
 * --------------------------------------------------------------------------------------------------- */

struct layer_row {
	struct digest chain, diff, parent; /* parent unset: the lowest */
	char dir[160];                     /* below ROOT/layers/ */
	uint64_t size;                     /* bytes of the unpacked files */
};
/* ERR_NOT_FOUND when there is no such row. */
_must_check_ struct err *layer_row_find(struct store *s, const struct digest *chain, struct layer_row *ret);
/* Last step of adding: the directory is in place and synced. An existing row is success and leaves it as it
 * is. */
_must_check_ struct err *layer_row_add(struct store *s, const struct layer_row *row);
/* The rows of a chain from the top's down to the lowest, for mounting. Caller frees. */
_must_check_ struct err *layer_row_chain(struct store *s, const struct digest *top, struct layer_row **ret,
					 size_t *ret_n);

/* -- snapshots
 * ------------------------------------------------------------------------------------------------ */

/* Pins the layers from `top` down (unset: an image without layers) and the image `image_id`. ERR_EXISTS: the
 * key is taken. ERR_NOT_FOUND: somebody removed the image meanwhile. */
_must_check_ struct err *snapshot_row_add(struct store *s, const char *key, const struct digest *image_id,
					  const struct digest *top);
_must_check_ struct err *snapshot_row_find(struct store *s, const char *key, struct digest *ret_image_id,
					   struct digest *ret_top);
_must_check_ struct err *snapshot_row_remove(struct store *s, const char *key); /* absent is success */
_must_check_ struct err *snapshot_row_list(struct store *s, char ***ret_keys);

/* -- images
 * --------------------------------------------------------------------------------------------------- */

/* Records an image whose manifest, config and layer blobs are in the store and whose layers are applied (rows
 * exist): the last step of pull, load and import, one transaction (S2). `target` is the manifest itself or
 * the index around it. `name` may be NULL (an image without a name). `repo_digest`: remember name's
 * domain/path@target too (it came from a registry). *ret_changed (may be NULL): whether the name or the image
 * is new. */
struct image_record {
	struct digest manifest, target;
	const struct reference *name;
	bool repo_digest;
	bool layer_blobs_optional; /* layers need not be there as blobs (ERR_CORRUPT otherwise) */
};
/* The registry has the image under this name now, too: its layers can be mounted from there. */
_must_check_ struct err *image_record_pushed(struct store *s, const struct image *image,
					     const struct reference *to);
_must_check_ struct err *image_record(struct store *s, const struct image_record *r, struct image **ret,
				      bool *ret_changed);

#endif
