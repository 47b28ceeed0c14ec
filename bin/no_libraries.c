// SPDX-License-Identifier: Apache-2.0
/* For the static program: base/library.h without a loader. Commands that need one are run by havre-transfer (cli.h, COMMAND_LOCAL). */
#include "base/library.h"

struct err *library_load(const char *const *names, const struct library_symbol *symbols, size_t n)
{
	(void)symbols, (void)n;
	return err_new(ERR_INTERNAL,
		       "%s was asked for in havre itself, which loads no libraries: havre-transfer does",
		       names[0]);
}
