/* SPDX-License-Identifier: Apache-2.0 */
#include "pod.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/timestamp.h"

#define SANDBOX_IMAGE "sandbox" /* what ps shows; it has no image */

static bool is_up(const struct container *c)
{
	return c->status == CONTAINER_RUNNING || c->status == CONTAINER_PAUSED;
}

void containers_free(struct container **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		container_free(list[i]);
	free(list);
}

/* -- making ------------------------------------------------------------------------------------------------------- */

static struct err *check_share(char *const *share)
{
	static const char *const known[] = {"net", "ipc", "uts", "pid", "none"};

	STRV_FOREACH (s, share) {
		bool ok = false;
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			ok |= str_eq(*s, known[i]);
		if (!ok)
			return err_new(ERR_INVALID,
				       "--share \"%.32s\": a pod can share net, ipc, uts and pid, or none",
				       *s);
	}
	return NULL;
}

/* An empty directory that all sandboxes have as their root, read-only: what is in it are the places of the kernel's mounts. */
static struct err *sandbox_root(struct engine *e, char **ret)
{
	_cleanup_free_ char *path = xasprintf("%s/sandbox", e->root);

	TRY(file_mkdir_p(path, 0755));
	*ret = TAKE_PTR(path);
	return NULL;
}

struct err *pod_create(struct engine *e, const struct container_spec *asked, char ***warnings,
		       struct container **ret)
{
	_cleanup_json_ struct json *copy = container_spec_to_json(asked);
	struct container_spec s = {0};

	TRY(check_share(asked->pod_share));
	TRY(container_spec_from_json(copy, &s));
	free(s.image);
	s.image = xstrdup(SANDBOX_IMAGE);
	s.init = s.read_only = true;
	s.stop_timeout_s = -1;
	if (!s.ipc_mode)
		s.ipc_mode = xstrdup("shareable");
	if (!strv_contains(s.pod_share, "net") && !s.network)
		s.network = xstrdup("none");
	free(s.log_driver);
	s.log_driver = xstrdup("none");
	strv_push(&s.cap_drop, "ALL");
	/* In the container's own network a sysctl of the user may need this; the program itself calls nothing. */
	struct err *error = sandbox_root(e, &s.rootfs);
	if (!error)
		error = container_create(e, &s, warnings, ret);
	container_spec_release(&s);
	return error;
}

struct err *pod_join(struct engine *e, struct container_spec *s)
{
	_cleanup_container_ struct container *pod = NULL;
	const struct {
		const char *share, *flag;
		char **mode;
	} kinds[] = {{"net", "--network", &s->network},
		     {"ipc", "--ipc", &s->ipc_mode},
		     {"uts", "--uts", &s->uts_mode},
		     {"pid", "--pid", &s->pid_mode}};

	TRY(pod_find(e, s->pod, &pod));
	free(s->pod);
	s->pod = xstrdup(pod->id);
	if (s->auto_remove && pod->spec->auto_remove)
		return err_new(ERR_INVALID, "pod %s removes itself", pod->name);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strv_contains(pod->spec->pod_share, kinds[i].share))
			continue;
		if (*kinds[i].mode)
			return err_new(ERR_INVALID,
				       "%s %s conflicts with pod %s, whose containers share that",
				       kinds[i].flag, *kinds[i].mode, pod->name);
		*kinds[i].mode = xasprintf("container:%s", pod->id);
	}
	if (strv_contains(pod->spec->pod_share, "net") && (s->publish || s->publish_all || s->networks))
		return err_new(ERR_INVALID,
			       "networks and ports belong to the pod: give them to `pod create` of %s",
			       pod->name);
	return NULL;
}

struct err *pod_start_sandbox(struct engine *e, const char *pod_id)
{
	_cleanup_container_ struct container *pod = NULL;
	struct err *error;

	TRY_WRAP(container_by_id(e, pod_id, &pod), "the container's pod is not there");
	if (is_up(pod))
		return NULL;
	error = container_start(e, pod, NULL, NULL);
	/* Another container of the pod may have been quicker. */
	if (error && error->kind == ERR_STATE) {
		container_free(pod);
		pod = NULL;
		struct err *second = container_by_id(e, pod_id, &pod);
		if (!second && is_up(pod)) {
			err_free(error);
			return NULL;
		}
		err_free(second);
	}
	return error ? err_wrap(error, "cannot start the sandbox of the container's pod") : NULL;
}

/* -- looking ------------------------------------------------------------------------------------------------------ */

struct err *pod_find(struct engine *e, const char *what, struct container **ret)
{
	_cleanup_container_ struct container *c = NULL;
	struct err *error = container_find(e, what, &c);

	if (error && error->kind != ERR_NOT_FOUND)
		return error;
	if (error || !is_sandbox(c)) {
		err_free(error);
		return err_new(ERR_NOT_FOUND, "no such pod: %.128s", what);
	}
	*ret = TAKE_PTR(c);
	return NULL;
}

struct err *pod_list(struct engine *e, struct container ***ret, size_t *ret_n)
{
	return container_list_kind(e, true, true, ret, ret_n);
}

struct err *pod_members(struct engine *e, const struct container *pod, struct container ***ret, size_t *ret_n)
{
	struct container **list = NULL;
	size_t n = 0, kept = 0;

	TRY(container_list_kind(e, true, false, &list, &n));
	for (size_t i = 0; i < n; i++) {
		if (str_eq(list[i]->spec->pod, pod->id))
			list[kept++] = list[i];
		else
			container_free(list[i]);
	}
	for (size_t i = 0; i < kept / 2; i++) { /* it was newest first */
		struct container *swap = list[i];
		list[i] = list[kept - 1 - i];
		list[kept - 1 - i] = swap;
	}
	*ret = list;
	*ret_n = kept;
	return NULL;
}

const char *pod_status(const struct container *pod, struct container *const *members, size_t n)
{
	size_t running = 0, paused = 0, created = 0;

	for (size_t i = 0; i < n; i++) {
		running += members[i]->status == CONTAINER_RUNNING;
		paused += members[i]->status == CONTAINER_PAUSED;
		created += members[i]->status == CONTAINER_CREATED;
	}
	if (!is_up(pod) && running + paused == 0)
		return pod->status == CONTAINER_CREATED && created == n ? "Created" : "Exited";
	if (n > 0 && paused == n)
		return "Paused";
	return is_up(pod) && running == n ? "Running" : "Degraded";
}

/* -- removing ------------------------------------------------------------------------------------------------------ */

static struct err *stop_and_remove(struct engine *e, struct container *c, int timeout_s)
{
	struct err *error = is_up(c) ? container_stop(e, c, timeout_s, NULL) : NULL;

	if (error && error->kind == ERR_STATE) { /* ended by itself */
		err_free(error);
		error = NULL;
	}
	if (!error)
		error = container_remove_any(e, c, true, true);
	if (error &&
	    error->kind == ERR_NOT_FOUND) { /* an auto_remove container, or somebody else's removal */
		err_free(error);
		error = NULL;
	}
	return error;
}

struct err *pod_remove(struct engine *e, struct container *pod, bool force, int timeout_s)
{
	struct container **members = NULL;
	size_t n = 0;
	struct err *error = NULL;

	TRY(pod_members(e, pod, &members, &n));
	for (size_t i = 0; i < n && !force && !error; i++)
		if (is_up(members[i]))
			error = err_new(
				ERR_STATE,
				"pod %s has a running container, %s: stop the pod first, or use force",
				pod->name, members[i]->name);
	for (size_t i = 0; i < n && !error; i++)
		error = stop_and_remove(e, members[i], timeout_s);
	containers_free(members, n);
	return error ? error : stop_and_remove(e, pod, timeout_s); /* P3 */
}

struct err *pod_inspect(struct engine *e, struct container *pod, struct json **ret)
{
	_cleanup_json_ struct json *o = json_new_object(), *whole = NULL;
	struct json *list = json_new_array(), *config = json_new_object();
	struct json_cursor root, part;
	struct container **members = NULL;
	size_t n = 0;
	char created[TIMESTAMP_STRING_MAX];

	TRY(pod_members(e, pod, &members, &n));
	timestamp_format(pod->created_ns, created);
	json_set_string(o, "Id", pod->id);
	json_set_string(o, "Name", pod->name);
	json_set_string(o, "Created", created);
	json_set_string(o, "State", pod_status(pod, members, n));
	json_set_string(o, "Hostname", pod->spec->hostname ? pod->spec->hostname : pod->name);
	json_set(o, "Labels", json_new_pairs(pod->labels));
	json_set_bool(o, "CreateInfra", true);
	json_set_string(o, "InfraContainerID", pod->id);
	json_set_strv(o, "SharedNamespaces", pod->spec->pod_share);
	json_set_i64(o, "NumContainers", (int64_t)n + 1);
	for (size_t i = 0; i <= n; i++) {
		const struct container *c = i < n ? members[i] : pod;
		struct json *one = json_new_object();
		json_set_string(one, "Id", c->id);
		json_set_string(one, "Name", c->name);
		json_set_string(one, "State", container_status_name(c->status));
		json_append(list, one);
	}
	json_set(o, "Containers", list);
	containers_free(members, n);
	/* The sandbox's own facts are those of any container. */
	json_set(o, "InfraConfig", config);
	TRY(container_inspect(e, pod, &whole));
	root = json_root(whole);
	TRY(json_get_object(&root, "NetworkSettings", JSON_OPTIONAL, &part));
	if (part.value)
		json_set(config, "NetworkSettings", json_ref(part.value));
	TRY(json_get_object(&root, "HostConfig", JSON_OPTIONAL, &part));
	struct json_cursor bindings = {0};
	if (part.value)
		TRY(json_get_object(&part, "PortBindings", JSON_OPTIONAL, &bindings));
	json_set(config, "PortBindings", bindings.value ? json_ref(bindings.value) : json_new_object());
	json_set_string(config, "NetworkMode", pod->spec->network ? pod->spec->network : "none");
	*ret = TAKE_PTR(o);
	return NULL;
}
