/* SPDX-License-Identifier: Apache-2.0 */
/* Private: the places images are copied from and to, as skopeo names them (containers-transports(5)). A source gives manifests and
 * blobs; a destination is asked whether it has a blob, takes blobs, then manifests, and is committed. What is put is not seen by anybody else
 * before the commit, except the blobs of a registry or of a layout, which mean nothing by themselves.
 *
 * Blobs are asked for and put by several threads at once; everything else by one. Digests are checked here: a source may lie. */
#ifndef IMAGES_TRANSPORT_H
#define IMAGES_TRANSPORT_H

#include "images/copy.h"
#include "manifest.h"
#include "spool.h"

enum transport {
	TRANSPORT_REGISTRY,
	TRANSPORT_OCI,
	TRANSPORT_OCI_ARCHIVE,
	TRANSPORT_DOCKER_ARCHIVE,
	TRANSPORT_DIRECTORY,
	TRANSPORT_DAEMON,
	TRANSPORT_STORE,
};

/* "docker://debian:12", "oci:PATH:NAME". */
struct location {
	enum transport transport;
	char *text;                 /* as it was written */
	char *path;                 /* of files; NULL otherwise */
	char *name;                 /* what follows it: a name in a layout, an id in the store; NULL: none */
	struct reference reference; /* where there is one: domain is NULL otherwise */
	int64_t index;              /* "@2": the third image of an archive; -1: none */
};
_must_check_ struct err *location_parse(const char *s, struct location *ret);
void location_release(struct location *l);
#define _cleanup_location_ _cleanup_(location_release)
const char *transport_name(enum transport t); /* "docker://", "oci:" */

/* A manifest or index as bytes. */
struct raw_manifest {
	char *data;
	size_t size;
	char *media_type; /* as the transport calls it; NULL: it does not say */
	struct digest digest;
};
void raw_manifest_release(struct raw_manifest *m);
#define _cleanup_raw_manifest_ _cleanup_(raw_manifest_release)
/* Takes `data`; the digest is of the algorithm of `expected` (may be NULL), which must be its. */
_must_check_ struct err *raw_manifest_fill(char *data, size_t size, const char *media_type,
					   const struct digest *expected, struct raw_manifest *ret);
/* Parsed with what the transport says about it. */
_must_check_ struct err *raw_manifest_parse(const struct raw_manifest *m, struct manifest **ret);

struct source {
	const struct source_ops *ops;
	const struct location *at; /* borrowed */
};
struct source_ops {
	/* `instance`: one that an index names; NULL: what the location names. */
	struct err *(*manifest)(struct source *s, const struct digest *instance, struct raw_manifest *ret);
	/* Appends a blob to `to`, which expects d->digest. */
	struct err *(*blob)(struct source *s, const struct descriptor *d, struct spool *to,
			    const struct progress *progress);
	void (*close)(struct source *s);
};

enum wanted_compression { WANT_AS_IT_IS, WANT_COMPRESSED, WANT_PLAIN };
struct destination {
	const struct destination_ops *ops;
	const struct location *at;               /* borrowed */
	bool takes_oci, takes_docker;            /* kinds of manifests */
	bool takes_index;                        /* images of several platforms */
	bool takes_foreign;                      /* layers that live elsewhere need not be put */
	bool many;                               /* further names of the same image may be put */
	bool in_order;                           /* blobs one by one, in the manifest's order */
	enum wanted_compression compression;     /* of layers */
	const struct transport_options *options; /* of a daemon; borrowed */
	char *spool_dir;                         /* where blobs wait best; owned */
};
struct destination_ops {
	/* `from`: the source, for a registry that has it in another repository. */
	struct err *(*has_blob)(struct destination *d, const struct descriptor *blob,
				const struct source *from, bool *ret);
	struct err *(*put_blob)(struct destination *d, const struct descriptor *blob, struct spool *data,
				const struct progress *progress);
	/* instance: a part of an index; NULL: what gets the name. `tag`: another name than the location's; NULL. */
	struct err *(*put_manifest)(struct destination *d, const struct raw_manifest *m, bool instance,
				    const struct reference *tag);
	struct err *(*commit)(struct destination *d);
	void (*close)(struct destination *d);
};

_must_check_ struct err *source_open(const struct location *at, const struct transport_options *o,
				     struct source **ret);
_must_check_ struct err *destination_open(const struct location *at, const struct transport_options *o,
					  struct destination **ret);
void source_close(struct source *s);
void destination_close(struct destination *d);
DEFINE_CLEANUP(struct source *, source_close)
DEFINE_CLEANUP(struct destination *, destination_close)
#define _cleanup_source_ _cleanup_(source_closep)
#define _cleanup_destination_ _cleanup_(destination_closep)

/* Reads a small blob (a config) into memory, verified. */
_must_check_ struct err *source_read_blob(struct source *s, const struct descriptor *d, size_t max,
					  char **ret_data);
/* TMPDIR or /var/tmp. Caller frees. */
char *transport_temporary_dir(void);

/* -- the implementations ---------------------------------------------------------------------------------------- */

_must_check_ struct err *registry_source_open(const struct location *at, const struct transport_options *o,
					      struct source **ret);
_must_check_ struct err *registry_destination_open(const struct location *at,
						   const struct transport_options *o,
						   struct destination **ret);
_must_check_ struct err *layout_source_open(const struct location *at, const struct transport_options *o,
					    struct source **ret);
_must_check_ struct err *layout_destination_open(const struct location *at, const struct transport_options *o,
						 struct destination **ret);
_must_check_ struct err *directory_source_open(const struct location *at, const struct transport_options *o,
					       struct source **ret);
_must_check_ struct err *directory_destination_open(const struct location *at,
						    const struct transport_options *o,
						    struct destination **ret);
_must_check_ struct err *archive_source_open(const struct location *at, const struct transport_options *o,
					     struct source **ret);
_must_check_ struct err *archive_destination_open(const struct location *at,
						  const struct transport_options *o,
						  struct destination **ret);

_must_check_ struct err *daemon_source_open(const struct location *at, const struct transport_options *o,
					    struct source **ret);
_must_check_ struct err *daemon_destination_open(const struct location *at, const struct transport_options *o,
						 struct destination **ret);
_must_check_ struct err *store_source_open(const struct location *at, const struct transport_options *o,
					   struct source **ret);
_must_check_ struct err *store_destination_open(const struct location *at, const struct transport_options *o,
						struct destination **ret);

/* The archives' insides, for the daemon, which speaks docker-archive. `fd` is owned. */
_must_check_ struct err *archive_source_from_fd(const struct location *at, int fd,
						const struct progress *progress, struct source **ret);
/* All names in a docker-archive. */
_must_check_ struct err *archive_names(const char *location, const struct transport_options *o, char ***ret);
/* ops NULL: the archive's own. */
_must_check_ struct err *archive_destination_new(const struct location *at, bool docker, const char *dir,
						 const struct destination_ops *ops, struct destination **ret);
/* Completes the archive in its nameless file; *ret_fd (may be NULL) is borrowed. */
_must_check_ struct err *archive_destination_finish(struct destination *destination, int *ret_fd);
extern const struct destination_ops archive_destination_ops;

/* What index.json of a layout says for a name (NULL: its only image). `what` names the layout. */
_must_check_ struct err *layout_find(const char *index, size_t size, const char *name, int64_t position,
				     const char *what, struct descriptor *ret);
/* index.json with one more image; NULL: begins a new one. Caller frees *ret. */
_must_check_ struct err *layout_add(const char *index, size_t size, const struct raw_manifest *m,
				    const char *name, char **ret);

#endif
