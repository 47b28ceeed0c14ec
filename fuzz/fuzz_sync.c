/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a sync in YAML; and, of its first line, a constraint on versions with a version behind the second. A version equals itself. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "semver.h"
#include "sync_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_sync_list_ struct sync_list list = {0};
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	struct semver v;
	bool fits;

	struct err *e = sync_list_parse((const char *)data, size, "list", &list);
	err_free(e);
	for (size_t i = 0; i < list.n; i++)
		if (!list.repositories[i].name || list.repositories[i].registry >= list.n_registries)
			abort();
	char *version = strchr(text, '\n');
	if (version)
		*version++ = '\0';
	err_free(semver_fits(text, version ? version : text, &fits));
	if (semver_parse(text, &v) && semver_compare(&v, &v) != 0)
		abort();
	return 0;
}
