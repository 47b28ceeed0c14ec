/* SPDX-License-Identifier: Apache-2.0 */
/* The store without layers' content: images are made of documents in memory and of rows. */
#include "images/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "content.h"
#include "images/layer.h"
#include "manifest.h"
#include "unit.h"

static char root[64];

static void remove_root(void)
{
	err_free(file_remove_tree_at(AT_FDCWD, root));
}

static struct store *new_store(void)
{
	struct store *s;

	snprintf(root, sizeof(root), "/tmp/havre-store-XXXXXX");
	CHECK(mkdtemp(root));
	atexit(remove_root);
	CHECK_OK(store_open(root, &s));
	return s;
}

/* An image of `n` layers; `seed` makes it different from others; the lowest layer is shared by all. */
static void add_image(struct store *s, int seed, int n, const char *name, struct image **ret)
{
	_cleanup_strbuf_ struct strbuf config = {0}, manifest = {0};
	struct digest diff, chain, parent, config_digest, layer;
	struct image_record r = {.repo_digest = name != NULL};
	_cleanup_reference_ struct reference ref = REFERENCE_NONE;
	bool changed;

	strbuf_printf(&config,
		      "{\"created\":\"2024-01-01T00:00:%02d.%03dZ\",\"architecture\":\"amd64\",\"os\":"
		      "\"linux\",\"seed\":%d,"
		      "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[",
		      seed / 1000 % 60, seed % 1000, seed);
	strbuf_puts(&manifest, "{\"schemaVersion\":2,\"layers\":[");
	for (int i = 0; i < n; i++) {
		char text[40];
		snprintf(text, sizeof(text), "layer %d %d", i, i ? seed : 0);
		CHECK_OK(blob_put(s, text, strlen(text), &layer));
		digest_of(text + 1, strlen(text) - 1, &diff);
		layer_chain_id(i ? &parent : NULL, &diff, &chain);
		struct layer_row row = {.chain = chain, .diff = diff, .size = 100};
		if (i)
			row.parent = parent;
		snprintf(row.dir, sizeof(row.dir), "%s", digest_hex(&chain));
		_cleanup_free_ char *dir = xasprintf("layers/%s", row.dir);
		mkdirat(s->root_fd, dir, 0755);
		CHECK_OK(layer_row_add(s, &row));
		parent = chain;
		strbuf_printf(&config, "%s\"%s\"", i ? "," : "", diff.s);
		strbuf_printf(&manifest, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}",
			      i ? "," : "", MEDIA_OCI_LAYER, layer.s, strlen(text));
	}
	strbuf_puts(&config, "]}}");
	CHECK_OK(blob_put(s, config.data, config.len, &config_digest));
	strbuf_printf(&manifest, "],\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}}",
		      MEDIA_OCI_CONFIG, config_digest.s, config.len);
	CHECK_OK(blob_put(s, manifest.data, manifest.len, &r.manifest));
	r.target = r.manifest;
	if (name) {
		CHECK_OK(reference_parse(name, &ref));
		r.name = &ref;
	}
	CHECK_OK(image_record(s, &r, ret, &changed));
}

static int entries(struct store *s, const char *name)
{
	int n = -2; /* . and .. */
	DIR *dir = fdopendir(openat(s->root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	CHECK(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* S1 */
TEST(blob_writer)
{
	_cleanup_(store_closep) struct store *s = new_store();
	struct blob_writer *w, *w2;
	struct digest d, got;
	uint64_t size;

	digest_of("hello", 5, &d);
	CHECK_OK(blob_writer_begin(s, &d, NULL, &w));
	CHECK_OK(blob_writer_write(w, "hel", 3));
	CHECK(!blob_exists(s, &d, NULL));
	blob_writer_abort(w, true); /* interrupted: the bytes are continued */
	CHECK(entries(s, "ingest") == 1);
	CHECK_OK(blob_writer_begin(s, &d, NULL, &w));
	CHECK(blob_writer_offset(w) == 3);
	CHECK_OK(blob_writer_write(w, "lo", 2));
	_cleanup_fd_ int fd = -1;
	CHECK_OK(blob_writer_commit(w, 5, &got, &fd));
	CHECK(digest_equal(&d, &got) && fd >= 0);
	CHECK(blob_exists(s, &d, &size) && size == 5);
	CHECK_OK(blob_writer_begin(s, &d, NULL, &w2));
	CHECK(!w2);

	digest_of("other", 5, &d);
	CHECK_OK(blob_writer_begin(s, &d, NULL, &w));
	CHECK_OK(blob_writer_write(w, "wrong", 5));
	CHECK_ERR(blob_writer_commit(w, 5, NULL, NULL), ERR_CORRUPT);
	CHECK_OK(blob_writer_begin(s, &d, NULL, &w));
	CHECK_OK(blob_writer_write(w, "other", 5));
	CHECK_ERR(blob_writer_commit(w, 6, NULL, NULL), ERR_CORRUPT);
	CHECK(!blob_exists(s, &d, NULL));
	CHECK(entries(s, "ingest") == 0);
}

TEST(damaged_blob_is_noticed)
{
	_cleanup_(store_closep) struct store *s = new_store();
	struct digest d;
	char *data;
	size_t size;

	CHECK_OK(blob_put(s, "hello", 5, &d));
	int fd = openat(s->root_fd, blob_path(&d).s, O_WRONLY);
	CHECK(write(fd, "j", 1) == 1);
	close(fd);
	CHECK_ERR(store_blob_read(s, &d, 100, &data, &size), ERR_CORRUPT);
	CHECK_ERR(store_blob_read(s, &d, 3, &data, &size), ERR_LIMIT);
}

TEST(find_and_list)
{
	_cleanup_(store_closep) struct store *s = new_store();
	_cleanup_image_ struct image *a = NULL, *b = NULL, *none = NULL, *i = NULL;

	add_image(s, 1, 2, "app", &a);
	add_image(s, 2, 2, "localhost:5000/x/app:v1", &b);
	add_image(s, 3, 1, NULL, &none);
	CHECK(strv_len(a->names) == 1 && strv_len(a->repo_digests) == 1 && a->n_layers == 2 &&
	      a->size == 200);
	CHECK_STR(a->names[0], "docker.io/library/app:latest");

	static const char *const same[] = {"app", "app:latest", "docker.io/app", "library/app"};
	for (size_t n = 0; n < ARRAY_SIZE(same); n++) {
		CHECK_OK(store_find(s, same[n], &i));
		CHECK(digest_equal(&i->id, &a->id) && i->config);
		image_free(TAKE_PTR(i));
	}
	_cleanup_free_ char *by_digest = xasprintf("localhost:5000/x/app@%s", b->manifest.s);
	_cleanup_free_ char *prefix = xasprintf("%.12s", digest_hex(&b->id));
	const char *const ids[] = {by_digest, prefix, b->id.s, digest_hex(&b->id)};
	for (size_t n = 0; n < ARRAY_SIZE(ids); n++) {
		CHECK_OK(store_find(s, ids[n], &i));
		CHECK(digest_equal(&i->id, &b->id));
		image_free(TAKE_PTR(i));
	}
	CHECK_ERR(store_find(s, "nothing", &i), ERR_NOT_FOUND);
	CHECK_ERR(store_find(s, "0000000000000000", &i), ERR_NOT_FOUND);
	CHECK_ERR(store_find(s, "Bad Name", &i), ERR_INVALID);
	CHECK_ERR(store_find(s, "", &i), ERR_INVALID);

	struct image **v;
	size_t n;
	CHECK_OK(store_list(s, &v, &n));
	CHECK(n == 3);
	CHECK(digest_equal(&v[0]->id, &none->id) && digest_equal(&v[2]->id, &a->id)); /* newest first */
	CHECK_STR(v[1]->names[0], "localhost:5000/x/app:v1");
	for (size_t k = 0; k < n; k++)
		image_free(v[k]);
	free(v);
}

TEST(tag_and_remove)
{
	_cleanup_(store_closep) struct store *s = new_store();
	_cleanup_image_ struct image *a = NULL, *b = NULL, *i = NULL;
	_cleanup_reference_ struct reference r = REFERENCE_NONE;
	char **lines;

	add_image(s, 1, 2, "app", &a);
	add_image(s, 2, 2, "other", &b);
	CHECK_OK(reference_parse("extra/app:v2", &r));
	CHECK_OK(store_tag(s, a, &r));

	/* by id: two repositories need force */
	CHECK_ERR(store_remove(s, a->id.s, false, &lines), ERR_STATE);
	CHECK_OK(store_remove(s, "extra/app:v2", false, &lines));
	CHECK(strv_len(lines) == 1);
	CHECK_STR(lines[0], "Untagged: extra/app:v2");
	strv_free(lines);
	int blobs = entries(s, "blobs/sha256");
	CHECK_OK(store_remove(s, "app", false, &lines));
	CHECK(strv_len(lines) == 4); /* tag, digest, image, its own layer */
	CHECK_STR(lines[0], "Untagged: app:latest");
	CHECK(str_starts(lines[1], "Untagged: app@sha256:"));
	_cleanup_free_ char *deleted = xasprintf("Deleted: %s", a->id.s);
	CHECK_STR(lines[2], deleted);
	strv_free(lines);
	CHECK(entries(s, "blobs/sha256") ==
	      blobs - 3); /* manifest, config, own layer; the shared one stays */
	CHECK(entries(s, "layers") == 2);
	CHECK_ERR(store_find(s, "app", &i), ERR_NOT_FOUND);
	CHECK_ERR(store_remove(s, "app", false, &lines), ERR_NOT_FOUND);
	CHECK_OK(store_remove(s, b->id.s, false, &lines));
	strv_free(lines);
	CHECK(entries(s, "blobs/sha256") == 0 && entries(s, "layers") == 0);
}

TEST(snapshots_pin)
{
	_cleanup_(store_closep) struct store *s = new_store();
	_cleanup_image_ struct image *a = NULL;
	struct digest image, top;
	struct layer_row *rows;
	size_t n;
	char **lines;
	uint64_t freed;

	add_image(s, 1, 3, "app", &a);
	CHECK_OK(snapshot_row_add(s, "c1", &a->id, &a->layers[2]));
	CHECK_ERR(snapshot_row_add(s, "c1", &a->id, &a->layers[2]), ERR_EXISTS);
	CHECK_ERR(store_remove(s, "app", false, &lines), ERR_STATE);
	CHECK_ERR(store_remove(s, a->id.s, false, &lines), ERR_STATE);
	CHECK_OK(store_remove(s, "app", true, &lines));
	strv_free(lines);
	CHECK(entries(s, "layers") == 3);
	CHECK_OK(snapshot_row_find(s, "c1", &image, &top));
	CHECK_OK(layer_row_chain(s, &top, &rows, &n));
	CHECK(n == 3 && digest_equal(&rows[0].chain, &a->layers[2]) && !digest_is_set(&rows[2].parent));
	free(rows);
	CHECK_ERR(snapshot_row_add(s, "c2", &a->id, &a->layers[2]), ERR_NOT_FOUND);
	CHECK_OK(snapshot_row_remove(s, "c1"));
	CHECK_OK(store_collect(s, &freed));
	CHECK(entries(s, "layers") == 0 && freed >= 300);
}

/* S4 */
TEST(collection_waits_for_adders)
{
	_cleanup_(store_closep) struct store *s = new_store();
	_cleanup_image_ struct image *a = NULL;
	_cleanup_fd_ int lock = -1;
	struct digest d;
	char **lines;
	uint64_t freed;

	add_image(s, 1, 2, "app", &a);
	CHECK_OK(store_lock_shared(s, &lock));
	CHECK_OK(blob_put(s, "not yet named", 13, &d));
	CHECK_ERR(store_collect(s, &freed), ERR_BUSY);
	CHECK_OK(store_remove(s, "app", false, &lines)); /* the name goes, the content stays for now */
	strv_free(lines);
	CHECK(blob_exists(s, &d, NULL) && entries(s, "layers") == 2);
	fd_close(lock);
	CHECK_OK(store_collect(s, &freed));
	CHECK(!blob_exists(s, &d, NULL) && entries(s, "layers") == 0);
}

TEST(moved_name_leaves_a_dangling_image)
{
	_cleanup_(store_closep) struct store *s = new_store();
	_cleanup_image_ struct image *a = NULL, *b = NULL, *i = NULL;

	add_image(s, 1, 1, "app", &a);
	add_image(s, 2, 1, "app", &b);
	CHECK_OK(store_find(s, a->id.s, &i));
	CHECK(strv_len(i->names) == 0 && strv_len(i->repo_digests) == 1);
	image_free(TAKE_PTR(i));
	CHECK_OK(store_find(s, "app", &i));
	CHECK(digest_equal(&i->id, &b->id));
}

TEST(read_only_store)
{
	_cleanup_(store_closep) struct store *s = new_store();
	_cleanup_image_ struct image *a = NULL, *i = NULL;
	char **lines;

	add_image(s, 1, 1, "app", &a);
	s->read_only = true;
	CHECK_OK(store_find(s, "app", &i));
	CHECK_ERR(store_remove(s, "app", false, &lines), ERR_PERMISSION);
	struct digest d;
	CHECK_ERR(blob_put(s, "x", 1, &d), ERR_PERMISSION);
}

/* `havre images` with 1,000 images, and the lookup of `havre run`. */
TEST(speed)
{
	_cleanup_(store_closep) struct store *s = new_store();
	struct image **v, *i;
	size_t n;

	CHECK_OK(db_exec(s->db, "PRAGMA synchronous=OFF"));
	for (int k = 0; k < 1000; k++) {
		char name[40];
		if (k % 100 == 0) { /* the writer is slow (syncs): most rows are copies */
			snprintf(name, sizeof(name), "app%d:v%d", k, k);
			add_image(s, k, 3, name, &i);
			image_free(i);
		} else {
			_cleanup_free_ char *sql =
				xasprintf("INSERT INTO images SELECT 'sha256:%064d', manifest, target, top, "
					  "created_ns+%d, size, os, architecture,"
					  " variant, layers, diff_ids, config FROM images LIMIT 1;"
					  "INSERT INTO names VALUES('docker.io/library/app%d:v', 0, "
					  "'sha256:%064d', 'sha256:%064d', 'sha256:%064d', 0)",
					  k, k, k, k, k, k);
			CHECK_OK(db_exec(s->db, sql));
		}
	}
	store_close(s);
	int64_t t0 = timestamp_monotonic_ns();
	CHECK_OK(store_open(root, &s));
	int64_t t1 = timestamp_monotonic_ns();
	CHECK_OK(store_find(s, "app500:v500", &i));
	int64_t t2 = timestamp_monotonic_ns();
	image_free(i);
	CHECK_OK(store_list(s, &v, &n));
	int64_t t3 = timestamp_monotonic_ns();
	printf("# open %.3f ms, find %.3f ms, list %.3f ms\n", (double)(t1 - t0) / 1e6,
	       (double)(t2 - t1) / 1e6, (double)(t3 - t2) / 1e6);
	CHECK(n == 1000);
	for (size_t k = 0; k < n; k++)
		image_free(v[k]);
	free(v);
}

UNIT_MAIN
