/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/utsname.h>

#include "base/memory.h"
#include "engine/describe.h"
#include "engine/events.h"
#include "engine/usage.h"
#include "images/snapshot.h"
#include "objects.h"
#include "routes.h"

struct err *handle_ping(struct exchange *x)
{
	return answer_text(x, 200, "text/plain; charset=utf-8",
			   "Builder-Version: 1\r\nSwarm: inactive\r\nCache-Control: no-cache, no-store, "
			   "must-revalidate\r\nPragma: no-cache\r\n",
			   "OK");
}

static struct json *component(const char *kernel, const struct platform *p)
{
	struct json *o = json_new_object(), *details = json_new_object();

	json_set_string(o, "Name", "Engine");
	json_set_string(o, "Version", HAVRE_VERSION);
	json_set_string(details, "ApiVersion", "1.51");
	json_set_string(details, "MinAPIVersion", "1.24");
	json_set_string(details, "Arch", p->architecture);
	json_set_string(details, "Os", p->os);
	json_set_string(details, "KernelVersion", kernel);
	json_set_string(details, "Experimental", "false");
	json_set(o, "Details", details);
	return o;
}

struct err *handle_version(struct exchange *x)
{
	struct json *o = json_new_object(), *platform = json_new_object(), *components = json_new_array();
	struct platform p = platform_host();
	struct utsname u;

	uname(&u);
	json_set_string(platform, "Name", "havre");
	json_set(o, "Platform", platform);
	json_append(components, component(u.release, &p));
	json_set(o, "Components", components);
	json_set_string(o, "Version", HAVRE_VERSION);
	json_set_string(o, "ApiVersion", "1.51");
	json_set_string(o, "MinAPIVersion", "1.24");
	json_set_string(o, "GitCommit", "");
	json_set_string(o, "GoVersion", "");
	json_set_string(o, "Os", p.os);
	json_set_string(o, "Arch", p.architecture);
	json_set_string(o, "KernelVersion", u.release);
	json_set_string(o, "BuildTime", "");
	return answer_json(x, 200, o);
}

struct err *handle_info(struct exchange *x)
{
	struct json *o, *swarm = json_new_object();
	struct err *e = engine_info(x->engine, &o);

	if (e) {
		json_unref(swarm);
		return e;
	}
	json_set_string(swarm, "LocalNodeState", "inactive");
	json_set_string(swarm, "NodeID", "");
	json_set_string(swarm, "NodeAddr", "");
	json_set_bool(swarm, "ControlAvailable", false);
	json_set(o, "Swarm", swarm);
	return answer_json(x, 200, o);
}

/* -- events --- */

static struct err *moment(const struct exchange *x, const char *name, int64_t *ret_ns)
{
	_cleanup_free_ char *s = http_query(&x->request, name);

	TRY(moment_ns(s, name, ret_ns));
	if (!str_empty(s) && *ret_ns == 0)
		*ret_ns = 1; /* given, and as early as it can be */
	return NULL;
}

static struct err *one_event(void *user, struct json *event)
{
	_cleanup_free_ char *text = json_print(event, JSON_COMPACT);
	_cleanup_free_ char *line = xasprintf("%s\n", text);

	return stream_write(user, line, strlen(line));
}

struct err *handle_events(struct exchange *x)
{
	_cleanup_strv_ char **filters = NULL;
	struct event_query q = {0};

	TRY(exchange_filters(x,
			     "config container daemon event image label network node plugin scope secret "
			     "service type volume",
			     &filters));
	TRY(events_check_filters(filters));
	TRY(moment(x, "since", &q.since_ns));
	TRY(moment(x, "until", &q.until_ns));
	q.filters = filters;
	exchange_drain(x);
	TRY(stream_begin(x, "application/json", NULL));
	TRY(events_read(x->engine, &q, x->fd, one_event, x));
	return stream_end(x);
}

/* -- df --- */

struct err *handle_df(struct exchange *x)
{
	_cleanup_usage_ struct usage u = {0};
	struct json *o, *images = json_new_array(), *containers = json_new_array(),
			*volumes = json_new_array();
	struct err *e = usage_read(x->engine, USAGE_IMAGES | USAGE_CONTAINERS | USAGE_VOLUMES, &u);

	if (e) {
		json_unref(images);
		json_unref(containers);
		json_unref(volumes);
		return e;
	}
	o = json_new_object();
	json_set_u64(o, "LayersSize", u.images_total);
	for (size_t i = 0; i < u.n_images; i++) {
		struct json *row = image_row(u.images[i]);
		json_set_u64(row, "Containers", u.containers_of_image[i]);
		json_append(images, row);
	}
	for (size_t i = 0; i < u.n_containers; i++)
		json_append(containers, container_row(x->engine, u.containers[i], true));
	for (size_t i = 0; i < u.n_volumes; i++) {
		struct json *row = volume_json(&u.volumes[i]), *usage = json_new_object();
		json_set_u64(usage, "Size", volume_bytes(&u.volumes[i]));
		json_set_u64(usage, "RefCount", u.volumes[i].links);
		json_set(row, "UsageData", usage);
		json_append(volumes, row);
	}
	json_set(o, "Images", images);
	json_set(o, "Containers", containers);
	json_set(o, "Volumes", volumes);
	json_set(o, "BuildCache", json_new_array());
	return answer_json(x, 200, o);
}

/* -- what is not here --- */

struct err *handle_swarm(struct exchange *x)
{
	return answer_refusal(x, 503,
			      "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm "
			      "join\" to connect this node to swarm and try again.");
}

struct err *handle_no_list(struct exchange *x)
{
	return answer_json(x, 200, json_new_array());
}

struct err *handle_later(struct exchange *x)
{
	_cleanup_free_ char *text =
		xasprintf("%s %s is not served by havred yet; the command havre can do most of it",
			  x->request.method, x->request.path);

	x->close = true;
	return answer_refusal(x, 501, text);
}

/* The client sends all of its context before it listens. */
struct err *handle_build(struct exchange *x)
{
	char sink[65536];
	size_t n;

	do
		TRY(exchange_read(x, sink, sizeof(sink), &n));
	while (n);
	return answer_refusal(x, 501,
			      "havre has no builder yet: build the image elsewhere and load or push it, or "
			      "change one with havre commit, image config, image insert and image repack");
}

/* There is no builder, and so there is nothing of it to prune or to stop. */
struct err *handle_build_prune(struct exchange *x)
{
	struct json *o = json_new_object();

	json_set(o, "CachesDeleted", json_new_array());
	json_set_u64(o, "SpaceReclaimed", 0);
	return answer_json(x, 200, o);
}

struct err *handle_build_cancel(struct exchange *x)
{
	return answer_empty(x, 200);
}
