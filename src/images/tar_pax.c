/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of tar headers and records of pax extended headers ("LENGTH KEY=VALUE\n"; POSIX.1-2001 pax, "Extended Header"). Unknown
 * keys are passed over; a known key with an empty value takes back what was said before. */
#include <inttypes.h>

#include "base/memory.h"
#include "tar_format.h"

static struct err *base256(const unsigned char *p, size_t size, const char *field, int64_t *ret)
{
	/* Big-endian two's complement; the first bit is the marker, the second the sign. */
	bool negative = p[0] & 0x40;
	uint64_t value = negative ? UINT64_MAX : 0;

	for (size_t i = 0; i < size; i++) {
		unsigned byte = p[i];
		if (i == 0)
			byte = negative ? byte | 0x80 : byte & 0x7f;
		/* The bits that leave at the top must be sign bits, and so must the new top bit. */
		if ((value >> 55) != (negative ? 0x1ff : 0))
			return err_new(ERR_CORRUPT, "its %s is out of range", field);
		value = value << 8 | byte;
	}
	*ret = (int64_t)value;
	return NULL;
}

struct err *tar_number(const char *p, size_t size, const char *field, int64_t *ret)
{
	size_t i = 0;
	uint64_t value = 0;

	if ((unsigned char)p[0] & 0x80)
		return base256((const unsigned char *)p, size, field, ret);
	while (i < size && (p[i] == ' ' || p[i] == '\0'))
		i++;
	for (; i < size && p[i] >= '0' && p[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(p[i] - '0'); /* 12 digits are 36 bits */
	for (; i < size; i++)
		if (p[i] != ' ' && p[i] != '\0')
			return err_new(ERR_CORRUPT, "its %s is not an octal number", field);
	*ret = (int64_t)value;
	return NULL;
}

void tar_pax_drop_xattrs(struct tar_pax *p)
{
	for (size_t i = 0; i < p->n_xattrs; i++) {
		free((char *)p->xattrs[i].name);
		free((void *)p->xattrs[i].value);
	}
	p->n_xattrs = 0;
}

void tar_pax_reset(struct tar_pax *p)
{
	tar_pax_drop_xattrs(p);
	strbuf_reset(&p->path);
	strbuf_reset(&p->link);
	strbuf_reset(&p->sparse_name);
	struct tar_pax kept = {.path = p->path,
			       .link = p->link,
			       .sparse_name = p->sparse_name,
			       .xattrs = p->xattrs,
			       .libarchive = p->libarchive,
			       .cap_xattrs = p->cap_xattrs,
			       .extents = p->extents,
			       .cap_extents = p->cap_extents};
	*p = kept;
}

void tar_pax_release(struct tar_pax *p)
{
	tar_pax_drop_xattrs(p);
	strbuf_release(&p->path);
	strbuf_release(&p->link);
	strbuf_release(&p->sparse_name);
	free(p->xattrs);
	free(p->libarchive);
	free(p->extents);
	*p = (struct tar_pax){0};
}

/* Takes name and value over. */
static struct err *add_xattr(struct tar_pax *p, char *name, void *value, size_t size, bool libarchive)
{
	size_t i;

	for (i = 0; i < p->n_xattrs; i++)
		if (str_eq(p->xattrs[i].name, name))
			break;
	if (i < p->n_xattrs) {
		if (libarchive && !p->libarchive[i]) {
			free(name);
			free(value);
			return NULL;
		}
		free((char *)p->xattrs[i].name);
		free((void *)p->xattrs[i].value);
	} else {
		if (p->n_xattrs == TAR_XATTRS_MAX) {
			free(name);
			free(value);
			return err_new(ERR_LIMIT, "it has more than %d extended attributes", TAR_XATTRS_MAX);
		}
		size_t cap = p->cap_xattrs;
		GROW(p->xattrs, p->n_xattrs, p->cap_xattrs);
		if (cap != p->cap_xattrs)
			p->libarchive = xrealloc(p->libarchive, p->cap_xattrs, sizeof(*p->libarchive));
		p->n_xattrs++;
	}
	p->xattrs[i] = (struct tar_xattr){.name = name, .value = value, .size = size};
	p->libarchive[i] = libarchive;
	return NULL;
}

/* -- values --------------------------------------------------------------------------------------------------- */

struct record {
	const char *key, *value;
	size_t key_len, value_len;
};

static bool key_is(const struct record *r, const char *key)
{
	return r->key_len == strlen(key) && memcmp(r->key, key, r->key_len) == 0;
}

static bool key_starts(const struct record *r, const char *prefix)
{
	return r->key_len > strlen(prefix) && memcmp(r->key, prefix, strlen(prefix)) == 0;
}

static struct err *bad_value(const struct record *r)
{
	return err_new(ERR_CORRUPT, "its pax record %.*s has the bad value \"%.*s\"",
		       (int)MIN(r->key_len, (size_t)64), r->key, (int)MIN(r->value_len, (size_t)64),
		       r->value);
}

/* Decimal digits from *pos on, at least one. */
static struct err *decimal(const struct record *r, size_t *pos, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	size_t start = *pos;

	for (; *pos < r->value_len && r->value[*pos] >= '0' && r->value[*pos] <= '9'; (*pos)++) {
		unsigned digit = (unsigned)(r->value[*pos] - '0');
		if (value > (max - digit) / 10)
			return bad_value(r);
		value = value * 10 + digit;
	}
	if (*pos == start)
		return bad_value(r);
	*ret = value;
	return NULL;
}

static struct err *whole_number(const struct record *r, bool *has, int64_t *ret)
{
	size_t pos = 0;
	uint64_t value;

	if (r->value_len == 0) {
		*has = false;
		return NULL;
	}
	bool negative = r->value[0] == '-';
	pos = negative;
	TRY(decimal(r, &pos, INT64_MAX, &value));
	if (pos != r->value_len)
		return bad_value(r);
	*ret = negative ? -(int64_t)value : (int64_t)value;
	*has = true;
	return NULL;
}

/* "1350244992.023960108", "-1.5": nanoseconds count upwards from the whole second below. */
static struct err *time_value(struct tar_pax *p, const struct record *r)
{
	size_t pos = 0;
	uint64_t seconds;
	uint32_t ns = 0;

	p->has_mtime = r->value_len > 0;
	if (!p->has_mtime)
		return NULL;
	bool negative = r->value[0] == '-';
	pos = negative;
	TRY(decimal(r, &pos, INT64_MAX / 2, &seconds));
	if (pos < r->value_len) {
		if (r->value[pos++] != '.')
			return bad_value(r);
		uint32_t scale = 100000000;
		for (; pos < r->value_len; pos++, scale /= 10) {
			if (r->value[pos] < '0' || r->value[pos] > '9')
				return bad_value(r);
			ns += scale * (uint32_t)(r->value[pos] - '0');
		}
	}
	p->mtime_s = negative ? -(int64_t)seconds : (int64_t)seconds;
	if (negative && ns) {
		p->mtime_s--;
		ns = 1000000000 - ns;
	}
	p->mtime_ns = ns;
	return NULL;
}

static struct err *text_value(const struct record *r, bool *has, struct strbuf *ret)
{
	if (memchr(r->value, '\0', r->value_len))
		return err_new(ERR_CORRUPT, "its pax record %.*s contains a NUL byte", (int)r->key_len,
			       r->key);
	if (r->value_len > TAR_PATH_MAX)
		return err_new(ERR_LIMIT, "its pax record %.*s is longer than %u bytes", (int)r->key_len,
			       r->key, TAR_PATH_MAX);
	strbuf_reset(ret);
	strbuf_append(ret, r->value, r->value_len);
	*has = r->value_len > 0;
	return NULL;
}

static struct err *add_extent(struct tar_pax *p, uint64_t offset)
{
	if (p->n_extents == TAR_SPARSE_MAX)
		return err_new(ERR_LIMIT, "its sparse map has more than %u extents", TAR_SPARSE_MAX);
	GROW(p->extents, p->n_extents, p->cap_extents);
	p->extents[p->n_extents++] = (struct tar_extent){.offset = offset};
	p->has_sparse_map = true;
	p->half_extent = true;
	return NULL;
}

/* Version 0.1: "offset,size,offset,size" */
static struct err *sparse_map(struct tar_pax *p, const struct record *r)
{
	uint64_t value;

	p->n_extents = 0;
	p->has_sparse_map = true;
	for (size_t pos = 0; pos < r->value_len;) {
		TRY(decimal(r, &pos, INT64_MAX, &value));
		if (!p->half_extent) {
			TRY(add_extent(p, value));
		} else {
			p->extents[p->n_extents - 1].size = value;
			p->half_extent = false;
		}
		if (pos == r->value_len)
			break;
		if (r->value[pos++] != ',' || pos == r->value_len)
			return bad_value(r);
	}
	return p->half_extent ? bad_value(r) : NULL;
}

static struct err *sparse_record(struct tar_pax *p, const struct record *r)
{
	int64_t value = 0;
	bool has = false;

	if (key_is(r, "GNU.sparse.name"))
		return text_value(r, &p->has_sparse_name, &p->sparse_name);
	if (key_is(r, "GNU.sparse.map"))
		return sparse_map(p, r);
	if (key_is(r, "GNU.sparse.size") || key_is(r, "GNU.sparse.realsize"))
		return whole_number(r, &p->has_sparse_size, &p->sparse_size);
	if (key_is(r, "GNU.sparse.major"))
		return whole_number(r, &p->has_sparse_version, &p->sparse_major);
	if (key_is(r, "GNU.sparse.minor"))
		return whole_number(r, &has, &p->sparse_minor);
	bool offset = key_is(r, "GNU.sparse.offset"), numbytes = key_is(r, "GNU.sparse.numbytes");
	if (!offset && !numbytes)
		return NULL;
	TRY(whole_number(r, &has, &value));
	if (!has || value < 0 || offset == p->half_extent)
		return bad_value(r);
	if (offset)
		return add_extent(p, (uint64_t)value);
	p->extents[p->n_extents - 1].size = (uint64_t)value;
	p->half_extent = false;
	return NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* %XX in names of LIBARCHIVE.xattr records */
static char *url_decode(const char *s, size_t n)
{
	struct strbuf out = {0};

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '%' && i + 2 < n && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0) {
			strbuf_putc(&out, (char)(hex_digit(s[i + 1]) << 4 | hex_digit(s[i + 2])));
			i += 2;
		} else {
			strbuf_putc(&out, s[i]);
		}
	}
	return strbuf_take(&out);
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* libarchive writes no padding; padding and anything else ends the text. */
static uint8_t *base64_decode(const char *s, size_t n, size_t *ret_size)
{
	uint8_t *out = xmalloc(n / 4 * 3 + 3);
	size_t size = 0;
	unsigned bits = 0, n_bits = 0;

	for (size_t i = 0; i < n && base64_digit(s[i]) >= 0; i++) {
		bits = bits << 6 | (unsigned)base64_digit(s[i]);
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			out[size++] = (uint8_t)(bits >> n_bits);
		}
	}
	*ret_size = size;
	return out;
}

static struct err *xattr_record(struct tar_pax *p, const struct record *r, const char *prefix,
				bool libarchive)
{
	size_t skip = strlen(prefix);
	char *name = libarchive ? url_decode(r->key + skip, r->key_len - skip)
				: xstrndup(r->key + skip, r->key_len - skip);

	if (libarchive) {
		size_t size;
		uint8_t *value = base64_decode(r->value, r->value_len, &size);
		return add_xattr(p, name, value, size, true);
	}
	char *value = xmalloc(r->value_len + 1);
	memcpy(value, r->value, r->value_len);
	return add_xattr(p, name, value, r->value_len, false);
}

static struct err *apply_record(struct tar_pax *p, const struct record *r)
{
	if (key_is(r, "path"))
		return text_value(r, &p->has_path, &p->path);
	if (key_is(r, "linkpath"))
		return text_value(r, &p->has_link, &p->link);
	if (key_is(r, "size"))
		return whole_number(r, &p->has_size, &p->size);
	if (key_is(r, "uid"))
		return whole_number(r, &p->has_uid, &p->uid);
	if (key_is(r, "gid"))
		return whole_number(r, &p->has_gid, &p->gid);
	if (key_is(r, "mtime"))
		return time_value(p, r);
	if (key_is(r, "SCHILY.devmajor"))
		return whole_number(r, &p->has_dev_major, &p->dev_major);
	if (key_is(r, "SCHILY.devminor"))
		return whole_number(r, &p->has_dev_minor, &p->dev_minor);
	if (key_starts(r, "SCHILY.xattr."))
		return xattr_record(p, r, "SCHILY.xattr.", false);
	if (key_starts(r, "LIBARCHIVE.xattr."))
		return xattr_record(p, r, "LIBARCHIVE.xattr.", true);
	if (key_starts(r, "GNU.sparse."))
		return sparse_record(p, r);
	return NULL;
}

struct err *tar_pax_parse(struct tar_pax *p, const char *data, size_t size)
{
	while (size > 0) {
		size_t length = 0, digits = 0;

		while (digits < size && digits < 10 && data[digits] >= '0' && data[digits] <= '9')
			length = length * 10 + (size_t)(data[digits++] - '0');
		/* The length counts itself, the blank and the newline. */
		if (digits == 0 || digits == size || data[digits] != ' ' || length > size ||
		    length < digits + 4 || data[length - 1] != '\n')
			return err_new(ERR_CORRUPT, "a record of its pax header has a wrong length");
		struct record r = {.key = data + digits + 1};
		const char *end = data + length - 1, *equals = memchr(r.key, '=', (size_t)(end - r.key));
		if (!equals || equals == r.key || memchr(r.key, '\0', (size_t)(equals - r.key)))
			return err_new(ERR_CORRUPT, "a record of its pax header has no key");
		r.key_len = (size_t)(equals - r.key);
		r.value = equals + 1;
		r.value_len = (size_t)(end - r.value);
		TRY(apply_record(p, &r));
		data += length;
		size -= length;
	}
	return NULL;
}
