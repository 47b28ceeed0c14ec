/* SPDX-License-Identifier: Apache-2.0 */
/* Shared libraries that are loaded on first use, because linking them would cost every start milliseconds.
 *
 * A statically linked program cannot load any. It defines library_load() itself (bin/no_libraries.c), and the linker then leaves
 * base's out.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <stddef.h>

#include "base/error.h"

struct library_symbol {
	const char *name;
	void *slot; /* a function pointer of the symbol's type */
};

/* Loads the first of `names` (ends with NULL) that can be loaded, for ever, and fills the slots. ERR_UNSUPPORTED: no such library, or
 * it lacks a symbol; the message names it and the loader's reason. May be called from any thread. */
_must_check_ struct err *library_load(const char *const *names, const struct library_symbol *symbols,
				      size_t n);

#endif
