/* SPDX-License-Identifier: Apache-2.0 */
/* What stats (cmd_stats.c) and its picture (stats_view.c) share. */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include "engine/stats.h"

#define STATS_HISTORY 60 /* seconds */

struct stats_row {
	struct container *c; /* owned */
	bool up;             /* `now` is of a running one */
	struct container_sample now;
	double cpu_percent;
	double history[STATS_HISTORY]; /* of cpu_percent, the oldest first */
	size_t n_history;
};
struct stats_rows {
	struct stats_row *items;
	size_t n;
};
void stats_rows_release(struct stats_rows *v);
char *stats_binary_size(uint64_t bytes); /* "1.5MiB"; caller frees */
double stats_memory_percent(const struct stats_row *r);

/* The alternate screen, and the terminal without echo. */
void stats_view_begin(void);
/* Draws and waits; *ret_quit: q was pressed. */
void stats_view_draw(const struct stats_rows *v, int wait_ms, bool *ret_quit);
void stats_view_end(void);
/* One line of the picture: at most `width` columns. Caller frees. */
char *stats_view_line(const struct stats_row *r, size_t width, bool colours);

#endif
