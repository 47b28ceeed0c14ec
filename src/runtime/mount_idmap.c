/* SPDX-License-Identifier: Apache-2.0 */
/* crun's mappings inside an option: "idmap=uids=0-1000-10#10-2000-5;gids=@0-0-10". Each is the first id on the file system, the first
 * id it appears as, and how many; with "@" the second is an id of the container, which its user namespace maps. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"
#include "mount_options.h"

#define MAPS_MAX 340 /* lines of a uid_map file */

static bool read_number(const char **p, uint32_t *ret)
{
	uint64_t v = 0;
	const char *start = *p;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		v = v * 10 + (uint64_t)(**p - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)v;
	return *p != start;
}

static bool read_separator(const char **p, char separator)
{
	bool there = **p == separator;
	*p += there;
	return there;
}

static bool read_map(const char **p, struct spec_id_map *ret)
{
	return read_number(p, &ret->container_id) && read_separator(p, '-') &&
	       read_number(p, &ret->host_id) && read_separator(p, '-') && read_number(p, &ret->size) &&
	       ret->size && (uint64_t)ret->container_id + ret->size <= UINT32_MAX &&
	       (uint64_t)ret->host_id + ret->size <= UINT32_MAX;
}

/* As one of the container's ranges has it; false when it is not in one as a whole. */
static bool make_absolute(struct spec_id_map *m, const struct spec_id_map *own, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (m->host_id < own[i].container_id || m->host_id - own[i].container_id >= own[i].size)
			continue;
		uint32_t offset = m->host_id - own[i].container_id;
		if (m->size > own[i].size - offset)
			return false;
		m->host_id = own[i].host_id + offset;
		return true;
	}
	return false;
}

static struct err *read_list(const struct json_cursor *entry, const char **p, const struct spec_id_map *own,
			     size_t n_own, struct spec_id_map **ret, size_t *ret_n)
{
	struct spec_id_map *maps = xnew_array(struct spec_id_map, MAPS_MAX);
	free(*ret);
	*ret = maps;
	*ret_n = 0;
	do {
		if (*ret_n == MAPS_MAX)
			return json_error(entry, "has more than %d mappings", MAPS_MAX);
		struct spec_id_map *m = &maps[*ret_n];
		bool relative = read_separator(p, '@');
		if (!read_map(p, m))
			return json_error(entry, "a mapping is not like 0-1000-10 or @0-0-10");
		if (relative && !make_absolute(m, own, n_own))
			return json_error(entry,
					  "the relative mapping @%u-%u-%u is not inside one range of the "
					  "container's user namespace",
					  m->container_id, m->host_id, m->size);
		(*ret_n)++;
	} while (read_separator(p, '#'));
	return NULL;
}

static void copy_maps(const struct spec_id_map *from, size_t n, struct spec_id_map **ret, size_t *ret_n)
{
	*ret = xnew_array(struct spec_id_map, n);
	memcpy(*ret, from, n * sizeof(*from));
	*ret_n = n;
}

struct err *mount_idmap_parse(const struct json_cursor *entry, const char *text,
			      const struct spec_id_maps *own, struct spec_id_maps *ret)
{
	const char *p = text;
	while (*p) {
		if (str_starts(p, "uids=")) {
			p += strlen("uids=");
			TRY(read_list(entry, &p, own->uid, own->n_uid, &ret->uid, &ret->n_uid));
		} else if (str_starts(p, "gids=")) {
			p += strlen("gids=");
			TRY(read_list(entry, &p, own->gid, own->n_gid, &ret->gid, &ret->n_gid));
		} else {
			return json_error(entry, "only uids= and gids= can follow idmap=");
		}
		if (*p && !read_separator(&p, ';'))
			return json_error(entry, "\"%.20s\" follows a mapping", p);
	}
	/* What is not given is the container's, as podman has it. */
	if (ret->n_uid && !ret->n_gid && own->n_gid)
		copy_maps(own->gid, own->n_gid, &ret->gid, &ret->n_gid);
	if (ret->n_gid && !ret->n_uid && own->n_uid)
		copy_maps(own->uid, own->n_uid, &ret->uid, &ret->n_uid);
	if (!ret->n_uid != !ret->n_gid)
		return json_error(entry,
				  "needs both uids= and gids= where the container has no user namespace");
	return NULL;
}
