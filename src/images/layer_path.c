/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_path.h"

#define WHITEOUT_PREFIX ".wh."
#define OPAQUE_NAME ".wh..wh..opq"
#define META_PREFIX ".wh..wh."

struct err *layer_path_clean(const char *in, struct strbuf *out)
{
	strbuf_reset(out);
	while (*in) {
		size_t n = strcspn(in, "/");
		if (n == 2 && in[0] == '.' && in[1] == '.') {
			while (out->len > 0 && out->data[--out->len] != '/')
				;
			if (out->data)
				out->data[out->len] = '\0';
		} else if (n > 0 && !(n == 1 && in[0] == '.')) {
			if (out->len)
				strbuf_putc(out, '/');
			strbuf_append(out, in, n);
		}
		in += n;
		in += *in == '/';
	}
	if (out->len > LAYER_PATH_MAX)
		return err_new(ERR_LIMIT, "its path is longer than %d bytes", LAYER_PATH_MAX);
	return NULL;
}

size_t layer_path_parent_len(const struct strbuf *path)
{
	const char *slash = memrchr(path->data, '/', path->len);

	return slash ? (size_t)(slash - path->data) : 0;
}

/* Whiteouts are names, not directories: a path through one is aufs' bookkeeping or an attempt at something. */
static struct err *check_components(const struct strbuf *path, size_t parent_len, bool *ret_skip)
{
	const char *p = path->data, *end = path->data + parent_len;

	*ret_skip = false;
	while (p < end) {
		size_t n = strcspn(p, "/");
		if (n >= strlen(META_PREFIX) && memcmp(p, META_PREFIX, strlen(META_PREFIX)) == 0)
			*ret_skip = true;
		else if (n >= strlen(WHITEOUT_PREFIX) &&
			 memcmp(p, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0)
			return err_new(ERR_CORRUPT, "its path goes through a whiteout");
		p += n + 1;
	}
	return NULL;
}

struct err *layer_path_kind(const struct strbuf *path, size_t parent_len, enum layer_name *ret,
			    const char **ret_hidden)
{
	const char *name = layer_path_name(path, parent_len);
	bool skip;

	TRY(check_components(path, parent_len, &skip));
	if (skip) {
		*ret = LAYER_NAME_SKIPPED;
	} else if (!str_starts(name, WHITEOUT_PREFIX)) {
		*ret = LAYER_NAME_PLAIN;
	} else if (str_eq(name, OPAQUE_NAME)) {
		*ret = LAYER_NAME_OPAQUE;
	} else if (str_starts(name, META_PREFIX)) {
		*ret = LAYER_NAME_SKIPPED;
	} else {
		name += strlen(WHITEOUT_PREFIX);
		if (!*name || str_eq(name, ".") || str_eq(name, ".."))
			return err_new(ERR_CORRUPT, "it is a whiteout of nothing that can be hidden");
		*ret = LAYER_NAME_WHITEOUT;
		*ret_hidden = name;
	}
	return NULL;
}
