/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "oci.h"

struct options {
	bool stats;
	const char *interval;
};

static const struct flag flags[] = {
	{FLAG_BOOL_FIELD(struct options, stats), .name = "stats",
	 .help = "Print the statistics once and end"},
	{FLAG_STRING_FIELD(struct options, interval), .name = "interval", .metavar = "TIME",
	 .help = "Time between two statistics (default 5s)"},
	{0},
};

static void print_event(const struct rt_container *c, const char *type, struct json *data)
{
	_cleanup_json_ struct json *event = json_new_object();
	json_set_string(event, "type", type);
	json_set_string(event, "id", c->id);
	if (data)
		json_set(event, "data", data);
	_cleanup_free_ char *text = json_print(event, JSON_COMPACT);
	puts(text);
	fflush(stdout);
}

static void print_stats(struct rt_container *c)
{
	print_event(c, "stats", rt_cgroup_stats_json(c->cgroup));
}

/* Go's durations with one unit, and plain seconds. */
static struct err *parse_interval(const char *text, int64_t *ret_ms)
{
	static const struct {
		const char *unit;
		int64_t divisor, factor; /* of nanoseconds */
	} units[] = {{"ms", 1000000000, 1},
		     {"s", 1000000, 1},
		     {"m", 1000000, 60},
		     {"h", 1000000, 3600},
		     {"", 1000000, 1}};
	size_t n = strspn(text, "0123456789.");
	_cleanup_free_ char *number = xstrndup(text, n);
	int64_t value;
	TRY(parse_decimal_nano(number, "--interval", &value));
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!str_eq(text + n, units[i].unit))
			continue;
		*ret_ms = value / units[i].divisor * units[i].factor;
		if (*ret_ms <= 0 || *ret_ms > INT32_MAX)
			return err_new(ERR_INVALID, "--interval: \"%s\" must be from 1ms to 24 days", text);
		return NULL;
	}
	return err_new(ERR_INVALID, "--interval: \"%s\" has no unit of: ms s m h", text);
}

static struct err *watch(struct rt_container *c, int64_t interval_ms)
{
	struct rt_cgroup_oom oom;
	TRY(rt_cgroup_oom_watch(c->cgroup, &oom));
	_cleanup_fd_ int oom_fd = oom.fd;
	int64_t next_ns = 0;
	while (true) {
		int64_t now_ns = timestamp_monotonic_ns();
		if (now_ns >= next_ns) {
			print_stats(c);
			next_ns = now_ns + interval_ms * 1000000;
		}
		struct pollfd fds[] = {{.fd = c->pidfd, .events = POLLIN}, {.fd = oom_fd, .events = POLLIN}};
		int64_t left_ns = next_ns - timestamp_monotonic_ns(); /* none where printing takes longer */
		int n = poll(fds, ARRAY_SIZE(fds), left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0);
		if (n < 0 && errno != EINTR)
			return err_errno(errno, "cannot wait for events");
		if (n > 0 && fds[1].revents && rt_cgroup_oom_happened(&oom))
			print_event(c, "oom", NULL);
		if (n > 0 && fds[0].revents)
			return NULL;
	}
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct options *o = in->options;
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	int64_t interval_ms = 5000;
	if (o->interval)
		TRY(parse_interval(o->interval, &interval_ms));
	TRY(oci_load(in, &c));
	if (c->status == RT_STOPPED)
		return err_new(ERR_STATE, "container not running");
	if (!c->cgroup)
		return err_new(ERR_UNSUPPORTED, "container %s has no cgroup to take statistics from", c->id);
	if (!o->stats)
		return watch(c, interval_ms);
	print_stats(c);
	return NULL;
}

const struct command oci_events = {
	.name = "events",
	.summary = "Print statistics of a container, and when it runs out of memory",
	.usage = "[OPTIONS] CONTAINER",
	.flags = flags,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
