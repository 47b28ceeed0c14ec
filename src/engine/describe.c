/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/describe.h"

#include "base/memory.h"
#include "base/timestamp.h"

char *ago(int64_t ns)
{
	int64_t seconds = (timestamp_now_ns() - ns) / 1000000000;
	_cleanup_free_ char *s = format_duration(seconds < 0 ? 0 : seconds);
	return xasprintf("%s ago", s);
}

/* " (healthy)" */
char *container_health_text(const struct container *c)
{
	_cleanup_json_ struct json *health = NULL;
	const char *status = NULL;
	struct err *e = container_health(c, &health);

	if (!e && health) {
		struct json_cursor root = json_root(health);
		e = json_get_string(&root, "Status", JSON_OPTIONAL, &status);
	}
	char *text = e || !status                 ? xstrdup("")
		     : str_eq(status, "starting") ? xstrdup(" (health: starting)")
						  : xasprintf(" (%s)", status);
	err_free(e);
	return text;
}

char *container_status_text(const struct container *c)
{
	switch (c->status) {
	case CONTAINER_CREATED:
		return xstrdup("Created");
	case CONTAINER_RUNNING:
	case CONTAINER_PAUSED: {
		int64_t seconds = (timestamp_now_ns() - c->started_ns) / 1000000000;
		_cleanup_free_ char *up = format_duration(seconds < 0 ? 0 : seconds);
		_cleanup_free_ char *health =
			c->status == CONTAINER_PAUSED ? xstrdup(" (Paused)") : container_health_text(c);
		return xasprintf("Up %s%s", up, health);
	}
	case CONTAINER_EXITED: {
		if (!c->finished_ns)
			return xasprintf("Exited (%d)", c->exit_code);
		_cleanup_free_ char *since = ago(c->finished_ns);
		return xasprintf("Exited (%d) %s", c->exit_code, since);
	}
	case CONTAINER_RESTARTING: {
		_cleanup_free_ char *since = ago(c->finished_ns);
		return xasprintf("Restarting (%d) %s", c->exit_code, since);
	}
	case CONTAINER_REMOVING:
		return xstrdup("Removal In Progress");
	case CONTAINER_DEAD:
		return xstrdup("Dead");
	}
	return xstrdup("");
}

struct json *volume_json(const struct volume *v)
{
	struct json *o = json_new_object();
	char created[TIMESTAMP_STRING_MAX];

	timestamp_format(v->created_ns / 1000000000 * 1000000000, created);
	json_set_string(o, "CreatedAt", created);
	json_set_string(o, "Driver", "local");
	json_set(o, "Labels", v->labels ? json_new_pairs(v->labels) : NULL);
	json_set_string(o, "Mountpoint", v->path);
	json_set_string(o, "Name", v->name);
	json_set(o, "Options", v->options ? json_new_pairs(v->options) : NULL);
	json_set_string(o, "Scope", "local");
	return o;
}
