/* SPDX-License-Identifier: Apache-2.0 */
/* Private: the signatures of images in registries: a "lookaside" storage of plain files (file, http or https) beside the registry, and sigstore's
 * attachments in the registry, the tag sha256-HEX.sig (cosign's specification of signatures). Where they are, trust_registries.h says. */
#ifndef IMAGES_TRUST_STORAGE_H
#define IMAGES_TRUST_STORAGE_H

#include "images/trust.h"
#include "registry.h"

#define MIME_SIMPLE_SIGNING "application/vnd.dev.cosign.simplesigning.v1+json"
#define ANNOTATION_SIGNATURE "dev.cosignproject.cosign/signature"

struct trust_storage {
	struct registry *registry;       /* where the image is */
	struct http_client *client;      /* its */
	const struct reference *at;      /* the same as a name: scopes of registries.d are compared with it */
	const char *registries_d;        /* NULL: the usual directory */
	const char *staging;             /* URL to write to instead of what registries.d says; NULL */
	const struct progress *progress; /* cancelled is asked while waiting; may be NULL */
};
/* Appends what there is. None is success. */
_must_check_ struct err *trust_storage_read(const struct trust_storage *s, const struct digest *d,
					    struct trust_signatures *ret);
/* A blob of at most `max` bytes, checked. Caller frees. ERR_NOT_FOUND. */
_must_check_ struct err *trust_blob_read(const struct trust_storage *s, const struct digest *d, size_t max,
					 char **ret, size_t *ret_size);
/* URL of "signature-N" (N from 1) of an image in a storage. Caller frees. */
char *trust_signature_url(const char *storage, const struct reference *at, const struct digest *d, size_t n);
/* sha256-HEX.sig */
struct trust_attachment_tag {
	char s[160];
};
struct trust_attachment_tag trust_attachment_tag(const struct digest *d);

#endif
