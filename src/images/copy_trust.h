/* SPDX-License-Identifier: Apache-2.0 */
/* Private: whether a source's image may be used (images/trust.h), and what else belongs to it. */
#ifndef IMAGES_COPY_TRUST_H
#define IMAGES_COPY_TRUST_H

#include "copy_image.h"

struct trust_policy;

/* Before anything is fetched (m NULL), and again with a manifest and the index it was chosen from (NULL: none). ERR_PERMISSION: no. */
_must_check_ struct err *copy_check_trust(struct copy *c, const struct trust_policy *p,
					  const struct raw_manifest *m, const struct raw_manifest *index);

/* From a registry to a registry: cosign's tags of `digest` (sha256-HEX.sig, .att, .sbom), and the manifests that refer to it, and so on. The
 * destination's fallback tag is kept where it has no referrers API. */
_must_check_ struct err *copy_attachments(struct copy *c, const struct digest *digest);

#endif
