/* SPDX-License-Identifier: Apache-2.0 */
/* The tar writer: ustar where everything fits, a pax header in front where something does not. The same entries give the same bytes:
 * nothing of the machine, the process or the clock gets in. */
#include <fcntl.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/memory.h"
#include "tar_format.h"

#define SINK_BUFFER ((size_t)256 << 10)
#define OCTAL_7_MAX 07777777
#define OCTAL_11_MAX 077777777777

/* -- fd_sink -------------------------------------------------------------------------------------------------- */

struct err *fd_sink_flush(struct fd_sink *s)
{
	if (s->used)
		TRY(fd_write_full(s->fd, s->buffer, s->used, s->what));
	s->used = 0;
	return NULL;
}

static struct err *fd_sink_write(struct byte_sink *sink, const void *data, size_t size)
{
	struct fd_sink *s = (struct fd_sink *)sink;

	s->written += size;
	if (s->used + size > SINK_BUFFER)
		TRY(fd_sink_flush(s));
	if (size >= SINK_BUFFER)
		return fd_write_full(s->fd, data, size, s->what);
	memcpy(s->buffer + s->used, data, size);
	s->used += size;
	return NULL;
}

void fd_sink_init(struct fd_sink *s, int fd, const char *what)
{
	*s = (struct fd_sink){
		.sink.write = fd_sink_write, .fd = fd, .what = what, .buffer = xmalloc(SINK_BUFFER)};
}

void fd_sink_release(struct fd_sink *s)
{
	free(s->buffer);
	s->buffer = NULL;
}

/* -- headers -------------------------------------------------------------------------------------------------- */

static void put_octal(char *field, size_t size, uint64_t value)
{
	field[size - 1] = '\0';
	for (size_t i = size - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

/* The record's length counts its own digits. */
static void put_record(struct strbuf *out, const char *key, const void *value, size_t size)
{
	size_t rest = strlen(key) + size + 3, length = rest + 1;

	for (size_t limit = 10; length >= limit; limit *= 10)
		length = rest + (size_t)snprintf(NULL, 0, "%zu", limit);
	strbuf_printf(out, "%zu %s=", length, key);
	strbuf_append(out, value, size);
	strbuf_putc(out, '\n');
}

static void put_number_record(struct strbuf *out, const char *key, int64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%lld", (long long)value);

	put_record(out, key, text, (size_t)n);
}

static void put_mtime(struct strbuf *out, const struct tar_entry *e)
{
	char text[40];
	int64_t s = e->mtime_s;
	uint32_t ns = e->mtime_ns;
	const char *sign = "";

	/* Nanoseconds count up from the second below; text has one sign for both. */
	if (s < 0) {
		sign = "-";
		s = -s - (ns ? 1 : 0);
		ns = ns ? 1000000000 - ns : 0;
	}
	int n = ns ? snprintf(text, sizeof(text), "%s%lld.%09u", sign, (long long)s, ns)
		   : snprintf(text, sizeof(text), "%s%lld", sign, (long long)s);
	while (ns && text[n - 1] == '0')
		n--;
	put_record(out, "mtime", text, (size_t)n);
}

/* Into name and prefix. False: does not fit. */
static bool split_path(struct tar_header *h, const char *path)
{
	size_t len = strlen(path);

	if (len <= sizeof(h->name)) {
		memcpy(h->name, path, len);
		return true;
	}
	for (size_t i = MIN(len - 1, sizeof(h->prefix)); i > 0; i--) {
		if (path[i] != '/' || len - i - 1 > sizeof(h->name))
			continue;
		memcpy(h->prefix, path, i);
		memcpy(h->name, path + i + 1, len - i - 1);
		return true;
	}
	memcpy(h->name, path, sizeof(h->name));
	return false;
}

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

static void finish_header(struct tar_header *h, char type)
{
	unsigned sum = 0;

	h->type = type;
	memcpy(h->magic, "ustar\00000", 8);
	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += ((const uint8_t *)h)[i];
	put_octal(h->checksum, 7, sum);
}

/* The header's fields; what does not fit goes to `pax`. */
static char fill_header(struct tar_header *h, const struct tar_entry *e, struct strbuf *pax)
{
	static const char types[] = {
		[TAR_FILE] = '0',         [TAR_HARDLINK] = '1',  [TAR_SYMLINK] = '2', [TAR_CHAR] = '3',
		[TAR_BLOCK_DEVICE] = '4', [TAR_DIRECTORY] = '5', [TAR_FIFO] = '6'};
	uint64_t size = e->type == TAR_FILE ? e->size : 0;

	/* Records in the order of their keys. */
	if (e->gid > OCTAL_7_MAX)
		put_number_record(pax, "gid", e->gid);
	if (strlen(e->link) > sizeof(h->link) || !is_ascii(e->link))
		put_record(pax, "linkpath", e->link, strlen(e->link));
	if (e->mtime_ns || e->mtime_s < 0 || e->mtime_s > OCTAL_11_MAX)
		put_mtime(pax, e);
	if (!split_path(h, e->path) || !is_ascii(e->path))
		put_record(pax, "path", e->path, strlen(e->path));
	for (size_t i = 0; i < e->n_xattrs; i++) {
		_cleanup_free_ char *key = xasprintf("SCHILY.xattr.%s", e->xattrs[i].name);
		put_record(pax, key, e->xattrs[i].value, e->xattrs[i].size);
	}
	if (size > OCTAL_11_MAX)
		put_number_record(pax, "size", (int64_t)size);
	if (e->uid > OCTAL_7_MAX)
		put_number_record(pax, "uid", e->uid);

	memcpy(h->link, e->link, MIN(strlen(e->link), sizeof(h->link)));
	put_octal(h->mode, sizeof(h->mode), e->mode & 07777);
	put_octal(h->uid, sizeof(h->uid), e->uid > OCTAL_7_MAX ? 0 : e->uid);
	put_octal(h->gid, sizeof(h->gid), e->gid > OCTAL_7_MAX ? 0 : e->gid);
	put_octal(h->size, sizeof(h->size), size > OCTAL_11_MAX ? 0 : size);
	put_octal(h->mtime, sizeof(h->mtime),
		  e->mtime_s < 0 || e->mtime_s > OCTAL_11_MAX ? 0 : (uint64_t)e->mtime_s);
	if (e->type == TAR_CHAR || e->type == TAR_BLOCK_DEVICE) {
		put_octal(h->dev_major, sizeof(h->dev_major), e->dev_major);
		put_octal(h->dev_minor, sizeof(h->dev_minor), e->dev_minor);
	}
	return types[e->type];
}

static struct err *put_padded(struct tar_writer *w, const void *data, size_t size)
{
	static const uint8_t zeros[TAR_BLOCK];

	TRY(w->sink->write(w->sink, data, size));
	size_t padding = -size & (TAR_BLOCK - 1);
	return padding ? w->sink->write(w->sink, zeros, padding) : NULL;
}

static struct err *put_pax_header(struct tar_writer *w, const struct strbuf *pax)
{
	struct tar_header h = {0};

	memcpy(h.name, "PaxHeaders/entry", 16);
	put_octal(h.mode, sizeof(h.mode), 0644);
	put_octal(h.uid, sizeof(h.uid), 0);
	put_octal(h.gid, sizeof(h.gid), 0);
	put_octal(h.size, sizeof(h.size), pax->len);
	put_octal(h.mtime, sizeof(h.mtime), 0);
	finish_header(&h, 'x');
	TRY(w->sink->write(w->sink, &h, sizeof(h)));
	return put_padded(w, pax->data, pax->len);
}

struct err *tar_writer_entry(struct tar_writer *w, const struct tar_entry *e)
{
	_cleanup_strbuf_ struct strbuf pax = {0};
	struct tar_header h = {0};

	if (w->left)
		return err_new(ERR_INTERNAL, "a tar entry lacks %llu bytes", (unsigned long long)w->left);
	if (e->dev_major > OCTAL_7_MAX || e->dev_minor > OCTAL_7_MAX)
		return err_new(ERR_LIMIT, "%s: device %u:%u does not fit into a tar header", e->path,
			       e->dev_major, e->dev_minor);
	char type = fill_header(&h, e, &pax);
	if (pax.len > TAR_META_MAX)
		return err_new(ERR_LIMIT,
			       "%.256s: its names and extended attributes are larger than %u bytes", e->path,
			       TAR_META_MAX);
	if (pax.len)
		TRY(put_pax_header(w, &pax));
	finish_header(&h, type);
	TRY(w->sink->write(w->sink, &h, sizeof(h)));
	w->left = w->size = e->type == TAR_FILE ? e->size : 0;
	return NULL;
}

struct err *tar_writer_data(struct tar_writer *w, const void *data, size_t size)
{
	if (size > w->left)
		return err_new(ERR_INTERNAL, "a tar entry is given more bytes than its header says");
	w->left -= size;
	TRY(w->sink->write(w->sink, data, size));
	static const uint8_t zeros[TAR_BLOCK];
	size_t padding = (size_t)(-w->size & (TAR_BLOCK - 1));
	return w->left == 0 && padding ? w->sink->write(w->sink, zeros, padding) : NULL;
}

struct err *tar_writer_file(struct tar_writer *w, const char *path, const void *data, size_t size)
{
	const struct tar_entry e = {.type = TAR_FILE, .path = path, .link = "", .mode = 0644, .size = size};

	TRY(tar_writer_entry(w, &e));
	return size ? tar_writer_data(w, data, size) : NULL;
}

struct err *tar_writer_end(struct tar_writer *w)
{
	static const uint8_t zeros[2 * TAR_BLOCK];

	return w->sink->write(w->sink, zeros, sizeof(zeros));
}
