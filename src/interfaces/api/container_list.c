/* SPDX-License-Identifier: Apache-2.0 */
/* GET /containers/json. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "engine/container_filter.h"
#include "engine/describe.h"
#include "engine/network.h"
#include "engine/pod.h"
#include "objects.h"
#include "routes.h"

/* inspect's map of ports as the list's array. */
static struct json *ports_array(struct engine *e, const struct container *c)
{
	struct json *list = json_new_array(), *map = NULL;
	struct json_cursor m;

	err_free(container_ports_json(e, c, &map));
	struct json_cursor root = json_root(map);
	struct json_iter it = json_iter(&root);
	while (map && json_next(&it, &m)) {
		char protocol[8] = "tcp";
		unsigned port = 0;
		if (sscanf(m.key, "%5u/%7s", &port, protocol) < 1)
			continue;
		size_t n = json_kind(&m) == JSON_ARRAY ? json_array_len(&m) : 0;
		for (size_t i = 0; i < n || i == 0; i++) {
			struct json *o = json_new_object();
			if (n) {
				struct json_cursor b = json_at(&m, i);
				const char *ip = "", *host = "0";
				uint64_t number = 0;
				err_free(json_get_string(&b, "HostIp", JSON_OPTIONAL, &ip));
				err_free(json_get_string(&b, "HostPort", JSON_OPTIONAL, &host));
				err_free(parse_u64(host, "port", 0, 65535, &number));
				json_set_string(o, "IP", ip);
				json_set_u64(o, "PublicPort", number);
			}
			json_set_u64(o, "PrivatePort", port);
			json_set_string(o, "Type", protocol);
			json_append(list, o);
		}
	}
	json_unref(map);
	return list;
}

/* A member of `from`, or `other`. */
static struct json *member(struct json *from, const char *key, struct json *other)
{
	struct json_cursor root = json_root(from), m = {0};

	if (from)
		err_free(json_get(&root, key, JSON_OPTIONAL, &m));
	if (!m.value)
		return other;
	json_unref(other);
	return json_ref(m.value);
}

struct json *container_row(struct engine *e, const struct container *c, bool size)
{
	struct json *o = json_new_object(), *names = json_new_array(), *host = json_new_object(),
		    *settings = json_new_object(), *full = NULL;
	_cleanup_free_ char *name = xasprintf("/%s", c->name), *status = container_status_text(c),
			    *command = strv_join(c->command, " ");
	uint64_t own = 0, whole = 0;

	err_free(container_inspect(e, (struct container *)(uintptr_t)c,
				   &full)); /* gone meanwhile: less is known */
	struct json *network = member(full, "NetworkSettings", NULL);
	json_set_string(o, "Id", c->id);
	json_append(names, json_new_string(name));
	json_set(o, "Names", names);
	json_set_string(o, "Image", c->image_name ? c->image_name : c->image.s);
	json_set_string(o, "ImageID", c->image.s);
	json_set_string(o, "Command", command ? command : "");
	json_set_i64(o, "Created", c->created_ns / 1000000000);
	json_set(o, "Ports", ports_array(e, c));
	if (size) {
		err_free(container_size(e, c, &own, &whole));
		json_set_u64(o, "SizeRw", own);
		json_set_u64(o, "SizeRootFs", whole);
	}
	json_set(o, "Labels", json_new_pairs(c->labels));
	json_set_string(o, "State", container_status_name(c->status));
	json_set_string(o, "Status", status);
	json_set_string(host, "NetworkMode", c->spec && c->spec->network ? c->spec->network : "none");
	json_set(o, "HostConfig", host);
	json_set(settings, "Networks", member(network, "Networks", json_new_object()));
	json_set(o, "NetworkSettings", settings);
	json_set(o, "Mounts", member(full, "Mounts", json_new_array()));
	json_unref(network);
	json_unref(full);
	return o;
}

struct err *handle_container_list(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL;
	_cleanup_container_filter_ struct container_filter *filter = NULL;
	struct container **list;
	int64_t limit, taken = 0;
	size_t n;

	TRY(exchange_filters(x,
			     "ancestor before exited expose health id is-task isolation label label! name "
			     "network publish since status volume",
			     &filters));
	/* Parameters of old, which are filters now. */
	static const char *const borders[] = {"before", "since"};
	for (size_t i = 0; i < ARRAY_SIZE(borders); i++) {
		_cleanup_free_ char *id = http_query(&x->request, borders[i]);
		if (!str_empty(id))
			strv_push_take(&filters, xasprintf("%s=%s", borders[i], id));
	}
	TRY(container_filter_new(x->engine, filters, &filter));
	TRY(exchange_number(x, "limit", -1, &limit));
	bool all = exchange_flag(x, "all", false) || limit > 0 || container_filter_about_status(filter);
	TRY(container_list(x->engine, all, &list, &n));
	struct json *rows = json_new_array();
	for (size_t i = 0; i < n && (limit <= 0 || taken < limit); i++) {
		if (!container_filter_matches(filter, list[i]))
			continue;
		json_append(rows, container_row(x->engine, list[i], exchange_flag(x, "size", false)));
		taken++;
	}
	containers_free(list, n);
	return answer_json(x, 200, rows);
}
