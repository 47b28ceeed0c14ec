/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/timestamp.h"

struct err *moment_ns(const char *s, const char *what, int64_t *ret)
{
	char *end;

	*ret = 0;
	if (str_empty(s))
		return NULL;
	if (strchr(s, 'T') && strchr(s, '-'))
		return timestamp_parse(s, ret);
	errno = 0;
	long long seconds = strtoll(s, &end, 10);
	int64_t fraction = 0, unit = 100000000;
	bool dot = end != s && *end == '.';
	for (end += dot; dot && *end >= '0' && *end <= '9'; end++, unit /= 10)
		fraction += unit * (*end - '0');
	if (end == s || *end || errno || seconds > INT64_MAX / 1000000000 - 1 ||
	    seconds < INT64_MIN / 1000000000 + 1)
		return err_new(ERR_INVALID, "%s=\"%.64s\" is no time", what, s);
	*ret = (int64_t)seconds * 1000000000 + fraction;
	return NULL;
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
