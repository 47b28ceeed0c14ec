/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the store, its schema and its locks. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "store_image.h"

#define EMPTY_INDEX \
	"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}"

/* Digests are "alg:hex" texts; lists of them are joined by spaces. Nothing here is read from an image without
 * having been parsed. */
static const char *const schema[] = {
	/* An image is a config (docker's image id). manifest, target: where it was last recorded from. config
	 * last, because its pages are then not touched by listing. */
	"CREATE TABLE images(id TEXT NOT NULL UNIQUE, manifest TEXT NOT NULL, target TEXT NOT NULL, top TEXT,"
	"  created_ns INTEGER NOT NULL, size INTEGER NOT NULL, os TEXT NOT NULL, architecture TEXT NOT NULL, "
	"variant TEXT NOT NULL,"
	"  layers TEXT NOT NULL, diff_ids TEXT NOT NULL, config BLOB NOT NULL);"
	/* kind 0: domain/path:tag; 1: domain/path@digest, as pulled. */
	"CREATE TABLE names(name TEXT PRIMARY KEY, kind INTEGER NOT NULL, image TEXT NOT NULL, manifest TEXT "
	"NOT NULL,"
	"  target TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX names_by_image ON names(image);"
	"CREATE TABLE manifests(digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, size INTEGER NOT NULL) "
	"WITHOUT ROWID;"
	/* The blobs that a recorded manifest needs: config, layers, the index around it. */
	"CREATE TABLE content(manifest TEXT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY(manifest, blob)) "
	"WITHOUT ROWID;"
	"CREATE TABLE layers(chain TEXT PRIMARY KEY, diff TEXT NOT NULL, parent TEXT, dir TEXT NOT NULL, "
	"size INTEGER NOT NULL)"
	"  WITHOUT ROWID;"
	"CREATE TABLE snapshots(key TEXT PRIMARY KEY, image TEXT NOT NULL, top TEXT) WITHOUT ROWID;",
	/* When the name came to stand for the image; 0: not known. */
	"ALTER TABLE names ADD COLUMN tagged_ns INTEGER NOT NULL DEFAULT 0;",
};

static struct err *make_file(int root_fd, const char *name, const char *text)
{
	if (faccessat(root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return NULL;
	return file_replace_at(root_fd, name, text, strlen(text), 0644, FILE_VOLATILE);
}

static struct err *make_layout(struct store *s)
{
	static const char *const dirs[] = {"blobs",  "blobs/sha256", "blobs/sha512",
					   "ingest", "layers",       "snapshots"};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		/* Layers hold other people's setuid files: the store's root (0700) keeps users out. */
		if (mkdirat(s->root_fd, dirs[i], 0755) < 0 && errno != EEXIST)
			return err_errno(errno, "cannot make directory %s/%s", s->root, dirs[i]);
	}
	TRY(make_file(s->root_fd, "oci-layout", STORE_LAYOUT));
	return make_file(s->root_fd, "index.json", EMPTY_INDEX);
}

static struct err *open_root(struct store *s)
{
	s->root_fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root_fd < 0 && errno == ENOENT) {
		TRY_WRAP(file_mkdir_p(s->root, 0700), "cannot make image store %s", s->root);
		s->root_fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (s->root_fd < 0)
		return err_errno(errno, "cannot open image store %s", s->root);
	/* EROFS, or somebody else's store: what is there can be used. */
	s->read_only = faccessat(s->root_fd, ".", W_OK, AT_EACCESS) < 0;
	return NULL;
}

static struct err *open_all(struct store *s)
{
	TRY(open_root(s));
	_cleanup_free_ char *path = xasprintf("%s/store.db", s->root);
	if (faccessat(s->root_fd, "store.db", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		if (s->read_only)
			return err_new(ERR_PERMISSION, "image store %s is empty and cannot be written to",
				       s->root);
		TRY(make_layout(s));
	}
	TRY_WRAP(db_open(path, schema, ARRAY_SIZE(schema), s->read_only, &s->db),
		 "cannot open image store %s", s->root);
	return NULL;
}

struct err *store_open(const char *root, struct store **ret)
{
	struct store *s = xnew(struct store);

	s->root = xstrdup(root);
	s->root_fd = -1;
	pthread_mutex_init(&s->db_mutex, NULL);
	struct err *e = open_all(s);
	if (e) {
		store_close(s);
		return e;
	}
	*ret = s;
	return NULL;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->db)
		db_close(s->db);
	fd_close(s->root_fd);
	pthread_mutex_destroy(&s->db_mutex);
	free(s->driver_reason);
	free(s->root);
	free(s);
}

struct store *store_db_lock(struct store *s)
{
	pthread_mutex_lock(&s->db_mutex);
	return s;
}

void store_db_unlockp(struct store **s)
{
	if (*s)
		pthread_mutex_unlock(&(*s)->db_mutex);
}

void store_observe(struct store *s, store_observer *observer, void *user)
{
	s->observer = observer;
	s->observer_user = user;
}

void store_tell(const struct store *s, const char *action, const char *id, const char *name)
{
	if (s->observer)
		s->observer(s->observer_user, action, id, name);
}

struct err *store_check_writable(const struct store *s)
{
	if (!s->read_only)
		return NULL;
	return err_new(ERR_PERMISSION,
		       "image store %s cannot be written to (read-only file system, or another user's)",
		       s->root);
}

struct err *store_lock_shared(struct store *s, int *ret_fd)
{
	TRY(store_check_writable(s));
	TRY_WRAP(file_lock_at(s->root_fd, "lock", FILE_LOCK_SHARED, ret_fd), "image store %s", s->root);
	return NULL;
}

struct err *store_lock_exclusive(struct store *s, bool try, int *ret_fd)
{
	TRY(store_check_writable(s));
	TRY_WRAP(
		file_lock_at(s->root_fd, "lock", try ? FILE_LOCK_TRY_EXCLUSIVE : FILE_LOCK_EXCLUSIVE, ret_fd),
		"image store %s", s->root);
	return NULL;
}
