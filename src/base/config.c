/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/toml.h"

#define CONFIG_PATH "/etc/havre/havre.toml"

struct err *config_read(struct err *(*event)(void *user, const struct toml_event *e), void *user,
			const char **ret_path)
{
	const char *chosen = getenv("HAVRE_CONFIG"), *path = str_empty(chosen) ? CONFIG_PATH : chosen;
	_cleanup_free_ char *text = NULL;
	size_t size;

	if (ret_path)
		*ret_path = path;
	struct err *e = file_read(path, TOML_SIZE_MAX, &text, &size);
	if (e && e->kind == ERR_NOT_FOUND && str_empty(chosen)) {
		err_free(e);
		return NULL;
	}
	TRY_WRAP(e, "cannot read the configuration file");
	return toml_parse(text, size, path, event, user);
}
