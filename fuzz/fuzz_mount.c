// SPDX-License-Identifier: Apache-2.0
/* -v, --mount and --tmpfs. */
#include "base/memory.h"
#include "engine/mount_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err *(*const parsers[])(const char *, struct container_mount *) = {
		volume_spec_parse, mount_spec_parse, tmpfs_spec_parse};
	_cleanup_free_ char *text = xstrndup((const char *)data, size);

	for (size_t i = 0; i < ARRAY_SIZE(parsers); i++) {
		struct container_mount m = {0};
		err_free(parsers[i](text, &m));
		container_mount_release(&m);
	}
	return 0;
}
