/* SPDX-License-Identifier: Apache-2.0 */
#include "capabilities.h"

#include <linux/capability.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const capability_names[CAPABILITY_COUNT] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};

int capability_number(const char *name)
{
	for (int i = 0; i < CAPABILITY_COUNT; i++)
		if (strcasecmp(capability_names[i], name) == 0)
			return i;
	return -1;
}

static struct err *get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	if (syscall(SYS_capget, &header, data) < 0)
		return err_errno(errno, "cannot read capabilities");
	return NULL;
}

static uint64_t join(uint32_t low, uint32_t high)
{
	return (uint64_t)high << 32 | low;
}

static bool set(uint64_t permitted, uint64_t effective, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	for (int i = 0; i < 2; i++)
		data[i] = (struct __user_cap_data_struct){.permitted = (uint32_t)(permitted >> (32 * i)),
							  .effective = (uint32_t)(effective >> (32 * i)),
							  .inheritable = (uint32_t)(inheritable >> (32 * i))};
	return syscall(SYS_capset, &header, data) == 0;
}

struct err *capabilities_get(uint64_t *ret_permitted, uint64_t *ret_effective)
{
	struct __user_cap_data_struct data[2] = {0};
	TRY(get(data));
	*ret_permitted = join(data[0].permitted, data[1].permitted);
	*ret_effective = join(data[0].effective, data[1].effective);
	return NULL;
}

struct err *capabilities_limit_bounding(const struct spec_capabilities *caps)
{
	if (!caps->set)
		return NULL;
	/* A newer kernel may know more than we have names for: those are dropped too, until it says there are no more. */
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (caps->bounding & (UINT64_C(1) << cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			break;
		return err_errno(errno, "cannot drop %s from the bounding set",
				 cap < CAPABILITY_COUNT ? capability_names[cap] : "an unknown capability");
	}
	return NULL;
}

struct err *capabilities_apply(const struct spec_capabilities *caps)
{
	if (!caps->set)
		return NULL;
	/* Without inheritable ones the usual case is one call: the kernel refuses what we do not have ourselves, and empties the
	 * ambient set with the inheritable one. */
	if (!caps->inheritable && set(caps->permitted, caps->effective & caps->permitted, 0))
		return NULL;
	struct __user_cap_data_struct data[2] = {0};
	TRY(get(data));
	uint64_t have = join(data[0].permitted, data[1].permitted);
	uint64_t permitted = caps->permitted & have;
	uint64_t effective = caps->effective & permitted;
	/* Inheritable beyond the permitted set would need CAP_SETPCAP and the bounding set; the kernel checks against the old
	 * permitted set, so `have` bounds it. */
	uint64_t inheritable = caps->inheritable & have & caps->bounding;
	if (!set(permitted, effective, inheritable))
		return err_errno(errno, "cannot set capabilities");
	/* The ambient set of a fresh process is empty unless our own caller had one. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_errno(errno, "cannot clear ambient capabilities");
	uint64_t ambient = caps->ambient & permitted & inheritable;
	for (unsigned long cap = 0; ambient && cap < CAPABILITY_COUNT; cap++)
		if (ambient & (UINT64_C(1) << cap) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_errno(errno, "cannot raise ambient capability %s", capability_names[cap]);
	return NULL;
}
