/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/network.h"

#include <stdlib.h>

#include "base/memory.h"
#include "objects.h"
#include "routes.h"

static bool match_name(const void *object, const char *value)
{
	return name_matches(network_name(object), value);
}

static bool match_id(const void *object, const char *value)
{
	return str_starts(network_id(object), value);
}

static bool match_driver(const void *object, const char *value)
{
	return str_eq(network_driver(object), value);
}

static bool match_scope(const void *object, const char *value)
{
	return str_eq(value, "local");
}

static bool match_type(const void *object, const char *value)
{
	return str_eq(value, network_predefined(object) ? "builtin" : "custom");
}

static bool match_dangling(const void *object, const char *value)
{
	return true; /* looked at where the engine is at hand */
}

static bool is_true(const char *s)
{
	return str_eq(s, "true") || str_eq(s, "1");
}

static bool dangling_matches(struct engine *e, const struct network *n, char *const *filters)
{
	STRV_FOREACH (f, filters) {
		bool used = false;
		if (!str_starts(*f, "dangling="))
			continue;
		err_free(network_in_use(e, n, &used));
		if ((!used && !network_predefined(n)) != is_true(*f + strlen("dangling=")))
			return false;
	}
	return true;
}

static bool wanted(struct engine *e, const struct network *n, char *const *filters)
{
	return filter_any(filters, "name", match_name, n) && filter_any(filters, "id", match_id, n) &&
	       filter_any(filters, "driver", match_driver, n) &&
	       filter_any(filters, "scope", match_scope, n) && filter_any(filters, "type", match_type, n) &&
	       filter_any(filters, "dangling", match_dangling, n) && dangling_matches(e, n, filters) &&
	       filter_labels(filters, network_get_spec(n)->labels);
}

struct err *handle_network_list(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL;
	struct network **list;
	struct err *e = NULL;
	size_t n;

	TRY(exchange_filters(x, "dangling driver id label label! name scope type", &filters));
	TRY(network_list(x->engine, &list, &n));
	struct json *rows = json_new_array();
	for (size_t i = 0; !e && i < n; i++) {
		struct json *o;
		if (!wanted(x->engine, list[i], filters))
			continue;
		e = network_inspect(x->engine, list[i], &o);
		if (!e) {
			json_set(o, "Containers", json_new_object()); /* inspect tells of them */
			json_append(rows, o);
		}
	}
	networks_free(list, n);
	if (e) {
		json_unref(rows);
		return e;
	}
	return answer_json(x, 200, rows);
}

static struct err *find_network(struct exchange *x, struct network **ret)
{
	return network_find(x->engine, x->captures[0], ret);
}

struct err *handle_network_inspect(struct exchange *x)
{
	_cleanup_network_ struct network *n = NULL;
	struct json *o;

	TRY(find_network(x, &n));
	TRY(network_inspect(x->engine, n, &o));
	return answer_json(x, 200, o);
}

static struct err *text(const struct json_cursor *o, const char *key, char ***ret)
{
	const char *s = "";

	TRY(json_get_string(o, key, JSON_OPTIONAL, &s));
	if (*s)
		strv_push(ret, s);
	return NULL;
}

static struct err *read_ipam(const struct json_cursor *root, struct network_spec *s)
{
	struct json_cursor ipam, list;

	TRY(json_get_object(root, "IPAM", JSON_OPTIONAL, &ipam));
	if (!ipam.value)
		return NULL;
	TRY(json_pairs(&ipam, "Options", false, &s->ipam_options));
	TRY(json_get_array(&ipam, "Config", JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor c = json_at(&list, i);
		TRY(text(&c, "Subnet", &s->subnets));
		TRY(text(&c, "Gateway", &s->gateways));
		TRY(text(&c, "IPRange", &s->ip_ranges));
		TRY(json_pairs(&c, "AuxiliaryAddresses", false, &s->aux_addresses));
	}
	return NULL;
}

static struct err *read_network(struct json *body, struct network_spec *s)
{
	struct json_cursor root = json_root(body);
	const char *name = "", *driver = "";
	bool v4 = true;

	TRY(json_get_string(&root, "Name", JSON_OPTIONAL, &name));
	TRY(json_get_string(&root, "Driver", JSON_OPTIONAL, &driver));
	s->name = xstrdup(name);
	s->driver = *driver && !str_eq(driver, "default") ? xstrdup(driver) : NULL;
	TRY(json_get_bool(&root, "Internal", JSON_OPTIONAL, &s->internal));
	TRY(json_get_bool(&root, "Attachable", JSON_OPTIONAL, &s->attachable));
	TRY(json_get_bool(&root, "EnableIPv6", JSON_OPTIONAL, &s->ipv6));
	TRY(json_get_bool(&root, "EnableIPv4", JSON_OPTIONAL, &v4));
	s->no_ipv4 = !v4;
	TRY(json_pairs(&root, "Labels", false, &s->labels));
	TRY(json_pairs(&root, "Options", false, &s->options));
	return read_ipam(&root, s);
}

struct err *handle_network_create(struct exchange *x)
{
	_cleanup_json_ struct json *body = NULL;
	_cleanup_network_ struct network *n = NULL;
	_cleanup_(network_spec_release) struct network_spec s = {0};

	TRY(exchange_json(x, false, &body));
	TRY(read_network(body, &s));
	TRY(network_create(x->engine, &s, &n));
	struct json *o = json_new_object();
	json_set_string(o, "Id", network_id(n));
	json_set_string(o, "Warning", "");
	return answer_json(x, 201, o);
}

struct err *handle_network_remove(struct exchange *x)
{
	_cleanup_network_ struct network *n = NULL;

	TRY(find_network(x, &n));
	struct err *e = network_remove(x->engine, n);
	if (e && e->kind == ERR_STATE) { /* docker's status for a network in use or predefined */
		_cleanup_free_ char *message = err_text(e);
		err_free(e);
		return answer_refusal(x, 403, message);
	}
	TRY(e);
	return answer_empty(x, 204);
}

static struct err *container_of(struct exchange *x, const struct json_cursor *root, struct container **ret)
{
	const char *id = "";

	TRY(json_get_string(root, "Container", JSON_OPTIONAL, &id));
	return container_find(x->engine, id, ret);
}

struct err *handle_network_connect(struct exchange *x)
{
	_cleanup_json_ struct json *body = NULL;
	_cleanup_network_ struct network *n = NULL;
	_cleanup_container_ struct container *c = NULL;
	_cleanup_strv_ char **aliases = NULL, **links = NULL, **options = NULL;
	struct endpoint_options o = {0};
	struct json_cursor config, ipam;

	TRY(exchange_json(x, false, &body));
	struct json_cursor root = json_root(body);
	TRY(find_network(x, &n));
	TRY(container_of(x, &root, &c));
	TRY(json_get_object(&root, "EndpointConfig", JSON_OPTIONAL, &config));
	if (config.value) {
		TRY(json_get_strv(&config, "Aliases", JSON_OPTIONAL, &aliases));
		TRY(json_get_strv(&config, "Links", JSON_OPTIONAL, &links));
		TRY(json_pairs(&config, "DriverOpts", false, &options));
		TRY(json_get_string(&config, "MacAddress", JSON_OPTIONAL, &o.mac));
		TRY(json_get_object(&config, "IPAMConfig", JSON_OPTIONAL, &ipam));
		if (ipam.value) {
			TRY(json_get_string(&ipam, "IPv4Address", JSON_OPTIONAL, &o.ip));
			TRY(json_get_string(&ipam, "IPv6Address", JSON_OPTIONAL, &o.ip6));
		}
	}
	o.ip = str_empty(o.ip) ? NULL : o.ip;
	o.ip6 = str_empty(o.ip6) ? NULL : o.ip6;
	o.mac = str_empty(o.mac) ? NULL : o.mac;
	o.aliases = aliases;
	o.links = links;
	o.driver_options = options;
	TRY(network_connect(x->engine, n, c, &o));
	return answer_empty(x, 200);
}

struct err *handle_network_disconnect(struct exchange *x)
{
	_cleanup_json_ struct json *body = NULL;
	_cleanup_network_ struct network *n = NULL;
	_cleanup_container_ struct container *c = NULL;
	bool force = false;

	TRY(exchange_json(x, false, &body));
	struct json_cursor root = json_root(body);
	TRY(find_network(x, &n));
	TRY(container_of(x, &root, &c));
	TRY(json_get_bool(&root, "Force", JSON_OPTIONAL, &force));
	TRY(network_disconnect(x->engine, n, c, force));
	return answer_empty(x, 200);
}

struct err *handle_network_prune(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL;
	struct network **list;
	int64_t until = INT64_MAX;
	size_t n;

	TRY(exchange_filters(x, "label label! until", &filters));
	STRV_FOREACH (f, filters)
		if (str_starts(*f, "until="))
			TRY(moment_ns(*f + strlen("until="), "until", &until));
	TRY(network_list(x->engine, &list, &n));
	struct json *o = json_new_object(), *removed = json_new_array();
	for (size_t i = 0; i < n; i++) {
		bool used = true;
		err_free(network_in_use(x->engine, list[i], &used));
		if (used || network_predefined(list[i]) || network_created_ns(list[i]) >= until ||
		    !filter_labels(filters, network_get_spec(list[i])->labels))
			continue;
		struct err *kept = network_remove(x->engine, list[i]);
		if (!kept)
			json_append(removed, json_new_string(network_name(list[i])));
		err_free(kept);
	}
	networks_free(list, n);
	json_set(o, "NetworksDeleted", removed);
	return answer_json(x, 200, o);
}
