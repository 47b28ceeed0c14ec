/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants
 *  T1 An entry is in the hash table and in its directory's list, or in neither.
 *  T2 entry->layer is the number of the last layer that mentioned it or went through it: whiteouts of a layer hide what has a
 *     smaller number (A2), whatever the order in the archive.
 *  T3 A directory has one entry, and inode->dir.parent is the directory that entry is in.
 */
#include "layer_tree.h"

#include <inttypes.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/memory.h"
#include "layer_apply.h"
#include "layer_path.h"

#define ARENA_BLOCK ((size_t)256 << 10)
#define SYMLINKS_MAX 40
#define STEPS_MAX 8192
#define SYMLINK_MAX 4095

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t data[];
};

struct layer_tree {
	struct arena_block *arena;
	struct tree_inode *root;
	struct tree_entry **table;
	size_t table_size, n; /* a power of two; entries in it */
	uint64_t seed;
	uint32_t layers; /* applied, or being applied */
};

/* -- memory --------------------------------------------------------------------------------------------------- */

static void *arena_alloc(struct layer_tree *t, size_t size)
{
	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (!t->arena || t->arena->size - t->arena->used < size) {
		size_t room = MAX(size, ARENA_BLOCK);
		struct arena_block *b = xcalloc(1, sizeof(*b) + room);
		b->size = room;
		b->next = t->arena;
		t->arena = b;
	}
	void *p = (char *)t->arena->data + t->arena->used;
	t->arena->used += size;
	return p;
}

static void *arena_copy(struct layer_tree *t, const void *data, size_t size)
{
	char *p = arena_alloc(t, size + 1); /* zeroed: a string ends */

	if (size)
		memcpy(p, data, size);
	return p;
}

/* -- entries -------------------------------------------------------------------------------------------------- */

/* Seeded: names come from outside, and must not be chosen so that all fall into one chain. */
static uint64_t hash_name(const struct layer_tree *t, const struct tree_inode *dir, const char *name,
			  size_t len)
{
	uint64_t h = t->seed ^ (uint64_t)(uintptr_t)dir;

	for (size_t i = 0; i < len; i++) {
		h = (h ^ (unsigned char)name[i]) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return h ^ h >> 32;
}

static struct tree_entry **bucket(const struct layer_tree *t, uint64_t hash)
{
	return &t->table[hash & (t->table_size - 1)];
}

static struct tree_entry *find(const struct layer_tree *t, const struct tree_inode *dir, const char *name,
			       size_t len)
{
	uint64_t hash = hash_name(t, dir, name, len);

	for (struct tree_entry *e = *bucket(t, hash); e; e = e->hash_next)
		if (e->hash == hash && e->dir == dir && e->name_len == len && memcmp(e->name, name, len) == 0)
			return e;
	return NULL;
}

static void grow(struct layer_tree *t)
{
	struct tree_entry **old = t->table;
	size_t old_size = t->table_size;

	t->table_size *= 2;
	t->table = xnew_array(struct tree_entry *, t->table_size);
	for (size_t i = 0; i < old_size; i++)
		for (struct tree_entry *e = old[i], *next; e; e = next) {
			next = e->hash_next;
			e->hash_next = *bucket(t, e->hash);
			*bucket(t, e->hash) = e;
		}
	free(old);
}

static struct tree_entry *add(struct layer_tree *t, struct tree_inode *dir, const char *name, size_t len,
			      struct tree_inode *inode)
{
	struct tree_entry *e = arena_alloc(t, sizeof(*e));

	if (t->n++ >= t->table_size)
		grow(t);
	*e = (struct tree_entry){.name = arena_copy(t, name, len),
				 .name_len = len,
				 .inode = inode,
				 .dir = dir,
				 .next = dir->dir.first,
				 .hash = hash_name(t, dir, name, len),
				 .layer = t->layers};
	if (e->next)
		e->next->prev = e;
	dir->dir.first = e;
	dir->dir.n++;
	e->hash_next = *bucket(t, e->hash);
	*bucket(t, e->hash) = e;
	return e;
}

static void remove_children(struct layer_tree *t, struct tree_inode *dir, bool lower_only);

static void remove_entry(struct layer_tree *t, struct tree_entry *e)
{
	struct tree_entry **p = bucket(t, e->hash);

	if (S_ISDIR(e->inode->mode))
		remove_children(t, e->inode, false);
	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	if (e->prev)
		e->prev->next = e->next;
	else
		e->dir->dir.first = e->next;
	if (e->next)
		e->next->prev = e->prev;
	e->dir->dir.n--;
	t->n--;
}

/* lower_only: what this layer brought stays, with what is below it brought by this layer. The depth is bounded by STEPS_MAX. */
static void remove_children(struct layer_tree *t, struct tree_inode *dir, bool lower_only)
{
	for (struct tree_entry *e = dir->dir.first, *next; e; e = next) {
		next = e->next;
		if (!lower_only || e->layer < t->layers)
			remove_entry(t, e);
		else if (S_ISDIR(e->inode->mode))
			remove_children(t, e->inode, true);
	}
}

/* A2 */
static void hide(struct layer_tree *t, struct tree_inode *dir, const char *name)
{
	struct tree_entry *e = find(t, dir, name, strlen(name));

	if (e && e->layer < t->layers)
		remove_entry(t, e);
	else if (e && S_ISDIR(e->inode->mode))
		remove_children(t, e->inode, true);
}

/* A1: whatever had the name is gone; directories that merge do not come here. */
static void put(struct layer_tree *t, struct tree_inode *dir, const char *name, struct tree_inode *inode)
{
	size_t len = strlen(name);
	struct tree_entry *e = find(t, dir, name, len);

	if (e)
		remove_entry(t, e);
	add(t, dir, name, len, inode);
	if (S_ISDIR(inode->mode))
		inode->dir.parent = dir;
}

static struct tree_inode *new_directory(struct layer_tree *t, const struct tree_inode *parent)
{
	struct tree_inode *i = arena_alloc(t, sizeof(*i));

	/* As mkdir makes it: in a setgid directory group and bit are the parent's. */
	i->mode = S_IFDIR | 0755 | (parent ? parent->mode & S_ISGID : 0);
	i->gid = parent && (parent->mode & S_ISGID) ? parent->gid : 0;
	return i;
}

/* -- paths ---------------------------------------------------------------------------------------------------- */

struct walk {
	struct layer_tree *t;
	bool make;
	struct tree_inode *at;
	char *rest; /* owned; what is still to be walked */
	unsigned n_symlinks, n_steps;
};

static void walk_release(struct walk *w)
{
	free(w->rest);
}

static struct err *walk_symlink(struct walk *w, const char *target)
{
	if (++w->n_symlinks > SYMLINKS_MAX || strlen(w->rest) > ((size_t)64 << 10))
		return err_new(ERR_CORRUPT, "its path goes through too many symbolic links");
	char *rest = xasprintf("%s/%s", target, w->rest);
	free(w->rest);
	w->rest = rest;
	if (target[0] == '/')
		w->at = w->t->root;
	return NULL;
}

/* A3 */
static struct err *step(struct walk *w, const char *name, size_t len)
{
	struct layer_tree *t = w->t;
	struct tree_entry *e = find(t, w->at, name, len);

	if (++w->n_steps > STEPS_MAX)
		return err_new(ERR_LIMIT, "its path takes too many steps to walk");
	if (len > NAME_MAX)
		return err_errno(ENAMETOOLONG, "cannot look up %.255s", name);
	if (e && S_ISLNK(e->inode->mode))
		return walk_symlink(w, e->inode->symlink.target);
	if (e && S_ISDIR(e->inode->mode)) {
		if (w->make)
			e->layer = t->layers;
		w->at = e->inode;
		return NULL;
	}
	if (!w->make) {
		struct err *none = err_new(ERR_NOT_FOUND, "there is no directory %.*s", (int)len, name);
		none->errnum = e && e->layer == t->layers ? ENOTDIR : 0;
		return none;
	}
	struct tree_inode *dir = new_directory(t, w->at);
	if (e)
		remove_entry(t, e);
	add(t, w->at, name, len, dir);
	dir->dir.parent = w->at;
	w->at = dir;
	return NULL;
}

static struct err *walk_path(struct walk *w)
{
	while (*w->rest) {
		size_t n = strcspn(w->rest, "/");
		size_t skip = n + (w->rest[n] == '/');
		_cleanup_free_ char *name = xstrndup(w->rest, n);
		memmove(w->rest, w->rest + skip, strlen(w->rest + skip) + 1);
		if (n == 0 || str_eq(name, "."))
			continue;
		if (str_eq(name, ".."))
			w->at = w->at->dir.parent;
		else
			TRY(step(w, name, n));
	}
	return NULL;
}

static struct err *find_directory(struct layer_tree *t, const char *path, size_t len, bool make,
				  struct tree_inode **ret)
{
	_cleanup_(walk_release) struct walk w = {
		.t = t, .make = make, .at = t->root, .rest = xstrndup(path, len)};

	TRY(walk_path(&w));
	*ret = w.at;
	return NULL;
}

/* -- entries of the archive ------------------------------------------------------------------------------------ */

static void copy_xattrs(struct layer_tree *t, struct tree_inode *i, const struct tar_entry *e)
{
	struct tree_xattr **tail = &i->xattrs;

	i->xattrs = NULL;
	for (size_t n = 0; n < e->n_xattrs; n++) {
		const struct tar_xattr *x = &e->xattrs[n];
		if (!attributes_xattr_is_kept(x->name))
			continue;
		struct tree_xattr *copy = arena_alloc(t, sizeof(*copy));
		copy->name = arena_copy(t, x->name, strlen(x->name));
		copy->value = arena_copy(t, x->value, x->size);
		copy->size = x->size;
		*tail = copy;
		tail = &copy->next;
	}
}

static void set_attributes(struct layer_tree *t, struct tree_inode *i, mode_t type, const struct tar_entry *e)
{
	struct timespec mtime = attributes_mtime(e);

	i->mode = type | (e->mode & 07777);
	i->uid = e->uid;
	i->gid = e->gid;
	i->mtime_s = mtime.tv_sec;
	i->mtime_ns = (uint32_t)mtime.tv_nsec;
	copy_xattrs(t, i, e);
}

static struct err *set_contents(struct layer_tree *t, struct tree_inode *i, const struct tar_entry *e,
				struct layer_tree_result *r)
{
	uint64_t stored = e->size;

	i->file.size = e->size;
	i->file.offset = e->data_offset;
	i->file.layer = t->layers - 1;
	if (e->sparse) {
		stored = 0;
		for (size_t n = 0; n < e->n_extents; n++)
			stored += e->extents[n].size;
		i->file.extents = arena_copy(t, e->extents, e->n_extents * sizeof(*e->extents));
		i->file.n_extents = e->n_extents;
	}
	if (e->data_offset % TAR_BLOCK)
		return err_new(ERR_INTERNAL, "its contents do not begin at a block");
	r->bytes += stored;
	r->newest_s = MAX(r->newest_s, e->mtime_s);
	return NULL;
}

static struct err *make_file(struct layer_tree *t, struct tree_inode *dir, const char *name,
			     const struct tar_entry *e, struct layer_tree_result *r)
{
	static const mode_t types[] = {
		[TAR_FILE] = S_IFREG,         [TAR_SYMLINK] = S_IFLNK, [TAR_CHAR] = S_IFCHR,
		[TAR_BLOCK_DEVICE] = S_IFBLK, [TAR_FIFO] = S_IFIFO,
	};
	struct tree_inode *i = arena_alloc(t, sizeof(*i));

	set_attributes(t, i, types[e->type], e);
	if (e->type == TAR_FILE)
		TRY(set_contents(t, i, e, r));
	if (e->type == TAR_SYMLINK) {
		size_t len = strlen(e->link);
		if (len == 0)
			return err_new(ERR_CORRUPT, "its target is empty");
		if (len > SYMLINK_MAX)
			return err_errno(ENAMETOOLONG, "cannot make it");
		i->symlink.target = arena_copy(t, e->link, len);
		i->mode |= 0777;
	}
	if (e->type == TAR_CHAR || e->type == TAR_BLOCK_DEVICE) {
		i->device.major = e->dev_major;
		i->device.minor = e->dev_minor;
	}
	put(t, dir, name, i);
	return NULL;
}

static void make_directory(struct layer_tree *t, struct tree_inode *dir, const char *name,
			   const struct tar_entry *e)
{
	struct tree_entry *there = find(t, dir, name, strlen(name));
	struct tree_inode *i;

	if (there && S_ISDIR(there->inode->mode)) {
		i = there->inode;
		there->layer = t->layers;
	} else {
		i = new_directory(t, NULL);
		put(t, dir, name, i);
	}
	set_attributes(t, i, S_IFDIR, e);
}

/* A4. The target counts as brought by this layer, as if it had been copied up. */
static struct err *make_hardlink(struct layer_tree *t, struct tree_inode *dir, const char *name,
				 const char *link)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	struct tree_inode *where;

	TRY(layer_path_clean(link, &path));
	if (path.len == 0)
		return err_new(ERR_CORRUPT, "it is a hard link to the root directory");
	size_t parent_len = layer_path_parent_len(&path);
	const char *target_name = layer_path_name(&path, parent_len);
	struct err *e = find_directory(t, path.data, parent_len, false, &where);
	if (e && e->kind != ERR_NOT_FOUND)
		return e;
	struct tree_entry *target = e ? NULL : find(t, where, target_name, strlen(target_name));
	err_free(e);
	if (!target)
		return err_new(ERR_NOT_FOUND, "it is a hard link to %s, which does not exist", path.data);
	if (S_ISDIR(target->inode->mode))
		return err_new(ERR_CORRUPT, "it is a hard link to the directory %s", path.data);
	target->layer = t->layers;
	struct tree_entry *there = find(t, dir, name, strlen(name));
	if (there && there->inode == target->inode) {
		there->layer = t->layers;
		return NULL;
	}
	put(t, dir, name, target->inode);
	return NULL;
}

/* A layer that puts a file in a directory's place may remove the directory's files too (umoci's do): those are gone already. */
static bool is_below_a_file(struct layer_tree *t, const char *path, size_t len)
{
	struct tree_inode *dir;
	struct err *e = find_directory(t, path, len, false, &dir);
	bool below = e && e->errnum == ENOTDIR;

	err_free(e);
	return below;
}

static struct err *apply_root(struct layer_tree *t, const struct tar_entry *e)
{
	if (e->type != TAR_DIRECTORY)
		return err_new(ERR_CORRUPT, "it replaces the root directory");
	set_attributes(t, t->root, S_IFDIR, e);
	return NULL;
}

static struct err *apply_entry(struct layer_tree *t, const struct tar_entry *e, struct strbuf *path,
			       struct layer_tree_result *r)
{
	struct tree_inode *dir;
	enum layer_name kind;
	const char *name = NULL;

	TRY(layer_path_clean(e->path, path));
	if (path->len == 0)
		return apply_root(t, e);
	size_t parent_len = layer_path_parent_len(path);
	TRY(layer_path_kind(path, parent_len, &kind, &name));
	if (kind == LAYER_NAME_SKIPPED)
		return NULL;
	if (kind != LAYER_NAME_PLAIN && is_below_a_file(t, path->data, parent_len))
		return NULL;
	TRY(find_directory(t, path->data, parent_len, true, &dir));
	if (kind == LAYER_NAME_OPAQUE) {
		remove_children(t, dir, true);
		return NULL;
	}
	if (kind == LAYER_NAME_PLAIN)
		name = layer_path_name(path, parent_len);
	if (strlen(name) > NAME_MAX)
		return err_errno(ENAMETOOLONG, "cannot make it");
	/* A device 0/0 is overlayfs' whiteout. */
	if (kind == LAYER_NAME_WHITEOUT || (e->type == TAR_CHAR && e->dev_major == 0 && e->dev_minor == 0))
		hide(t, dir, name);
	else if (e->type == TAR_DIRECTORY)
		make_directory(t, dir, name, e);
	else if (e->type == TAR_HARDLINK)
		return make_hardlink(t, dir, name, e->link);
	else
		return make_file(t, dir, name, e, r);
	return NULL;
}

struct err *layer_tree_apply(struct layer_tree *t, struct tar_reader *tar, struct layer_tree_result *ret)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	struct layer_tree_result r = {0};

	t->layers++;
	while (true) {
		const struct tar_entry *e;
		TRY(tar_reader_next(tar, &e));
		if (!e)
			break;
		if (++r.entries > LAYER_ENTRIES_MAX)
			return err_new(ERR_LIMIT, "the layer has more than %" PRIu64 " entries",
				       LAYER_ENTRIES_MAX);
		TRY_WRAP(apply_entry(t, e, &path, &r), "%.256s", e->path);
	}
	*ret = r;
	return NULL;
}

struct layer_tree *layer_tree_new(void)
{
	struct layer_tree *t = xnew(struct layer_tree);

	/* Early in the boot there may be nothing random yet; then the addresses have to do. */
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) != sizeof(t->seed))
		t->seed = (uint64_t)(uintptr_t)t;
	t->table_size = 1024;
	t->table = xnew_array(struct tree_entry *, t->table_size);
	t->root = new_directory(t, NULL);
	t->root->dir.parent = t->root;
	return t;
}

void layer_tree_free(struct layer_tree *t)
{
	if (!t)
		return;
	for (struct arena_block *b = t->arena, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(t->table);
	free(t);
}

struct tree_inode *layer_tree_root(const struct layer_tree *t)
{
	return t->root;
}

uint32_t layer_tree_n_layers(const struct layer_tree *t)
{
	return t->layers;
}
