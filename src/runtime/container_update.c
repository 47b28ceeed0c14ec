/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a container's Intel RDT group. Those of its cgroup are rt_cgroup_update. */
#include "base/fd.h"
#include "base/memory.h"
#include "container_private.h"
#include "procfs.h"
#include "resctrl.h"

/* The container's configuration with these schemas and no others: they are checked as those of config.json are. */
static struct err *parse_with(struct json *config, const char *l3_cache, const char *mem_bw,
			      struct spec **ret)
{
	struct json_cursor root = json_root(config), section, rdt;
	TRY(json_get_object(&root, "linux", JSON_REQUIRED, &section));
	TRY(json_get_object(&section, "intelRdt", JSON_OPTIONAL, &rdt));
	if (!rdt.value)
		return err_new(ERR_INVALID,
			       "the container has no linux.intelRdt in its configuration: it shares the "
			       "class of service of the host, which is not changed for it");
	const char *const keys[] = {"l3CacheSchema", "memBwSchema"}, *const values[] = {l3_cache, mem_bw};
	json_remove(rdt.value, "schemata");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_remove(rdt.value, keys[i]);
		if (values[i])
			json_set_string(rdt.value, keys[i], values[i]);
	}
	return spec_parse(config, ret);
}

struct err *rt_container_update_rdt(struct rt_container *c, const char *l3_cache, const char *mem_bw)
{
	_cleanup_(spec_freep) struct spec *s = NULL;
	_cleanup_json_ struct json *config = NULL;
	_cleanup_fd_ int proc_fd = -1, root = -1;
	TRY(rt_container_config(c));
	config = json_deep_copy(c->config);
	TRY(parse_with(config, l3_cache, mem_bw, &s));
	TRY(procfs_open(&proc_fd));
	TRY(resctrl_open(proc_fd, &root));
	return resctrl_update(root, &s->rdt, c->id);
}
