// SPDX-License-Identifier: Apache-2.0
#include "container_choice.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "engine/pod.h"

#define CIDFILE_MAX 4096 /* bytes */

static struct err *name_in_file(const char *path, char **ret)
{
	size_t n;

	TRY(file_read(path, CIDFILE_MAX, ret, &n));
	while (n > 0 && isspace((unsigned char)(*ret)[n - 1]))
		(*ret)[--n] = '\0';
	return *ret[0] ? NULL : err_new(ERR_INVALID, "%s names no container: it is empty", path);
}

/* The arguments, and what the cidfiles say. */
static struct err *named(struct invocation *in, const struct container_choice *choice, char ***names)
{
	for (size_t i = 0; i < in->n_args; i++)
		strv_push(names, in->args[i]);
	for (size_t i = 0; choice->cidfiles && choice->cidfiles[i]; i++) {
		_cleanup_free_ char *name = NULL;
		struct err *failed = name_in_file(choice->cidfiles[i], &name);
		if (failed && choice->ignore && failed->errnum == ENOENT) {
			err_free(failed);
			continue;
		}
		TRY(failed);
		strv_push_take(names, TAKE_PTR(name));
	}
	return NULL;
}

static struct err *by_state(struct engine *e, bool only_latest, unsigned states, char ***names)
{
	struct container **list = NULL;
	size_t n = 0;

	TRY(container_list(e, true, &list, &n)); /* newest first */
	for (size_t i = 0; i < (only_latest && n ? 1 : n); i++)
		if (only_latest || states & CONTAINER_STATE(list[i]->status))
			strv_push(names, list[i]->id);
	containers_free(list, n);
	return only_latest && !n ? err_new(ERR_NOT_FOUND, "there is no container that could be the latest")
				 : NULL;
}

static struct err *choose(struct invocation *in, struct engine *e, const struct container_choice *choice,
			  unsigned states, char ***names)
{
	unsigned ways = choice->all + choice->latest + (in->n_args > 0 || choice->cidfiles);

	if (ways == 0)
		return usage_error(in, "requires at least 1 argument");
	if (ways > 1)
		return usage_error(in, "names, --all and --latest exclude each other");
	return choice->all || choice->latest ? by_state(e, choice->latest, states, names)
					     : named(in, choice, names);
}

struct err *container_choice_each(struct invocation *in, const struct container_choice *choice,
				  unsigned states, bool print, int *ret_status,
				  struct err *(*f)(struct engine *e, struct container *c, void *user),
				  void *user)
{
	struct engine *e;
	_cleanup_strv_ char **names = NULL;

	TRY(cli_engine(&e));
	TRY(choose(in, e, choice, states, &names));
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_container_ struct container *c = NULL;
		_cleanup_err_ struct err *failed = container_find(e, names[i], &c);
		if (failed && failed->kind == ERR_NOT_FOUND && choice->ignore)
			continue;
		if (!failed)
			failed = f(e, c, user);
		if (failed) {
			command_report(in, failed);
			if (failed->kind != ERR_NOT_FOUND || !choice->missing_ok)
				*ret_status = 1;
		} else if (print) {
			puts(names[i]);
			fflush(stdout);
		}
	}
	return NULL;
}

struct err *cli_each_container(struct invocation *in, bool print, int *ret_status,
			       struct err *(*f)(struct engine *e, struct container *c, void *user),
			       void *user)
{
	return container_choice_each(in, &(const struct container_choice){0}, 0, print, ret_status, f, user);
}
