/* SPDX-License-Identifier: Apache-2.0 */
/* GET /containers/json. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "engine/container_match.h"
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

static bool match_network(struct engine *e, const struct container *c, char *const *filters)
{
	_cleanup_strv_ char **names = NULL;
	bool have = false;

	if (!filter_have(filters, "network"))
		return true;
	err_free(container_networks(e, c, &names));
	STRV_FOREACH (f, filters) {
		_cleanup_network_ struct network *n = NULL;
		if (!str_starts(*f, "network="))
			continue;
		err_free(network_find(e, *f + strlen("network="), &n));
		have |= n && strv_contains(names, network_name(n));
		have |= strv_contains(names, *f + strlen("network="));
	}
	return have;
}

static bool wanted(struct engine *e, const struct container *c, char *const *filters)
{
	return filter_any(filters, "id", container_match_id, c) &&
	       filter_any(filters, "name", container_match_name, c) &&
	       filter_any(filters, "status", container_match_status, c) &&
	       filter_any(filters, "exited", container_match_exited, c) &&
	       filter_any(filters, "ancestor", container_match_ancestor, c) &&
	       filter_any(filters, "volume", container_match_volume, c) &&
	       filter_labels(filters, c->labels) && match_network(e, c, filters);
}

/* before= and since= name a container; its creation is the border. */
static struct err *borders(struct engine *e, char *const *filters, int64_t *ret_before, int64_t *ret_since)
{
	*ret_before = INT64_MAX;
	*ret_since = INT64_MIN;
	STRV_FOREACH (f, filters) {
		_cleanup_container_ struct container *c = NULL;
		bool before = str_starts(*f, "before=");
		if (!before && !str_starts(*f, "since="))
			continue;
		TRY(container_find(e, strchr(*f, '=') + 1, &c));
		*(before ? ret_before : ret_since) = c->created_ns;
	}
	return NULL;
}

static struct err *check_status(char *const *filters)
{
	static const char known[] = "created restarting running removing paused exited dead";

	STRV_FOREACH (f, filters)
		if (str_starts(*f, "status=") && (!(*f)[7] || !strstr(known, *f + 7)))
			return err_new(ERR_INVALID, "invalid filter 'status=%.64s'", *f + 7);
	return NULL;
}

struct err *handle_container_list(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL;
	struct container **list;
	int64_t limit, before, since;
	size_t n;

	TRY(exchange_filters(x,
			     "ancestor before exited expose health id is-task isolation label label! name "
			     "network publish since status volume",
			     &filters));
	TRY(check_status(filters));
	TRY(exchange_number(x, "limit", -1, &limit));
	bool all = exchange_flag(x, "all", false) || limit > 0 || filter_have(filters, "status") ||
		   filter_have(filters, "exited");
	TRY(borders(x->engine, filters, &before, &since));
	TRY(container_list(x->engine, all, &list, &n));
	struct json *rows = json_new_array();
	int64_t taken = 0;
	for (size_t i = 0; i < n; i++) {
		const struct container *c = list[i];
		if (c->created_ns >= before || c->created_ns <= since || (limit > 0 && taken == limit) ||
		    !wanted(x->engine, c, filters))
			continue;
		json_append(rows, container_row(x->engine, c, exchange_flag(x, "size", false)));
		taken++;
	}
	containers_free(list, n);
	return answer_json(x, 200, rows);
}
