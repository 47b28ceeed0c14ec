/* SPDX-License-Identifier: Apache-2.0 */
/* process: arguments, environment, user, capabilities, limits; for the container and for execs in it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/user.h"
#include "network/join.h"
#include "passwd.h"
#include "secret.h"
#include "security.h"
#include "spec.h"
#include "ulimit.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Docker's order of precedence: PATH, HOSTNAME, TERM as defaults, links, then image and user, then HOME when nobody set it. */
static char **environment(const struct container_spec *s, const char *hostname, const char *home, bool tty,
			  char *const *links, char *const *extra)
{
	char **env = NULL;
	char *const *const lists[] = {links, s->env, extra};

	env_set(&env, "PATH", DEFAULT_PATH);
	if (hostname)
		env_set(&env, "HOSTNAME", hostname);
	if (tty)
		env_set(&env, "TERM", "xterm");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		STRV_FOREACH (e, lists[i]) {
			const char *eq = strchr(*e, '=');
			if (!eq || eq == *e)
				continue;
			_cleanup_free_ char *name = xstrndup(*e, (size_t)(eq - *e));
			env_set(&env, name, eq + 1);
		}
	}
	if (!env_get(env, "HOME"))
		env_set(&env, "HOME", home);
	return env;
}

/* A user namespace with nothing but the user's own id has no groups to set (user_namespaces(7), /proc/PID/setgroups). */
static bool groups_are_fixed(void)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	if (user_is_root())
		return false;
	struct err *e = file_read("/proc/self/setgroups", 64, &text, &size);
	bool fixed = !e && str_starts(text, "deny");
	err_free(e);
	return fixed;
}

static struct json *user_object(const struct container_spec *s, const struct user *u)
{
	struct json *o = json_new_object(), *groups;

	if (s->umask)
		json_set_i64(o, "umask", strtol(s->umask, NULL, 8)); /* checked when it was made */

	json_set_i64(o, "uid", u->uid);
	json_set_i64(o, "gid", u->gid);
	if (groups_are_fixed())
		return o;
	/* The first of docker's additional groups is the primary one. */
	groups = json_new_array();
	json_append(groups, json_new_i64(u->gid));
	for (size_t i = 0; i < u->n_groups; i++)
		json_append(groups, json_new_i64(u->groups[i]));
	json_set(o, "additionalGids", groups);
	return o;
}

/* Root has what is granted; others have it in the bounding set only (docker since 20.10, runc's ambient stays empty). The
 * inheritable set is empty (CVE-2022-24769, CVE-2022-29162). */
static struct json *capability_sets(char *const *granted, bool root)
{
	struct json *o = json_new_object();
	char *const none[] = {NULL};

	json_set_strv(o, "bounding", granted);
	json_set_strv(o, "effective", root ? granted : none);
	json_set_strv(o, "permitted", root ? granted : none);
	json_set_strv(o, "inheritable", none);
	json_set_strv(o, "ambient", none);
	return o;
}

static struct err *rlimits(const struct container_spec *s, struct json **ret)
{
	_cleanup_json_ struct json *list = json_new_array();

	STRV_FOREACH (u, s->ulimits) {
		struct ulimit l;
		TRY(ulimit_parse(*u, &l));
		struct json *o = json_new_object();
		json_set_string(o, "type", l.spec_name);
		json_set_u64(o, "soft", l.soft);
		json_set_u64(o, "hard", l.hard);
		json_append(list, o);
	}
	*ret = TAKE_PTR(list);
	return NULL;
}

/* Makes a missing working directory inside the root; it then belongs to the user, as docker has it. */
static struct err *ensure_workdir(const struct inroot *rootfs, const char *path, const struct user *u)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	struct err *e = inroot_open_at(rootfs, path, O_PATH, 0, &fd);

	if (!e) {
		if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
			return err_new(ERR_INVALID,
				       "cannot use %s as working directory: it is not a directory", path);
		return NULL;
	}
	if (e->kind != ERR_NOT_FOUND)
		return err_wrap(e, "cannot use %s as working directory", path);
	err_free(e);
	TRY_WRAP(inroot_mkdir_p(rootfs, path, 0755, &fd), "cannot make the working directory %s", path);
	if (fchownat(fd, "", u->uid, u->gid, AT_EMPTY_PATH) < 0)
		return err_errno(errno, "cannot give the working directory %s to user %u", path, u->uid);
	return NULL;
}

static void console_size(struct json *process, unsigned rows, unsigned cols)
{
	if (rows == 0 || cols == 0)
		return;
	struct json *size = json_new_object();
	json_set_i64(size, "height", rows);
	json_set_i64(size, "width", cols);
	json_set(process, "consoleSize", size);
}

struct err *spec_process(const struct spec_input *in, char *const *capabilities, const char *hostname,
			 struct json **ret)
{
	const struct container_spec *s = in->c->spec;
	_cleanup_json_ struct json *o = json_new_object();
	_cleanup_user_ struct user u = {0};
	_cleanup_strv_ char **env = NULL, **args = NULL, **secrets = NULL, **links = NULL;
	const char *cwd = str_empty(s->workdir) ? "/" : s->workdir;
	struct json *limits;

	TRY(user_resolve(in->rootfs, s->user, s->group_add, &u));
	TRY(ensure_workdir(in->rootfs, cwd, &u));
	TRY(secrets_environment(in->engine, s, &secrets));
	TRY(links_environment(in->engine, in->c, &links));
	env = environment(s, hostname, u.home, s->tty, links, secrets);
	if (s->init) {
		strv_push(&args, SPEC_INIT_PATH);
		strv_push(&args, "--");
	}
	STRV_FOREACH (a, in->c->command)
		strv_push(&args, *a);
	json_set_bool(o, "terminal", s->tty);
	if (s->tty)
		console_size(o, in->rows, in->cols);
	json_set(o, "user", user_object(s, &u));
	json_set_strv(o, "args", args);
	json_set_strv(o, "env", env);
	json_set_string(o, "cwd", cwd);
	json_set(o, "capabilities", capability_sets(capabilities, u.uid == 0));
	json_set_bool(o, "noNewPrivileges", security_no_new_privileges(s));
	if (s->oom_score_adj != 0)
		json_set_i64(o, "oomScoreAdj", s->oom_score_adj);
	TRY(rlimits(s, &limits));
	json_set(o, "rlimits", limits);
	*ret = TAKE_PTR(o);
	return NULL;
}

struct err *spec_exec_process(struct engine *e, const struct container *c, const struct exec_spec *x,
			      const struct inroot *rootfs, struct json **ret)
{
	struct container_spec privileged = *c->spec; /* borrowed members */
	_cleanup_json_ struct json *o = json_new_object();
	_cleanup_user_ struct user u = {0};
	_cleanup_strv_ char **env = NULL, **capabilities = NULL, **links = NULL;
	_cleanup_free_ char *hostname = spec_hostname(c);
	const char *cwd = !str_empty(x->workdir)        ? x->workdir
			  : str_empty(c->spec->workdir) ? "/"
							: c->spec->workdir;
	struct json *limits;

	if (strv_len(x->command) == 0)
		return err_new(ERR_INVALID, "no command given");
	if (cwd[0] != '/')
		return err_new(ERR_INVALID, "the working directory \"%.128s\" is not an absolute path", cwd);
	privileged.privileged = privileged.privileged || x->privileged;
	capabilities = security_capabilities(&privileged);
	/* Another user than the container's does not have the groups that were added for that one. */
	TRY(user_resolve(rootfs, x->user ? x->user : c->spec->user, x->user ? NULL : c->spec->group_add, &u));
	err_free(links_environment(e, c, &links)); /* a linked one may have ended */
	env = environment(c->spec, hostname, u.home, x->tty || c->spec->tty, links, x->env);
	json_set_bool(o, "terminal", x->tty);
	if (x->tty)
		console_size(o, x->rows, x->cols);
	json_set(o, "user", user_object(c->spec, &u));
	json_set_strv(o, "args", x->command);
	json_set_strv(o, "env", env);
	json_set_string(o, "cwd", cwd);
	json_set(o, "capabilities", capability_sets(capabilities, u.uid == 0));
	json_set_bool(o, "noNewPrivileges", security_no_new_privileges(c->spec));
	TRY(rlimits(c->spec, &limits));
	json_set(o, "rlimits", limits);
	*ret = TAKE_PTR(o);
	return NULL;
}
