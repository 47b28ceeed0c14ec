/* SPDX-License-Identifier: Apache-2.0 */
/* Pushing an image of the store to its registry (distribution-spec 1.1.1, "Push"). */
#ifndef IMAGES_PUSH_H
#define IMAGES_PUSH_H

#include "images/sign.h"
#include "images/store.h"

/* Of layers that are kept uncompressed; others stay as they are. */
enum push_compression { PUSH_COMPRESSION_GZIP, PUSH_COMPRESSION_ZSTD, PUSH_COMPRESSION_NONE };

struct push_options {
	const char *username, *password; /* NULL: from the credential files */
	bool insecure;                   /* as pull's */
	const char *ca_file;             /* extra CA bundle; NULL: the system's */
	const char *cert_dir;            /* certificates of this registry; NULL: none but the system's */
	const char *auth_file;           /* the only credential file; NULL: the usual ones */
	struct platform platform;        /* only the image for this one; architecture "": all */
	enum push_compression compression;
	int compression_level;           /* 0: the default */
	struct trust_signer signer;      /* signs all manifests that are pushed */
	unsigned parallel;               /* blobs at a time; 0: default */
	const struct progress *progress; /* may be NULL */
};

/* What the tag points to now. */
struct push_result {
	struct digest digest;
	uint64_t size;
};

/* `ref` is a name with a tag that the store knows. The index is pushed when the name points to one and all its parts are here,
 * otherwise the platform's manifest, with a message. Non-distributable layers stay where they are. The tag is written last. An image that is pushed alone and has
 * layers that are kept uncompressed gets another manifest there, in which they are compressed. */
_must_check_ struct err *image_push(struct store *s, const struct reference *ref,
				    const struct push_options *o, struct push_result *ret);

#endif
