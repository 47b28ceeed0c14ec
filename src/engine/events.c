/* SPDX-License-Identifier: Apache-2.0 */
/* Saying that something happened (event.h); events_read.c reads it. */
#include <stdarg.h>
#include <stdio.h>

#include "event.h"
#include "event_log.h"
#include "network/join.h"

char *event_path(const struct engine *e)
{
	return xasprintf("%s/events.log", e->root);
}

static struct json *container_attributes(const struct container *c)
{
	struct json *attributes = json_new_pairs(c->labels);

	json_set_string(attributes, "image", c->image_name);
	json_set_string(attributes, "name", c->name);
	return attributes;
}

static void add_pairs(struct json *attributes, va_list ap)
{
	const char *key;

	while ((key = va_arg(ap, const char *)))
		json_set_string(attributes, key, va_arg(ap, const char *));
}

static void write_one(struct engine *e, char *line)
{
	_cleanup_free_ char *path = event_path(e);
	char *lines[] = {line, NULL};

	event_log_write(path, lines);
}

static char *container_line(const struct container *c, const char *action, va_list ap)
{
	_cleanup_json_ struct json *attributes = container_attributes(c);

	add_pairs(attributes, ap);
	return event_line("container", action, c->id, c->image_name, attributes);
}

char *event_container_line(const struct container *c, const char *action, ...)
{
	va_list ap;

	va_start(ap, action);
	char *line = container_line(c, action, ap);
	va_end(ap);
	return line;
}

void event_container(struct engine *e, const struct container *c, const char *action, ...)
{
	va_list ap;

	va_start(ap, action);
	_cleanup_free_ char *line = container_line(c, action, ap);
	va_end(ap);
	write_one(e, line);
}

void event_other(struct engine *e, const char *type, const char *action, const char *id, ...)
{
	_cleanup_json_ struct json *attributes = json_new_object();
	va_list ap;

	va_start(ap, id);
	add_pairs(attributes, ap);
	va_end(ap);
	_cleanup_free_ char *line = event_line(type, action, id, NULL, attributes);
	write_one(e, line);
}

/* -- a run ---------------------------------------------------------------------------------------------------------- */

static void push_network(char ***lines, const struct container *c, const struct endpoint *ep,
			 const char *action)
{
	_cleanup_json_ struct json *a = json_new_object();

	json_set_string(a, "container", c->id);
	json_set_string(a, "name", network_name(ep->network));
	json_set_string(a, "type", network_driver(ep->network));
	strv_push_take(lines, event_line("network", action, network_id(ep->network), NULL, a));
}

static void push_volume(char ***lines, const struct container *c, const struct container_mount *m, bool begin)
{
	_cleanup_json_ struct json *a = json_new_object();

	json_set_string(a, "container", c->id);
	json_set_string(a, "driver", "local");
	if (begin) {
		bool read_only = strv_contains(m->options, "ro") || strv_contains(m->options, "readonly");
		json_set_string(a, "destination", m->target);
		json_set_string(a, "propagation", "");
		json_set_string(a, "read/write", read_only ? "false" : "true");
	}
	strv_push_take(lines, event_line("volume", begin ? "mount" : "unmount", m->source, NULL, a));
}

/* What surrounds a run, in docker's order. */
static char **surroundings(const struct container *c, const struct endpoints *endpoints, bool begin)
{
	char **lines = NULL;

	for (size_t i = 0; !begin && i < endpoints->n; i++)
		push_network(&lines, c, &endpoints->items[i], "disconnect");
	for (size_t i = 0; i < c->spec->n_mounts; i++)
		if (c->spec->mounts[i].type == MOUNT_VOLUME)
			push_volume(&lines, c, &c->spec->mounts[i], begin);
	for (size_t i = 0; begin && i < endpoints->n; i++)
		push_network(&lines, c, &endpoints->items[i], "connect");
	return lines;
}

struct err *event_run_write(const struct container *c, const struct endpoints *endpoints)
{
	_cleanup_json_ struct json *attributes = container_attributes(c);
	_cleanup_strv_ char **lines = surroundings(c, endpoints, false);
	_cleanup_free_ char *own = event_line("container", "", c->id, c->image_name, attributes),
			    *rest = strv_join(lines, "\n");
	_cleanup_free_ char *text = xasprintf("%s\n%s", own, rest ?: ""),
			    *path = xasprintf("%s/" EVENT_RUN_FILE, c->run_dir);

	return file_replace_at(AT_FDCWD, path, text, strlen(text), 0600, FILE_VOLATILE);
}

void event_run_begins(struct engine *e, const struct container *c, const struct endpoints *endpoints)
{
	_cleanup_strv_ char **lines = surroundings(c, endpoints, true);
	_cleanup_free_ char *path = event_path(e);

	if (lines)
		event_log_write(path, lines);
}

void event_run_changed(struct engine *e, const struct container *c)
{
	_cleanup_endpoints_ struct endpoints endpoints = {0};
	struct err *error = endpoints_of(e, c->id, &endpoints);

	if (!error)
		error = event_run_write(c, &endpoints);
	err_free(error);
}

void event_run_ends(struct engine *e, const struct container *c, int exit_code)
{
	_cleanup_free_ char *path = event_path(e), *code = xasprintf("%d", exit_code);
	char *const pairs[] = {(char *)"exitCode", code, NULL};

	event_run_tell(path, c->run_dir, "die", pairs, true);
}
