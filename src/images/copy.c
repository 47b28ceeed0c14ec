/* SPDX-License-Identifier: Apache-2.0 */
/* Copying: what is to be copied (an image, or an index and some of its parts), then its content, then its manifests, inner ones first, then
 * the destination's commit. Nothing that failed is named at the destination. */
#include "images/copy.h"

#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "convert.h"
#include "copy_image.h"
#include "copy_trust.h"
#include "images/trust.h"

#define RETRY_FIRST_MS 1000
#define ACCEPT_ANYTHING "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}"

static struct err *put(struct copy *c, const struct raw_manifest *m, bool instance,
		       const struct reference *tag)
{
	return c->destination->ops->put_manifest(c->destination, m, instance, tag);
}

/* -- an index ----------------------------------------------------------------------------------------------------- */

static bool is_chosen(const struct copy_options *o, const struct descriptor *part)
{
	if (o->platforms == COPY_INDEX_ONLY)
		return false;
	for (size_t i = 0; i < o->n_only; i++) {
		const struct platform *p = &o->only[i];
		if (strcmp(p->os, part->platform.os) == 0 &&
		    strcmp(p->architecture, part->platform.architecture) == 0 &&
		    (!p->variant[0] || strcmp(p->variant, part->platform.variant) == 0))
			return true;
	}
	return o->n_only == 0;
}

static struct err *copy_part(struct copy *c, const struct descriptor *part, struct descriptor *ret)
{
	_cleanup_raw_manifest_ struct raw_manifest from = {0}, to = {0};

	TRY(c->source->ops->manifest(c->source, &part->digest, &from));
	if (!from.media_type && *part->media_type)
		from.media_type = xstrdup(part->media_type);
	TRY(copy_image_content(c, &from, &to));
	TRY(put(c, &to, true, NULL));
	*ret = (struct descriptor){
		.media_type = TAKE_PTR(to.media_type), .digest = to.digest, .size = to.size};
	return NULL;
}

static struct err *copy_parts(struct copy *c, const struct manifest *index, struct descriptor *parts,
			      size_t *ret_copied)
{
	size_t wanted = 0, done = 0;

	for (size_t i = 0; i < index->n_entries; i++)
		wanted += is_chosen(c->options, &index->entries[i]);
	if (wanted == 0 && c->options->platforms != COPY_INDEX_ONLY)
		return err_new(ERR_NOT_FOUND, "%s has none of the platforms that were asked for",
			       c->source->at->text);
	if (c->options->platforms != COPY_INDEX_ONLY)
		copy_say(c, "Copying %zu of %zu images in list", wanted, index->n_entries);
	for (size_t i = 0; i < index->n_entries; i++) {
		const struct descriptor *part = &index->entries[i];
		if (!is_chosen(c->options, part)) {
			parts[i] = *part;
			parts[i].media_type = xstrdup(part->media_type);
			continue;
		}
		copy_say(c, "Copying image %s (%zu/%zu)", part->digest.s, ++done, wanted);
		TRY_WRAP(copy_part(c, part, &parts[i]), "image %s", part->digest.s);
	}
	*ret_copied = done;
	return NULL;
}

/* The parts keep their place. Those that were not copied are still named: a registry has them already, or they are not to be had. */
static struct err *make_index(struct copy *c, const struct raw_manifest *m, const struct manifest *index,
			      const struct descriptor *parts, struct raw_manifest *ret)
{
	bool from_oci = str_starts(index->media_type, "application/vnd.oci.");
	bool to_oci = copy_wants_oci(c, from_oci);
	bool changed = from_oci != to_oci;

	for (size_t i = 0; i < index->n_entries; i++)
		changed |= !digest_equal(&parts[i].digest, &index->entries[i].digest);
	if (!changed)
		return raw_manifest_fill(xmemdup(m->data, m->size), m->size, index->media_type, &m->digest,
					 ret);
	if (c->options->preserve_digests)
		return err_new(ERR_UNSUPPORTED,
			       "digests are to be preserved, but the index would have to change for %s",
			       c->destination->at->text);
	return index_rewrite(m, to_oci, parts, index->n_entries, ret);
}

static struct err *copy_index(struct copy *c, const struct raw_manifest *m, const struct manifest *index,
			      struct raw_manifest *ret)
{
	struct descriptor *parts = xnew_array(struct descriptor, index->n_entries);
	size_t copied = 0;

	struct err *e = NULL;
	if (!c->destination->takes_index)
		e = err_new(ERR_UNSUPPORTED,
			    "%s cannot hold an image of several platforms: copy one, by leaving out --all",
			    c->destination->at->text);
	if (!e)
		e = copy_parts(c, index, parts, &copied);
	if (!e)
		e = make_index(c, m, index, parts, ret);
	for (size_t i = 0; i < index->n_entries; i++)
		free(parts[i].media_type);
	free(parts);
	return e;
}

/* -- one copy ------------------------------------------------------------------------------------------------------ */

/* Goes from an index to the image of the platform that was asked for. */
static struct err *choose_platform(struct copy *c, struct raw_manifest *m, struct manifest **manifest)
{
	struct platform host = platform_host();
	const struct platform *p = c->options->platform ? c->options->platform : &host;
	struct raw_manifest chosen = {0};
	const struct descriptor *d;

	for (int depth = 0; (*manifest)->is_index; depth++) {
		if (depth == 2)
			return err_new(ERR_INVALID, "%s: indexes are nested too deeply", c->source->at->text);
		TRY_WRAP(manifest_choose(*manifest, p, &d), "%s", c->source->at->text);
		TRY(c->source->ops->manifest(c->source, &d->digest, &chosen));
		if (!chosen.media_type && *d->media_type)
			chosen.media_type = xstrdup(d->media_type);
		raw_manifest_release(m);
		*m = chosen;
		manifest_free(TAKE_PTR(*manifest));
		TRY(raw_manifest_parse(m, manifest));
	}
	return NULL;
}

static struct err *put_all(struct copy *c, const struct raw_manifest *m)
{
	copy_say(c, "Writing manifest to image destination");
	TRY(put(c, m, false, NULL));
	STRV_FOREACH (tag, c->options->additional_tags) {
		_cleanup_reference_ struct reference r = REFERENCE_NONE;
		if (!c->destination->many)
			return err_new(ERR_UNSUPPORTED, "%s takes no additional tags",
				       c->destination->at->text);
		TRY_WRAP(reference_parse(*tag, &r), "additional tag");
		TRY(put(c, m, false, &r));
	}
	return c->destination->ops->commit(c->destination);
}

/* The image's own attachments and those of the index's parts. What was changed on the way has another digest: its signatures are void. */
static struct err *attach(struct copy *c, const struct raw_manifest *from, const struct raw_manifest *made,
			  const struct manifest *manifest)
{
	if (!c->options->signatures)
		return NULL;
	if (!digest_equal(&from->digest, &made->digest))
		return err_new(
			ERR_UNSUPPORTED,
			"the copy has another digest than the image, so that its signatures mean nothing: "
			"with --signatures use --preserve-digests");
	TRY(copy_attachments(c, &made->digest));
	for (size_t i = 0; manifest->is_index && i < manifest->n_entries; i++)
		if (is_chosen(c->options, &manifest->entries[i]))
			TRY(copy_attachments(c, &manifest->entries[i].digest));
	return NULL;
}

static struct err *read_source(struct copy *c, struct raw_manifest *from, struct manifest **manifest)
{
	_cleanup_raw_manifest_ struct raw_manifest index = {0};

	TRY(copy_check_trust(c, c->policy, NULL, NULL));
	TRY(c->source->ops->manifest(c->source, NULL, from));
	TRY_WRAP(raw_manifest_parse(from, manifest), "%s", c->source->at->text);
	if (c->options->platforms != COPY_SYSTEM || !(*manifest)->is_index)
		return copy_check_trust(c, c->policy, from, NULL);
	TRY(raw_manifest_fill(xmemdup(from->data, from->size), from->size, from->media_type, &from->digest,
			      &index));
	TRY(choose_platform(c, from, manifest));
	return copy_check_trust(c, c->policy, from, &index);
}

static struct err *copy(struct copy *c, const struct location *to, struct copy_result *ret)
{
	_cleanup_raw_manifest_ struct raw_manifest from = {0}, made = {0};
	_cleanup_manifest_ struct manifest *manifest = NULL;

	TRY(read_source(c, &from, &manifest));
	TRY(destination_open(to, &c->options->destination, &c->destination));
	copy_say(c, "Getting image source signatures");
	TRY(manifest->is_index ? copy_index(c, &from, manifest, &made) : copy_image_content(c, &from, &made));
	TRY(put_all(c, &made));
	copy_say(c, "Storing signatures");
	TRY(attach(c, &from, &made, manifest));
	ret->digest = made.digest;
	return NULL;
}

static struct err *copy_once(const struct location *from, const struct location *to,
			     const struct copy_options *o, struct copy_result *ret)
{
	struct copy c = {.options = o};

	shared_progress_init(&c.shared, o->source.progress);
	struct err *e =
		o->source.insecure_policy ? NULL : trust_policy_load(o->source.signature_policy, &c.policy);
	if (!e && !c.policy)
		e = trust_policy_parse(ACCEPT_ANYTHING, strlen(ACCEPT_ANYTHING), "the flag", &c.policy);
	if (!e)
		e = source_open(from, &o->source, &c.source);
	if (!e)
		e = copy(&c, to, ret);
	destination_close(c.destination);
	source_close(c.source);
	trust_policy_free(c.policy);
	shared_progress_release(&c.shared);
	return e;
}

static bool is_worth_retrying(const struct err *e)
{
	return e->kind == ERR_UNREACHABLE || e->kind == ERR_BUSY || e->kind == ERR_TIMEOUT;
}

static struct err *wait_ms(const struct progress *p, int64_t ms)
{
	for (; ms > 0; ms -= 50) {
		if (p && p->cancelled && p->cancelled(p->user))
			return err_new(ERR_CANCELLED, "interrupted");
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
	}
	return NULL;
}

struct err *image_copy(const char *source, const char *destination, const struct copy_options *o,
		       struct copy_result *ret)
{
	_cleanup_location_ struct location from = {0}, to = {0};

	TRY_WRAP(location_parse(source, &from), "source");
	TRY_WRAP(location_parse(destination, &to), "destination");
	for (unsigned attempt = 0;; attempt++) {
		struct err *e = copy_once(&from, &to, o, ret);
		if (!e || attempt >= o->source.retries || !is_worth_retrying(e))
			return e ? err_wrap(e, "cannot copy %s to %s", source, destination) : NULL;
		err_free(e);
		TRY(wait_ms(o->source.progress, (int64_t)RETRY_FIRST_MS << MIN(attempt, 6u)));
	}
}
