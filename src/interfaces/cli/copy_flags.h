/* SPDX-License-Identifier: Apache-2.0 */
/* What image copy and image sync have in common: what of an image is copied, and as what. */
#ifndef CLI_COPY_FLAGS_H
#define CLI_COPY_FLAGS_H

#include "registry_flags.h"

struct copy_flags {
	const char *multi_arch, *format, *compress_format, *override_os, *override_arch, *override_variant;
	char **platforms;
	bool all, preserve_digests, compress, decompress, remove_signatures, signatures;
	int64_t level, retries, parallel;
};
#define COPY_FLAGS_DEFAULT             \
	{                              \
		.multi_arch = "system" \
	}
extern const struct flag copy_flags[]; /* offsets into struct copy_flags, which must come first */

/* options, and what they borrow. */
struct copy_request {
	struct copy_options options;
	struct platform platform;
	struct platform *only;
};
void copy_request_release(struct copy_request *r);
/* Source and destination are left empty but for retries. On failure *ret is to be released too. */
_must_check_ struct err *copy_flags_request(const struct invocation *in, const struct copy_flags *f,
					    struct copy_request *ret);
/* --override-os and its like on top of the host's platform. */
_must_check_ struct err *override_platform(const char *os, const char *architecture, const char *variant,
					   struct platform *ret);

#endif
