/* SPDX-License-Identifier: Apache-2.0 */
#include "hooks.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"

#define HOOK_OUTPUT_MAX (1u << 20)

static struct err *open_output(const char *path, const char *annotation, int *fd)
{
	if (!path || *fd >= 0)
		return NULL;
	*fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (*fd < 0)
		return err_errno(errno, "annotation %s: cannot open %s", annotation, path);
	return NULL;
}

void hooks_close_output(struct spec_hooks *h)
{
	fd_close(h->stdout_fd);
	fd_close(h->stderr_fd);
}

struct err *hooks_open_output(struct spec_hooks *h)
{
	hooks_close_output(h);
	TRY(open_output(h->stdout_path, "run.oci.hooks.stdout", &h->stdout_fd));
	return open_output(h->stderr_path, "run.oci.hooks.stderr", &h->stderr_fd);
}

static struct err *run(const struct spec_hooks *hooks, const struct spec_hook *h, char *const *env,
		       const char *state)
{
	char *path_only[] = {(char *)h->path, NULL};
	struct process_spawn p = {
		.path = h->path,
		.exec_fd = -1,
		.argv = h->args && h->args[0] ? h->args : path_only,
		.env = h->env ? h->env : (char **)env,
		.stdio = {-1, hooks->stdout_fd, hooks->stderr_fd},
	};
	_cleanup_free_ char *output = NULL;
	size_t size;
	return process_run(&p, state, strlen(state), h->timeout_ms, HOOK_OUTPUT_MAX, &output, &size);
}

static struct err *run_nth(const struct spec_hooks *h, enum spec_hook_kind kind, size_t i, char *const *env,
			   const char *state)
{
	TRY_WRAP(run(h, &h->list[kind][i], env, state), "error running %s hook #%zu", spec_hook_names[kind],
		 i);
	return NULL;
}

struct err *hooks_run(const struct spec_hooks *h, enum spec_hook_kind kind, char *const *env,
		      const char *state)
{
	char *none[] = {NULL};
	for (size_t i = 0; i < h->n[kind]; i++)
		TRY(run_nth(h, kind, i, env ? env : none, state));
	return NULL;
}

struct err *hooks_run_in(const char *bundle, const struct spec_hooks *h, enum spec_hook_kind kind,
			 const char *state)
{
	if (!h->n[kind])
		return NULL;
	_cleanup_fd_ int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* The bundle may be gone by the time of poststop: then where we are. */
	bool changed = before >= 0 && chdir(bundle) == 0;
	struct err *e = hooks_run(h, kind, environ, state);
	if (changed && fchdir(before) < 0 && !e)
		e = err_errno(errno, "cannot return to the working directory");
	return e;
}

void hooks_run_poststop(const char *bundle, const struct spec_hooks *h, const char *state, char ***warnings)
{
	if (!h->n[SPEC_HOOK_POSTSTOP])
		return;
	_cleanup_fd_ int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool changed = before >= 0 && chdir(bundle) == 0;
	for (size_t i = 0; i < h->n[SPEC_HOOK_POSTSTOP]; i++) {
		struct err *e = run_nth(h, SPEC_HOOK_POSTSTOP, i, environ, state);
		if (!e)
			continue;
		_cleanup_free_ char *text = err_text(e);
		err_free(e);
		strv_push_take(warnings,
			       xasprintf("poststop hook failed with exit code or time-out: %s", text));
	}
	if (changed)
		(void)!fchdir(before);
}
