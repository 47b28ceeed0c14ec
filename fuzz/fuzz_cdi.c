/* SPDX-License-Identifier: Apache-2.0 */
/* CDI files: the first byte chooses between JSON and YAML; what was accepted is applied. */
#include <stdint.h>

#include "base/memory.h"
#include "base/str.h"
#include "cdi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ struct json *doc = NULL, *oci = json_new_object();
	struct json_cursor root, devices = {0}, edits;

	if (size < 1)
		return 0;
	struct err *e = cdi_parse((const char *)data + 1, size - 1, data[0] != 'j', "fuzz", &doc);
	if (e) {
		err_free(e);
		return 0;
	}
	root = json_root(doc);
	err_free(json_get_array(&root, "devices", JSON_REQUIRED, &devices));
	for (size_t i = 0, n = json_array_len(&devices); i < n; i++) {
		struct json_cursor d = json_at(&devices, i);
		e = json_get_object(&d, "containerEdits", JSON_REQUIRED, &edits);
		if (!e)
			e = cdi_edit(&edits, oci);
		err_free(e); /* a node that this machine does not have */
	}
	free(json_print(oci, JSON_COMPACT));
	return 0;
}
