/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to CRIU and what it answers: protocol buffers (proto2), as much of them as CRIU's RPC needs (criu.org/RPC, rpc.proto).
 *
 * Writing appends fields to a buffer; a message inside a message is a buffer of its own. Reading takes one message as it came from the
 * socket, trusts nothing in it, and skips the fields that it does not know, so that newer versions of CRIU are understood.
 */
#ifndef RUNTIME_CRIU_WIRE_H
#define RUNTIME_CRIU_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

enum criu_type {
	CRIU_DUMP = 1,
	CRIU_RESTORE = 2,
	CRIU_CHECK = 3,
	CRIU_PRE_DUMP = 4,
	CRIU_NOTIFY = 6,
	CRIU_FEATURE_CHECK = 9,
	CRIU_VERSION = 10,
};

/* Field numbers of criu_opts. */
enum criu_option {
	CRIU_OPT_IMAGES_DIR_FD = 1,
	CRIU_OPT_PID = 2,
	CRIU_OPT_LEAVE_RUNNING = 3,
	CRIU_OPT_EXT_UNIX_SK = 4,
	CRIU_OPT_TCP_ESTABLISHED = 5,
	CRIU_OPT_EVASIVE_DEVICES = 6,
	CRIU_OPT_SHELL_JOB = 7,
	CRIU_OPT_FILE_LOCKS = 8,
	CRIU_OPT_LOG_LEVEL = 9,
	CRIU_OPT_LOG_FILE = 10,
	CRIU_OPT_PAGE_SERVER = 11,
	CRIU_OPT_NOTIFY_SCRIPTS = 12,
	CRIU_OPT_ROOT = 13,
	CRIU_OPT_PARENT_IMAGE = 14,
	CRIU_OPT_TRACK_MEMORY = 15,
	CRIU_OPT_AUTO_DEDUP = 16,
	CRIU_OPT_WORK_DIR_FD = 17,
	CRIU_OPT_LINK_REMAP = 18,
	CRIU_OPT_EXTERNAL_MOUNT = 23,
	CRIU_OPT_MANAGE_CGROUPS = 24,
	CRIU_OPT_CGROUP_ROOT = 25,
	CRIU_OPT_RESTORE_SIBLING = 26,
	CRIU_OPT_INHERIT_FD = 27,
	CRIU_OPT_MANAGE_CGROUPS_MODE = 34,
	CRIU_OPT_EXTERNAL = 37,
	CRIU_OPT_EMPTY_NS = 38,
	CRIU_OPT_JOIN_NS = 39,
	CRIU_OPT_FREEZE_CGROUP = 44,
	CRIU_OPT_TCP_SKIP_IN_FLIGHT = 46,
	CRIU_OPT_LAZY_PAGES = 48,
	CRIU_OPT_STATUS_FD = 49,
	CRIU_OPT_ORPHAN_PTS_MASTER = 50,
	CRIU_OPT_CONFIG_FILE = 51,
	CRIU_OPT_TCP_CLOSE = 52,
	CRIU_OPT_LSM_PROFILE = 53,
	CRIU_OPT_LSM_MOUNT_CONTEXT = 63,
	CRIU_OPT_NETWORK_LOCK = 64,
};

enum criu_feature { CRIU_FEATURE_MEM_TRACK = 1, CRIU_FEATURE_LAZY_PAGES = 2 };

void wire_put_number(struct strbuf *out, unsigned field, uint64_t value);
void wire_put_bytes(struct strbuf *out, unsigned field, const void *data, size_t size);
void wire_put_string(struct strbuf *out, unsigned field, const char *s);
/* Two strings in a message: ext_mount_map, cgroup_root, join_namespace. */
void wire_put_pair(struct strbuf *out, unsigned field, const char *first, const char *second);
/* The inherit_fd message. */
void wire_put_inherit_fd(struct strbuf *out, const char *key, int fd);

struct criu_version {
	uint64_t major, minor, sublevel;
	bool from_git; /* its minor is the release before it */
};

/* criu_resp. Strings are cut to what fits. */
struct criu_response {
	uint64_t type;
	bool success;
	char script[64];   /* of a notification */
	pid_t pid;         /* of a notification, or of the restored process */
	int32_t cr_errno;  /* 0: not said */
	char message[512]; /* CRIU's own words about a failure, one line */
	struct criu_version version;
	uint64_t features; /* bit by enum criu_feature: said to be there */
};
/* ERR_CORRUPT when it is no such message. */
_must_check_ struct err *criu_response_parse(const void *data, size_t size, struct criu_response *ret);

#endif
