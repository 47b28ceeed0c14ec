/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the credential files. A file is replaced whole (temporary name, fsync, rename; 0600) and whatever else is in it stays. Several
 * processes take turns by a lock on its directory, which leaves nothing behind. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "credentials.h"

struct auth_file {
	char *path; /* symbolic links resolved: the file behind them is replaced, not they */
	int lock;
	struct json *doc;
	struct json_cursor root, auths, helpers;
	const char *store; /* credsStore, borrowed */
};

static void auth_file_release(struct auth_file *f)
{
	json_unref(f->doc);
	free(f->path);
	fd_close(f->lock);
}
#define _cleanup_auth_file_ _cleanup_(auth_file_release)
#define AUTH_FILE_NONE ((struct auth_file){.lock = -1})

static struct err *lock_directory(const char *path, bool make, int *ret)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *directory = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");

	if (make)
		TRY(file_mkdir_p(directory, 0700));
	_cleanup_fd_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open %s", directory);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno(errno, "cannot lock %s", directory);
	*ret = TAKE_FD(fd);
	return NULL;
}

/* An absent or empty file is an empty document. */
static struct err *auth_file_open(const char *path, bool make, struct auth_file *f)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;

	char *real = realpath(path, NULL);
	f->path = real ? real : xstrdup(path);
	TRY(lock_directory(f->path, make, &f->lock));
	struct err *e = file_read(f->path, CREDENTIAL_FILE_MAX, &text, &size);
	if (e && e->kind != ERR_NOT_FOUND)
		return err_wrap(e, "credential file %s", path);
	err_free(e);
	if (size)
		TRY_WRAP(json_parse(text, size, "credentials", &f->doc), "credential file %s", path);
	else
		f->doc = json_new_object();
	f->root = json_root(f->doc);
	if (json_kind(&f->root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "credential file %s is not a JSON object", path);
	TRY_WRAP(json_get_object(&f->root, "auths", JSON_OPTIONAL, &f->auths), "credential file %s", path);
	TRY_WRAP(json_get_object(&f->root, "credHelpers", JSON_OPTIONAL, &f->helpers), "credential file %s",
		 path);
	f->store = "";
	TRY_WRAP(json_get_string(&f->root, "credsStore", JSON_OPTIONAL, &f->store), "credential file %s",
		 path);
	return NULL;
}

static struct err *auth_file_write(const struct auth_file *f)
{
	_cleanup_free_ char *text = json_print(f->doc, JSON_PRETTY);
	_cleanup_free_ char *lines = xasprintf("%s\n", text);

	return file_replace_at(AT_FDCWD, f->path, lines, strlen(lines), 0600, FILE_DURABLE);
}

/* Entries under any spelling of the server's name. */
static bool remove_entries(struct json_cursor *auths, const char *server)
{
	_cleanup_strv_ char **keys = NULL;
	struct json_iter it = json_iter(auths);
	struct json_cursor member;

	while (json_next(&it, &member)) {
		_cleanup_free_ char *key = credentials_normal_key(member.key);
		if (str_eq(key, server))
			strv_push(&keys, member.key);
	}
	STRV_FOREACH (key, keys)
		json_remove(auths->value, *key);
	return keys != NULL;
}

static bool has_entry(const struct json_cursor *auths, const char *server)
{
	struct json_iter it = json_iter(auths);
	struct json_cursor member;

	while (json_next(&it, &member)) {
		_cleanup_free_ char *key = credentials_normal_key(member.key);
		if (str_eq(key, server))
			return true;
	}
	return false;
}

/* The helper for a server: its own, or the file's for all. "": none. */
static struct err *helper_of(const struct auth_file *f, const char *server, const char **ret)
{
	struct json_iter it = json_iter(&f->helpers);
	struct json_cursor member;

	*ret = f->store;
	while (json_next(&it, &member)) {
		_cleanup_free_ char *key = credentials_normal_key(member.key);
		if (str_eq(key, server))
			return json_as_string(&member, ret);
	}
	return NULL;
}

static const char *server_key(const char *server)
{
	return str_eq(server, "docker.io") ? CREDENTIALS_HUB_KEY : server;
}

/* The file that names the server already, since it would hide what another one says; else docker's, which all tools read. */
static struct err *choose_file(const char *server, const char *auth_file, char **ret)
{
	_cleanup_strv_ char **files = credentials_files(auth_file);

	STRV_FOREACH (path, files) {
		_cleanup_auth_file_ struct auth_file f = AUTH_FILE_NONE;
		if (access(*path, F_OK) < 0)
			continue;
		const char *helper = "";
		TRY(auth_file_open(*path, false, &f));
		TRY(helper_of(&f, server, &helper));
		if (has_entry(&f.auths, server) || *helper) {
			*ret = xstrdup(*path);
			return NULL;
		}
	}
	size_t n = strv_len(files);
	if (n == 0)
		return err_new(ERR_INVALID, "there is no place for credentials: set HOME, or name a file "
					    "with --authfile");
	*ret = xstrdup(files[n - 1]);
	return NULL;
}

struct err *credentials_store(const char *server, const struct credentials *c, const char *auth_file,
			      char **ret_place, bool *ret_plain)
{
	_cleanup_auth_file_ struct auth_file f = AUTH_FILE_NONE;
	_cleanup_free_ char *path = NULL;
	const char *helper;

	TRY(choose_file(server, auth_file, &path));
	TRY(auth_file_open(path, true, &f));
	TRY(helper_of(&f, server, &helper));
	struct json *entry = json_new_object();
	if (*helper) {
		struct err *e = credentials_helper_store(helper, server_key(server), c);
		if (e) {
			json_unref(entry);
			return e;
		}
	} else {
		_cleanup_free_ char *plain =
			xasprintf("%s:%s", c->username ? c->username : "", c->password ? c->password : "");
		_cleanup_free_ char *auth = base64_encode(plain, strlen(plain));
		json_set_string(entry, "auth", auth);
		if (c->identity_token)
			json_set_string(entry, "identitytoken", c->identity_token);
	}
	if (!f.auths.value) {
		json_set(f.doc, "auths", json_new_object());
		TRY(json_get_object(&f.root, "auths", JSON_REQUIRED, &f.auths));
	}
	remove_entries(&f.auths, server);
	json_set(f.auths.value, server_key(server), entry);
	TRY(auth_file_write(&f));
	*ret_plain = !*helper;
	*ret_place = *helper ? xasprintf("docker-credential-%s", helper) : TAKE_PTR(path);
	return NULL;
}

struct err *credentials_erase(const char *server, const char *auth_file, bool *ret_found)
{
	_cleanup_strv_ char **files = credentials_files(auth_file);

	*ret_found = false;
	STRV_FOREACH (path, files) {
		_cleanup_auth_file_ struct auth_file f = AUTH_FILE_NONE;
		const char *helper;
		if (access(*path, F_OK) < 0)
			continue;
		TRY(auth_file_open(*path, false, &f));
		TRY(helper_of(&f, server, &helper));
		bool erased = false;
		if (*helper)
			TRY(credentials_helper_erase(helper, server_key(server), &erased));
		bool removed = remove_entries(&f.auths, server);
		if (removed)
			TRY(auth_file_write(&f));
		*ret_found |= removed || erased;
	}
	return NULL;
}

struct err *credentials_list(const char *auth_file, char ***ret)
{
	_cleanup_strv_ char **files = credentials_files(auth_file), **servers = NULL;

	STRV_FOREACH (path, files) {
		_cleanup_auth_file_ struct auth_file f = AUTH_FILE_NONE;
		_cleanup_strv_ char **kept = NULL;
		struct json_cursor member;
		if (access(*path, F_OK) < 0)
			continue;
		TRY(auth_file_open(*path, false, &f));
		struct json_iter it = json_iter(&f.auths);
		while (json_next(&it, &member))
			strv_push(&kept, member.key);
		if (*f.store)
			TRY(credentials_helper_list(f.store, &kept));
		it = json_iter(&f.helpers);
		while (json_next(&it, &member))
			strv_push(&kept, member.key);
		STRV_FOREACH (key, kept) {
			char *server = credentials_normal_key(*key);
			if (strv_contains(servers, server))
				free(server);
			else
				strv_push_take(&servers, server);
		}
	}
	*ret = TAKE_PTR(servers);
	return NULL;
}
