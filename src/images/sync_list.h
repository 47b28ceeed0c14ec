/* SPDX-License-Identifier: Apache-2.0 */
/* Private: what a sync is to copy. */
#ifndef IMAGES_SYNC_LIST_H
#define IMAGES_SYNC_LIST_H

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

#define SYNC_YAML_MAX ((size_t)1 << 20)

enum sync_which { SYNC_NAMED, SYNC_ALL_TAGS, SYNC_REGEX, SYNC_SEMVER };

/* Images of one repository. */
struct sync_repository {
	char *name; /* "registry:5000/path" */
	enum sync_which which;
	char **tags;     /* SYNC_NAMED: tags or digests */
	char *pattern;   /* SYNC_REGEX, SYNC_SEMVER */
	size_t registry; /* index of its settings */
};
struct sync_registry {
	char *username, *password, *cert_dir; /* NULL: as the command line says */
	int tls_verify;                       /* -1: as the command line says */
};
struct sync_list { /* zeroed is empty */
	struct sync_repository *repositories;
	size_t n, cap;
	struct sync_registry *registries;
	size_t n_registries, cap_registries;
};
void sync_list_release(struct sync_list *l);
#define _cleanup_sync_list_ _cleanup_(sync_list_release)

/* skopeo's file (skopeo-sync(1)): registries, each with images, images-by-tag-regex, images-by-semver, credentials, tls-verify, cert-dir. `what`
 * names it in errors. */
_must_check_ struct err *sync_list_parse(const char *text, size_t size, const char *what,
					 struct sync_list *ret);

#endif
