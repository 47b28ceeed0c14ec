/* SPDX-License-Identifier: Apache-2.0 */
/* A network's row as JSON and back, and what its options mean. */
#include <stddef.h>
#include <stdio.h>

#include "network_private.h"

#define LIST(member)                                           \
	{                                                      \
#member, offsetof(struct network_spec, member) \
	}
static const struct {
	const char *name;
	size_t offset;
} lists[] = {LIST(subnets), LIST(gateways), LIST(ip_ranges),   LIST(aux_addresses),
	     LIST(labels),  LIST(options),  LIST(ipam_options)};
#undef LIST

void network_spec_release(struct network_spec *s)
{
	free(s->name);
	free(s->driver);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		strv_free(*(char ***)((char *)s + lists[i].offset));
	*s = (struct network_spec){0};
}

void network_free(struct network *n)
{
	if (!n)
		return;
	network_spec_release(&n->spec);
	free(n);
}

struct json *network_to_json(const struct network *n)
{
	struct json *o = json_new_object();

	json_set_string(o, "driver", n->spec.driver);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		char **list = *(char ***)((char *)(uintptr_t)&n->spec + lists[i].offset);
		if (list)
			json_set_strv(o, lists[i].name, list);
	}
	json_set_bool(o, "internal", n->spec.internal);
	json_set_bool(o, "attachable", n->spec.attachable);
	json_set_bool(o, "ipv6", n->spec.ipv6);
	json_set_bool(o, "no_ipv4", n->spec.no_ipv4);
	return o;
}

static struct err *option_bool(const struct network *n, const char *key, bool fallback, bool *ret)
{
	const char *value = env_get(n->spec.options, key);

	*ret = fallback;
	return str_empty(value) ? NULL : parse_bool(value, key, ret);
}

static struct err *resolve_subnets(struct network *n)
{
	STRV_FOREACH (s, n->spec.subnets) {
		struct subnet net;
		TRY(subnet_parse(*s, "--subnet", &net));
		struct subnet *to = net.base.family == AF_INET ? &n->v4 : &n->v6;
		if (to->base.family)
			return err_new(
				ERR_UNSUPPORTED,
				"--subnet %s: a network has one subnet of each family, and %s is given, too",
				*s, *n->spec.subnets);
		*to = net;
	}
	STRV_FOREACH (s, n->spec.gateways) {
		struct ip a;
		TRY(ip_parse(*s, "--gateway", &a));
		if (!subnet_contains(a.family == AF_INET ? &n->v4 : &n->v6, &a))
			return err_new(ERR_INVALID, "no matching subnet for gateway %s", *s);
		*(a.family == AF_INET ? &n->gateway4 : &n->gateway6) = a;
	}
	n->range4 = n->v4;
	n->range6 = n->v6;
	STRV_FOREACH (s, n->spec.ip_ranges) {
		struct subnet r;
		TRY(subnet_parse(*s, "--ip-range", &r));
		const struct subnet *in = r.base.family == AF_INET ? &n->v4 : &n->v6;
		if (!subnet_contains(in, &r.base) || r.prefix < in->prefix)
			return err_new(ERR_INVALID, "no matching subnet for range %s", *s);
		*(r.base.family == AF_INET ? &n->range4 : &n->range6) = r;
	}
	STRV_FOREACH (s, n->spec.aux_addresses) {
		const char *eq = strchr(*s, '=');
		struct ip a;
		TRY(ip_parse(eq ? eq + 1 : *s, "--aux-address", &a));
		if (!subnet_contains(a.family == AF_INET ? &n->v4 : &n->v6, &a))
			return err_new(ERR_INVALID, "no matching subnet for aux-address %s",
				       eq ? eq + 1 : *s);
	}
	return NULL;
}

struct err *network_resolve(struct network *n)
{
	const char *name = env_get(n->spec.options, "com.docker.network.bridge.name");
	const char *mtu = env_get(n->spec.options, "com.docker.network.driver.mtu");
	const char *binding = env_get(n->spec.options, "com.docker.network.bridge.host_binding_ipv4");
	uint64_t value = 0;

	TRY(resolve_subnets(n));
	if (str_empty(name))
		name = env_get(n->spec.options, "parent");
	if (!str_empty(name) && (strlen(name) >= IFNAMSIZ || strpbrk(name, "/ \t\n:")))
		return err_new(
			ERR_INVALID,
			"\"%.64s\" cannot be an interface's name: at most 15 characters without blanks, "
			"slashes and colons",
			name);
	if (!str_empty(name))
		snprintf(n->interface, sizeof(n->interface), "%s", name);
	else if (str_eq(n->spec.driver, "bridge"))
		snprintf(n->interface, sizeof(n->interface), "br-%.12s", n->id);
	if (!mtu)
		mtu = env_get(n->spec.options, "mtu");
	if (!str_empty(mtu))
		TRY(parse_u64(mtu, "mtu", 68, 65535, &value));
	n->mtu = (uint32_t)value;
	if (!str_empty(binding))
		TRY(ip_parse(binding, "com.docker.network.bridge.host_binding_ipv4", &n->binding4));
	if (ip_is_any(&n->binding4))
		n->binding4 = (struct ip){0};
	TRY(option_bool(n, "com.docker.network.bridge.enable_icc", true, &n->icc));
	return option_bool(n, "com.docker.network.bridge.enable_ip_masquerade", true, &n->masquerade);
}

static struct err *decode(const struct json_cursor *root, struct network *n)
{
	const char *driver = NULL;

	TRY(json_get_string(root, "driver", JSON_REQUIRED, &driver));
	n->spec.driver = xstrdup(driver);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		TRY(json_get_strv(root, lists[i].name, JSON_OPTIONAL,
				  (char ***)(void *)((char *)&n->spec + lists[i].offset)));
	TRY(json_get_bool(root, "internal", JSON_OPTIONAL, &n->spec.internal));
	TRY(json_get_bool(root, "attachable", JSON_OPTIONAL, &n->spec.attachable));
	TRY(json_get_bool(root, "ipv6", JSON_OPTIONAL, &n->spec.ipv6));
	TRY(json_get_bool(root, "no_ipv4", JSON_OPTIONAL, &n->spec.no_ipv4));
	return network_resolve(n);
}

struct err *network_from_json(const char *text, struct network *n)
{
	_cleanup_json_ struct json *doc = NULL;

	TRY(json_parse(text, strlen(text), "stored network", &doc));
	struct json_cursor root = json_root(doc);
	return decode(&root, n);
}
