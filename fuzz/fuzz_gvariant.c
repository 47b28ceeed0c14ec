/* SPDX-License-Identifier: Apache-2.0 */
/* Values of systemd properties in annotations: refused, or marshalled so that our own reader agrees with the type. */
#include <stdint.h>
#include <stdlib.h>

#include "base/dbus.h"
#include "base/memory.h"
#include "gvariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gvariant v;
	char *text = xstrndup((const char *)data, size);

	struct err *e = gvariant_parse(text, &v);
	if (!e) {
		struct strbuf out = {0};
		dbus_put_byte(&out, 0); /* values are aligned where they come to lie */
		gvariant_put(&v, &out);
		struct dbus_reader r = {.data = (const uint8_t *)out.data,
					.size = out.len,
					.at = 1,
					.big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__};
		e = dbus_skip(&r, v.type);
		if (e || r.at != r.size)
			abort();
		strbuf_release(&out);
		gvariant_release(&v);
	}
	err_free(e);
	free(text);
	return 0;
}
