/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of manifests that are being made: an index under a local name, filled image by image and then pushed (podman manifest). What is in a list
 * stays where it is until the push. A list is one file, replaced as a whole; changes of several processes follow each other. */
#ifndef IMAGES_LIST_H
#define IMAGES_LIST_H

#include "images/copy.h"

/* ERR_EXISTS unless `amend`: then what is there stays. */
_must_check_ struct err *list_create(struct store *s, const struct reference *name, bool amend);
/* ERR_NOT_FOUND. Caller frees *ret: the index as JSON. */
_must_check_ struct err *list_read(struct store *s, const struct reference *name, char **ret);
_must_check_ struct err *list_delete(struct store *s, const struct reference *name);

/* What is said of an entry; NULL: as the image's own configuration has it, or as it was. */
struct list_entry_options {
	const char *os, *architecture, *variant, *os_version;
	char *const *os_features, *const *annotations; /* annotations: KEY=VALUE */
};
struct list_add_options {
	struct transport_options transport;
	struct list_entry_options entry;
	const struct platform *platform; /* chosen when the place has an index; NULL: the host's */
	bool all;                        /* all images of an index */
};
/* `place`: as images/copy.h. The same manifest again is described anew. *ret: the digest of the (last) entry. */
_must_check_ struct err *list_add(struct store *s, const struct reference *name, const char *place,
				  const struct list_add_options *o, struct digest *ret);
_must_check_ struct err *list_annotate(struct store *s, const struct reference *name,
				       const struct digest *entry, const struct list_entry_options *o);
_must_check_ struct err *list_remove(struct store *s, const struct reference *name,
				     const struct digest *entry);
/* The images and then the index. o->format: of the index (COPY_FORMAT_KEEP: OCI unless all images are Docker's). */
_must_check_ struct err *list_push(struct store *s, const struct reference *name, const char *destination,
				   const struct copy_options *o, struct copy_result *ret);

#endif
