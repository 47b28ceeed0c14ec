/* SPDX-License-Identifier: Apache-2.0 */
/* What an archive's path means in a layer: cleaned text, and the names that are whiteouts (image-spec 1.1.1 layer.md "Whiteouts"). */
#ifndef IMAGES_LAYER_PATH_H
#define IMAGES_LAYER_PATH_H

#include "base/str.h"

#define LAYER_PATH_MAX 4095

/* Joins components by single slashes and resolves "." and ".." by text, staying at the root: "/../a//./b/" is "a/b". */
_must_check_ struct err *layer_path_clean(const char *in, struct strbuf *out);
/* Bytes in front of the last slash of a clean path. */
size_t layer_path_parent_len(const struct strbuf *path);
static inline const char *layer_path_name(const struct strbuf *path, size_t parent_len)
{
	return path->data + parent_len + (path->data[parent_len] == '/');
}

enum layer_name {
	LAYER_NAME_PLAIN,
	LAYER_NAME_WHITEOUT, /* *ret_hidden: what it hides */
	LAYER_NAME_OPAQUE,
	LAYER_NAME_SKIPPED, /* bookkeeping of aufs */
};
/* For a clean path that is not empty. ERR_CORRUPT: a path through a whiteout, a whiteout of nothing that can be hidden. */
_must_check_ struct err *layer_path_kind(const struct strbuf *path, size_t parent_len, enum layer_name *ret,
					 const char **ret_hidden);

#endif
