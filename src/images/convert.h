/* SPDX-License-Identifier: Apache-2.0 */
/* Private: between Docker's "image manifest version 2, schema 2" and OCI image manifests, as skopeo converts: the same input gives the same
 * digests. Members of a document come in the order and the spelling of Go's encoder, which wrote nearly all that there is. */
#ifndef IMAGES_CONVERT_H
#define IMAGES_CONVERT_H

#include "decompress.h"
#include "transport.h"

/* What a layer's media type says about it. Artifacts' layers are none. */
struct layer_type {
	bool is_layer, foreign;
	enum compression compression;
};
struct layer_type layer_type_of(const char *media_type);
/* The media type of a layer in a manifest of either kind. ERR_UNSUPPORTED: Docker's has no zstd. */
_must_check_ struct err *layer_type_name(struct layer_type t, bool oci, const char **ret);

/* `m` with other content: config and layers as given (digest, size, media_type), and of another kind when `oci` says so. Annotations and the
 * like stay where the kind has them. */
_must_check_ struct err *manifest_rewrite(const struct raw_manifest *m, bool oci,
					  const struct descriptor *config, const struct descriptor *layers,
					  size_t n_layers, struct raw_manifest *ret);

/* An index whose parts have got other digests, sizes and types; `parts` in the order of the index, those with an unset digest are left out. */
_must_check_ struct err *index_rewrite(const struct raw_manifest *m, bool oci, const struct descriptor *parts,
				       size_t n_parts, struct raw_manifest *ret);

/* Docker's configuration of an image with the members that OCI knows, and no others. Caller frees. */
_must_check_ struct err *config_to_oci(const char *text, size_t size, char **ret);

/* json_print with < > & escaped, as Go does. Caller frees. */
char *json_print_go(const struct json *v);

#endif
