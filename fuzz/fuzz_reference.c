/* SPDX-License-Identifier: Apache-2.0 */
/* References: what is accepted is printed in two forms that parse to the same reference, and is safe in a URL's path. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "images/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	_cleanup_reference_ struct reference r = REFERENCE_NONE;

	struct err *e = reference_parse(text, &r);
	if (e) {
		err_free(e);
		return 0;
	}
	_cleanup_free_ char *canonical = reference_string(&r);
	_cleanup_free_ char *familiar = reference_familiar(&r);
	const char *const forms[] = {canonical, familiar};
	for (size_t i = 0; i < 2; i++) {
		_cleanup_reference_ struct reference again = REFERENCE_NONE;
		if (reference_parse(forms[i], &again))
			abort();
		_cleanup_free_ char *same = reference_string(&again);
		if (strcmp(same, canonical) != 0)
			abort();
	}
	if (strstr(r.path, "..") || strpbrk(r.path, " ?#%\\\"'\n") || strpbrk(r.domain, "/@?#% ") ||
	    r.path[0] == '/')
		abort();
	return 0;
}
