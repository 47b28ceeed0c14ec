/* SPDX-License-Identifier: Apache-2.0 */
/* Everything away: what runs first, then what the kernel has, then the files. Killed in between, it is begun again. */
#include <dirent.h>
#include <unistd.h>

#include "base/user.h"
#include "engine/network.h"
#include "network/network_private.h"
#include "pod.h"

static void keep_first(struct err **first, struct err *error)
{
	if (!*first)
		*first = error;
	else
		err_free(error);
}

static struct err *remove_containers(struct engine *e, bool sandboxes)
{
	struct container **list = NULL;
	struct err *first = NULL;
	size_t n = 0;

	TRY(container_list_kind(e, true, sandboxes, &list, &n));
	for (size_t i = 0; i < n; i++)
		keep_first(&first, container_remove_any(e, list[i], true, true));
	containers_free(list, n);
	return first;
}

static struct err *remove_networks(struct engine *e)
{
	struct network **list = NULL;
	struct err *first = NULL;
	size_t n = 0;

	TRY(network_list(e, &list, &n));
	for (size_t i = 0; i < n; i++) {
		if (!network_predefined(list[i]))
			keep_first(&first, network_remove(e, list[i]));
		else if (network_is_bridge(list[i]))
			keep_first(&first, bridge_remove(list[i]));
	}
	networks_free(list, n);
	if (user_is_root())
		keep_first(&first, rules_remove(e));
	return first;
}

static struct err *unmount_images(struct engine *e)
{
	struct image **list = NULL;
	struct err *first = NULL;
	struct store *store;
	size_t n = 0;

	TRY(engine_store(e, &store));
	TRY(store_list(store, &list, &n));
	for (size_t i = 0; i < n; i++) {
		if (image_mounted(e, list[i], NULL))
			keep_first(&first, image_unmount(e, list[i], true));
		image_free(list[i]);
	}
	free(list);
	return first;
}

static struct err *remove_children(const char *path)
{
	DIR *dir = opendir(path);
	struct err *first = NULL;
	const struct dirent *d;

	if (!dir)
		return errno == ENOENT ? NULL : err_errno(errno, "cannot list %s", path);
	while ((d = readdir(dir)))
		if (!str_eq(d->d_name, ".") && !str_eq(d->d_name, ".."))
			keep_first(&first, file_remove_tree_at(dirfd(dir), d->d_name));
	closedir(dir);
	return first;
}

struct err *engine_reset(struct engine *e)
{
	struct err *first = NULL;

	TRY_WRAP(remove_containers(e, false), "cannot remove a container");
	TRY_WRAP(remove_containers(e, true), "cannot remove a pod");
	keep_first(&first, remove_networks(e));
	keep_first(&first, unmount_images(e));
	if (e->store) {
		store_close(e->store);
		e->store = NULL;
	}
	db_close(e->db);
	e->db = NULL;
	keep_first(&first, remove_children(e->run));
	keep_first(&first, remove_children(e->root));
	return first;
}
