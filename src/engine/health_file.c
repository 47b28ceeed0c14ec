/* SPDX-License-Identifier: Apache-2.0 */
#include "health_file.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"

#define HEALTH_FILE_MAX (256u << 10)

struct err *health_file_read(const char *container_dir, struct json **ret)
{
	_cleanup_free_ char *path = xasprintf("%s/" HEALTH_FILE, container_dir), *text = NULL;
	size_t size;
	struct err *e = file_read(path, HEALTH_FILE_MAX, &text, &size);

	*ret = NULL;
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	return json_parse(text, size, path, ret);
}

bool health_is_unhealthy(const char *container_dir)
{
	_cleanup_json_ struct json *doc = NULL;
	const char *status = NULL;
	struct err *e = health_file_read(container_dir, &doc);

	if (!e && doc) {
		struct json_cursor root = json_root(doc);
		e = json_get_string(&root, "Status", JSON_OPTIONAL, &status);
	}
	bool unhealthy = !e && str_eq(status, "unhealthy");
	err_free(e);
	return unhealthy;
}
