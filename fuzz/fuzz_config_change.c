/* SPDX-License-Identifier: Apache-2.0 */
/* One Dockerfile instruction for import --change. */
#include <stdlib.h>

#include "base/memory.h"
#include "config_change.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_change change = {0};
	_cleanup_free_ char *text = size < 4096 ? xstrndup((const char *)data, size) : NULL;

	if (!text)
		return 0;
	err_free(config_change_apply(&change, text));
	struct json *o = config_change_json(&change);
	free(json_print(o, JSON_COMPACT));
	json_unref(o);
	config_change_release(&change);
	return 0;
}
