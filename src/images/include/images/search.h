/* SPDX-License-Identifier: Apache-2.0 */
/* Searching registries by a part of a name: docker's own search (/v1/search) where there is one, otherwise the registry's list of repositories
 * (distribution-spec, /v2/_catalog). */
#ifndef IMAGES_SEARCH_H
#define IMAGES_SEARCH_H

#include "images/store.h"

struct search_result {
	char *name; /* with its registry, unless that is docker.io; printable */
	char *description;
	uint64_t stars;
	bool official, automated;
};
struct search_results { /* zeroed is empty */
	struct search_result *v;
	size_t n, cap;
};
void search_results_release(struct search_results *r);
#define _cleanup_search_results_ _cleanup_(search_results_release)

struct search_options {
	size_t limit;                    /* of one registry */
	const char *username, *password; /* NULL: from the credential files */
	bool insecure;                   /* as pull's */
	const char *ca_file;
	const struct progress *progress; /* cancelled is asked while waiting; may be NULL */
};
/* Where to search for `what`: "host/term" names its registry; otherwise those that are searched for short names. *ret_term: the rest of
 * `what`, borrowed. Caller frees *ret_registries. */
_must_check_ struct err *search_registries(const char *what, char ***ret_registries, const char **ret_term);
/* Appends. `registry` is a host; `term` may be "" where there is a list of repositories. */
_must_check_ struct err *registry_search(const char *registry, const char *term,
					 const struct search_options *o, struct search_results *ret);

#endif
