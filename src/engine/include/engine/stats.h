/* SPDX-License-Identifier: Apache-2.0 */
/* What a running container uses at this moment: counters of its control group and of its network interfaces. */
#ifndef ENGINE_STATS_H
#define ENGINE_STATS_H

#include "engine/engine.h"

struct container_sample {
	int64_t taken_ns; /* monotonic */
	uint64_t cpu_ns;
	uint64_t memory_bytes,
		memory_limit_bytes; /* without page cache that is not in use; no limit: the machine's memory */
	uint64_t rx_bytes,
		tx_bytes; /* all interfaces but the loopback; the machine's with --network host count as 0 */
	uint64_t read_bytes, write_bytes;
	uint64_t pids;
};
/* ERR_STATE when it does not run. What the machine cannot tell is 0. */
_must_check_ struct err *container_sample(struct engine *e, const struct container *c,
					  struct container_sample *ret);

#endif
