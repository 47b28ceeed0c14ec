/* SPDX-License-Identifier: Apache-2.0 */
#include "criu_wire.h"

#include <string.h>

/* -- writing ------------------------------------------------------------------------------------------------ */

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static void put_varint(struct strbuf *out, uint64_t v)
{
	while (v >= 0x80) {
		strbuf_putc(out, (char)(unsigned char)(v | 0x80));
		v >>= 7;
	}
	strbuf_putc(out, (char)v);
}

void wire_put_number(struct strbuf *out, unsigned field, uint64_t value)
{
	put_varint(out, ((uint64_t)field << 3) | WIRE_VARINT);
	put_varint(out, value);
}

void wire_put_bytes(struct strbuf *out, unsigned field, const void *data, size_t size)
{
	put_varint(out, ((uint64_t)field << 3) | WIRE_BYTES);
	put_varint(out, size);
	if (size)
		strbuf_append(out, data, size);
}

void wire_put_string(struct strbuf *out, unsigned field, const char *s)
{
	wire_put_bytes(out, field, s, strlen(s));
}

void wire_put_pair(struct strbuf *out, unsigned field, const char *first, const char *second)
{
	_cleanup_strbuf_ struct strbuf message = {0};
	wire_put_string(&message, 1, first);
	wire_put_string(&message, 2, second);
	wire_put_bytes(out, field, strbuf_str(&message), message.len);
}

void wire_put_inherit_fd(struct strbuf *out, const char *key, int fd)
{
	_cleanup_strbuf_ struct strbuf message = {0};
	wire_put_string(&message, 1, key);
	wire_put_number(&message, 2, (uint64_t)fd);
	wire_put_bytes(out, CRIU_OPT_INHERIT_FD, strbuf_str(&message), message.len);
}

/* -- reading ------------------------------------------------------------------------------------------------ */

struct reader {
	const unsigned char *p, *end;
};

struct field {
	uint64_t number;
	enum wire_type type;
	uint64_t value;      /* of a varint */
	struct reader bytes; /* of a string or a message */
};

static struct err *broken(const char *why)
{
	return err_new(ERR_CORRUPT, "criu's answer is not understood: %s", why);
}

static struct err *take_varint(struct reader *r, uint64_t *ret)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (r->p == r->end)
			return broken("it ends inside a number");
		unsigned char byte = *r->p++;
		if (shift == 63 && byte > 1)
			return broken("a number is too large");
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return NULL;
		}
	}
	return broken("a number is too long");
}

static struct err *take_bytes(struct reader *r, uint64_t size, struct reader *ret)
{
	if (size > (uint64_t)(r->end - r->p))
		return broken("it ends inside a field");
	*ret = (struct reader){r->p, r->p + size};
	r->p += size;
	return NULL;
}

static struct err *take_field(struct reader *r, struct field *ret)
{
	uint64_t tag, size;
	TRY(take_varint(r, &tag));
	*ret = (struct field){.number = tag >> 3, .type = (enum wire_type)(tag & 7)};
	if (!ret->number || ret->number > (1u << 29) - 1)
		return broken("a field has an impossible number");
	switch (ret->type) {
	case WIRE_VARINT:
		return take_varint(r, &ret->value);
	case WIRE_FIXED64:
		return take_bytes(r, 8, &ret->bytes);
	case WIRE_FIXED32:
		return take_bytes(r, 4, &ret->bytes);
	case WIRE_BYTES:
		TRY(take_varint(r, &size));
		return take_bytes(r, size, &ret->bytes);
	}
	return broken("a field has an impossible type");
}

static struct err *need(const struct field *f, enum wire_type type)
{
	return f->type == type ? NULL : broken("a field is of another type than it should be");
}

/* One line of printable text. */
static void copy_text(struct reader from, char *to, size_t size)
{
	size_t n = 0;
	for (; from.p < from.end && n + 1 < size; from.p++)
		to[n++] = *from.p < 0x20 || *from.p == 0x7f ? ' ' : (char)*from.p;
	while (n > 0 && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
}

/* An int32: a negative one (CRIU has no process yet) is sent as 64 bits of two's complement. */
static struct err *take_pid(const struct field *f, pid_t *ret)
{
	TRY(need(f, WIRE_VARINT));
	int64_t v = (int64_t)f->value;
	if (v > INT32_MAX || v < INT32_MIN)
		return broken("a process id is out of range");
	*ret = (pid_t)v;
	return NULL;
}

static struct err *parse_notify(struct reader r, struct criu_response *ret)
{
	struct field f;
	while (r.p < r.end) {
		TRY(take_field(&r, &f));
		if (f.number == 1) {
			TRY(need(&f, WIRE_BYTES));
			copy_text(f.bytes, ret->script, sizeof(ret->script));
		} else if (f.number == 2) {
			TRY(take_pid(&f, &ret->pid));
		}
	}
	return NULL;
}

static struct err *parse_restore(struct reader r, struct criu_response *ret)
{
	struct field f;
	while (r.p < r.end) {
		TRY(take_field(&r, &f));
		if (f.number == 1)
			TRY(take_pid(&f, &ret->pid));
	}
	return NULL;
}

static struct err *parse_version(struct reader r, struct criu_version *ret)
{
	struct field f;
	while (r.p < r.end) {
		TRY(take_field(&r, &f));
		uint64_t *number = f.number == 1   ? &ret->major
				   : f.number == 2 ? &ret->minor
				   : f.number == 4 ? &ret->sublevel
						   : NULL;
		if (number) {
			TRY(need(&f, WIRE_VARINT));
			if (f.value > 9999)
				return broken("a version number is out of range");
			*number = f.value;
		} else if (f.number == 3) {
			ret->from_git = true;
		}
	}
	return NULL;
}

static struct err *parse_features(struct reader r, uint64_t *ret)
{
	struct field f;
	while (r.p < r.end) {
		TRY(take_field(&r, &f));
		if (f.number < 64 && f.type == WIRE_VARINT && f.value)
			*ret |= 1ULL << f.number;
	}
	return NULL;
}

static struct err *parse_response_field(const struct field *f, struct criu_response *ret)
{
	switch (f->number) {
	case 1:
		TRY(need(f, WIRE_VARINT));
		ret->type = f->value;
		return NULL;
	case 2:
		TRY(need(f, WIRE_VARINT));
		ret->success = f->value != 0;
		return NULL;
	case 4:
		TRY(need(f, WIRE_BYTES));
		return parse_restore(f->bytes, ret);
	case 5:
		TRY(need(f, WIRE_BYTES));
		return parse_notify(f->bytes, ret);
	case 7:
		TRY(need(f, WIRE_VARINT));
		ret->cr_errno = (int32_t)(uint32_t)f->value;
		return NULL;
	case 8:
		TRY(need(f, WIRE_BYTES));
		return parse_features(f->bytes, &ret->features);
	case 9:
		TRY(need(f, WIRE_BYTES));
		copy_text(f->bytes, ret->message, sizeof(ret->message));
		return NULL;
	case 10:
		TRY(need(f, WIRE_BYTES));
		return parse_version(f->bytes, &ret->version);
	default:
		return NULL;
	}
}

struct err *criu_response_parse(const void *data, size_t size, struct criu_response *ret)
{
	struct reader r = {data, (const unsigned char *)data + size};
	struct criu_response response = {0};
	bool has_type = false, has_success = false;
	struct field f;
	while (r.p < r.end) {
		TRY(take_field(&r, &f));
		TRY(parse_response_field(&f, &response));
		has_type |= f.number == 1;
		has_success |= f.number == 2;
	}
	if (!has_type || !has_success)
		return broken("it lacks its type or its result");
	*ret = response;
	return NULL;
}
