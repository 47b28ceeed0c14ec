/* SPDX-License-Identifier: Apache-2.0 */
/* Values of annotations org.systemd.property.NAME, written in the GVariant text format (docs.gtk.org/glib/gvariant-text-format.html) as
 * runc and crun take them: 'text', true, 5, uint64 5, 1.5, ['a', 'b'], @as []. Not taken: tuples, dictionaries, nested arrays,
 * maybe types, variants; no property of a scope that a container could want has them. */
#ifndef RUNTIME_GVARIANT_H
#define RUNTIME_GVARIANT_H

#include "base/error.h"
#include "base/str.h"

struct gvariant {
	char type[3];        /* "s", "b", "t", "as", … */
	struct strbuf value; /* the value, or an array's elements, marshalled from offset 0 */
	double number;       /* of a numeric type */
	bool numeric;
};
/* ERR_INVALID says what is wrong and where. Release `ret` after success. */
_must_check_ struct err *gvariant_parse(const char *text, struct gvariant *ret);
/* Appends the value (not its type) to a message. */
void gvariant_put(const struct gvariant *v, struct strbuf *b);
void gvariant_release(struct gvariant *v);

#endif
