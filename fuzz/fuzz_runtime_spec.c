/* SPDX-License-Identifier: Apache-2.0 */
/* config.json, and the process objects of exec: whatever parses is also printed as hooks would get it. */
#include "spec.h"
#include "state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ struct json *document = NULL;
	_cleanup_(spec_freep) struct spec *s = NULL;
	struct spec_process p = {0};
	struct err *e = json_parse((const char *)data, size, "config.json", &document);

	if (!e)
		e = spec_parse(document, &s);
	if (!e)
		free(state_for_hooks(s, "id", "/bundle", 1, "created"));
	err_free(e);
	if (!document)
		return 0;
	struct json_cursor root = json_root(document);
	if (json_kind(&root) == JSON_OBJECT)
		err_free(spec_process_parse(&root, &p));
	spec_process_release(&p);
	return 0;
}
