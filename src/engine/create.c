/* SPDX-License-Identifier: Apache-2.0 */
/* container_create: what was asked for, merged with the image's configuration, becomes a row and two directories. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "base/timestamp.h"
#include "cdi.h"
#include "health.h"
#include "image_mount.h"
#include "images/snapshot.h"
#include "log_settings.h"
#include "namespace_join.h"
#include "network/join.h"
#include "oci_runtime.h"
#include "pod.h"
#include "private.h"
#include "restart_policy.h"
#include "secret.h"
#include "security.h"
#include "userns.h"

#define NAME_ATTEMPTS 50

static char **merge_env(char *const *image_env, char *const *own)
{
	char **env = strv_dup(image_env);

	STRV_FOREACH (s, own) {
		const char *eq = strchr(*s, '=');
		if (!eq || eq == *s)
			continue; /* a bare NAME without a value here */
		_cleanup_free_ char *name = xstrndup(*s, (size_t)(eq - *s));
		env_set(&env, name, eq + 1);
	}
	return env;
}

/* KEY=value lists: later ones win. */
static char **merge_labels(const struct json_cursor *image_labels, char *const *own)
{
	char **labels = NULL;
	struct json_iter it = json_iter(image_labels);
	struct json_cursor member;

	while (json_next(&it, &member)) {
		const char *value = "";
		err_free(json_as_string(&member, &value)); /* a label that is no string is an empty one */
		env_set(&labels, member.key, value);
	}
	STRV_FOREACH (s, own) {
		const char *eq = strchr(*s, '=');
		_cleanup_free_ char *name = eq ? xstrndup(*s, (size_t)(eq - *s)) : xstrdup(*s);
		env_set(&labels, name, eq ? eq + 1 : "");
	}
	return labels;
}

static bool has_mount_at(const struct container_spec *s, const char *target)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (str_eq(s->mounts[i].target, target))
			return true;
	return false;
}

static struct container_mount *add_mount(struct container_spec *s)
{
	s->mounts = xrealloc(s->mounts, s->n_mounts + 1, sizeof(*s->mounts));
	s->mounts[s->n_mounts] = (struct container_mount){0};
	return &s->mounts[s->n_mounts++];
}

static void merge_volumes(const struct json_cursor *volumes, struct container_spec *s)
{
	struct json_iter it = json_iter(volumes);
	struct json_cursor member;

	while (json_next(&it, &member)) {
		if (member.key[0] != '/' || has_mount_at(s, member.key))
			continue;
		struct container_mount *m = add_mount(s);
		m->type = MOUNT_VOLUME;
		m->target = xstrdup(member.key);
	}
}

/* Command line of the image, unless the user gave one: an own entrypoint drops the image's command as well. */
static struct err *merge_command(const struct json_cursor *config, struct container_spec *s)
{
	char **image_entrypoint = NULL, **image_command = NULL;
	struct err *e = json_get_strv(config, "Entrypoint", JSON_OPTIONAL, &image_entrypoint);

	if (!e)
		e = json_get_strv(config, "Cmd", JSON_OPTIONAL, &image_command);
	if (!e && s->entrypoint) {
		if (strv_len(s->entrypoint) == 1 && !s->entrypoint[0][0]) {
			strv_free(s->entrypoint);
			s->entrypoint = NULL;
		}
	} else if (!e) {
		s->entrypoint = TAKE_PTR(image_entrypoint);
		if (!s->command)
			s->command = TAKE_PTR(image_command);
	}
	strv_free(image_entrypoint);
	strv_free(image_command);
	if (!e && strv_len(s->entrypoint) + strv_len(s->command) == 0)
		e = err_new(ERR_INVALID, "no command given, and the image \"%s\" names none", s->image);
	return e;
}

static struct err *default_string(const struct json_cursor *config, const char *key, char **field)
{
	const char *value = NULL;

	if (*field)
		return NULL;
	TRY(json_get_string(config, key, JSON_OPTIONAL, &value));
	if (!str_empty(value))
		*field = xstrdup(value);
	return NULL;
}

static void merge_ports(const struct json_cursor *ports, struct container_spec *s)
{
	struct json_iter it = json_iter(ports);
	struct json_cursor member;

	while (json_next(&it, &member))
		network_expose(s, member.key);
}

static struct err *merge_image(const struct image *image, struct container_spec *s)
{
	struct json_cursor root = json_root(image->config), config, volumes, labels, ports;
	_cleanup_strv_ char **image_env = NULL;
	char **merged;

	TRY(json_get_object(&root, "config", JSON_OPTIONAL, &config));
	if (!config.value) {
		if (strv_len(s->entrypoint) + strv_len(s->command) == 0)
			return err_new(ERR_INVALID, "no command given, and the image \"%s\" names none",
				       s->image);
		return NULL;
	}
	TRY(merge_command(&config, s));
	TRY(json_get_strv(&config, "Env", JSON_OPTIONAL, &image_env));
	merged = merge_env(image_env, s->env);
	strv_free(s->env);
	s->env = merged;
	TRY(default_string(&config, "User", &s->user));
	TRY(default_string(&config, "WorkingDir", &s->workdir));
	TRY(default_string(&config, "StopSignal", &s->stop_signal));
	TRY(json_get_object(&config, "Labels", JSON_OPTIONAL, &labels));
	merged = merge_labels(&labels, s->labels);
	strv_free(s->labels);
	s->labels = merged;
	TRY(json_get_object(&config, "Volumes", JSON_OPTIONAL, &volumes));
	merge_volumes(&volumes, s);
	TRY(health_merge_image(&config, s));
	TRY(json_get_object(&config, "ExposedPorts", JSON_OPTIONAL, &ports));
	merge_ports(&ports, s);
	return NULL;
}

static struct err *check_mode(const char *value, const char *flag, const char *const *allowed, bool joinable)
{
	_cleanup_strv_ char **list = NULL;

	if (str_empty(value) || (joinable && mode_container(value)))
		return NULL;
	for (const char *const *a = allowed; *a; a++) {
		if (str_eq(value, *a))
			return NULL;
		strv_push(&list, *a);
	}
	_cleanup_free_ char *text = strv_join(list, ", ");
	return err_new(ERR_UNSUPPORTED, "%s %.64s is not available: this version has %s", flag, value, text);
}

static bool timezone_file(const char *name)
{
	_cleanup_free_ char *path = xasprintf("/usr/share/zoneinfo/%s", name);
	struct stat st;

	return *name != '/' && !strstr(name, "..") && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static struct err *check_modes(const struct container_spec *s)
{
	static const char *const pid[] = {"host", "private", NULL},
				 *const ipc[] = {"private", "host", "none", "shareable", NULL},
				 *const uts[] = {"host", "private", NULL},
				 *const cgroupns[] = {"private", "host", NULL},
				 *const userns[] = {"host", "auto", "private", NULL};

	TRY(check_mode(s->pid_mode, "--pid", pid, true));
	TRY(check_mode(s->ipc_mode, "--ipc", ipc, true));
	TRY(check_mode(s->uts_mode, "--uts", uts, true));
	TRY(check_mode(s->cgroupns_mode, "--cgroupns", cgroupns, false));
	if (!str_starts(s->userns_mode ? s->userns_mode : "", "auto") &&
	    !str_starts(s->userns_mode ? s->userns_mode : "", "keep-id"))
		TRY(check_mode(s->userns_mode, "--userns", userns, true));
	if (s->hostname && (strlen(s->hostname) > 63 || strpbrk(s->hostname, " \t\n/")))
		return err_new(ERR_INVALID,
			       "invalid hostname \"%.80s\": at most 63 characters without blanks and slashes",
			       s->hostname);
	if (s->hostname && str_eq(s->uts_mode, "host"))
		return err_new(ERR_INVALID,
			       "--hostname cannot be combined with --uts host: it would rename this machine");
	if (s->hostname && mode_container(s->uts_mode))
		return err_new(ERR_INVALID,
			       "--hostname cannot be combined with --uts %s: the name is that container's",
			       s->uts_mode);
	struct restart_policy restart;
	TRY(restart_policy_parse(s->restart, &restart));
	if (restart.kind != RESTART_NO && s->auto_remove)
		return err_new(ERR_INVALID, "conflicting options: cannot specify both --restart and --rm");
	if (s->workdir && s->workdir[0] != '/')
		return err_new(ERR_INVALID, "the working directory \"%.128s\" is not an absolute path",
			       s->workdir);
	if (s->umask) {
		uint32_t mask;
		TRY(parse_octal(s->umask, "--umask", 0777, &mask));
	}
	if (s->timezone && !str_eq(s->timezone, "local") && !timezone_file(s->timezone))
		return err_new(ERR_INVALID, "--tz %.64s: no such time zone in /usr/share/zoneinfo",
			       s->timezone);
	if (s->stop_signal) {
		int signum;
		TRY_WRAP(signal_parse(s->stop_signal, &signum), "invalid stop signal");
	}
	return log_settings_check(s);
}

static struct err *check_mounts(struct container_spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		struct container_mount *m = &s->mounts[i];

		if (str_empty(m->target) || m->target[0] != '/')
			return err_new(ERR_INVALID,
				       "invalid mount target \"%.128s\": it must be an absolute path",
				       m->target ?: "");
		if (str_eq(m->target, "/"))
			return err_new(ERR_INVALID, "invalid mount target \"/\": the root is the image's");
		for (size_t k = 0; k < i; k++)
			if (str_eq(s->mounts[k].target, m->target))
				return err_new(ERR_INVALID, "duplicate mount target \"%.128s\"", m->target);
		TRY(spec_mount_check(m));
		if (m->type == MOUNT_BIND && (str_empty(m->source) || m->source[0] != '/'))
			return err_new(ERR_INVALID,
				       "invalid mount source \"%.128s\": it must be an absolute path",
				       m->source ?: "");
		if (m->type == MOUNT_BIND && !m->create_source && access(m->source, F_OK) < 0)
			return err_errno(errno, "cannot mount %s on %s", m->source, m->target);
		if (m->type == MOUNT_VOLUME && !m->source) {
			m->source = xcalloc(1, 65);
			id_generate(m->source);
			m->anonymous = true;
		} else if (m->type == MOUNT_VOLUME) {
			TRY(volume_name_check(m->source));
		}
	}
	return NULL;
}

static struct err *name_is_free(struct engine *e, const char *name, bool *ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT 1 FROM containers WHERE name=?", "s", name));
	TRY(db_step(stmt, &row));
	*ret = !row;
	return NULL;
}

static struct err *name_taken(const char *name)
{
	return err_new(ERR_EXISTS,
		       "the container name \"%s\" is already in use; remove or rename that container, or "
		       "choose another name",
		       name);
}

static struct err *choose_name(struct engine *e, const struct container_spec *s, char **ret)
{
	bool is_free;

	if (s->name) {
		const char *name = s->name[0] == '/' ? s->name + 1 : s->name;
		TRY(name_check(name));
		TRY(name_is_free(e, name, &is_free));
		if (!is_free)
			return name_taken(name);
		*ret = xstrdup(name);
		return NULL;
	}
	for (int i = 0; i < NAME_ATTEMPTS; i++) {
		_cleanup_free_ char *name = name_generate();
		if (i > 10) { /* most are taken: the words alone do not suffice */
			char *longer = xasprintf("%s%d", name, i);
			free(name);
			name = longer;
		}
		TRY(name_is_free(e, name, &is_free));
		if (is_free) {
			*ret = TAKE_PTR(name);
			return NULL;
		}
	}
	return err_new(ERR_EXISTS, "cannot find a free container name; give one with --name");
}

/* Directories, lock, snapshot and, last, the row (E1). On failure what was made is removed; after a crash it is garbage that
 * engine_collect_garbage finds. */
static struct err *make(struct engine *e, struct container *c, const struct image *image)
{
	struct store *store;
	_cleanup_fd_ int lock = -1;
	struct err *error;

	TRY(engine_store(e, &store));
	TRY(file_mkdir_p(c->root_dir, 0700));
	error = container_lock_dir(e, c->id, false, &lock);
	if (!error)
		error = image ? snapshot_prepare(store, c->id, image) : NULL;
	if (!error)
		error = image_mounts_prepare(store, c->id, c->spec);
	for (int i = 0; !error; i++) {
		error = container_insert(e, c);
		if (!error)
			return NULL;
		/* Another process took the name meanwhile. */
		if (error->kind != ERR_EXISTS)
			break;
		err_free(error);
		if (c->spec->name || i >= NAME_ATTEMPTS) {
			error = name_taken(c->name);
			break;
		}
		free(c->name);
		c->name = NULL;
		error = choose_name(e, c->spec, &c->name);
	}
	image_mounts_remove(store, c->id, c->spec);
	err_free(snapshot_remove(store, c->id));
	err_free(file_remove_tree_at(AT_FDCWD, c->root_dir));
	return error;
}

static struct err *check_rootfs(const struct container_spec *s)
{
	struct stat st;

	if (stat(s->rootfs, &st) < 0)
		return err_errno(errno, "cannot use the root file system %s", s->rootfs);
	if (!S_ISDIR(st.st_mode) || str_eq(s->rootfs, "/"))
		return err_new(ERR_INVALID, "cannot use %s as a root file system: it is %s", s->rootfs,
			       S_ISDIR(st.st_mode) ? "this machine's" : "no directory");
	if (strv_len(s->entrypoint) + strv_len(s->command) == 0 && !s->pod_share)
		return err_new(ERR_INVALID, "no command given, and a directory names none");
	return NULL;
}

/* --unsetenv and --unsetenv-all; what the user gave explicitly stays with the latter. */
static void unset_variables(struct container_spec *s, const struct container_spec *asked)
{
	char **kept = NULL;

	if (!s->unset_env && !s->unset_env_all)
		return;
	STRV_FOREACH (v, s->env) {
		_cleanup_free_ char *name = xstrndup(*v, strcspn(*v, "="));
		if (!strv_contains(s->unset_env, name) && (!s->unset_env_all || env_get(asked->env, name)))
			strv_push(&kept, *v);
	}
	strv_free(s->env);
	s->env = kept;
}

struct err *container_create(struct engine *e, const struct container_spec *s, char ***warnings,
			     struct container **ret)
{
	struct store *store;
	_cleanup_image_ struct image *image = NULL;
	_cleanup_json_ struct json *copy = container_spec_to_json(s);
	_cleanup_container_ struct container *c = NULL;
	char id[65];

	if (str_empty(s->image))
		return err_new(ERR_INVALID, "no image given");
	TRY(engine_store(e, &store));
	if (s->rootfs)
		TRY(check_rootfs(s));
	else
		TRY(store_find(store, s->image, &image));
	id_generate(id);
	c = container_new(e, id);
	TRY(container_spec_from_json(copy, c->spec));
	if (c->spec->pod)
		TRY(pod_join(e, c->spec));
	TRY(check_modes(c->spec));
	TRY(namespaces_check(e, c->spec));
	TRY(volumes_from(e, c->spec));
	if (image)
		TRY_WRAP(merge_image(image, c->spec), "cannot use the configuration of image \"%s\"",
			 s->image);
	unset_variables(c->spec, s);
	TRY(userns_check(c->spec, warnings));
	TRY(secrets_check(e, c->spec));
	char *runtime;
	TRY(oci_runtime_find(c->spec->runtime, &runtime));
	free(c->spec->runtime);
	c->spec->runtime = runtime;
	if (c->spec->gpus)
		TRY(cdi_gpus(c->spec->gpus, &c->spec->devices));
	TRY(cdi_apply(c->spec->devices, NULL));
	TRY(check_mounts(c->spec));
	TRY(network_check(e, c->spec, warnings));
	TRY(security_check(c->spec));
	TRY(limits_adjust(c->spec, warnings));
	TRY(choose_name(e, s, &c->name));
	c->image_name = xstrdup(s->image);
	if (image)
		c->image = image->id;
	c->created_ns = timestamp_now_ns();
	TRY(make(e, c, image));
	c->status = CONTAINER_CREATED;
	*ret = TAKE_PTR(c);
	return NULL;
}

struct err *container_merge_image(const struct image *image, struct container_spec *s)
{
	return merge_image(image, s);
}
