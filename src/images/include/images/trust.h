/* SPDX-License-Identifier: Apache-2.0 */
/* May an image be used? containers-policy.json(5): the policy says for each transport and scope what an image needs to be accepted: nothing,
 * GPG signatures ("simple signing", containers-signature(5)) or sigstore's. Where there is no policy file every image is
 * accepted, as with docker; podman and skopeo refuse to work then. */
#ifndef IMAGES_TRUST_H
#define IMAGES_TRUST_H

#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "images/reference.h"

#define TRUST_SIGNATURE_MAX ((size_t)4 << 20) /* bytes of one */
#define TRUST_SIGNATURES_MAX 128              /* of one image */

/* -- policies ------------------------------------------------------------------------------------------------- */

struct trust_policy;
/* path NULL: ~/.config/containers/policy.json, or else /etc/containers/policy.json, and when there is neither a policy that accepts
 * everything. A file that is named must be there. Errors name the file and the place in it. */
_must_check_ struct err *trust_policy_load(const char *path, struct trust_policy **ret);
/* The same from memory; `path` is what errors call it. */
_must_check_ struct err *trust_policy_parse(const char *text, size_t size, const char *path,
					    struct trust_policy **ret);
void trust_policy_free(struct trust_policy *p);
DEFINE_CLEANUP(struct trust_policy *, trust_policy_free)
#define _cleanup_trust_policy_ _cleanup_(trust_policy_freep)
/* The file that counts when no other is named; caller frees. */
char *trust_policy_path(void);

/* What is in it, for showing: [{"transport", "name", "repo_name", "type", "keys"}], as podman image trust show --json. */
struct json *trust_policy_rules(const struct trust_policy *p);
/* Sets the one requirement of a scope of transport docker, or of the default, in the file (path NULL: the usual one; it is made when missing). */
struct trust_change {
	const char *scope; /* NULL: the default */
	const char *type;  /* accept, reject, signedBy, sigstoreSigned */
	char *const *keys; /* files of public keys */
};
_must_check_ struct err *trust_policy_change(const char *path, const struct trust_change *c);

/* -- signatures ----------------------------------------------------------------------------------------------- */

enum trust_signature_kind { TRUST_SIGNATURE_SIMPLE, TRUST_SIGNATURE_SIGSTORE };
struct trust_signature {
	enum trust_signature_kind kind;
	char *data; /* simple: an OpenPGP message; sigstore: the payload */
	size_t size;
	char *base64; /* sigstore: the signature of the payload. It may be NULL: then it accepts nothing */
};
struct trust_signatures { /* zeroed is empty */
	struct trust_signature *v;
	size_t n, cap;
};
void trust_signatures_release(struct trust_signatures *s);
#define _cleanup_trust_signatures_ _cleanup_(trust_signatures_release)
/* Takes what *one has. ERR_LIMIT: too many. */
_must_check_ struct err *trust_signatures_add(struct trust_signatures *s, struct trust_signature *one);
/* A file signature-N of a dir: or of a lookaside storage, and back (caller frees). */
_must_check_ struct err *trust_signature_parse(const char *data, size_t size, struct trust_signature *ret);
void trust_signature_file(const struct trust_signature *s, char **ret_data, size_t *ret_size);
void trust_signature_release(struct trust_signature *s);
#define _cleanup_trust_signature_ _cleanup_(trust_signature_release)

/* -- the question --------------------------------------------------------------------------------------------- */

/* An image and where it comes from. All is borrowed. */
struct trust_subject {
	const char *
		transport; /* "docker", "dir", "oci", "oci-archive", "docker-archive", "containers-storage", … */
	const char *location;              /* file transports: a path that exists; NULL for the others */
	const char *name;                  /* what follows the path ("v1" of oci:/path:v1), or NULL */
	const struct reference *reference; /* docker, containers-storage: what was asked for */
	const char *manifest;              /* as bytes; what a signature is about */
	size_t manifest_size;
	const char
		*index; /* the index that the manifest was chosen from, or NULL: its signature does as well */
	size_t index_size;
	/* The signatures of the manifest or index with this digest: asked for only when the policy wants any. NULL: there are none. */
	struct err *(*signatures)(void *user, const struct digest *d, struct trust_signatures *ret);
	void *user;
};
/* Success means yes. ERR_PERMISSION means no and names the policy's file, the scope in it and why; manifest may be NULL to ask whether the place
 * is refused whatever comes from it, before anything is fetched: only "reject" says no then. */
_must_check_ struct err *trust_check(const struct trust_policy *p, const struct trust_subject *s);
/* Whether the policy has a say about images of this subject's place: false when it takes everything from there. */
bool trust_needs_check(const struct trust_policy *p, const struct trust_subject *s);

#endif
