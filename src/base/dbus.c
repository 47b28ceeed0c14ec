/* SPDX-License-Identifier: Apache-2.0 */
/* D-Bus messages to and from bytes. We write in the byte order of this machine; a message says its own. */
#include "base/dbus.h"

#include <string.h>

#include "base/memory.h"

#define DEPTH_MAX 64 /* the specification's limit: 32 arrays and 32 structs */
#define NATIVE_ORDER (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 'B' : 'l')
#define ARRAY_BYTES_MAX (1u << 26)

size_t dbus_alignment(char type)
{
	switch (type) {
	case 'y':
	case 'g':
	case 'v':
		return 1;
	case 'n':
	case 'q':
		return 2;
	case 'b':
	case 'i':
	case 'u':
	case 'h':
	case 's':
	case 'o':
	case 'a':
		return 4;
	case 'x':
	case 't':
	case 'd':
	case '(':
	case '{':
		return 8;
	default:
		return 0;
	}
}

/* -- writing -------------------------------------------------------------------------------------------------- */

void dbus_align(struct strbuf *b, size_t alignment)
{
	static const char zeros[8];
	strbuf_append(b, zeros, -b->len & (alignment - 1));
}

static void put(struct strbuf *b, const void *value, size_t size)
{
	dbus_align(b, size);
	strbuf_append(b, value, size);
}

void dbus_put_byte(struct strbuf *b, uint8_t v)
{
	put(b, &v, 1);
}

void dbus_put_bool(struct strbuf *b, bool v)
{
	dbus_put_u32(b, v);
}

void dbus_put_u16(struct strbuf *b, uint16_t v)
{
	put(b, &v, sizeof(v));
}

void dbus_put_u32(struct strbuf *b, uint32_t v)
{
	put(b, &v, sizeof(v));
}

void dbus_put_u64(struct strbuf *b, uint64_t v)
{
	put(b, &v, sizeof(v));
}

void dbus_put_double(struct strbuf *b, double v)
{
	put(b, &v, sizeof(v));
}

void dbus_put_string(struct strbuf *b, const char *s)
{
	size_t n = strlen(s);
	dbus_put_u32(b, (uint32_t)n);
	strbuf_append(b, s, n + 1);
}

void dbus_put_signature(struct strbuf *b, const char *s)
{
	size_t n = strlen(s);
	dbus_put_byte(b, (uint8_t)n);
	strbuf_append(b, s, n + 1);
}

struct dbus_array dbus_array_open(struct strbuf *b, size_t alignment)
{
	struct dbus_array a;
	dbus_put_u32(b, 0);
	a.length_at = b->len - sizeof(uint32_t);
	dbus_align(b, alignment);
	a.start = b->len; /* the padding before the first element is not part of the length */
	return a;
}

void dbus_array_close(struct strbuf *b, struct dbus_array a)
{
	uint32_t n = (uint32_t)(b->len - a.start);
	memcpy(b->data + a.length_at, &n, sizeof(n));
}

enum header_field {
	FIELD_PATH = 1,
	FIELD_INTERFACE,
	FIELD_MEMBER,
	FIELD_ERROR_NAME,
	FIELD_REPLY_SERIAL,
	FIELD_DESTINATION,
	FIELD_SENDER,
	FIELD_SIGNATURE,
};

static void put_field(struct strbuf *b, enum header_field field, char type, const char *value)
{
	char signature[2] = {type, '\0'};
	if (str_empty(value))
		return;
	dbus_align(b, 8);
	dbus_put_byte(b, (uint8_t)field);
	dbus_put_signature(b, signature);
	if (type == 'g')
		dbus_put_signature(b, value);
	else
		dbus_put_string(b, value);
}

void dbus_call_encode(const struct dbus_call *call, uint32_t serial, const struct strbuf *body,
		      struct strbuf *ret)
{
	size_t size = body ? body->len : 0;
	const uint8_t start[4] = {NATIVE_ORDER, DBUS_CALL, 0 /* no flags */, 1 /* version */};
	strbuf_reset(ret);
	strbuf_append(ret, start, sizeof(start));
	dbus_put_u32(ret, (uint32_t)size);
	dbus_put_u32(ret, serial);
	struct dbus_array fields = dbus_array_open(ret, 8);
	put_field(ret, FIELD_PATH, 'o', call->path);
	put_field(ret, FIELD_INTERFACE, 's', call->interface);
	put_field(ret, FIELD_MEMBER, 's', call->member);
	put_field(ret, FIELD_DESTINATION, 's', call->destination);
	put_field(ret, FIELD_SIGNATURE, 'g', call->signature);
	dbus_array_close(ret, fields);
	dbus_align(ret, 8);
	if (size)
		strbuf_append(ret, body->data, size);
}

/* -- reading --------------------------------------------------------------------------------------------------- */

static struct err *corrupt(const char *what)
{
	return err_new(ERR_CORRUPT, "malformed D-Bus message: %s", what);
}

static struct err *reader_align(struct dbus_reader *r, size_t alignment)
{
	size_t padding = -r->at & (alignment - 1);
	if (padding > r->size - r->at)
		return corrupt("it ends within padding");
	for (size_t i = 0; i < padding; i++)
		if (r->data[r->at + i])
			return corrupt("padding is not zero");
	r->at += padding;
	return NULL;
}

static struct err *take(struct dbus_reader *r, size_t n, const uint8_t **ret)
{
	if (n > r->size - r->at)
		return corrupt("it ends too early");
	*ret = r->data + r->at;
	r->at += n;
	return NULL;
}

struct err *dbus_get_u32(struct dbus_reader *r, uint32_t *ret)
{
	const uint8_t *p;
	TRY(reader_align(r, 4));
	TRY(take(r, 4, &p));
	*ret = r->big_endian ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
			     : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
	return NULL;
}

/* `n` bytes and the NUL after them, none inside. */
static struct err *get_text(struct dbus_reader *r, size_t n, const char **ret)
{
	const uint8_t *p;
	if (n >= r->size - r->at)
		return corrupt("a string is longer than the message");
	TRY(take(r, n + 1, &p));
	if (p[n] != '\0' || memchr(p, '\0', n))
		return corrupt("a string does not end where it says");
	*ret = (const char *)p;
	return NULL;
}

struct err *dbus_get_string(struct dbus_reader *r, const char **ret)
{
	uint32_t n;
	TRY(dbus_get_u32(r, &n));
	return get_text(r, n, ret);
}

struct err *dbus_get_signature(struct dbus_reader *r, const char **ret)
{
	const uint8_t *n;
	TRY(take(r, 1, &n));
	return get_text(r, *n, ret);
}

/* The end of the first complete type of a signature; NULL when there is none. */
static const char *type_end(const char *s, unsigned depth)
{
	if (depth == DEPTH_MAX)
		return NULL;
	if (*s == 'a')
		return type_end(s + 1, depth + 1);
	if (*s == '(' || *s == '{') {
		char close = *s == '(' ? ')' : '}';
		s++;
		do { /* at least one member: a value of no size would never get an array to its end */
			s = type_end(s, depth + 1);
			if (!s)
				return NULL;
		} while (*s != close);
		return s + 1;
	}
	return dbus_alignment(*s) ? s + 1 : NULL; /* the end of the string has no alignment */
}

static struct err *skip_types(struct dbus_reader *r, const char *s, const char *end, unsigned depth);

static struct err *skip_array(struct dbus_reader *r, const char *element, const char *end, unsigned depth)
{
	uint32_t n;
	TRY(dbus_get_u32(r, &n));
	TRY(reader_align(r, dbus_alignment(*element)));
	if (n > ARRAY_BYTES_MAX || n > r->size - r->at)
		return corrupt("an array is longer than the message");
	size_t stop = r->at + n;
	while (r->at < stop)
		TRY(skip_types(r, element, end, depth));
	return r->at == stop ? NULL : corrupt("an array does not end where it says");
}

static struct err *skip_one(struct dbus_reader *r, const char *s, const char *end, unsigned depth)
{
	const char *text;
	const uint8_t *bytes;
	size_t alignment = dbus_alignment(*s);
	switch (*s) {
	case 's':
	case 'o':
		return dbus_get_string(r, &text);
	case 'g':
		return dbus_get_signature(r, &text);
	case 'v':
		TRY(dbus_get_signature(r, &text));
		const char *one = type_end(text, 0);
		if (!one || *one)
			return corrupt("a variant does not have one type");
		return skip_types(r, text, one, depth);
	case 'a':
		return skip_array(r, s + 1, end, depth);
	case '(':
	case '{':
		TRY(reader_align(r, alignment));
		return skip_types(r, s + 1, end - 1, depth);
	default: /* numbers are as large as their alignment */
		TRY(reader_align(r, alignment));
		return take(r, alignment, &bytes);
	}
}

/* `depth` bounds variants in variants, which no signature shows. */
static struct err *skip_types(struct dbus_reader *r, const char *s, const char *end, unsigned depth)
{
	if (depth == DEPTH_MAX)
		return corrupt("it is nested too deeply");
	while (s < end) {
		const char *next = type_end(s, 0);
		if (!next || next > end)
			return corrupt("a signature is not valid");
		TRY(skip_one(r, s, next, depth + 1));
		s = next;
	}
	return NULL;
}

struct err *dbus_skip(struct dbus_reader *r, const char *signature)
{
	return skip_types(r, signature, signature + strlen(signature), 0);
}

struct err *dbus_message_size(const uint8_t *header, size_t *ret)
{
	struct dbus_reader r = {.data = header, .size = DBUS_HEADER_SIZE, .big_endian = header[0] == 'B'};
	uint32_t body, serial, fields;
	if ((header[0] != 'l' && header[0] != 'B') || header[3] != 1)
		return corrupt("it is not one of version 1");
	r.at = 4;
	TRY(dbus_get_u32(&r, &body));
	TRY(dbus_get_u32(&r, &serial));
	TRY(dbus_get_u32(&r, &fields));
	if (body > DBUS_MESSAGE_MAX || fields > DBUS_MESSAGE_MAX)
		return err_new(ERR_LIMIT, "a D-Bus message of more than %u bytes", DBUS_MESSAGE_MAX);
	*ret = DBUS_HEADER_SIZE + (((size_t)fields + 7) & ~(size_t)7) + body;
	return NULL;
}

static struct err *read_field(struct dbus_reader *r, struct dbus_message *m)
{
	const uint8_t *code;
	const char *signature, **text = NULL;
	char type = 's';
	TRY(reader_align(r, 8));
	TRY(take(r, 1, &code));
	switch ((enum header_field) * code) {
	case FIELD_PATH:
		text = &m->path;
		type = 'o';
		break;
	case FIELD_INTERFACE:
		text = &m->interface;
		break;
	case FIELD_MEMBER:
		text = &m->member;
		break;
	case FIELD_ERROR_NAME:
		text = &m->error_name;
		break;
	case FIELD_SIGNATURE:
		text = &m->signature;
		type = 'g';
		break;
	case FIELD_REPLY_SERIAL:
		type = 'u';
		break;
	default: /* of no interest, or newer than we are */
		return dbus_skip(r, "v");
	}
	TRY(dbus_get_signature(r, &signature));
	if (signature[0] != type || signature[1])
		return corrupt("a header field has the wrong type");
	if (type == 'u')
		return dbus_get_u32(r, &m->reply_serial);
	return type == 'g' ? dbus_get_signature(r, text) : dbus_get_string(r, text);
}

struct err *dbus_message_parse(const uint8_t *data, size_t size, struct dbus_message *ret)
{
	struct dbus_message m = {
		.path = "", .interface = "", .member = "", .error_name = "", .signature = ""};
	size_t whole;
	uint32_t fields;
	if (size < DBUS_HEADER_SIZE)
		return corrupt("it has no whole header");
	TRY(dbus_message_size(data, &whole));
	if (whole != size)
		return corrupt("its size is not what its header says");
	struct dbus_reader r = {.data = data, .size = size, .at = 8, .big_endian = data[0] == 'B'};
	m.type = data[1];
	TRY(dbus_get_u32(&r, &m.serial));
	TRY(dbus_get_u32(&r, &fields));
	r.size = r.at + fields; /* within `size`: dbus_message_size has added it up */
	while (r.at < r.size)
		TRY(read_field(&r, &m));
	r.size = size;
	TRY(reader_align(&r, 8));
	m.body = (struct dbus_reader){.data = data + r.at, .size = size - r.at, .big_endian = r.big_endian};
	*ret = m;
	return NULL;
}
