// SPDX-License-Identifier: Apache-2.0
/* --format templates, run over a fixed document. */
#include <string.h>

#include "base/memory.h"
#include "command/table.h"
#include "command/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char document[] =
		"{\"ID\":\"abc\",\"N\":3,\"F\":1.5,\"Yes\":true,\"Nothing\":null,\"L\":[1,\"b\",[2]],"
		"\"M\":{\"b\":\"2\",\"a.x\":\"1\",\"O\":{\"P\":[]}}}";
	if (size > 4096)
		return 0;
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_template_ struct template *t = NULL;
	_cleanup_strbuf_ struct strbuf out = {0}, aligned = {0};

	err_free(json_parse(document, sizeof(document) - 1, "document", &doc));
	struct err *e = template_parse(text, &t);
	if (!e)
		e = template_run(t, doc, NULL, &out);
	if (!e && out.len < 4096)
		table_align(strbuf_str(&out), 10, &aligned);
	err_free(e);
	return 0;
}
