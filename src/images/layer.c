/* SPDX-License-Identifier: Apache-2.0 */
/* Adding layers to the store. A layer is unpacked into ingest/, synced, renamed to layers/HEX of its chain id, and then recorded (S3).
 *
 * Two adders of the same layer: the second waits for the first (a lock on a byte of one lock file, the byte being the chain id) and then
 * finds the layer. Killed adders leave a directory in ingest/ or one in layers/ without a row: garbage, removed by store_collect or here.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "layer_add.h"
#include "layer_apply.h"
#include "layer_index.h"
#include "layer_stream.h"
#include "overlay.h"
#include "storage_driver.h"

#define LOCK_POLL_MS 50
#define PROGRESS_STEP ((uint64_t)1 << 20)

/* The row and what it stands for: a layer that was damaged is taken out of its place, and made again there. */
bool layer_exists(struct store *s, const struct digest *chain)
{
	struct layer_row row;
	struct err *e = layer_row_find(s, chain, &row);

	if (!e) {
		_cleanup_free_ char *path =
			xasprintf("layers/%s%s", row.dir, layer_row_is_tar(&row) ? "/tar" : "");
		return faccessat(s->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	}
	err_free(e);
	return false;
}

struct err *layer_damaged(const struct layer_row *row, const char *problem)
{
	return err_new(ERR_CORRUPT,
		       "layer %s %s on the disk: run havre system check --repair, or pull the image again",
		       row->chain.s, problem);
}

struct err *layer_paths(struct store *s, const struct digest *top, char ***ret)
{
	_cleanup_free_ struct layer_row *rows = NULL;
	_cleanup_strv_ char **paths = NULL;
	size_t n = 0;

	TRY(layer_row_chain(s, top, &rows, &n));
	for (size_t i = 0; i < n; i++)
		strv_push_take(&paths, xasprintf("%s/layers/%s", s->root, rows[i].dir));
	*ret = TAKE_PTR(paths);
	return NULL;
}

/* -- one layer being added ------------------------------------------------------------------------------------ */

struct adding {
	struct store *store;
	const struct layer_source *in;
	struct layer_stream *stream;
	char id[13]; /* short digest for progress */
	uint64_t total, shown;
};

static bool was_cancelled(void *user)
{
	const struct progress *p = ((struct adding *)user)->in->progress;

	return p && p->cancelled && p->cancelled(p->user);
}

static void show_progress(void *user)
{
	struct adding *a = user;
	const struct progress *p = a->in->progress;
	uint64_t done = layer_stream_consumed(a->stream);

	if (!p || !p->update || done < a->shown + PROGRESS_STEP)
		return;
	a->shown = done;
	p->update(p->user, a->id, PROGRESS_APPLYING, done, a->total);
}

static void show_phase(const struct adding *a, enum progress_phase phase)
{
	const struct progress *p = a->in->progress;

	if (p && p->update && a->id[0])
		p->update(p->user, a->id, phase, phase == PROGRESS_DONE ? a->total : 0, a->total);
}

/* The layers below as one tree. One alone is a plain directory; several are what the kernel makes of them. */
static struct err *open_lower(void *user, int *ret_fd)
{
	struct adding *a = user;
	_cleanup_strv_ char **paths = NULL;

	*ret_fd = -1;
	if (!a->in->parent)
		return NULL;
	if (a->in->wait_below)
		TRY(a->in->wait_below(a->in->user));
	TRY(layer_paths(a->store, a->in->parent, &paths));
	size_t n = strv_len(paths);
	if (n == 1) {
		*ret_fd = open(paths[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return *ret_fd < 0 ? err_errno(errno, "cannot open the layer directory %s", paths[0]) : NULL;
	}
	_cleanup_free_ char *target = xasprintf("%s/snapshots", a->store->root);
	struct overlay o = {.lower = paths, .n_lower = n, .read_only = true, .target = target};
	TRY_WRAP(overlay_mount_fd(&o, ret_fd), "cannot look into the layers below");
	return NULL;
}

/* *ret_fd holds the lock. F_OFD_SETLK rather than flock: one file serves all layers and is never deleted under somebody. */
static struct err *lock_chain(struct adding *a, const struct digest *chain, int *ret_fd)
{
	_cleanup_fd_ int fd =
		openat(a->store->root_fd, "layers.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	_cleanup_free_ char *head = xstrndup(digest_hex(chain), 15);
	struct flock lock = {.l_type = F_WRLCK,
			     .l_whence = SEEK_SET,
			     .l_start = (off_t)strtoull(head, NULL, 16),
			     .l_len = 1};

	if (fd < 0)
		return err_errno(errno, "cannot open %s/layers.lock", a->store->root);
	while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return err_errno(errno, "cannot lock %s/layers.lock", a->store->root);
		if (was_cancelled(a))
			return err_new(ERR_CANCELLED, "interrupted");
		nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_MS * 1000000L}, NULL);
	}
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

/* What each driver makes of the uncompressed stream. */
static struct err *unpack_directory(struct adding *a, struct tar_reader *tar, int dirfd,
				    struct layer_added *ret, uint64_t *ret_bytes)
{
	const struct layer_apply_options options = {
		.open_lower = open_lower, .cancelled = was_cancelled, .progressed = show_progress, .user = a};
	struct layer_apply_result result;
	struct inroot root = {.fd = dirfd};

	TRY(layer_apply(tar, &root, &options, &result));
	TRY(tar_reader_drain(tar));
	/* A row promises that the files survive a power failure. */
	if (syncfs(dirfd) < 0)
		return err_errno(errno, "cannot write the layer to the disk");
	ret->newest_s = result.newest_s;
	*ret_bytes = result.bytes;
	return NULL;
}

static struct err *unpack_with(struct adding *a, enum store_driver driver, int dirfd, struct layer_added *ret,
			       uint64_t *ret_bytes)
{
	struct byte_source *source = layer_stream_source(a->stream);

	if (driver != STORE_DRIVER_OVERLAY) {
		struct tar_layer result;
		TRY(layer_tar_write(source, a->in->what, dirfd, was_cancelled, show_progress, a, &result));
		ret->newest_s = result.newest_s;
		*ret_bytes = result.bytes;
		return NULL;
	}
	_cleanup_tar_reader_ struct tar_reader *tar = tar_reader_new(source, a->in->what);
	return unpack_directory(a, tar, dirfd, ret, ret_bytes);
}

/* Unpacks into the directory; reads to the end and checks the digest. */
static struct err *unpack(struct adding *a, enum store_driver driver, int dirfd, struct layer_added *ret,
			  uint64_t *ret_bytes)
{
	struct decompress *source;
	uint64_t size;

	if (a->in->read) {
		TRY(decompress_new_reader(a->in->read, a->in->read_user, a->in->what, &source));
	} else {
		if (lseek(a->in->fd, 0, SEEK_SET) < 0)
			return err_errno(errno, "cannot rewind %s", a->in->what);
		TRY(decompress_new(a->in->fd, a->in->what, &source));
	}
	_cleanup_layer_stream_ struct layer_stream *stream =
		layer_stream_new_from(source, a->in->what, LAYER_BYTES_MAX);
	a->stream = stream;
	TRY(unpack_with(a, driver, dirfd, ret, ret_bytes));
	layer_stream_digest(stream, &ret->diff_id, &size);
	if (a->in->diff_id && !digest_equal(&ret->diff_id, a->in->diff_id))
		return err_new(
			ERR_CORRUPT,
			"%s is damaged: uncompressed it has the digest %s, the image's configuration says %s",
			a->in->what, ret->diff_id.s, a->in->diff_id->s);
	return NULL;
}

/* A layer takes after the one below it (layer_index.h, I3), and one that is made again after what it was. While that below is not known yet,
 * it is what new images are; check_below finds out when it was not. */
static struct err *choose_driver(struct adding *a, const struct digest *chain, enum store_driver *ret)
{
	struct layer_row parent, own;

	struct err *e = digest_is_set(chain) ? layer_row_find(a->store, chain, &own)
					     : err_new(ERR_NOT_FOUND, "the chain is not known yet");
	if (!e) {
		*ret = layer_row_is_tar(&own) ? STORE_DRIVER_EROFS : STORE_DRIVER_OVERLAY;
		return NULL;
	}
	err_free(e);

	if (!a->in->parent)
		return storage_driver(a->store, ret);
	e = layer_row_find(a->store, a->in->parent, &parent);
	if (e && e->kind == ERR_NOT_FOUND && a->in->wait_below) {
		err_free(e);
		return storage_driver(a->store, ret);
	}
	TRY(e);
	*ret = layer_row_is_tar(&parent) ? STORE_DRIVER_EROFS : STORE_DRIVER_OVERLAY;
	return NULL;
}

/* Renames the unpacked directory to its place. The caller holds the chain's lock and knows that there is no row. */
static struct err *put_in_place(struct store *s, const char *from, const struct layer_row *row)
{
	_cleanup_free_ char *to = xasprintf("layers/%s", row->dir), *gone = xasprintf("%s-old", from);

	/* What a killed adder left there is empty of meaning without its row (S3). */
	if (renameat(s->root_fd, to, s->root_fd, gone) == 0)
		TRY(file_remove_tree_at(s->root_fd, gone));
	else if (errno != ENOENT)
		return err_errno(errno, "cannot replace %s/%s", s->root, to);
	if (renameat(s->root_fd, from, s->root_fd, to) < 0)
		return err_errno(errno, "cannot rename %s/%s to %s", s->root, from, to);
	_cleanup_fd_ int layers = openat(s->root_fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (layers < 0)
		return err_errno(errno, "cannot open %s/layers", s->root);
	TRY(file_sync_dir(layers, "."));
	return layer_row_add(s, row);
}

/* The commit needs the layer below. ERR_STATE: it is of the other driver, and this one has to be made anew. */
static struct err *check_below(struct adding *a, enum store_driver driver)
{
	struct layer_row parent;

	if (!a->in->parent || !a->in->wait_below)
		return NULL;
	TRY(a->in->wait_below(a->in->user));
	TRY(layer_row_find(a->store, a->in->parent, &parent));
	if (layer_row_is_tar(&parent) != (driver != STORE_DRIVER_OVERLAY))
		return err_new(ERR_STATE, "the layers below are kept in another way");
	return NULL;
}

/* With the chain known and locked, or not known (*lock -1) and locked here once it is. */
static struct err *add_locked(struct adding *a, int *lock, struct layer_added *added)
{
	struct store *s = a->store;
	_cleanup_free_ char *name = NULL;
	_cleanup_fd_ int dirfd = -1;
	struct layer_row row = {0};

	enum store_driver driver;
	TRY(choose_driver(a, &added->chain, &driver));
	TRY(ingest_directory(s, &name, &dirfd));
	struct err *e = unpack(a, driver, dirfd, added, &row.size);
	if (!e) {
		layer_chain_id(a->in->parent, &added->diff_id, &added->chain);
		row.chain = added->chain;
		row.diff = added->diff_id;
		if (a->in->parent)
			row.parent = *a->in->parent;
		snprintf(row.dir, sizeof(row.dir), "%s%s", digest_hex(&added->chain),
			 driver == STORE_DRIVER_OVERLAY ? "" : ".tar");
		if (*lock < 0)
			e = lock_chain(a, &added->chain, lock);
	}
	if (!e)
		e = check_below(a, driver);
	if (!e && !layer_exists(s, &added->chain))
		e = put_in_place(s, name, &row);
	/* Gone when it was renamed. On failure the space is given back at once. */
	struct err *removed = file_remove_tree_at(s->root_fd, name);
	if (e) {
		err_free(removed);
		return e;
	}
	return removed;
}

struct err *layer_add_source(struct store *s, const struct layer_source *in, struct layer_added *ret)
{
	struct adding a = {.store = s, .in = in};
	struct layer_added added = {0};
	_cleanup_fd_ int lock = -1;
	struct stat st;

	TRY(store_check_writable(s));
	a.total = in->size;
	if (!in->read && fstat(in->fd, &st) == 0)
		a.total = (uint64_t)st.st_size;
	if (in->diff_id) {
		snprintf(a.id, sizeof(a.id), "%.12s", digest_hex(in->diff_id));
		added.diff_id = *in->diff_id;
		layer_chain_id(in->parent, in->diff_id, &added.chain);
		bool exists = layer_exists(s, &added.chain);
		if (!exists) {
			TRY(lock_chain(&a, &added.chain, &lock));
			exists = layer_exists(s, &added.chain);
		}
		if (exists) {
			show_phase(&a, PROGRESS_EXISTS);
			*ret = added;
			return NULL;
		}
	}
	if (in->parent && !in->wait_below && !layer_exists(s, in->parent))
		return err_new(ERR_NOT_FOUND, "the layer %s below %s is not in image store %s", in->parent->s,
			       in->what, s->root);
	show_phase(&a, PROGRESS_APPLYING);
	TRY_WRAP(add_locked(&a, &lock, &added), "cannot apply layer %s",
		 in->diff_id ? in->diff_id->s : in->what);
	show_phase(&a, PROGRESS_DONE);
	*ret = added;
	return NULL;
}

/* -- images/layer.h ------------------------------------------------------------------------------------------- */

/* The format is recognised by its first bytes, so the type only has to be one of a layer that can be read at all. */
struct err *layer_check_media_type(const char *type)
{
	static const char *const prefixes[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
	};
	static const char *const suffixes[] = {"", "+gzip", "+zstd", ".gzip", ".zstd"};

	if (str_empty(type))
		return NULL;
	if (str_ends(type, "+encrypted"))
		return err_new(ERR_UNSUPPORTED, "the layer is encrypted (%s), which this version cannot read",
			       type);
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		for (size_t j = 0; str_starts(type, prefixes[i]) && j < ARRAY_SIZE(suffixes); j++)
			if (str_eq(type + strlen(prefixes[i]), suffixes[j]))
				return NULL;
	return err_new(ERR_UNSUPPORTED, "layers of type %.128s are not known", type);
}

struct err *layer_add(struct store *s, int fd, const char *media_type, const struct digest *diff_id,
		      const struct digest *parent, const struct progress *progress, struct digest *ret_chain)
{
	_cleanup_free_ char *what = xasprintf("layer %.19s", diff_id->s);
	struct layer_source in = {
		.fd = fd, .what = what, .diff_id = diff_id, .parent = parent, .progress = progress};
	struct layer_added added;

	TRY(layer_check_media_type(media_type));
	TRY(layer_add_source(s, &in, &added));
	*ret_chain = added.chain;
	return NULL;
}
