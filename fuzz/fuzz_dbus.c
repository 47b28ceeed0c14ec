/* SPDX-License-Identifier: Apache-2.0 */
/* D-Bus messages as they arrive from who says that he is systemd. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/dbus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dbus_message m;
	size_t whole, lengths = 0;

	struct err *e = size < DBUS_HEADER_SIZE ? NULL : dbus_message_size(data, &whole);
	if (e || size < DBUS_HEADER_SIZE) {
		err_free(e);
		return 0;
	}
	e = dbus_message_parse(data, size, &m);
	if (!e) {
		if (whole != size || m.body.size > size)
			abort();
		/* All that was found is in the message, ends, and can be read. */
		const char *found[] = {m.path, m.interface, m.member, m.error_name, m.signature};
		for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++)
			lengths += strlen(found[i]);
		if (lengths > size)
			abort();
		e = dbus_skip(&m.body, m.signature);
		if (m.body.at > m.body.size)
			abort();
	}
	err_free(e);
	return 0;
}
