/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"

#include <stdlib.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

static const struct {
	const char *prefix;
	struct err *(*source)(const struct location *at, const struct transport_options *o,
			      struct source **ret);
	struct err *(*destination)(const struct location *at, const struct transport_options *o,
				   struct destination **ret);
} transports[] = {
	[TRANSPORT_REGISTRY] = {"docker://", registry_source_open, registry_destination_open},
	[TRANSPORT_OCI] = {"oci:", layout_source_open, layout_destination_open},
	[TRANSPORT_OCI_ARCHIVE] = {"oci-archive:", archive_source_open, archive_destination_open},
	[TRANSPORT_DOCKER_ARCHIVE] = {"docker-archive:", archive_source_open, archive_destination_open},
	[TRANSPORT_DIRECTORY] = {"dir:", directory_source_open, directory_destination_open},
	[TRANSPORT_DAEMON] = {"docker-daemon:", daemon_source_open, daemon_destination_open},
	[TRANSPORT_STORE] = {"store:", store_source_open, store_destination_open},
};

const char *transport_name(enum transport t)
{
	return transports[t].prefix;
}

bool copy_needs_store(const char *location)
{
	return str_starts(location, transports[TRANSPORT_STORE].prefix);
}

bool copy_is_place(const char *location)
{
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++)
		if (str_starts(location, transports[i].prefix))
			return true;
	return false;
}

/* -- names of places ---------------------------------------------------------------------------------------------- */

void location_release(struct location *l)
{
	free(l->text);
	free(l->path);
	free(l->name);
	reference_release(&l->reference);
	*l = (struct location){0};
}

/* "PATH[:NAME]"; "@N" instead of a name is a position. */
static struct err *parse_path(struct location *l, const char *rest)
{
	size_t n = strcspn(rest, ":");

	if (n == 0)
		return err_new(ERR_INVALID, "%s: a path is missing", l->text);
	l->path = xstrndup(rest, n);
	if (!rest[n] || !rest[n + 1])
		return NULL;
	if (rest[n + 1] != '@' || l->transport == TRANSPORT_OCI || l->transport == TRANSPORT_OCI_ARCHIVE) {
		l->name = xstrdup(rest + n + 1);
		return NULL;
	}
	uint64_t index;
	TRY_WRAP(parse_u64(rest + n + 2, "position", 0, 100000, &index), "%s", l->text);
	l->index = (int64_t)index;
	return NULL;
}

static struct err *parse_rest(struct location *l, const char *rest)
{
	switch (l->transport) {
	case TRANSPORT_REGISTRY:
		TRY(reference_parse(rest, &l->reference));
		if (l->reference.tag && digest_is_set(&l->reference.digest)) { /* the digest says which */
			free(l->reference.tag);
			l->reference.tag = NULL;
		}
		return NULL;
	case TRANSPORT_DAEMON:
	case TRANSPORT_STORE:
		if (!*rest)
			return err_new(ERR_INVALID, "%s: an image is missing", l->text);
		l->name = xstrdup(rest);
		/* An id is no name; whoever needs one says so. */
		struct err *e = reference_parse(rest, &l->reference);
		err_free(e);
		return NULL;
	case TRANSPORT_DIRECTORY:
		if (!*rest)
			return err_new(ERR_INVALID, "%s: a path is missing", l->text);
		l->path = xstrdup(rest);
		return NULL;
	case TRANSPORT_DOCKER_ARCHIVE:
		TRY(parse_path(l, rest));
		return l->name ? reference_parse(l->name, &l->reference) : NULL;
	case TRANSPORT_OCI:
	case TRANSPORT_OCI_ARCHIVE:
		return parse_path(l, rest);
	}
	return err_new(ERR_INTERNAL, "no such transport");
}

struct err *location_parse(const char *s, struct location *ret)
{
	_cleanup_location_ struct location l = {.text = xstrdup(s), .index = -1};
	size_t i = 0;

	while (i < ARRAY_SIZE(transports) && !str_starts(s, transports[i].prefix))
		i++;
	if (i == ARRAY_SIZE(transports) && str_starts(s, "containers-storage:"))
		return err_new(ERR_UNSUPPORTED,
			       "%s: podman's storage is podman's to read; havre's own is store:NAME", s);
	if (i == ARRAY_SIZE(transports))
		return err_new(ERR_INVALID,
			       "%.200s does not begin with a transport: docker://, oci:, oci-archive:, "
			       "docker-archive:, dir:, docker-daemon: or store:",
			       s);
	l.transport = (enum transport)i;
	TRY(parse_rest(&l, s + strlen(transports[i].prefix)));
	*ret = l;
	l = (struct location){0};
	return NULL;
}

/* -- manifests ------------------------------------------------------------------------------------------------------ */

void raw_manifest_release(struct raw_manifest *m)
{
	free(m->data);
	free(m->media_type);
	*m = (struct raw_manifest){0};
}

struct err *raw_manifest_fill(char *data, size_t size, const char *media_type, const struct digest *expected,
			      struct raw_manifest *ret)
{
	_cleanup_(digest_stream_freep) struct digest_stream *hash =
		expected ? digest_stream_new_like(expected) : digest_stream_new_sha256();
	_cleanup_raw_manifest_ struct raw_manifest m = {
		.data = data, .size = size, .media_type = xstrdup_null(media_type)};

	digest_stream_update(hash, data, size);
	digest_stream_final(hash, &m.digest);
	if (expected && !digest_equal(expected, &m.digest))
		return err_new(ERR_CORRUPT, "manifest %s is damaged: its digest is %s", expected->s,
			       m.digest.s);
	*ret = m;
	m = (struct raw_manifest){0};
	return NULL;
}

struct err *raw_manifest_parse(const struct raw_manifest *m, struct manifest **ret)
{
	return manifest_parse_any(m->data, m->size, str_empty(m->media_type) ? NULL : m->media_type, ret);
}

/* -- opening -------------------------------------------------------------------------------------------------------- */

struct err *source_open(const struct location *at, const struct transport_options *o, struct source **ret)
{
	return transports[at->transport].source(at, o, ret);
}

struct err *destination_open(const struct location *at, const struct transport_options *o,
			     struct destination **ret)
{
	return transports[at->transport].destination(at, o, ret);
}

void source_close(struct source *s)
{
	if (s)
		s->ops->close(s);
}

void destination_close(struct destination *d)
{
	if (d)
		d->ops->close(d);
}

char *transport_temporary_dir(void)
{
	const char *given = getenv("TMPDIR");

	return xstrdup(str_empty(given) ? "/var/tmp" : given);
}

struct err *source_read_blob(struct source *s, const struct descriptor *d, size_t max, char **ret_data)
{
	_cleanup_free_ char *dir = transport_temporary_dir();
	_cleanup_spool_ struct spool *spool = NULL;
	size_t n;

	if (d->size > max)
		return err_new(ERR_LIMIT, "%s has %llu bytes, more than the %zu that havre takes",
			       d->digest.s, (unsigned long long)d->size, max);
	TRY(spool_new(dir, &d->digest, &spool));
	TRY(s->ops->blob(s, d, spool, NULL));
	TRY(spool_finish(spool, d->size, NULL));
	_cleanup_free_ char *data = xmalloc((size_t)d->size + 1);
	TRY(fd_pread_full(spool->fd, data, (size_t)d->size, 0, d->digest.s, &n));
	data[n] = '\0';
	*ret_data = TAKE_PTR(data);
	return NULL;
}
