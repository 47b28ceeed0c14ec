/* SPDX-License-Identifier: Apache-2.0 */
/* Images as files: docker-archive (docker save) and oci-archive (a tar of an image layout), and bare root file systems. */
#ifndef IMAGES_ARCHIVE_H
#define IMAGES_ARCHIVE_H

#include "images/store.h"

/* Loads every image of an archive; the format and compression are recognised. `fd` may be a pipe. *ret_lines: "Loaded image: NAME" or
 * "Loaded image ID: sha256:…" in docker's words. */
/* The signature policy is asked about the file, as docker-archive or oci-archive. */
struct archive_origin {
	const char *path;             /* NULL: it has none, and scopes with paths do not fit */
	const char *signature_policy; /* NULL: the usual one */
};
_must_check_ struct err *archive_load(struct store *s, int fd,
				      const struct archive_origin *origin /* NULL: ours */,
				      const struct progress *progress, char ***ret_lines);

enum archive_format { ARCHIVE_DOCKER, ARCHIVE_OCI };
/* Writes images to fd. The same images give the same bytes. docker save's output is at once a docker-archive and an OCI layout. */
_must_check_ struct err *archive_save(struct store *s, int fd, enum archive_format format,
				      char *const *names);

/* A tar (compressed or not) of a root file system becomes an image of one layer. changes: Dockerfile instructions (CMD,
 * ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, STOPSIGNAL, HEALTHCHECK refused until built). The same bytes and options give the same image: its creation time is
 * SOURCE_DATE_EPOCH, or else the newest file's. */
struct archive_import_options {
	const struct reference *name; /* may be NULL */
	char *const *changes;
	const char *message;             /* may be NULL */
	const struct platform *platform; /* NULL: platform_host() */
	const struct progress *progress; /* may be NULL */
};
_must_check_ struct err *archive_import(struct store *s, int fd, const struct archive_import_options *o,
					struct digest *ret_id);

#endif
