/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at images where they are, without fetching them: places as in images/copy.h. */
#ifndef IMAGES_REMOTE_H
#define IMAGES_REMOTE_H

#include "images/copy.h"

struct remote_image {
	char *name; /* "docker.io/library/debian" of a registry's; NULL otherwise */
	char *manifest;
	size_t manifest_size;
	char *media_type;     /* of it; may be NULL */
	struct digest digest; /* of what the place's name means: an index, maybe */
	char *config;         /* of the platform's image */
	size_t config_size;
	struct json *layers; /* [{"MIMEType", "Digest", "Size", "Annotations"}] */
	char **tags;         /* of the repository; empty where there is none */
};
void remote_image_release(struct remote_image *r);
#define _cleanup_remote_image_ _cleanup_(remote_image_release)

struct remote_inspect_options {
	struct transport_options transport;
	const struct platform *platform; /* NULL: the host's */
	bool manifest_only;              /* neither config nor layers nor tags */
	bool tags;
};
_must_check_ struct err *remote_inspect(const char *location, const struct remote_inspect_options *o,
					struct remote_image *ret);

/* The tags of a registry's repository or the names in a docker-archive. *ret_name: the repository; NULL for an archive. Caller frees. */
_must_check_ struct err *remote_tags(const char *location, const struct transport_options *o, char **ret_name,
				     char ***ret_tags);

/* A registry forgets the manifest, and with it all its tags. `about_to` (may be NULL) is told the digest and the other tags that go with it,
 * before; its error stops the deletion. */
_must_check_ struct err *remote_delete(const char *location, const struct transport_options *o,
				       struct err *(*about_to)(void *user, const struct digest *digest,
							       char *const *siblings),
				       void *user);

#endif
