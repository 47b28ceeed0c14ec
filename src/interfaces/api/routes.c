/* SPDX-License-Identifier: Apache-2.0 */
#include "routes.h"

#include <stdlib.h>

#include "base/memory.h"

struct route {
	const char *method, *pattern; /* * one segment; ** one or more */
	handler_fn *handler;
	unsigned since; /* minor version; 0: all */
};

static const struct route routes[] = {
	{"GET", "/_ping", handle_ping, 0},
	{"HEAD", "/_ping", handle_ping, 0},
	{"GET", "/version", handle_version, 0},
	{"GET", "/info", handle_info, 0},
	{"GET", "/events", handle_events, 0},
	{"GET", "/system/df", handle_df, 25},
	{"POST", "/auth", handle_auth, 0},

	{"GET", "/containers/json", handle_container_list, 0},
	{"POST", "/containers/create", handle_container_create, 0},
	{"POST", "/containers/prune", handle_container_prune, 25},
	{"GET", "/containers/*/json", handle_container_inspect, 0},
	{"GET", "/containers/*/top", handle_container_top, 0},
	{"GET", "/containers/*/logs", handle_container_logs, 0},
	{"GET", "/containers/*/changes", handle_container_changes, 0},
	{"GET", "/containers/*/export", handle_container_export, 0},
	{"GET", "/containers/*/stats", handle_container_stats, 0},
	{"POST", "/containers/*/resize", handle_container_resize, 0},
	{"POST", "/containers/*/start", handle_container_start, 0},
	{"POST", "/containers/*/stop", handle_container_stop, 0},
	{"POST", "/containers/*/restart", handle_container_restart, 0},
	{"POST", "/containers/*/kill", handle_container_kill, 0},
	{"POST", "/containers/*/update", handle_container_update, 0},
	{"POST", "/containers/*/rename", handle_container_rename, 0},
	{"POST", "/containers/*/pause", handle_container_pause, 0},
	{"POST", "/containers/*/unpause", handle_container_unpause, 0},
	{"POST", "/containers/*/attach", handle_container_attach, 0},
	{"GET", "/containers/*/attach/ws", handle_later, 0},
	{"POST", "/containers/*/wait", handle_container_wait, 0},
	{"DELETE", "/containers/*", handle_container_remove, 0},
	{"HEAD", "/containers/*/archive", handle_archive_stat, 0},
	{"GET", "/containers/*/archive", handle_archive_get, 0},
	{"PUT", "/containers/*/archive", handle_archive_put, 0},
	{"POST", "/commit", handle_commit, 0},

	{"POST", "/containers/*/exec", handle_exec_create, 0},
	{"POST", "/exec/*/start", handle_exec_start, 0},
	{"POST", "/exec/*/resize", handle_exec_resize, 0},
	{"GET", "/exec/*/json", handle_exec_inspect, 0},

	{"GET", "/images/json", handle_image_list, 0},
	{"POST", "/images/create", handle_image_create, 0},
	{"GET", "/images/search", handle_image_search, 0},
	{"POST", "/images/prune", handle_image_prune, 25},
	{"GET", "/images/get", handle_image_save, 0},
	{"POST", "/images/load", handle_image_load, 0},
	{"GET", "/images/**/json", handle_image_inspect, 0},
	{"GET", "/images/**/history", handle_image_history, 0},
	{"GET", "/images/**/get", handle_image_save_one, 0},
	{"POST", "/images/**/push", handle_image_push, 0},
	{"POST", "/images/**/tag", handle_image_tag, 0},
	{"DELETE", "/images/**", handle_image_remove, 0},
	{"GET", "/distribution/**/json", handle_distribution, 30},
	{"POST", "/build", handle_build, 0},
	{"POST", "/build/prune", handle_build_prune, 31},
	{"POST", "/build/cancel", handle_build_cancel, 39},
	{"POST", "/session", handle_later, 31},
	{"POST", "/grpc", handle_later, 39},

	{"GET", "/networks", handle_network_list, 0},
	{"POST", "/networks/create", handle_network_create, 0},
	{"POST", "/networks/prune", handle_network_prune, 25},
	{"GET", "/networks/*", handle_network_inspect, 0},
	{"DELETE", "/networks/*", handle_network_remove, 0},
	{"POST", "/networks/*/connect", handle_network_connect, 0},
	{"POST", "/networks/*/disconnect", handle_network_disconnect, 0},

	{"GET", "/volumes", handle_volume_list, 0},
	{"POST", "/volumes/create", handle_volume_create, 0},
	{"POST", "/volumes/prune", handle_volume_prune, 25},
	{"GET", "/volumes/*", handle_volume_inspect, 0},
	{"DELETE", "/volumes/*", handle_volume_remove, 0},

	{"GET", "/plugins", handle_no_list, 25},
	{"GET", "/swarm", handle_swarm, 0},
	{"GET", "/swarm/**", handle_swarm, 0},
	{"POST", "/swarm/**", handle_swarm, 0},
	{"GET", "/nodes", handle_swarm, 0},
	{"GET", "/nodes/**", handle_swarm, 0},
	{"GET", "/services", handle_swarm, 0},
	{"GET", "/services/**", handle_swarm, 0},
	{"POST", "/services/create", handle_swarm, 0},
	{"GET", "/tasks", handle_swarm, 0},
	{"GET", "/tasks/**", handle_swarm, 0},
	{"GET", "/secrets", handle_swarm, 25},
	{"GET", "/secrets/**", handle_swarm, 25},
	{"POST", "/secrets/create", handle_swarm, 25},
	{"GET", "/configs", handle_swarm, 30},
	{"GET", "/configs/**", handle_swarm, 30},
	{"POST", "/configs/create", handle_swarm, 30},
};

/* Where captures lie in the path. */
struct match {
	const char *begin[API_CAPTURES];
	size_t size[API_CAPTURES], n;
};

static bool matches(const char *pattern, const char *path, struct match *m)
{
	while (*pattern && *pattern != '*') {
		if (*pattern++ != *path++)
			return false;
	}
	if (!*pattern)
		return !*path;
	bool many = pattern[1] == '*';
	const char *rest = pattern + 1 + many;
	size_t longest = many ? strlen(path) : strcspn(path, "/"), mine = m->n;
	if (mine == API_CAPTURES)
		return false;
	/* The longest first: an image may be called a/json. */
	for (size_t n = longest; n > 0; n--) {
		m->n = mine + 1;
		m->begin[mine] = path;
		m->size[mine] = n;
		if (matches(rest, path + n, m))
			return true;
		if (!many)
			break;
	}
	m->n = mine;
	return false;
}

/* Takes /v1.43 off the path. */
static struct err *take_version(struct exchange *x, const char **ret_path)
{
	const char *path = x->request.path;
	char *end;

	x->version = API_VERSION_MAX;
	*ret_path = path;
	if (path[0] != '/' || path[1] != 'v' || path[2] < '0' || path[2] > '9')
		return NULL;
	unsigned long major = strtoul(path + 2, &end, 10), minor = 0;
	if (*end == '.')
		minor = strtoul(end + 1, &end, 10);
	if (*end != '/')
		return NULL;
	if (major > 1 || (major == 1 && minor > API_VERSION_MAX))
		return err_new(ERR_INVALID,
			       "client version %lu.%lu is too new. Maximum supported API version is 1.%d",
			       major, minor, API_VERSION_MAX);
	if (major < 1 || minor < API_VERSION_MIN)
		return err_new(
			ERR_INVALID,
			"client version %lu.%lu is too old. Minimum supported API version is 1.%d, please "
			"upgrade your client to a newer version",
			major, minor, API_VERSION_MIN);
	x->version = (unsigned)minor;
	*ret_path = end;
	return NULL;
}

static struct err *captures_of(struct exchange *x, const struct match *m)
{
	for (size_t i = 0; i < m->n; i++) {
		x->captures[i] = http_decode(m->begin[i], m->size[i], false);
		if (!x->captures[i])
			return err_new(ERR_INVALID, "the request's path is not valid");
	}
	return NULL;
}

static struct err *dispatch(struct exchange *x)
{
	const char *path;
	bool known = false;

	TRY(take_version(x, &path));
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		struct match m = {0};
		if (x->version < routes[i].since || !matches(routes[i].pattern, path, &m))
			continue;
		known = true;
		if (!str_eq(routes[i].method, x->request.method))
			continue;
		TRY(captures_of(x, &m));
		return routes[i].handler(x);
	}
	return answer_refusal(x, known ? 405 : 404, known ? "method not allowed" : "page not found");
}

void route(struct exchange *x)
{
	struct err *e = dispatch(x);

	if (e)
		answer_error(x, e);
	for (size_t i = 0; i < API_CAPTURES; i++) {
		free(x->captures[i]);
		x->captures[i] = NULL;
	}
}

/* -- what handlers share --- */

struct err *find_container(struct exchange *x, struct container **ret)
{
	struct err *e = container_find(x->engine, x->captures[0], ret);

	if (!e || e->kind != ERR_NOT_FOUND)
		return e;
	err_free(e); /* docker's clients look for its words */
	return err_new(ERR_NOT_FOUND, "No such container: %.256s", x->captures[0]);
}

static const char *value_of(const char *filter, const char *key)
{
	size_t n = strlen(key);
	return strncmp(filter, key, n) == 0 && filter[n] == '=' ? filter + n + 1 : NULL;
}

bool filter_any(char *const *filters, const char *key, bool (*match)(const void *, const char *),
		const void *object)
{
	bool have = false;

	STRV_FOREACH (f, filters) {
		const char *value = value_of(*f, key);
		have |= value != NULL;
		if (value && match(object, value))
			return true;
	}
	return !have;
}

bool filter_labels(char *const *filters, char *const *labels)
{
	STRV_FOREACH (f, filters) {
		const char *wanted = value_of(*f, "label"), *unwanted = value_of(*f, "label!");
		if ((wanted && !label_matches(labels, wanted)) ||
		    (unwanted && label_matches(labels, unwanted)))
			return false;
	}
	return true;
}
