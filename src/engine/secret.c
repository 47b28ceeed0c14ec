/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/timestamp.h"

#define RECORD_MAX (SECRET_MAX * 2)
#define SECRETS_MAX 100000u

void secret_release(struct secret *s)
{
	free(s->name);
	strv_free(s->labels);
	if (s->data)
		explicit_bzero(s->data, s->size);
	free(s->data);
	*s = (struct secret){0};
}

void secrets_free(struct secret *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		secret_release(&list[i]);
	free(list);
}

static struct err *open_dir(struct engine *e, int *ret_fd)
{
	_cleanup_free_ char *path = xasprintf("%s/secrets", e->root);

	if (mkdir(path, 0700) < 0 && errno == ENOENT)
		TRY(file_mkdir_p(path, 0700));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open %s", path);
	*ret_fd = fd;
	return NULL;
}

static struct err *check_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(name);

	if (n < 1 || n > 240 || strspn(name, allowed) != n || strchr("_.-", name[0]) ||
	    strchr("_.-", name[n - 1]))
		return err_new(ERR_INVALID,
			       "invalid secret name \"%.64s\": 1 to 240 characters of a-z, A-Z, 0-9, \"_\", "
			       "\".\" and \"-\", the "
			       "first and the last a letter or digit",
			       name);
	return NULL;
}

static struct err *decode(struct json *doc, const char *name, bool with_data, struct secret *s)
{
	struct json_cursor root = json_root(doc), labels, member;
	const char *id, *data;

	TRY(json_get_string(&root, "id", JSON_REQUIRED, &id));
	snprintf(s->id, sizeof(s->id), "%s", id);
	TRY(json_get_i64(&root, "created_ns", JSON_REQUIRED, 0, INT64_MAX, &s->created_ns));
	TRY(json_get_i64(&root, "updated_ns", JSON_REQUIRED, 0, INT64_MAX, &s->updated_ns));
	TRY(json_get_object(&root, "labels", JSON_OPTIONAL, &labels));
	struct json_iter it = json_iter(&labels);
	while (json_next(&it, &member)) {
		const char *value;
		TRY(json_as_string(&member, &value));
		strv_push_take(&s->labels, xasprintf("%s=%s", member.key, value));
	}
	s->name = xstrdup(name);
	TRY(json_get_string(&root, "data", JSON_REQUIRED, &data));
	return with_data ? base64_decode(data, &s->data, &s->size) : NULL;
}

static struct err *read_named(int dir, const char *name, bool with_data, struct secret *ret)
{
	_cleanup_free_ char *file = xasprintf("%s.json", name), *text = NULL;
	_cleanup_json_ struct json *doc = NULL;
	_cleanup_secret_ struct secret s = {0};
	size_t size;

	TRY(file_read_at(dir, file, RECORD_MAX, &text, &size));
	TRY_WRAP(json_parse(text, size, "secret", &doc), "cannot understand secret %s", name);
	TRY_WRAP(decode(doc, name, with_data, &s), "cannot understand secret %s", name);
	*ret = s;
	s = (struct secret){0};
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct secret *)a)->name, ((const struct secret *)b)->name);
}

struct err *secret_list(struct engine *e, struct secret **ret, size_t *ret_n)
{
	_cleanup_fd_ int fd = -1;
	struct secret *list = NULL;
	size_t n = 0, cap = 0;
	struct err *error = NULL;
	const struct dirent *d;

	TRY(open_dir(e, &fd));
	DIR *dir = fdopendir(fd);
	if (!dir)
		return err_errno(errno, "cannot list secrets");
	int at = TAKE_FD(fd);
	while (!error && n < SECRETS_MAX && (d = readdir(dir))) {
		size_t len = strlen(d->d_name);
		if (len < 6 || !str_eq(d->d_name + len - 5, ".json") || d->d_name[0] == '.')
			continue;
		_cleanup_free_ char *name = xstrndup(d->d_name, len - 5);
		GROW(list, n, cap);
		error = read_named(at, name, false, &list[n]);
		if (error && error->kind == ERR_NOT_FOUND) { /* removed meanwhile */
			err_free(error);
			error = NULL;
		} else if (!error) {
			n++;
		}
	}
	closedir(dir);
	if (error) {
		secrets_free(list, n);
		return error;
	}
	if (n)
		qsort(list, n, sizeof(*list), by_name);
	*ret = list;
	*ret_n = n;
	return NULL;
}

/* The name that is meant. */
static struct err *resolve(struct engine *e, int dir, const char *what, char **ret)
{
	struct secret *list = NULL;
	size_t n = 0, found = 0;
	char *name = NULL;

	if (strlen(what) <= 240 && !strchr(what, '/')) {
		_cleanup_free_ char *file = xasprintf("%s.json", what);
		if (faccessat(dir, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			*ret = xstrdup(what);
			return NULL;
		}
	}
	TRY(secret_list(e, &list, &n));
	for (size_t i = 0; *what && i < n; i++)
		if (str_starts(list[i].id, what) && found++ == 0)
			name = xstrdup(list[i].name);
	secrets_free(list, n);
	if (found == 1) {
		*ret = name;
		return NULL;
	}
	free(name);
	if (found > 1)
		return err_new(ERR_INVALID,
			       "\"%.64s\" is the beginning of several secrets' ids; give more digits", what);
	return err_new(ERR_NOT_FOUND, "no such secret: %.128s", what);
}

struct err *secret_read(struct engine *e, const char *what, struct secret *ret)
{
	_cleanup_fd_ int dir = -1;
	_cleanup_free_ char *name = NULL;

	TRY(open_dir(e, &dir));
	TRY(resolve(e, dir, what, &name));
	return read_named(dir, name, true, ret);
}

struct err *secret_create(struct engine *e, const char *name, const void *data, size_t size,
			  char *const *labels, bool replace, char **ret_id)
{
	_cleanup_json_ struct json *doc = json_new_object();
	_cleanup_fd_ int dir = -1;
	char id[65];
	int64_t now = timestamp_now_ns();

	TRY(check_name(name));
	if (size < 1 || size > SECRET_MAX)
		return err_new(ERR_LIMIT, "a secret has 1 to %d bytes, not %zu", SECRET_MAX, size);
	_cleanup_free_ char *file = xasprintf("%s.json", name), *encoded = base64_encode(data, size);
	TRY(open_dir(e, &dir));
	if (flock(dir, LOCK_EX) < 0) /* with the fd it ends */
		return err_errno(errno, "cannot lock the secrets");
	if (!replace && faccessat(dir, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_new(ERR_EXISTS,
			       "secret name \"%s\" is already in use; --replace puts another in its place",
			       name);
	id_generate(id);
	id[25] = '\0';
	json_set_string(doc, "id", id);
	json_set_i64(doc, "created_ns", now);
	json_set_i64(doc, "updated_ns", now);
	json_set(doc, "labels", json_new_pairs(labels));
	json_set_string(doc, "data", encoded);
	_cleanup_free_ char *text = json_print(doc, JSON_COMPACT);
	TRY_WRAP(file_replace_at(dir, file, text, strlen(text), 0600, FILE_DURABLE), "cannot keep secret %s",
		 name);
	*ret_id = xstrdup(id);
	return NULL;
}

struct err *secret_remove(struct engine *e, const char *what)
{
	_cleanup_fd_ int dir = -1;
	_cleanup_free_ char *name = NULL;

	TRY(open_dir(e, &dir));
	TRY(resolve(e, dir, what, &name));
	_cleanup_free_ char *file = xasprintf("%s.json", name);
	if (unlinkat(dir, file, 0) < 0 && errno != ENOENT)
		return err_errno(errno, "cannot remove secret %s", name);
	return NULL;
}

/* -- in a container --------------------------------------------------------------------------------------------- */

struct use {
	char *name, *target;
	bool env;
	uint32_t mode, uid, gid;
};

static void use_release(struct use *u)
{
	free(u->name);
	free(u->target);
}

static struct err *use_field(struct use *u, const char *text, const char *field, bool first)
{
	const char *value = strchr(field, '=');
	uint64_t n;

	if (!value && first) {
		u->name = xstrdup(field);
		return NULL;
	}
	size_t key = value ? (size_t)(value - field) : 0;
	value = value ? value + 1 : "";
#define IS(word) (key == strlen(word) && strncmp(field, word, key) == 0)
	if (IS("source") || IS("src") || IS("id")) {
		free(u->name);
		u->name = xstrdup(value);
	} else if (IS("target") || IS("dst") || IS("destination")) {
		free(u->target);
		u->target = xstrdup(value);
	} else if (IS("type") && (str_eq(value, "mount") || str_eq(value, "env"))) {
		u->env = str_eq(value, "env");
	} else if (IS("uid") || IS("gid")) {
		TRY_WRAP(parse_u64(value, "uid or gid", 0, UINT32_MAX - 1, &n), "--secret %s", text);
		*(IS("uid") ? &u->uid : &u->gid) = (uint32_t)n;
	} else if (IS("mode")) {
		TRY_WRAP(parse_octal(value, "mode", 0777, &u->mode), "--secret %s", text);
	} else {
		return err_new(
			ERR_INVALID,
			"--secret %.64s: \"%.64s\" is none of type=mount|env, target=, uid=, gid=, mode=",
			text, field);
	}
#undef IS
	return NULL;
}

static struct err *use_parse(const char *text, struct use *u)
{
	_cleanup_strv_ char **fields = strv_split(text, ",");

	u->mode = 0444;
	for (size_t i = 0; fields && fields[i]; i++)
		TRY(use_field(u, text, fields[i], i == 0));
	if (str_empty(u->name))
		return err_new(ERR_INVALID, "--secret %.64s: no secret is named", text);
	if (u->env && !u->target)
		u->target = xstrdup(u->name);
	if (u->env && (strchr(u->target, '=') || !*u->target))
		return err_new(ERR_INVALID, "--secret %.64s: the target is no name of a variable", text);
	if (!u->env && (!u->target || u->target[0] != '/')) {
		char *absolute = xasprintf("/run/secrets/%s", u->target ? u->target : u->name);
		free(u->target);
		u->target = absolute;
	}
	return NULL;
}

static struct err *check_one(struct engine *e, const char *text, struct use *u)
{
	_cleanup_secret_ struct secret s = {0};

	TRY(use_parse(text, u));
	TRY(secret_read(e, u->name, &s));
	if (u->env && memchr(s.data, 0, s.size))
		return err_new(ERR_INVALID,
			       "--secret %.64s: a variable cannot have a zero byte; use type=mount", text);
	return NULL;
}

struct err *secrets_check(struct engine *e, const struct container_spec *s)
{
	STRV_FOREACH (text, s->secrets) {
		_cleanup_(use_release) struct use u = {0};
		TRY(check_one(e, *text, &u));
	}
	return NULL;
}

static struct err *write_file(const char *path, const struct secret *s, const struct use *u)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(errno, "cannot make %s", path);
	TRY(fd_write_full(fd, s->data, s->size, path));
	if (fchown(fd, u->uid, u->gid) < 0 || fchmod(fd, u->mode) < 0)
		return err_errno(errno, "cannot set owner and mode of secret %s", s->name);
	return NULL;
}

struct err *secrets_mount(const struct spec_input *in, struct json *mounts)
{
	size_t n = 0;

	STRV_FOREACH (text, in->c->spec->secrets) {
		_cleanup_(use_release) struct use u = {0};
		_cleanup_secret_ struct secret s = {0};
		TRY(use_parse(*text, &u));
		if (u.env)
			continue;
		TRY(secret_read(in->engine, u.name, &s));
		_cleanup_free_ char *path = xasprintf("%s/secret.%zu", in->c->run_dir, n++);
		TRY(write_file(path, &s, &u));
		struct json *o = json_new_object();
		json_set_string(o, "destination", u.target);
		json_set_string(o, "type", "bind");
		json_set_string(o, "source", path);
		json_set_strv(o, "options",
			      (char *[]){(char *)"bind", (char *)"rprivate", (char *)"ro", (char *)"nosuid",
					 (char *)"nodev", NULL});
		json_append(mounts, o);
	}
	return NULL;
}

struct err *secrets_environment(struct engine *e, const struct container_spec *spec, char ***ret)
{
	STRV_FOREACH (text, spec->secrets) {
		_cleanup_(use_release) struct use u = {0};
		_cleanup_secret_ struct secret s = {0};
		TRY(use_parse(*text, &u));
		if (!u.env)
			continue;
		TRY(secret_read(e, u.name, &s));
		_cleanup_free_ char *value = xstrndup(s.data, s.size);
		env_set(ret, u.target, value);
	}
	return NULL;
}
