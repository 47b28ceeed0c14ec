/* SPDX-License-Identifier: Apache-2.0 */
#include "oci_runtime.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "base/toml.h"
#include "runtime/cgroup.h"

#define TIMEOUT_MS 60000
#define LOG_MAX (256u << 10)

void oci_runtime_release(struct oci_runtime *r)
{
	free(r->path);
	free(r->root);
	free(r->log);
	*r = (struct oci_runtime){0};
}

struct wanted {
	const char *name;
	char *path;
};

static struct err *take_runtime(void *user, const struct toml_event *e)
{
	struct wanted *w = user;

	if (!str_eq(e->table, "runtimes") || !str_eq(e->key, w->name))
		return NULL;
	if (e->kind != TOML_STRING || e->text[0] != '/')
		return err_new(ERR_INVALID, "runtimes.%s must be the absolute path of a program", e->key);
	free(w->path);
	w->path = xstrdup(e->text);
	return NULL;
}

/* havre.toml: [runtimes] NAME = "/PATH". NULL: it says nothing of the name. */
static struct err *find_configured(const char *name, char **ret_path)
{
	struct wanted w = {.name = name};
	const char *file;

	TRY(config_read(take_runtime, &w, &file));
	_cleanup_free_ char *path = w.path;
	if (path && access(path, X_OK) < 0)
		return err_errno(errno, "--runtime %s: %s, which %s names", name, path, file);
	*ret_path = TAKE_PTR(path);
	return NULL;
}

struct err *oci_runtime_find(const char *name, char **ret_path)
{
	static const char *const more[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
					   "/usr/bin",        "/sbin",          "/bin"};
	_cleanup_free_ char *bare = NULL;

	*ret_path = NULL;
	if (str_empty(name) || str_eq(name, "havre"))
		return NULL;
	if (name[0] == '/') {
		if (access(name, X_OK) < 0)
			return err_errno(errno, "--runtime %s", name);
		*ret_path = xstrdup(name);
		return NULL;
	}
	bare = xstrdup(name);
	if (str_starts(name, "io.containerd.") && strrchr(name, '.') > name + strlen("io.containerd.")) {
		free(bare);
		bare = xstrndup(name + strlen("io.containerd."),
				(size_t)(strrchr(name, '.') - name) - strlen("io.containerd."));
	}
	if (strchr(bare, '/'))
		return err_new(ERR_INVALID, "--runtime %s: a path must be absolute", name);
	TRY(find_configured(bare, ret_path));
	if (!*ret_path)
		*ret_path = process_locate(bare);
	for (size_t i = 0; !*ret_path && i < ARRAY_SIZE(more); i++) {
		char *path = xasprintf("%s/%s", more[i], bare);
		if (access(path, X_OK) == 0)
			*ret_path = path;
		else
			free(path);
	}
	if (!*ret_path)
		return err_new(ERR_NOT_FOUND,
			       "unknown or invalid runtime name: %s: there is no such program; havre's own "
			       "is \"havre\"",
			       name);
	return NULL;
}

void oci_runtime_of(const char *path, const char *run, const char *run_dir, struct oci_runtime *ret)
{
	const char *name = strrchr(path, '/');

	ret->path = xstrdup(path);
	ret->root = xasprintf("%s/oci/%s", run, name ? name + 1 : path);
	ret->log = xasprintf("%s/runtime.log", run_dir);
}

/* The last error of the log, a JSON object a line. NULL: none. Caller frees. */
static char *last_words(const char *log)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	char *last = NULL;
	struct err *error = file_read(log, LOG_MAX, &text, &size);

	if (error) {
		err_free(error);
		return NULL;
	}
	_cleanup_strv_ char **lines = strv_split(text, "\n");
	STRV_FOREACH (l, lines) {
		_cleanup_json_ struct json *doc = NULL;
		const char *level = NULL, *msg = NULL;
		error = json_parse(*l, strlen(*l), "log", &doc);
		if (!error) {
			struct json_cursor root = json_root(doc);
			error = json_get_string(&root, "level", JSON_OPTIONAL, &level);
			if (!error)
				error = json_get_string(&root, "msg", JSON_OPTIONAL, &msg);
		}
		err_free(error);
		if (!msg || (!str_eq(level, "error") && !str_eq(level, "fatal")))
			continue;
		free(last);
		last = xstrdup(msg);
	}
	return last;
}

static struct err *explain(const struct oci_runtime *r, const char *verb, int status)
{
	_cleanup_free_ char *why = last_words(r->log);
	const char *name = strrchr(r->path, '/') + 1;

	if (!why)
		return err_new(ERR_SYSTEM, "%s %s failed with status %d", name, verb,
			       process_exit_code(status));
	/* runc and crun have their own words for it. */
	bool missing = strstr(why, "exec") && (strcasestr(why, "no such file") || strstr(why, "not found"));
	bool denied = strstr(why, "exec") && strcasestr(why, "permission denied");
	if (!missing && !denied)
		return err_new(ERR_SYSTEM, "%s %s: %s", name, verb, why);
	struct err *e = err_errno(missing ? ENOENT : EACCES, "%s: %s", name, why);
	return err_wrap_kind(e, ERR_EXEC, "cannot execute the container's program");
}

struct err *oci_runtime_call(const struct oci_runtime *r, char *const *args, const int *stdio)
{
	_cleanup_strv_ char **argv = NULL;
	_cleanup_fd_ int pidfd = -1;
	int status;

	TRY(file_mkdir_p(r->root, 0700));
	(void)unlink(r->log);
	const char *head[] = {r->path, "--root", r->root, "--log", r->log, "--log-format", "json"};
	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		strv_push(&argv, head[i]);
	STRV_FOREACH (a, args)
		strv_push(&argv, *a);
	struct process_spawn p = {.path = r->path, .argv = argv, .stdio = {-1, -1, -1}};
	for (int i = 0; stdio && i < 3; i++)
		p.stdio[i] = stdio[i];
	struct err *error = process_spawn(&p, NULL, &pidfd);
	if (error)
		return err_wrap_kind(error, ERR_SYSTEM, "cannot run the OCI runtime");
	error = process_wait(pidfd, TIMEOUT_MS, &status);
	if (error) {
		err_free(process_signal(pidfd, SIGKILL));
		err_free(process_wait(pidfd, -1, &status));
		return err_wrap(error, "%s %s does not end", r->path, args[0]);
	}
	return status == 0 ? NULL : explain(r, str_starts(args[0], "--") ? args[1] : args[0], status);
}

struct err *oci_runtime_cgroup(const char *run_dir, const char *id, struct rt_cgroup **ret)
{
	_cleanup_free_ char *file = xasprintf("%s/config.json", run_dir);
	_cleanup_json_ struct json *config = NULL;
	struct json_cursor linux_;
	const char *path = NULL;

	TRY(json_parse_file_at(AT_FDCWD, file, &config));
	struct json_cursor root = json_root(config);
	TRY(json_get_object(&root, "linux", JSON_OPTIONAL, &linux_));
	if (linux_.value)
		TRY(json_get_string(&linux_, "cgroupsPath", JSON_OPTIONAL, &path));
	if (!path)
		return err_new(ERR_NOT_FOUND, "container %.12s has no cgroup", id);
	return strchr(path, ':') ? rt_cgroup_new_systemd(path, id, &root, ret) : rt_cgroup_new(path, id, ret);
}
