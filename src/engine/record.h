/* SPDX-License-Identifier: Apache-2.0 */
/* ROOT/containers/ID/state.json: the record of a container's last start and end. Written by the monitor (and by whoever
 * recovers after one), replaced atomically, read by everybody without a lock. */
#ifndef ENGINE_RECORD_H
#define ENGINE_RECORD_H

#include <stdint.h>
#include <sys/types.h>

#include "base/file.h"

struct record {
	bool present;           /* false: never started */
	bool started, finished; /* started without finished: running, or its monitor died */
	pid_t pid;              /* of init while it runs */
	uint64_t start_ticks;
	int64_t started_ns, finished_ns;
	int exit_code;
	bool oom_killed;
	bool restarting;   /* finished, and its monitor (pid, start_ticks) waits to start it anew */
	unsigned restarts; /* since it was started by hand */
	unsigned delay_ms; /* of the last restart */
	char *error;       /* why it could not start, or how it was lost; NULL: none */
};
void record_release(struct record *r);
#define _cleanup_record_ _cleanup_(record_release)
_must_check_ struct err *record_read(const char *container_dir,
				     struct record *ret); /* absent: present is false */
_must_check_ struct err *record_write(const char *container_dir, const struct record *r,
				      enum file_durability durability);

#endif
