/* SPDX-License-Identifier: Apache-2.0 */
/* Copying images between places, as skopeo copy does: docker://NAME, oci:PATH[:NAME], oci-archive:PATH[:NAME],
 * docker-archive:PATH[:NAME], dir:PATH, docker-daemon:NAME and store:NAME (havre's own store). */
#ifndef IMAGES_COPY_H
#define IMAGES_COPY_H

#include "images/store.h"

/* How one side is reached. Zero is the default. Everything is borrowed. */
struct transport_options {
	struct store *store;             /* for store: only; NULL: there is none (ERR_UNSUPPORTED) */
	const char *username, *password; /* NULL: from the credential files */
	const char *auth_file;           /* the only credential file; NULL: the usual ones */
	bool no_credentials;             /* not even from files */
	bool insecure;                   /* plain HTTP or unverified TLS */
	const char *ca_file, *cert_dir;  /* cert_dir: *.crt, *.cert, *.key */
	const char *daemon_host;         /* "unix:///run/docker.sock"; NULL: $DOCKER_HOST or that */
	const char *shared_blobs;        /* oci: directory of the blobs, ALG/HEX; NULL: the layout's own */
	bool deletes;                    /* a registry is asked for the right to delete */
	unsigned retries;                /* of a whole operation that failed for the network's sake */
	const struct progress *progress; /* may be NULL */
	const char *signature_policy;    /* of a source: policy.json; NULL: the usual one (images/trust.h) */
	bool insecure_policy;            /* accept everything */
};

enum copy_platforms { COPY_SYSTEM, COPY_ALL, COPY_INDEX_ONLY };
enum copy_format { COPY_FORMAT_KEEP, COPY_FORMAT_OCI, COPY_FORMAT_DOCKER };
enum copy_compression { COPY_COMPRESSION_DEFAULT, COPY_COMPRESSION_GZIP, COPY_COMPRESSION_ZSTD };

struct copy_options {
	struct transport_options source, destination;
	enum copy_platforms platforms;
	const struct platform *platform; /* chosen of an index; NULL: the host's */
	/* These platforms of an index and no others, with COPY_ALL; NULL: all. */
	const struct platform *only;
	size_t n_only;
	enum copy_format format;
	enum copy_compression compression; /* of layers at the destination */
	int level;                         /* 0: default; gzip 1 to 9, zstd 1 to 22 */
	bool compress, decompress;         /* layers, where the destination would keep them as they are */
	bool preserve_digests;             /* ERR_UNSUPPORTED when something would have to change */
	bool signatures; /* cosign's tags and the referrers of what is copied travel too (registries) */
	char *const *additional_tags;
	unsigned parallel; /* blobs at a time; 0: default */
};

struct copy_result {
	struct digest digest; /* of what is at the destination now */
};
_must_check_ struct err *image_copy(const char *source, const char *destination, const struct copy_options *o,
				    struct copy_result *ret);

/* Whether the place is havre's own store, so that the caller opens it. */
bool copy_needs_store(const char *location);
/* Whether it begins with the name of a transport. */
bool copy_is_place(const char *location);

#endif
