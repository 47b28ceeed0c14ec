/* SPDX-License-Identifier: Apache-2.0 */
/* Private: the inside of a policy, and what decides by it. */
#ifndef IMAGES_TRUST_POLICY_H
#define IMAGES_TRUST_POLICY_H

#include "images/trust.h"

#define TRUST_POLICY_SIZE_MAX ((size_t)4 << 20)
#define TRUST_KEY_SIZE_MAX ((size_t)4 << 20)

enum trust_kind { TRUST_ACCEPT, TRUST_REJECT, TRUST_SIGNED_BY, TRUST_SIGSTORE };

enum trust_match {
	TRUST_MATCH_REPO_DIGEST_OR_EXACT, /* the default */
	TRUST_MATCH_EXACT,
	TRUST_MATCH_REPOSITORY,
	TRUST_EXACT_REFERENCE,
	TRUST_EXACT_REPOSITORY,
	TRUST_REMAP,
};
struct trust_identity {
	enum trust_match match;
	char *value; /* the reference or repository, or the prefix to replace; NULL where there is none */
	char *signed_prefix; /* what replaces it */
};

struct trust_requirement {
	enum trust_kind kind;
	const char *
		unsupported; /* a valid requirement of a kind that havre cannot check: its name. NULL: it can */
	char **key_paths;
	char **key_data; /* base64, checked to be some */
	struct trust_identity identity;
};

struct trust_scope {
	char *transport; /* NULL: the default for all */
	char *name;      /* "": the transport's default */
	struct trust_requirement *v;
	size_t n;
};

struct trust_policy {
	char *path; /* NULL: there is no file */
	struct trust_scope *scopes;
	size_t n, cap;
};

/* trust_scope.c: the scopes that would fit, most specific first. Caller frees with strv_free. */
_must_check_ struct err *trust_scope_names(const struct trust_subject *s, char ***ret);
/* The part of the policy that counts. Borrowed; never NULL. */
_must_check_ struct err *trust_scope_find(const struct trust_policy *p, const struct trust_subject *s,
					  const struct trust_scope **ret);
/* host/path:tag, host/path and so on up to host, then *.domain. With a digest that comes instead of the tag. */
char **trust_docker_scopes(const struct reference *r);
/* "docker:host/path:tag", for messages. Caller frees. */
char *trust_subject_name(const struct trust_subject *s);

/* trust_identity.c: whether a signature for `signed_reference` is one for the image. `asked` NULL: the transport has no names. */
bool trust_identity_matches(const struct trust_identity *i, const struct reference *asked,
			    const char *signed_reference);

/* trust_payload.c: what a signature claims. Strict: an unknown or repeated member is ERR_INVALID. */
struct trust_payload {
	struct digest manifest;
	char *reference;
};
void trust_payload_release(struct trust_payload *p);
#define _cleanup_trust_payload_ _cleanup_(trust_payload_release)
_must_check_ struct err *trust_payload_parse(const char *data, size_t size, enum trust_signature_kind kind,
					     struct trust_payload *ret);
/* Its JSON, with our name and the time (SOURCE_DATE_EPOCH when set). Caller frees. */
char *trust_payload_text(const struct digest *manifest, const char *reference,
			 enum trust_signature_kind kind);

/* trust_gpg.c: OpenPGP by gpgv and gpg. Keys: files or base64, armoured or not. *ret_content: what was signed, *ret_fingerprint (may be NULL) by which
 * primary key. ERR_PERMISSION: not a good signature of one of the keys. */
struct trust_keys {
	char *const *paths;
	char *const *data;
};
_must_check_ struct err *trust_gpg_verify(const struct trust_keys *keys, const char *signature, size_t size,
					  char **ret_content, size_t *ret_size, char **ret_fingerprint);
/* The user's own keyring. passphrase NULL: the agent is asked. Caller frees. */
_must_check_ struct err *trust_gpg_sign(const char *key, const char *passphrase, const char *content,
					size_t size, char **ret, size_t *ret_size);
/* The file's or data's bytes, without armour. */
_must_check_ struct err *trust_key_read(const char *path, char **ret, size_t *ret_size);
_must_check_ struct err *trust_key_dearmor(const char *text, size_t size, char **ret, size_t *ret_size);

#endif
