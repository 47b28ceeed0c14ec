/* SPDX-License-Identifier: Apache-2.0 */
/* Go's JSON takes the name of a member in any case, so callers of runc write "CPU" and "Cpus". Ours wants them as the
 * specification has them: what is read for update is brought into that form. */
#include <strings.h>

#include "base/str.h"
#include "oci.h"

/* config-linux.md "Control groups", the names of every level; no two differ in case alone. */
static const char *const names[] = {
	"access",
	"allow",
	"blockIO",
	"burst",
	"checkBeforeUpdate",
	"cpu",
	"cpus",
	"devices",
	"disableOOMKiller",
	"hcaHandles",
	"hcaObjects",
	"hugepageLimits",
	"idle",
	"kernel",
	"kernelTCP",
	"leafWeight",
	"limit",
	"major",
	"memory",
	"mems",
	"minor",
	"network",
	"pageSize",
	"period",
	"pids",
	"quota",
	"rate",
	"rdma",
	"realtimePeriod",
	"realtimeRuntime",
	"reservation",
	"shares",
	"swap",
	"swappiness",
	"throttleReadBpsDevice",
	"throttleReadIOPSDevice",
	"throttleWriteBpsDevice",
	"throttleWriteIOPSDevice",
	"type",
	"unified",
	"useHierarchy",
	"weight",
	"weightDevice",
};

static const char *canonical(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return names[i];
	return name;
}

static struct json *folded(const struct json_cursor *c);

/* The members of an object that is there under two spellings are put together, as Go does. */
static void fold_into(struct json *to, const struct json_cursor *object)
{
	struct json_cursor have, root = json_root(to), member;
	struct json_iter it = json_iter(object);
	while (json_next(&it, &member)) {
		const char *name = canonical(member.key);
		struct err *absent = json_get_object(&root, name, JSON_REQUIRED, &have);
		if (!absent && json_kind(&member) == JSON_OBJECT)
			fold_into(have.value, &member);
		else /* the keys of unified are names of files */
			json_set(to, name,
				 str_eq(name, "unified") ? json_ref(member.value) : folded(&member));
		err_free(absent);
	}
}

static struct json *folded(const struct json_cursor *c)
{
	if (json_kind(c) == JSON_OBJECT) {
		struct json *o = json_new_object();
		fold_into(o, c);
		return o;
	}
	if (json_kind(c) == JSON_ARRAY) {
		struct json *a = json_new_array();
		for (size_t i = 0, n = json_array_len(c); i < n; i++) {
			struct json_cursor element = json_at(c, i);
			json_append(a, folded(&element));
		}
		return a;
	}
	return json_ref(c->value);
}

struct json *oci_fold_resource_names(struct json *resources)
{
	struct json_cursor root = json_root(resources);
	return folded(&root);
}
