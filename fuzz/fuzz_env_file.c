// SPDX-License-Identifier: Apache-2.0
/* --env-file. */
#include "cli.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const environment[] = {"HOME=/root", "A=b", NULL};
	_cleanup_strv_ char **env = NULL;

	err_free(env_file_parse((const char *)data, size, "file", (char *const *)environment, &env));
	return 0;
}
