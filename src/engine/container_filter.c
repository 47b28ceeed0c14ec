// SPDX-License-Identifier: Apache-2.0
#include "engine/container_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/moment.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/network.h"
#include "images/reference.h"
#include "restart_policy.h"

struct container_filter {
	struct engine *engine;
	char **pairs;
	int64_t before_ns, since_ns; /* created in between, both excluded */
};

/* What is asked of the container beside its row, found once per container and only when a filter needs it. */
struct candidate {
	const struct container_filter *filter;
	const struct container *c;
	char **networks;
	struct json *ports;
};

/* -- one value of one key --- */

static bool match_id(struct candidate *x, const char *value)
{
	return str_starts(x->c->id, value);
}

/* With or without its leading slash. */
static bool match_name(struct candidate *x, const char *value)
{
	_cleanup_free_ char *slashed = xasprintf("/%s", x->c->name);

	return name_matches(x->c->name, value) || name_matches(slashed, value);
}

static bool match_status(struct candidate *x, const char *value)
{
	return str_eq(container_status_name(x->c->status), value) ||
	       (str_eq(value, "stopped") && x->c->status == CONTAINER_EXITED); /* podman's word */
}

static bool match_exited(struct candidate *x, const char *value)
{
	char code[16];

	snprintf(code, sizeof(code), "%d", x->c->exit_code);
	return x->c->status == CONTAINER_EXITED && str_eq(code, value);
}

/* Its image, by name or by at least 6 digits of its id. */
static bool match_ancestor(struct candidate *x, const char *value)
{
	const struct container *c = x->c;

	if (digest_is_set(&c->image) && strlen(value) >= 6 &&
	    str_starts(str_starts(value, "sha256:") ? c->image.s : digest_hex(&c->image), value))
		return true;
	if (!c->image_name)
		return false;
	if (str_eq(c->image_name, value))
		return true;
	_cleanup_reference_ struct reference a = REFERENCE_NONE, b = REFERENCE_NONE;
	struct err *e = reference_parse(c->image_name, &a);
	if (!e)
		e = reference_parse(value, &b);
	if (e) {
		err_free(e);
		return false;
	}
	_cleanup_free_ char *one = reference_string(&a), *other = reference_string(&b);
	return str_eq(one, other);
}

static bool match_volume(struct candidate *x, const char *value)
{
	const struct container_spec *s = x->c->spec;

	for (size_t i = 0; s && i < s->n_mounts; i++)
		if (str_eq(s->mounts[i].source, value) || str_eq(s->mounts[i].target, value))
			return true;
	return false;
}

static bool match_network(struct candidate *x, const char *value)
{
	_cleanup_network_ struct network *n = NULL;

	if (!x->networks) {
		err_free(container_networks(x->filter->engine, x->c, &x->networks)); /* being removed: none */
		if (x->c->spec && x->c->spec->network && !strv_contains(x->networks, x->c->spec->network))
			strv_push(&x->networks, x->c->spec->network); /* host, none, container:… */
	}
	if (strv_contains(x->networks, value))
		return true;
	err_free(network_find(x->filter->engine, value, &n));
	return n && strv_contains(x->networks, network_name(n));
}

static bool match_health(struct candidate *x, const char *value)
{
	_cleanup_json_ struct json *health = NULL;
	const char *status = "none";

	err_free(container_health(x->c, &health));
	if (health) {
		struct json_cursor root = json_root(health);
		err_free(json_get_string(&root, "Status", JSON_OPTIONAL, &status));
	}
	return str_eq(status, value);
}

static bool match_pod(struct candidate *x, const char *value)
{
	const char *pod = x->c->spec ? x->c->spec->pod : NULL;
	_cleanup_container_ struct container *sandbox = NULL;

	if (!pod)
		return false;
	if (str_starts(pod, value))
		return true;
	err_free(container_find(x->filter->engine, pod, &sandbox));
	return sandbox && str_eq(sandbox->name, value);
}

static bool match_restart_policy(struct candidate *x, const char *value)
{
	struct restart_policy p;
	struct err *e = restart_policy_parse(x->c->spec ? x->c->spec->restart : NULL, &p);

	if (!e)
		return str_eq(restart_policy_name(&p), value);
	err_free(e);
	return false;
}

static bool match_start_on_boot(struct candidate *x, const char *value)
{
	bool wanted = str_eq(value, "true");

	return wanted == (match_restart_policy(x, "always") || match_restart_policy(x, "unless-stopped"));
}

/* The program, without its arguments. */
static bool match_command(struct candidate *x, const char *value)
{
	return x->c->command && str_eq(x->c->command[0], value);
}

/* No container here is a swarm's task. */
static bool match_is_task(struct candidate *x, const char *value)
{
	return str_eq(value, "false") || str_eq(value, "0");
}

/* Windows' way to isolate: on Linux there is one only. */
static bool match_isolation(struct candidate *x, const char *value)
{
	return true;
}

/* -- ports --- */

struct port_range {
	unsigned first, last;
	char protocol[8];
};

/* "80", "80-90", "80/udp". */
static bool port_range_parse(const char *s, struct port_range *ret)
{
	int n = 0;

	*ret = (struct port_range){.protocol = "tcp"};
	if (sscanf(s, "%5u%n-%5u%n", &ret->first, &n, &ret->last, &n) < 1)
		return false;
	if (!strchr(s, '-'))
		ret->last = ret->first;
	if (s[n] == '/')
		snprintf(ret->protocol, sizeof(ret->protocol), "%s", s + n + 1);
	return (s[n] == '\0' || str_eq(ret->protocol, "tcp") || str_eq(ret->protocol, "udp") ||
		str_eq(ret->protocol, "sctp")) &&
	       ret->first > 0 && ret->first <= ret->last && ret->last <= 65535;
}

static bool in_range(const struct port_range *r, uint64_t port, const char *protocol)
{
	return port >= r->first && port <= r->last && str_eq(protocol, r->protocol);
}

static bool one_is_published(const struct json_cursor *bindings, const struct port_range *r,
			     const char *protocol)
{
	for (size_t i = 0; json_kind(bindings) == JSON_ARRAY && i < json_array_len(bindings); i++) {
		struct json_cursor b = json_at(bindings, i);
		const char *host = "0";
		uint64_t port = 0;
		err_free(json_get_string(&b, "HostPort", JSON_OPTIONAL, &host));
		err_free(parse_u64(host, "port", 0, 65535, &port));
		if (in_range(r, port, protocol))
			return true;
	}
	return false;
}

static bool match_port(struct candidate *x, const char *value, bool of_host)
{
	struct port_range r;
	struct json_cursor m;

	if (!x->ports) {
		err_free(container_ports_json(x->filter->engine, x->c, &x->ports));
		x->ports = x->ports ? x->ports : json_new_object();
	}
	if (!port_range_parse(value, &r))
		return false;
	struct json_cursor root = json_root(x->ports);
	struct json_iter it = json_iter(&root);
	while (json_next(&it, &m)) {
		char protocol[8] = "tcp";
		unsigned port = 0;
		if (sscanf(m.key, "%5u/%7s", &port, protocol) < 1)
			continue;
		if (of_host ? one_is_published(&m, &r, protocol) : in_range(&r, port, protocol))
			return true;
	}
	return false;
}

static bool match_publish(struct candidate *x, const char *value)
{
	return match_port(x, value, true);
}

static bool match_expose(struct candidate *x, const char *value)
{
	return match_port(x, value, false);
}

/* -- all of them --- */

static bool is_status(const char *value)
{
	static const char *const known[] = {"created", "running",  "paused", "restarting",
					    "exited",  "removing", "dead",   "stopped"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (str_eq(value, known[i]))
			return true;
	return false;
}

static bool is_number(const char *value)
{
	uint64_t n;
	struct err *e = parse_u64(value, "number", 0, INT32_MAX, &n);

	err_free(e);
	return !e;
}

static bool is_bool(const char *value)
{
	return str_eq(value, "true") || str_eq(value, "false") || str_eq(value, "1") || str_eq(value, "0");
}

static bool is_port(const char *value)
{
	struct port_range r;
	return port_range_parse(value, &r);
}

static const struct {
	const char *key;
	bool (*match)(struct candidate *x, const char *value); /* NULL: looked at by itself */
	bool (*valid)(const char *value);                      /* NULL: anything */
} rules[] = {
	{"ancestor", match_ancestor, NULL},
	{"before", NULL, NULL},
	{"command", match_command, NULL},
	{"exited", match_exited, is_number},
	{"expose", match_expose, is_port},
	{"health", match_health, NULL},
	{"id", match_id, NULL},
	{"is-task", match_is_task, is_bool},
	{"isolation", match_isolation, NULL},
	{"label", NULL, NULL},
	{"label!", NULL, NULL},
	{"name", match_name, NULL},
	{"network", match_network, NULL},
	{"pod", match_pod, NULL},
	{"publish", match_publish, is_port},
	{"restart-policy", match_restart_policy, NULL},
	{"should-start-on-boot", match_start_on_boot, is_bool},
	{"since", NULL, NULL},
	{"status", match_status, is_status},
	{"until", NULL, NULL},
	{"volume", match_volume, NULL},
};

/* The value, if the pair is of this key. */
static const char *value_of(const char *pair, const char *key)
{
	size_t n = strlen(key);
	return strncmp(pair, key, n) == 0 && pair[n] == '=' ? pair + n + 1 : NULL;
}

static bool have(const struct container_filter *f, const char *key)
{
	STRV_FOREACH (p, f->pairs)
		if (value_of(*p, key))
			return true;
	return false;
}

static struct err *unknown_key(const char *pair)
{
	_cleanup_strbuf_ struct strbuf keys = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		strbuf_printf(&keys, "%s%s", i ? " " : "", rules[i].key);
	if (!strchr(pair, '='))
		return err_new(ERR_INVALID, "filter \"%s\": the form is key=value; the keys are: %s", pair,
			       keys.data);
	return err_new(ERR_INVALID, "filter \"%.*s\" is unknown; the keys are: %s", (int)strcspn(pair, "="),
		       pair, keys.data);
}

/* A container's creation is the border. */
static struct err *border_of(struct engine *e, const char *name, int64_t *ret_ns)
{
	_cleanup_container_ struct container *c = NULL;

	TRY(container_find(e, name, &c));
	*ret_ns = c->created_ns;
	return NULL;
}

static struct err *add(struct container_filter *f, const char *pair)
{
	int64_t ns;

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const char *value = value_of(pair, rules[i].key);
		if (!value)
			continue;
		if (rules[i].valid && !rules[i].valid(value))
			return err_new(ERR_INVALID, "invalid filter '%s=%.64s'", rules[i].key, value);
		if (str_eq(rules[i].key, "until")) {
			TRY(moment_parse(value, "filter until", &ns));
			f->before_ns = MIN(f->before_ns, ns);
		} else if (str_eq(rules[i].key, "before")) {
			TRY(border_of(f->engine, value, &ns));
			f->before_ns = MIN(f->before_ns, ns);
		} else if (str_eq(rules[i].key, "since")) {
			TRY(border_of(f->engine, value, &ns));
			f->since_ns = MAX(f->since_ns, ns);
		}
		strv_push(&f->pairs, pair);
		return NULL;
	}
	return unknown_key(pair);
}

struct err *container_filter_new(struct engine *e, char *const *pairs, struct container_filter **ret)
{
	_cleanup_container_filter_ struct container_filter *f = xnew(struct container_filter);

	*f = (struct container_filter){.engine = e, .before_ns = INT64_MAX, .since_ns = INT64_MIN};
	STRV_FOREACH (p, pairs)
		TRY(add(f, *p));
	*ret = TAKE_PTR(f);
	return NULL;
}

void container_filter_free(struct container_filter *f)
{
	if (!f)
		return;
	strv_free(f->pairs);
	free(f);
}

bool container_filter_about_status(const struct container_filter *f)
{
	return have(f, "status") || have(f, "exited");
}

/* Any value of this key; a key that nobody asked about. */
static bool any_value(struct candidate *x, size_t rule)
{
	bool asked = false;

	STRV_FOREACH (p, x->filter->pairs) {
		const char *value = value_of(*p, rules[rule].key);
		asked |= value != NULL;
		if (value && rules[rule].match(x, value))
			return true;
	}
	return !asked;
}

static bool labels_match(const struct container_filter *f, const struct container *c)
{
	STRV_FOREACH (p, f->pairs) {
		const char *wanted = value_of(*p, "label"), *unwanted = value_of(*p, "label!");
		if ((wanted && !label_matches(c->labels, wanted)) ||
		    (unwanted && label_matches(c->labels, unwanted)))
			return false;
	}
	return true;
}

bool container_filter_matches(const struct container_filter *f, const struct container *c)
{
	struct candidate x = {.filter = f, .c = c};

	if (c->created_ns >= f->before_ns || c->created_ns <= f->since_ns)
		return false;
	bool all = labels_match(f, c);
	for (size_t i = 0; all && i < ARRAY_SIZE(rules); i++)
		all = !rules[i].match || any_value(&x, i);
	strv_free(x.networks);
	json_unref(x.ports);
	return all;
}
