/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/toml.h"
#include "base/user.h"
#include "oci_runtime.h"
#include "private.h"
#include "runtime/container.h"

static struct err *take_driver(void *user, const struct toml_event *e)
{
	char **driver = user;

	if (!str_eq(e->table, "cgroup") || !str_eq(e->key, "driver"))
		return NULL;
	if (e->kind != TOML_STRING ||
	    (!str_eq(e->text, "auto") && !str_eq(e->text, "cgroupfs") && !str_eq(e->text, "systemd")))
		return err_new(ERR_INVALID, "cgroup.driver must be \"auto\", \"cgroupfs\" or \"systemd\"");
	free(*driver);
	*driver = xstrdup(e->text);
	return NULL;
}

/* Its own socket, which the bus only stands in for. */
static bool systemd_is_there(bool needs_bus)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (access("/run/systemd/system", F_OK) < 0)
		return false;
	if (user_is_root())
		return access("/run/systemd/private", W_OK) == 0 &&
		       (!needs_bus || access("/run/dbus/system_bus_socket", W_OK) == 0);
	if (str_empty(dir))
		return false;
	_cleanup_free_ char *private = xasprintf("%s/systemd/private", dir);
	_cleanup_free_ char *bus = xasprintf("%s/bus", dir);
	return access(private, F_OK) == 0 && (!needs_bus || access(bus, F_OK) == 0);
}

struct err *cgroup_driver_is_systemd(bool needs_bus, bool *ret)
{
	_cleanup_free_ char *driver = NULL;
	enum rt_cgroup_mode mode = RT_CGROUP_NONE;

	TRY(config_read(take_driver, &driver, NULL));
	if (driver && !str_eq(driver, "auto")) {
		*ret = str_eq(driver, "systemd");
		return NULL;
	}
	err_free(rt_cgroup_detect(&mode));
	*ret = mode == RT_CGROUP_V2 && systemd_is_there(needs_bus);
	return NULL;
}

struct err *container_cgroup(struct engine *e, const struct container *c, struct rt_cgroup **ret)
{
	_cleanup_(rt_container_freep) struct rt_container *rt = NULL;
	_cleanup_free_ char *state_root = engine_state_root(e);

	if (c->spec->runtime)
		return oci_runtime_cgroup(c->run_dir, c->id, ret);
	TRY(rt_container_load(state_root, c->id, &rt));
	if (!rt->cgroup)
		return err_new(ERR_NOT_FOUND, "container %s has no cgroup", c->name);
	*ret = TAKE_PTR(rt->cgroup);
	return NULL;
}

struct err *cgroup_driver_path(const struct container *c, bool systemd, char **ret)
{
	const char *parent = c->spec->cgroup_parent;

	if (systemd && !str_empty(parent) && (!str_ends(parent, ".slice") || strchr(parent, '/')))
		return err_new(ERR_INVALID,
			       "--cgroup-parent %s: with systemd's cgroups it is a slice, \"NAME.slice\" "
			       "(or say cgroup.driver = \"cgroupfs\" in havre.toml)",
			       parent);
	*ret = systemd ? xasprintf("%s:havre:%s", str_empty(parent) ? "" : parent, c->id)
		       : xasprintf("%s/%s", str_empty(parent) ? "/havre" : parent, c->id);
	return NULL;
}
