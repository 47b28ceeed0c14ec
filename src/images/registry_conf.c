/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_conf.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"

struct reader {
	struct err *(*event)(void *user, const struct toml_event *e);
	struct err *(*end)(void *user);
	void *user;
};

static struct err *read_file(const char *path, const struct reader *r)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	struct err *e = file_read(path, TOML_SIZE_MAX, &text, &size);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	if (!e)
		e = toml_parse(text, size, path, r->event, r->user);
	if (!e && r->end)
		e = r->end(r->user);
	return e ? err_wrap(e, "registry configuration %s", path) : NULL;
}

static int is_conf(const struct dirent *d)
{
	return str_ends(d->d_name, ".conf");
}

static struct err *read_directory(const char *path, const struct reader *r)
{
	struct dirent **names = NULL;
	struct err *e = NULL;
	int n = scandir(path, &names, is_conf, alphasort);

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = xasprintf("%s/%s", path, names[i]->d_name);
		if (!e)
			e = read_file(file, r);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return e;
}

struct err *registries_conf_read_file(const char *path,
				      struct err *(*event)(void *user, const struct toml_event *e),
				      struct err *(*end)(void *user), void *user)
{
	return read_file(path, &(struct reader){event, end, user});
}

struct err *registries_conf_read(struct err *(*event)(void *user, const struct toml_event *e),
				 struct err *(*end)(void *user), void *user)
{
	struct reader r = {event, end, user};
	const char *given = getenv("CONTAINERS_REGISTRIES_CONF"), *home = getenv("HOME"),
		   *config = getenv("XDG_CONFIG_HOME");
	_cleanup_free_ char *own = !str_empty(config) ? xasprintf("%s/containers/registries.conf", config)
				   : !str_empty(home)
					   ? xasprintf("%s/.config/containers/registries.conf", home)
					   : NULL;

	if (!str_empty(given))
		return read_file(given, &r);
	TRY(read_file(own && access(own, F_OK) == 0 ? own : "/etc/containers/registries.conf", &r));
	TRY(read_directory("/etc/containers/registries.conf.d", &r));
	if (!own)
		return NULL;
	_cleanup_free_ char *drop_ins = xasprintf("%s.d", own);
	return read_directory(drop_ins, &r);
}
