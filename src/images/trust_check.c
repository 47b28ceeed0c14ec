/* SPDX-License-Identifier: Apache-2.0 */
/* The decision. All requirements of the scope must be met, each by any one of the signatures (containers-policy.json(5)). */
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"
#include "trust_policy.h"
#include "trust_sigstore.h"

/* One document that signatures may be about: the manifest, or the index around it. */
struct document {
	const char *data;
	size_t size;
	struct digest digest; /* sha256 */
	bool fetched;
	struct trust_signatures signatures;
};

struct check {
	const struct trust_subject *subject;
	struct document documents[2];
	size_t n;
};

static bool digest_fits(const struct document *d, const struct digest *signed_digest)
{
	struct digest is;
	_cleanup_(digest_stream_freep) struct digest_stream *hash = digest_stream_new_like(signed_digest);

	digest_stream_update(hash, d->data, d->size);
	digest_stream_final(hash, &is);
	return digest_equal(&is, signed_digest);
}

/* A signature whose maker is known: is it about this image? */
static struct err *check_payload(const struct check *c, const struct document *d,
				 const struct trust_requirement *r, enum trust_signature_kind kind,
				 const char *content, size_t size)
{
	_cleanup_trust_payload_ struct trust_payload payload = {0};

	TRY(trust_payload_parse(content, size, kind, &payload));
	str_hide_controls(payload.reference);
	if (!trust_identity_matches(&r->identity, c->subject->reference, payload.reference))
		return err_new(ERR_PERMISSION, "it is for %.300s", payload.reference);
	if (!digest_fits(d, &payload.manifest))
		return err_new(ERR_PERMISSION, "it is for the manifest %s", payload.manifest.s);
	return NULL;
}

static struct err *check_signature(const struct check *c, const struct document *d,
				   const struct trust_requirement *r, const struct trust_signature *s)
{
	struct trust_keys keys = {r->key_paths, r->key_data};
	_cleanup_free_ char *content = NULL;
	size_t size;

	if (s->kind == TRUST_SIGNATURE_SIGSTORE) {
		if (!s->base64)
			return err_new(ERR_PERMISSION, "it is incomplete");
		TRY(trust_sigstore_verify(&keys, s->data, s->size, s->base64));
		return check_payload(c, d, r, s->kind, s->data, s->size);
	}
	TRY(trust_gpg_verify(&keys, s->data, s->size, &content, &size, NULL));
	return check_payload(c, d, r, s->kind, content, size);
}

static struct err *fetch(const struct check *c, struct document *d)
{
	if (d->fetched || !c->subject->signatures)
		return NULL;
	digest_of(d->data, d->size, &d->digest);
	TRY_WRAP(c->subject->signatures(c->subject->user, &d->digest, &d->signatures), "its signatures");
	d->fetched = true;
	return NULL;
}

/* Whether this is why a signature does not count, rather than that the question could not be answered. */
static bool is_verdict(const struct err *e)
{
	return e->kind == ERR_PERMISSION || e->kind == ERR_INVALID || e->kind == ERR_LIMIT;
}

static struct err *check_signed(struct check *c, const struct trust_requirement *r)
{
	enum trust_signature_kind kind =
		r->kind == TRUST_SIGSTORE ? TRUST_SIGNATURE_SIGSTORE : TRUST_SIGNATURE_SIMPLE;
	const char *what = kind == TRUST_SIGNATURE_SIGSTORE ? "sigstore" : "GPG";
	_cleanup_strbuf_ struct strbuf why = {0};
	size_t seen = 0;

	if (r->unsupported)
		return err_new(ERR_PERMISSION, "it asks for %s, which havre does not support",
			       r->unsupported);
	for (size_t i = 0; i < c->n; i++) {
		struct document *d = &c->documents[i];
		TRY(fetch(c, d));
		for (size_t j = 0; j < d->signatures.n; j++) {
			if (d->signatures.v[j].kind != kind)
				continue;
			struct err *e = check_signature(c, d, r, &d->signatures.v[j]);
			if (!e)
				return NULL;
			if (!is_verdict(e))
				return e;
			_cleanup_free_ char *text = err_text(e);
			err_free(e);
			seen++;
			if (why.len < 2000)
				strbuf_printf(&why, "%s%s", why.len ? "; " : "", text);
		}
	}
	if (seen == 0)
		return err_new(ERR_PERMISSION, "it must have a %s signature, and there is none", what);
	return err_new(ERR_PERMISSION, "none of its %zu %s signature%s will do: %s", seen, what,
		       seen == 1 ? "" : "s", strbuf_str(&why));
}

static struct err *check_requirement(struct check *c, const struct trust_requirement *r)
{
	if (r->kind == TRUST_ACCEPT)
		return NULL;
	if (r->kind == TRUST_REJECT)
		return err_new(ERR_PERMISSION, "images from there are rejected");
	return c->n ? check_signed(c, r) : NULL;
}

struct err *trust_check(const struct trust_policy *p, const struct trust_subject *s)
{
	struct check c = {.subject = s};
	const struct trust_scope *scope;
	struct err *e = NULL;

	if (s->manifest)
		c.documents[c.n++] = (struct document){.data = s->manifest, .size = s->manifest_size};
	if (s->manifest && s->index)
		c.documents[c.n++] = (struct document){.data = s->index, .size = s->index_size};
	TRY(trust_scope_find(p, s, &scope));
	for (size_t i = 0; !e && i < scope->n; i++)
		e = check_requirement(&c, &scope->v[i]);
	for (size_t i = 0; i < c.n; i++)
		trust_signatures_release(&c.documents[i].signatures);
	if (!e)
		return NULL;
	_cleanup_free_ char *name = trust_subject_name(s);
	const char *verb = e->kind == ERR_PERMISSION ? "does not allow" : "could not be applied to";
	if (!scope->transport)
		return err_wrap(e, "the signature policy %s (default) %s %s", p->path, verb, name);
	return err_wrap(e, "the signature policy %s (transport %s, scope \"%s\") %s %s", p->path,
			scope->transport, scope->name, verb, name);
}

bool trust_needs_check(const struct trust_policy *p, const struct trust_subject *s)
{
	const struct trust_scope *scope;
	struct err *e = trust_scope_find(p, s, &scope);

	if (e) {
		err_free(e);
		return true;
	}
	for (size_t i = 0; i < scope->n; i++)
		if (scope->v[i].kind != TRUST_ACCEPT)
			return true;
	return false;
}
