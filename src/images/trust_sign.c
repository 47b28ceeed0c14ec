/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/base64.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "images/sign.h"
#include "trust_policy.h"
#include "trust_sigstore.h"

struct err *trust_sign(const struct trust_signer *s, const struct digest *d, const char *reference,
		       struct trust_signatures *ret)
{
	static const enum trust_signature_kind kinds[] = {TRUST_SIGNATURE_SIMPLE, TRUST_SIGNATURE_SIGSTORE};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_trust_signature_ struct trust_signature one = {.kind = kinds[i]};
		_cleanup_free_ char *text = trust_payload_text(d, reference, kinds[i]);
		if (kinds[i] == TRUST_SIGNATURE_SIMPLE && s->gpg_key) {
			TRY(trust_gpg_sign(s->gpg_key, s->passphrase, text, strlen(text), &one.data,
					   &one.size));
		} else if (kinds[i] == TRUST_SIGNATURE_SIGSTORE && s->sigstore_key) {
			TRY(trust_sigstore_sign(s->sigstore_key, s->passphrase, text, strlen(text),
						&one.base64));
			one.size = strlen(text);
			one.data = TAKE_PTR(text);
		} else {
			continue;
		}
		TRY(trust_signatures_add(ret, &one));
	}
	return NULL;
}

/* The public key from the user's own keyring. */
static struct err *export_key(const char *fingerprint, char **ret)
{
	_cleanup_free_ char *path = process_locate("gpg"), *which = xasprintf("%s", fingerprint), *key = NULL;
	char *const argv[] = {
		(char *)"gpg", (char *)"--batch", (char *)"--quiet", (char *)"--export", (char *)"--", which,
		NULL};
	size_t size;

	if (!path)
		return err_new(ERR_UNSUPPORTED,
			       "keys are read by the program gpg, which is not installed (Debian: "
			       "apt-get install gpg)");
	struct process_spawn p = {.path = path, .exec_fd = -1, .argv = argv, .stdio = {-1, -1, -1}};
	TRY(process_run(&p, NULL, 0, 60000, TRUST_KEY_SIZE_MAX, &key, &size));
	if (size == 0)
		return err_new(ERR_NOT_FOUND, "there is no key %s in gpg's keyring", fingerprint);
	*ret = base64_encode(key, size);
	return NULL;
}

struct err *standalone_verify(const struct standalone_verify *v, struct digest *ret_digest,
			      char **ret_fingerprint)
{
	_cleanup_trust_payload_ struct trust_payload payload = {0};
	_cleanup_trust_signature_ struct trust_signature one = {0};
	_cleanup_free_ char *content = NULL, *fingerprint = NULL, *exported = NULL;
	char *paths[] = {(char *)v->key_file, NULL}, *data[] = {NULL, NULL};
	struct digest is;
	size_t size;

	TRY(trust_signature_parse(v->signature, v->signature_size, &one));
	if (one.kind != TRUST_SIGNATURE_SIMPLE)
		return err_new(ERR_INVALID, "not a GPG signature");
	if (!v->key_file) {
		TRY(export_key(v->fingerprint, &exported));
		data[0] = exported;
	}
	struct trust_keys keys = {v->key_file ? paths : NULL, data};
	TRY(trust_gpg_verify(&keys, one.data, one.size, &content, &size, &fingerprint));
	if (v->fingerprint && !str_eq(v->fingerprint, fingerprint))
		return err_new(ERR_PERMISSION, "the signature is by %s, not by %s", fingerprint,
			       v->fingerprint);
	TRY(trust_payload_parse(content, size, TRUST_SIGNATURE_SIMPLE, &payload));
	str_hide_controls(payload.reference);
	if (!str_eq(payload.reference, v->reference))
		return err_new(ERR_PERMISSION, "the signature is for %.300s, not for %s", payload.reference,
			       v->reference);
	struct digest_stream *hash = digest_stream_new_like(&payload.manifest);
	digest_stream_update(hash, v->manifest, v->manifest_size);
	digest_stream_final(hash, &is);
	digest_stream_free(hash);
	if (!digest_equal(&is, &payload.manifest))
		return err_new(ERR_PERMISSION, "the signature is for the manifest %s, not for %s",
			       payload.manifest.s, is.s);
	*ret_digest = is;
	if (ret_fingerprint)
		*ret_fingerprint = TAKE_PTR(fingerprint);
	return NULL;
}
