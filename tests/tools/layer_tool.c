/* SPDX-License-Identifier: Apache-2.0 */
/* The images library on a command line, for tests that need a step alone.
 *
 *   layer_tool apply DIR LAYER [LOWER…]       unpacks LAYER into the new DIR; LOWER: layer directories, the uppermost first
 *   layer_tool overlay TARGET DIR DIR…        mounts layer directories (the uppermost first) read-only on TARGET
 *   layer_tool index IMAGE TAR…               an EROFS index over plain tars, the lowest first
 *   layer_tool erofs TARGET IMAGE TAR…        mounts it
 *   layer_tool list TAR                       what the reader sees, a JSON object a line, with a digest of the contents
 *   layer_tool pack DIR [overlay]             writes the tree as tar to stdout
 *   layer_tool cat FILE                       decompresses to stdout
 *   layer_tool load STORE                     an image archive from stdin
 *   layer_tool save STORE docker|oci NAME…    to stdout
 *   layer_tool import STORE NAME [CHANGE…]    a root file system's tar from stdin
 *   layer_tool mount STORE KEY IMAGE TARGET [volatile|ro]   prepares a snapshot and mounts it on TARGET
 *   layer_tool unmount STORE KEY TARGET       and back
 *   layer_tool cycle STORE IMAGE N [volatile] prepares, mounts, writes to, unmounts and removes a snapshot N times; microseconds of each
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "decompress.h"
#include "erofs.h"
#include "images/archive.h"
#include "images/snapshot.h"
#include "layer_apply.h"
#include "layer_stream.h"
#include "overlay.h"

static char **lower_dirs;
static char *overlay_target;

static struct err *open_lower(void *user, int *ret_fd)
{
	size_t n = strv_len(lower_dirs);

	*ret_fd = -1;
	if (n == 0)
		return NULL;
	if (n == 1) {
		*ret_fd = open(lower_dirs[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return *ret_fd < 0 ? err_errno(errno, "%s", lower_dirs[0]) : NULL;
	}
	struct overlay o = {.lower = lower_dirs, .n_lower = n, .target = overlay_target};
	return overlay_mount_fd(&o, ret_fd);
}

static struct err *open_file(const char *path, int *ret_fd)
{
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno(errno, "cannot open %s", path) : NULL;
}

static struct err *do_apply(int argc, char **argv)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_inroot_ struct inroot root = INROOT_NONE;
	_cleanup_layer_stream_ struct layer_stream *stream = NULL;
	struct layer_apply_options options = {.open_lower = open_lower};
	struct layer_apply_result result;
	struct digest diff;
	uint64_t size;

	if (argc < 2)
		return err_new(ERR_INVALID, "apply DIR LAYER [LOWER…]");
	lower_dirs = argv + 2;
	overlay_target = argv[0];
	if (mkdir(argv[0], 0700) < 0)
		return err_errno(errno, "cannot make %s", argv[0]);
	TRY(inroot_open(argv[0], &root));
	TRY(open_file(argv[1], &fd));
	TRY(layer_stream_new(fd, argv[1], LAYER_BYTES_MAX, &stream));
	_cleanup_tar_reader_ struct tar_reader *tar = tar_reader_new(layer_stream_source(stream), argv[1]);
	TRY(layer_apply(tar, &root, &options, &result));
	TRY(tar_reader_drain(tar));
	layer_stream_digest(stream, &diff, &size);
	printf("%s\n", diff.s);
	return NULL;
}

static struct err *attach(int fd, const char *target)
{
	if (move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot mount on %s", target);
	return NULL;
}

static struct err *do_index(int argc, char **argv)
{
	_cleanup_(layer_tree_freep) struct layer_tree *tree = layer_tree_new();
	struct erofs_device devices[EROFS_DEVICES_MAX];
	struct digest identity;
	uint64_t size;

	if (argc < 2 || argc > EROFS_DEVICES_MAX)
		return err_new(ERR_INVALID, "index IMAGE TAR…");
	for (int i = 1; i < argc; i++) {
		struct layer_tree_result result;
		_cleanup_layer_stream_ struct layer_stream *stream = NULL;
		struct stat st;
		int fd;
		TRY(open_file(argv[i], &fd));
		if (fstat(fd, &st) < 0)
			return err_errno(errno, "cannot stat %s", argv[i]);
		devices[i - 1] = (struct erofs_device){.fd = fd, .size = (uint64_t)st.st_size};
		TRY(layer_stream_new(fd, argv[i], LAYER_BYTES_MAX, &stream));
		_cleanup_tar_reader_ struct tar_reader *tar =
			tar_reader_new(layer_stream_source(stream), argv[i]);
		TRY(layer_tree_apply(tree, tar, &result));
	}
	digest_of("test", 4, &identity);
	_cleanup_fd_ int out = open(argv[0], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out < 0)
		return err_errno(errno, "cannot make %s", argv[0]);
	int64_t began = timestamp_monotonic_ns();
	TRY(erofs_write(tree, devices, &identity, out, &size));
	printf("%" PRIu64 " bytes, %" PRIi64 " us\n", size, (timestamp_monotonic_ns() - began) / 1000);
	return NULL;
}

static struct err *do_erofs(int argc, char **argv)
{
	int fds[EROFS_DEVICES_MAX + 1], fd = -1;

	if (argc < 2 || argc > EROFS_DEVICES_MAX)
		return err_new(ERR_INVALID, "erofs TARGET IMAGE TAR…");
	for (int i = 1; i < argc; i++)
		TRY(open_file(argv[i], &fds[i - 1]));
	int64_t began = timestamp_monotonic_ns();
	TRY(erofs_mount_fd(fds[0], fds + 1, (size_t)argc - 2, &fd));
	printf("%" PRIi64 " us\n", (timestamp_monotonic_ns() - began) / 1000);
	return attach(fd, argv[0]);
}

static struct err *do_overlay(int argc, char **argv)
{
	_cleanup_fd_ int fd = -1;

	if (argc < 2)
		return err_new(ERR_INVALID, "overlay TARGET DIR…");
	struct overlay o = {.lower = argv + 1, .n_lower = (size_t)argc - 1, .target = argv[0]};
	TRY(overlay_mount_fd(&o, &fd));
	return attach(fd, argv[0]);
}

static struct err *hash_contents(struct tar_reader *tar, const struct tar_entry *e, struct digest *ret)
{
	_cleanup_(digest_stream_freep) struct digest_stream *hash = digest_stream_new_sha256();
	static const uint8_t zeros[4096];
	uint64_t at = 0;

	while (true) {
		const uint8_t *data = NULL;
		size_t size;
		uint64_t offset = 0;
		TRY(tar_reader_data(tar, &data, &size, &offset));
		uint64_t until = size ? offset : MIN(e->size, (uint64_t)1 << 30);
		while (at < until) {
			size_t n = (size_t)MIN(until - at, (uint64_t)sizeof(zeros));
			digest_stream_update(hash, zeros, n);
			at += n;
		}
		if (size == 0)
			break;
		digest_stream_update(hash, data, size);
		at += size;
	}
	digest_stream_final(hash, ret);
	return NULL;
}

static void print_entry(const struct tar_entry *e, const struct digest *digest)
{
	static const char *const types[] = {"file",  "hardlink",  "symlink", "char",
					    "block", "directory", "fifo"};
	_cleanup_json_ struct json *o = json_new_object();

	json_set_string(o, "path", e->path);
	json_set_string(o, "type", types[e->type]);
	json_set_string(o, "link", e->link);
	json_set_i64(o, "mode", e->mode);
	json_set_i64(o, "uid", e->uid);
	json_set_i64(o, "gid", e->gid);
	json_set_u64(o, "size", e->size);
	json_set_i64(o, "mtime", e->mtime_s);
	json_set_i64(o, "mtime_ns", e->mtime_ns);
	json_set_i64(o, "major", e->dev_major);
	json_set_i64(o, "minor", e->dev_minor);
	json_set_bool(o, "sparse", e->sparse);
	json_set_string(o, "digest", digest->s);
	struct json *xattrs = json_new_object();
	for (size_t i = 0; i < e->n_xattrs; i++) {
		struct strbuf hex = {0};
		for (size_t j = 0; j < e->xattrs[i].size; j++)
			strbuf_printf(&hex, "%02x", ((const uint8_t *)e->xattrs[i].value)[j]);
		json_set_string(xattrs, e->xattrs[i].name, strbuf_str(&hex));
		strbuf_release(&hex);
	}
	json_set(o, "xattrs", xattrs);
	_cleanup_free_ char *text = json_print(o, JSON_COMPACT);
	puts(text);
}

static struct err *do_list(int argc, char **argv)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_layer_stream_ struct layer_stream *stream = NULL;

	if (argc != 1)
		return err_new(ERR_INVALID, "list TAR");
	TRY(open_file(argv[0], &fd));
	TRY(layer_stream_new(fd, argv[0], LAYER_BYTES_MAX, &stream));
	_cleanup_tar_reader_ struct tar_reader *tar = tar_reader_new(layer_stream_source(stream), argv[0]);
	while (true) {
		const struct tar_entry *e;
		struct digest digest = {0};
		TRY(tar_reader_next(tar, &e));
		if (!e)
			break;
		if (e->type == TAR_FILE)
			TRY(hash_contents(tar, e, &digest));
		print_entry(e, &digest);
	}
	return tar_reader_drain(tar);
}

static struct err *do_pack(int argc, char **argv)
{
	_cleanup_fd_ int dir = -1;
	_cleanup_(fd_sink_release) struct fd_sink sink;
	struct tar_tree_options options = {.clamp_s = INT64_MAX, .overlay = argc == 2};

	fd_sink_init(&sink, STDOUT_FILENO, "standard output");
	if (argc < 1)
		return err_new(ERR_INVALID, "pack DIR [overlay]");
	TRY(open_file(argv[0], &dir));
	struct tar_writer w = {.sink = &sink.sink};
	TRY(tar_writer_tree(&w, dir, &options));
	TRY(tar_writer_end(&w));
	return fd_sink_flush(&sink);
}

static struct err *do_cat(int argc, char **argv)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_decompress_ struct decompress *d = NULL;
	static char buf[1 << 18];
	size_t n;

	if (argc != 1)
		return err_new(ERR_INVALID, "cat FILE");
	TRY(open_file(argv[0], &fd));
	TRY(decompress_new(fd, argv[0], &d));
	do {
		TRY(decompress_read(d, buf, sizeof(buf), &n));
		TRY(fd_write_full(STDOUT_FILENO, buf, n, "standard output"));
	} while (n > 0);
	return NULL;
}

static struct err *do_load(int argc, char **argv)
{
	_cleanup_(store_closep) struct store *store = NULL;
	_cleanup_strv_ char **lines = NULL;

	if (argc != 1)
		return err_new(ERR_INVALID, "load STORE");
	TRY(store_open(argv[0], &store));
	TRY(archive_load(store, STDIN_FILENO, NULL, NULL, &lines));
	STRV_FOREACH (line, lines)
		puts(*line);
	return NULL;
}

static struct err *do_save(int argc, char **argv)
{
	_cleanup_(store_closep) struct store *store = NULL;

	if (argc < 3)
		return err_new(ERR_INVALID, "save STORE docker|oci NAME…");
	TRY(store_open(argv[0], &store));
	return archive_save(store, STDOUT_FILENO, str_eq(argv[1], "oci") ? ARCHIVE_OCI : ARCHIVE_DOCKER,
			    argv + 2);
}

static struct err *do_import(int argc, char **argv)
{
	_cleanup_(store_closep) struct store *store = NULL;
	_cleanup_reference_ struct reference name = REFERENCE_NONE;
	struct digest id;

	if (argc < 2)
		return err_new(ERR_INVALID, "import STORE NAME [CHANGE…]");
	TRY(store_open(argv[0], &store));
	TRY(reference_parse(argv[1], &name));
	const struct archive_import_options o = {.name = &name, .changes = argv + 2};
	TRY(archive_import(store, STDIN_FILENO, &o, &id));
	puts(id.s);
	return NULL;
}

static struct err *do_mount(int argc, char **argv)
{
	_cleanup_(store_closep) struct store *store = NULL;
	_cleanup_image_ struct image *image = NULL;
	_cleanup_fd_ int fd = -1;

	if (argc < 4)
		return err_new(ERR_INVALID, "mount STORE KEY IMAGE TARGET [volatile|ro]");
	TRY(store_open(argv[0], &store));
	TRY(store_find(store, argv[2], &image));
	struct err *e = snapshot_prepare(store, argv[1], image);
	if (e && e->kind != ERR_EXISTS)
		return e;
	err_free(e);
	unsigned flags = argc == 4 ? 0 : str_eq(argv[4], "ro") ? SNAPSHOT_READ_ONLY : SNAPSHOT_VOLATILE;
	TRY(snapshot_mount_fd(store, argv[1], flags, &fd));
	return attach(fd, argv[3]);
}

static struct err *do_unmount(int argc, char **argv)
{
	_cleanup_(store_closep) struct store *store = NULL;

	if (argc != 3)
		return err_new(ERR_INVALID, "unmount STORE KEY TARGET");
	if (umount2(argv[2], 0) < 0)
		return err_errno(errno, "cannot unmount %s", argv[2]);
	TRY(store_open(argv[0], &store));
	return snapshot_remove(store, argv[1]);
}

static struct err *do_cycle(int argc, char **argv)
{
	_cleanup_(store_closep) struct store *store = NULL;
	_cleanup_image_ struct image *image = NULL;
	int64_t sum[4] = {0}, t[5];

	if (argc < 3)
		return err_new(ERR_INVALID, "cycle STORE IMAGE N [volatile]");
	TRY(store_open(argv[0], &store));
	TRY(store_find(store, argv[1], &image));
	int n = (int)strtol(argv[2], NULL, 10);
	for (int i = 0; i < n; i++) {
		int fd = -1;
		t[0] = timestamp_monotonic_ns();
		TRY(snapshot_prepare(store, "cycle", image));
		t[1] = timestamp_monotonic_ns();
		TRY(snapshot_mount_fd(store, "cycle", argc > 3 ? SNAPSHOT_VOLATILE : 0, &fd));
		t[2] = timestamp_monotonic_ns();
		int file = openat(fd, "written", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		TRY(fd_write_full(file, "x", 1, "a file"));
		close(file);
		close(fd);
		t[3] = timestamp_monotonic_ns();
		TRY(snapshot_remove(store, "cycle"));
		t[4] = timestamp_monotonic_ns();
		for (int j = 0; j < 4; j++)
			sum[j] += t[j + 1] - t[j];
		usleep(20000);
	}
	printf("prepare %" PRId64 " mount %" PRId64 " write+unmount %" PRId64 " remove %" PRId64 " us\n",
	       sum[0] / n / 1000, sum[1] / n / 1000, sum[2] / n / 1000, sum[3] / n / 1000);
	return NULL;
}

static const struct command {
	const char *name;
	struct err *(*run)(int argc, char **argv);
} commands[] = {
	{"apply", do_apply}, {"index", do_index},   {"erofs", do_erofs}, {"overlay", do_overlay},
	{"list", do_list},   {"pack", do_pack},     {"cat", do_cat},     {"load", do_load},
	{"save", do_save},   {"import", do_import}, {"mount", do_mount}, {"unmount", do_unmount},
	{"cycle", do_cycle},
};

int main(int argc, char **argv)
{
	struct err *e = NULL;
	const struct command *c = NULL;

	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (str_eq(argv[1], commands[i].name))
			c = &commands[i];
	if (!c) {
		fprintf(stderr, "usage: layer_tool COMMAND …\n");
		return 2;
	}
	e = c->run(argc - 2, argv + 2);
	if (!e)
		return 0;
	_cleanup_free_ char *text = err_text(e);
	fprintf(stderr, "layer_tool: %s: %s\n", err_kind_name(e->kind), text);
	err_free(e);
	return 1;
}
