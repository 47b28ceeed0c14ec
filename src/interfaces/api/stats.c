/* SPDX-License-Identifier: Apache-2.0 */
/* GET /containers/{id}/stats: docker's object from two samples of the engine. */
#include "engine/stats.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "routes.h"

#define INTERVAL_MS 1000

struct reading {
	bool valid;
	struct container_sample sample;
	uint64_t system_ns; /* of all processors together, as /proc/stat counts them */
	int64_t time_ns;
};

static uint64_t system_cpu_ns(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long t[8] = {0};
	size_t size;
	uint64_t ticks = 0;
	struct err *e = file_read("/proc/stat", 4u << 20, &text, &size);

	if (!e && sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
			 &t[4], &t[5], &t[6], &t[7]) >= 4)
		for (size_t i = 0; i < ARRAY_SIZE(t); i++)
			ticks += t[i];
	err_free(e);
	return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static struct json *cpu_object(const struct reading *r)
{
	struct json *o = json_new_object(), *usage = json_new_object(), *throttling = json_new_object();

	json_set_u64(usage, "total_usage", r->sample.cpu_ns);
	json_set_u64(usage, "usage_in_kernelmode", 0);
	json_set_u64(usage, "usage_in_usermode", 0);
	json_set(o, "cpu_usage", usage);
	if (r->valid) {
		json_set_u64(o, "system_cpu_usage", r->system_ns);
		json_set_i64(o, "online_cpus", sysconf(_SC_NPROCESSORS_ONLN));
	}
	json_set_u64(throttling, "periods", 0);
	json_set_u64(throttling, "throttled_periods", 0);
	json_set_u64(throttling, "throttled_time", 0);
	json_set(o, "throttling_data", throttling);
	return o;
}

static void add_io(struct json *list, const char *operation, uint64_t bytes)
{
	struct json *o = json_new_object();

	json_set_u64(o, "major", 0);
	json_set_u64(o, "minor", 0);
	json_set_string(o, "op", operation);
	json_set_u64(o, "value", bytes);
	json_append(list, o);
}

static void set_time(struct json *o, const char *key, int64_t ns)
{
	char text[TIMESTAMP_STRING_MAX];

	timestamp_format(ns, text);
	json_set_string(o, key, ns ? text : "0001-01-01T00:00:00Z");
}

static struct json *stats_object(const struct container *c, const struct reading *before,
				 const struct reading *now)
{
	struct json *o = json_new_object(), *part = json_new_object(), *list = json_new_array();
	_cleanup_free_ char *name = xasprintf("/%s", c->name);
	const struct container_sample *s = &now->sample;

	json_set_string(o, "name", name);
	json_set_string(o, "id", c->id);
	set_time(o, "read", now->time_ns);
	set_time(o, "preread", before->time_ns);
	json_set_u64(part, "current", s->pids);
	json_set(o, "pids_stats", part);
	add_io(list, "read", s->read_bytes);
	add_io(list, "write", s->write_bytes);
	part = json_new_object();
	json_set(part, "io_service_bytes_recursive", list);
	json_set(o, "blkio_stats", part);
	json_set_u64(o, "num_procs", 0);
	json_set(o, "storage_stats", json_new_object());
	json_set(o, "cpu_stats", cpu_object(now));
	json_set(o, "precpu_stats", cpu_object(before));
	part = json_new_object();
	if (now->valid) {
		json_set_u64(part, "usage", s->memory_bytes); /* without cache that is not in use */
		json_set_u64(part, "limit", s->memory_limit_bytes);
		json_set(part, "stats", json_new_object());
	}
	json_set(o, "memory_stats", part);
	if (now->valid) {
		struct json *networks = json_new_object();
		part = json_new_object();
		json_set_u64(part, "rx_bytes", s->rx_bytes);
		json_set_u64(part, "tx_bytes", s->tx_bytes);
		json_set(networks, "eth0", part);
		json_set(o, "networks", networks);
	}
	return o;
}

/* One that does not run has no numbers, and is no error. */
static struct err *take(struct exchange *x, const struct container *c, struct reading *ret)
{
	*ret = (struct reading){.time_ns = timestamp_now_ns()};
	struct err *e = container_sample(x->engine, c, &ret->sample);

	if (e && e->kind == ERR_STATE) {
		err_free(e);
		return NULL;
	}
	TRY(e);
	ret->valid = true;
	ret->system_ns = system_cpu_ns();
	return NULL;
}

/* False: the client has gone. */
static bool pause_between(const struct exchange *x)
{
	struct pollfd p = {.fd = x->fd, .events = POLLRDHUP};

	return poll(&p, 1, INTERVAL_MS) <= 0;
}

struct err *handle_container_stats(struct exchange *x)
{
	_cleanup_container_ struct container *c = NULL;
	bool stream = exchange_flag(x, "stream", true), one_shot = exchange_flag(x, "one-shot", false);
	struct reading before = {0}, now;

	TRY(find_container(x, &c));
	exchange_drain(x);
	if (!stream) {
		if (!one_shot) {
			TRY(take(x, c, &before));
			if (before.valid && !pause_between(x))
				return err_new(ERR_CANCELLED, "the client has gone");
		}
		TRY(take(x, c, &now));
		return answer_json(x, 200, stats_object(c, &before, &now));
	}
	TRY(stream_begin(x, "application/json", NULL));
	do {
		_cleanup_container_ struct container *again = NULL;
		struct err *gone = container_find(x->engine, c->id, &again);
		if (gone) {
			err_free(gone);
			break;
		}
		TRY(take(x, again, &now));
		_cleanup_json_ struct json *o = stats_object(again, &before, &now);
		TRY(stream_json(x, o));
		before = now;
	} while (pause_between(x));
	return stream_end(x);
}
