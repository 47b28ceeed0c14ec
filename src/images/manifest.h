/* SPDX-License-Identifier: Apache-2.0 */
/* Private: manifests, indexes and image configs as the specifications write them (image-spec 1.1.1
 * manifest.md, image-index.md, config.md; Docker's "image manifest version 2, schema 2" and its manifest
 * list). Everything here is untrusted input: sizes, counts and texts are checked, and a document that could
 * be read both as a manifest and as an index is refused (CVE-2021-41190). */
#ifndef IMAGES_MANIFEST_H
#define IMAGES_MANIFEST_H

#include "images/store.h"

#define MANIFEST_SIZE_MAX ((size_t)4 << 20)
#define CONFIG_SIZE_MAX ((size_t)8 << 20)
#define MANIFEST_LAYERS_MAX 512 /* the kernel's overlayfs takes 500 */
#define INDEX_ENTRIES_MAX 4096

#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define MEDIA_OCI_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"
#define MEDIA_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"

struct descriptor {
	char *media_type; /* never NULL; "" when the document had none */
	struct digest digest;
	uint64_t size;
	char **urls; /* of non-distributable layers; NULL otherwise */
	struct platform platform;
	bool has_platform;
};

struct manifest {
	bool is_index;
	const char *media_type;     /* one of the four constants */
	struct descriptor config;   /* image manifest only */
	struct descriptor *entries; /* layers lowest first, or the manifests of an index */
	size_t n_entries;
};
void manifest_free(struct manifest *m);
DEFINE_CLEANUP(struct manifest *, manifest_free)
#define _cleanup_manifest_ _cleanup_(manifest_freep)

/* `content_type` is what the transport said (parameters are ignored), or NULL; a known type that contradicts
 * the document is refused. ERR_UNSUPPORTED: schema 1, an artifact that is no container image. ERR_INVALID:
 * anything malformed. */
_must_check_ struct err *manifest_parse(const char *data, size_t size, const char *content_type,
					struct manifest **ret);
/* The same without regard to what the config is: artifacts too. */
_must_check_ struct err *manifest_parse_any(const char *data, size_t size, const char *content_type,
					    struct manifest **ret);
/* The entry for `p`: exact variant first, then the variants that `p` can run in descending order; the first
 * of equals wins. ERR_NOT_FOUND lists what there is. */
_must_check_ struct err *manifest_choose(const struct manifest *index, const struct platform *p,
					 const struct descriptor **ret);

/* A descriptor as the OCI image format has it. */
struct json *descriptor_json(const char *media_type, const struct digest *d, uint64_t size);

struct image_config {
	struct platform platform;
	int64_t created_ns;
	struct digest *diff_ids;
	size_t n_layers;
	struct json *document;
};
void image_config_release(struct image_config *c);
#define _cleanup_image_config_ _cleanup_(image_config_release)
_must_check_ struct err *image_config_parse(const char *data, size_t size, struct image_config *ret);

/* Whether a program built for `image` runs on `host` (variant rules; empty variants are the architecture's
 * lowest common). */
bool platform_matches(const struct platform *host, const struct platform *image);
char *platform_string(const struct platform *p); /* "linux/arm64/v8"; caller frees */

#endif
