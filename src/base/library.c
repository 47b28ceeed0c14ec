/* SPDX-License-Identifier: Apache-2.0 */
#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

struct err *library_load(const char *const *names, const struct library_symbol *symbols, size_t n)
{
	void *library = NULL;

	for (const char *const *name = names; *name && !library; name++)
		library = dlopen(*name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!library) {
		const char *why = dlerror();
		return err_new(ERR_UNSUPPORTED, "cannot load %s: %s", names[0], why ? why : "unknown reason");
	}
	for (size_t i = 0; i < n; i++) {
		void *function = dlsym(library, symbols[i].name);
		if (!function)
			return err_new(ERR_UNSUPPORTED, "cannot load %s: it lacks %s", names[0],
				       symbols[i].name);
		/* ISO C has no cast from object to function pointer. */
		memcpy(symbols[i].slot, &function, sizeof(function));
	}
	return NULL;
}
