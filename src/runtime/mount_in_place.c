/* SPDX-License-Identifier: Apache-2.0 */
/* New file systems by mount(2) on the working directory, or on an entry of it: two system calls where the mount API takes six and
 * more. The kernel makes the mount with its flags and attaches it in one step (mounts.h, M1). */
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "mounts.h"

#define DATA_MAX 4096

static const struct {
	uint64_t attribute;
	unsigned long flag;
} flags[] = {
	{MOUNT_ATTR_NOSUID, MS_NOSUID},           {MOUNT_ATTR_NODEV, MS_NODEV},
	{MOUNT_ATTR_NOEXEC, MS_NOEXEC},           {MOUNT_ATTR_NOATIME, MS_NOATIME},
	{MOUNT_ATTR_STRICTATIME, MS_STRICTATIME}, {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME},
};

/* MS_RDONLY is not among them: it would make the superblock read-only, which others may share. */
static bool translate(uint64_t attributes, unsigned long *ret)
{
	*ret = 0;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (attributes & flags[i].attribute) {
			*ret |= flags[i].flag;
			attributes &= ~flags[i].attribute;
		}
	return attributes == 0;
}

/* Those whose options mean the same to mount(2) as to fsconfig(2). */
static bool is_plain(const char *type)
{
	return str_eq(type, "tmpfs") || str_eq(type, "devpts") || str_eq(type, "mqueue");
}

bool mount_in_place(const struct spec_mount *m, const char *name)
{
	unsigned long mount_flags;
	if (!is_plain(m->type) || !translate(m->attr_set, &mount_flags))
		return false;
	_cleanup_free_ char *data = strv_join(m->data, ",");
	if (strlen(data) >= DATA_MAX)
		return false;
	return mount(m->source ? m->source : m->type, name, m->type, mount_flags, data) == 0;
}
