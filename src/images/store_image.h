/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the store's own files: what store_image.c, store_index.c and store_remove.c share. The database
 * is locked by the caller. */
#ifndef IMAGES_STORE_IMAGE_H
#define IMAGES_STORE_IMAGE_H

#include "content.h"

#define STORE_LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"
/* Seconds that an interrupted download may be continued although other images are removed meanwhile. */
#define STORE_KEPT_INGEST_S (24 * 60 * 60)

enum name_kind { NAME_TAG = 0, NAME_DIGEST = 1 };

/* As store_find. *ret_name (may be NULL) is the reference that matched; untouched when it was found by id. */
_must_check_ struct err *store_find_locked(struct store *s, const char *what, struct image **ret,
					   struct reference *ret_name);

/* Writes index.json from the database: inside the transaction that changes names, so that writers follow each
 * other. */
_must_check_ struct err *store_index_write(struct store *s);
/* What it writes. */
_must_check_ struct err *store_index_text(struct store *s, struct strbuf *ret);

/* Whether all that the image was recorded with is still there: documents whole, layer blobs of the right size, layers in their places. A document
 * or blob that is not is removed, so that it can be fetched. The caller need hold no lock. */
bool image_is_complete(struct store *s, const struct image *image);

/* Removes garbage under the exclusive store lock, which the caller holds. `kept_ingest_s`: unfinished blobs
 * younger than this may be continued and stay. Chain ids of removed layers are appended to *lines ("Deleted:
 * …") unless it is NULL. */
_must_check_ struct err *store_collect_garbage(struct store *s, int64_t kept_ingest_s, char ***lines,
					       uint64_t *ret_freed_bytes);

/* The disk is full: what was being added goes at once, unless somebody else is adding too. The caller holds no lock any more. */
void store_give_back(struct store *s);
/* Removes what killed commands left in ingest/, but for blobs that may be continued. Nothing happens while somebody is adding; never fails.
 * The caller holds no lock. */
void store_sweep_ingest(struct store *s);

#endif
