/* SPDX-License-Identifier: Apache-2.0 */
/* Private: making signatures, and keeping them where those of a registry's images are kept. */
#ifndef IMAGES_TRUST_SIGN_H
#define IMAGES_TRUST_SIGN_H

#include "images/sign.h"
#include "trust_storage.h"

/* Adds signatures to those that are there already: GPG's to the lookaside storage, sigstore's to the attachment in the registry. The registry is open
 * for writing. */
_must_check_ struct err *trust_storage_write(const struct trust_storage *s, const struct digest *d,
					     const struct trust_signatures *add);
/* Both: signs the manifest as `at`, or as the signer's identity, and keeps that. */
_must_check_ struct err *trust_sign_and_store(const struct trust_storage *s,
					      const struct trust_signer *signer, const struct digest *d);

#endif
