/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/moment.h"

struct err *moment_ns(const char *s, const char *what, int64_t *ret)
{
	*ret = 0;
	return str_empty(s) ? NULL : moment_parse(s, what, ret);
}

struct err *json_pairs(const struct json_cursor *o, const char *key, bool keys_only, char ***ret)
{
	struct json_cursor object, m;

	TRY(json_get_object(o, key, JSON_OPTIONAL, &object));
	struct json_iter it = json_iter(&object);
	while (json_next(&it, &m)) {
		const char *s = "";
		if (!keys_only && json_kind(&m) != JSON_NULL)
			TRY(json_as_string(&m, &s));
		strv_push_take(ret, keys_only ? xstrdup(m.key) : xasprintf("%s=%s", m.key, s));
	}
	return NULL;
}
