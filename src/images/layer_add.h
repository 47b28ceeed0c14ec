/* SPDX-License-Identifier: Apache-2.0 */
/* Private: the whole of adding a layer, of which layer_add (images/layer.h) is the usual case, and the directories of a chain. */
#ifndef IMAGES_LAYER_ADD_H
#define IMAGES_LAYER_ADD_H

#include "content.h"
#include "decompress.h"
#include "images/layer.h"

struct layer_source {
	int fd; /* seekable, read from its beginning; borrowed */
	/* Instead of an fd (-1): as decompress_new_reader's; `size` is only for progress. */
	decompress_reader read;
	void *read_user;
	uint64_t size;
	const char *what;             /* names it in errors */
	const struct digest *diff_id; /* NULL: found by reading */
	const struct digest *parent;  /* NULL: the lowest layer */
	/* The parent may still be on its way: returns when it is in the store, and is called only when it is needed. NULL: it is there. */
	struct err *(*wait_below)(void *user);
	void *user;
	const struct progress *progress; /* may be NULL */
};
struct layer_added {
	struct digest chain, diff_id;
	int64_t newest_s; /* latest mtime of a file; 0 when the layer was there already */
};
_must_check_ struct err *layer_add_source(struct store *s, const struct layer_source *in,
					  struct layer_added *ret);

/* ERR_UNSUPPORTED: no layer that can be read. The format itself is recognised by its first bytes. */
_must_check_ struct err *layer_check_media_type(const char *type);

/* ERR_CORRUPT in the words of whoever meets a layer that `is missing`. */
_must_check_ struct err *layer_damaged(const struct layer_row *row, const char *problem);

/* Host paths of the layer directories from the top's down (chain unset: none). Caller frees with strv_free. */
_must_check_ struct err *layer_paths(struct store *s, const struct digest *top, char ***ret);

#endif
