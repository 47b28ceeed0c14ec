// SPDX-License-Identifier: Apache-2.0
/* -v SOURCE:TARGET[:OPTIONS], --mount type=…,…, --tmpfs TARGET[:OPTIONS]. */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/mount_spec.h"

#define SPEC_MAX 8192

#define _cleanup_mount_ _cleanup_(container_mount_release)

static bool is_volume_name(const char *s)
{
	if (!isalnum((unsigned char)s[0]) || !s[1])
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
			return false;
	return true;
}

static struct err *check_target(const char *spec, const char *target)
{
	if (target[0] != '/')
		return err_new(ERR_INVALID,
			       "mount \"%s\": the path in the container must be absolute, \"%s\" is not",
			       spec, target);
	for (const char *c = target; *c == '/' || *c == '.'; c++)
		if (c[1] == '\0' && !strstr(target, ".."))
			return err_new(ERR_INVALID,
				       "mount \"%s\": the container's root cannot be a mount target", spec);
	return NULL;
}

/* The source of a bind mount: "./x" and "../x" are relative to where we are. */
static struct err *absolute_source(const char *spec, const char *source, char **ret)
{
	if (source[0] == '/') {
		*ret = xstrdup(source);
		return NULL;
	}
	char cwd[PATH_MAX];
	if (!getcwd(cwd, sizeof(cwd)))
		return err_errno(errno, "mount \"%s\": cannot find the current directory", spec);
	if (str_eq(source, "."))
		*ret = xstrdup(cwd);
	else
		*ret = xasprintf("%s/%s", cwd, str_starts(source, "./") ? source + 2 : source);
	return NULL;
}

static bool is_relative_path(const char *s)
{
	return str_eq(s, ".") || str_eq(s, "..") || str_starts(s, "./") || str_starts(s, "../");
}

/* What -v knows behind the second colon. */
static struct err *check_volume_option(const char *spec, const char *option)
{
	static const char known[] = " ro rw z Z U nocopy copy delegated cached consistent private rprivate "
				    "shared rshared slave rslave "
				    "bind rbind noexec exec nosuid suid nodev dev rro ";
	_cleanup_free_ char *word = xasprintf(" %s ", option);
	if (str_eq(option, "idmap") || str_starts(option, "idmap="))
		return NULL;
	if (*option && strstr(known, word))
		return NULL;
	return err_new(ERR_INVALID,
		       "volume \"%s\": unknown option \"%s\" (ro, rw, nocopy, rprivate, rshared, rslave, …)",
		       spec, option);
}

struct err *volume_spec_parse(const char *s, struct container_mount *ret)
{
	_cleanup_mount_ struct container_mount m = {.type = MOUNT_VOLUME};

	if (strlen(s) > SPEC_MAX)
		return err_new(ERR_LIMIT, "volume specification is longer than %d bytes", SPEC_MAX);
	const char *first = strchr(s, ':'), *second = first ? strchr(first + 1, ':') : NULL;
	if (*s == '\0' || first == s || (first && (first[1] == '\0' || first[1] == ':')))
		return err_new(ERR_INVALID,
			       "volume \"%s\": an empty part; the form is [SOURCE:]TARGET[:OPTIONS]", s);
	if (second && strchr(second + 1, ':'))
		return err_new(ERR_INVALID,
			       "volume \"%s\": too many colons; use --mount for paths with colons", s);
	if (!first) {
		TRY(check_target(s, s));
		m.target = xstrdup(s);
		*ret = m;
		m = (struct container_mount){0};
		return NULL;
	}
	_cleanup_free_ char *source = xstrndup(s, (size_t)(first - s));
	m.target = second ? xstrndup(first + 1, (size_t)(second - first - 1)) : xstrdup(first + 1);
	TRY(check_target(s, m.target));
	if (second) {
		m.options = strv_split(second + 1, ",");
		if (!m.options)
			return err_new(ERR_INVALID, "volume \"%s\": the options are empty", s);
		STRV_FOREACH (o, m.options)
			TRY(check_volume_option(s, *o));
	}
	if (source[0] == '/' || is_relative_path(source)) {
		m.type = MOUNT_BIND;
		m.create_source = true;
		TRY(absolute_source(s, source, &m.source));
	} else {
		if (!is_volume_name(source))
			return err_new(ERR_INVALID,
				       "volume \"%s\": \"%s\" is neither an absolute path (or ./path) nor a "
				       "volume name (letters, digits, "
				       "'_', '.', '-')",
				       s, source);
		m.source = TAKE_PTR(source);
	}
	*ret = m;
	m = (struct container_mount){0};
	return NULL;
}

struct err *tmpfs_spec_parse(const char *s, struct container_mount *ret)
{
	_cleanup_mount_ struct container_mount m = {.type = MOUNT_TMPFS};
	const char *colon = strchr(s, ':');

	if (strlen(s) > SPEC_MAX)
		return err_new(ERR_LIMIT, "tmpfs specification is longer than %d bytes", SPEC_MAX);
	m.target = colon ? xstrndup(s, (size_t)(colon - s)) : xstrdup(s);
	TRY(check_target(s, m.target));
	if (colon)
		m.options = strv_split(colon + 1, ",");
	*ret = m;
	m = (struct container_mount){0};
	return NULL;
}

/* One field of a comma-separated record (RFC 4180 quoting, as docker's): a field in quotes may hold commas, "" is a quote. NULL at the
 * end. */
static struct err *next_field(const char *spec, const char **at, char **ret)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	const char *s = *at;

	if (*s == '"') {
		for (s++;; s++) {
			if (*s == '\0')
				return err_new(ERR_INVALID, "mount \"%s\": a quote is not closed", spec);
			if (*s == '"' && s[1] == '"')
				s++;
			else if (*s == '"')
				break;
			strbuf_putc(&b, *s);
		}
		s++;
		if (*s && *s != ',')
			return err_new(ERR_INVALID, "mount \"%s\": text behind a closing quote", spec);
	} else {
		size_t len = strcspn(s, ",");
		strbuf_append(&b, s, len);
		s += len;
	}
	*at = *s == ',' ? s + 1 : s;
	*ret = strbuf_take(&b);
	return NULL;
}

struct mount_fields {
	bool has_type, has_source, read_only;
	const char *kind; /* of the type-specific options met: "bind", "volume", "tmpfs" */
};

static struct err *flag_value(const char *spec, const char *key, const char *value, bool *ret)
{
	*ret = true;
	if (!value)
		return NULL;
	_cleanup_free_ char *what = xasprintf("mount \"%s\": %s", spec, key);
	return parse_bool(value, what, ret);
}

static struct err *set_type(const char *spec, const char *value, struct container_mount *m)
{
	if (str_eq(value, "bind"))
		m->type = MOUNT_BIND;
	else if (str_eq(value, "volume"))
		m->type = MOUNT_VOLUME;
	else if (str_eq(value, "tmpfs"))
		m->type = MOUNT_TMPFS;
	else if (str_eq(value, "image"))
		m->type = MOUNT_IMAGE;
	else if (str_eq(value, "npipe") || str_eq(value, "cluster"))
		return err_new(ERR_UNSUPPORTED, "mount \"%s\": type %s is not supported", spec, value);
	else
		return err_new(ERR_INVALID, "mount \"%s\": type \"%s\" is none of bind, volume, tmpfs, image",
			       spec, value);
	return NULL;
}

static struct err *set_specific(const char *spec, const char *key, const char *value,
				struct container_mount *m, struct mount_fields *f)
{
	_cleanup_free_ char *what = xasprintf("mount \"%s\": %s", spec, key);
	bool yes;

	if (str_eq(key, "bind-propagation") && value) {
		f->kind = "bind";
		if (!str_eq(value, "private") && !str_eq(value, "rprivate") && !str_eq(value, "shared") &&
		    !str_eq(value, "rshared") && !str_eq(value, "slave") && !str_eq(value, "rslave"))
			return err_new(ERR_INVALID, "%s: \"%s\" is no propagation", what, value);
		strv_push(&m->options, value);
	} else if (str_eq(key, "bind-nonrecursive")) {
		f->kind = "bind";
		TRY(flag_value(spec, key, value, &yes));
		if (yes)
			strv_push(&m->options, "bind");
	} else if (str_eq(key, "bind-recursive") && value) {
		f->kind = "bind";
		if (str_eq(value, "disabled"))
			strv_push(&m->options, "bind");
		else if (str_eq(value, "readonly"))
			strv_push(&m->options, "rro");
		else if (!str_eq(value, "enabled") && !str_eq(value, "writable"))
			return err_new(ERR_INVALID,
				       "%s: \"%s\" is none of enabled, disabled, writable, readonly", what,
				       value);
	} else if (str_eq(key, "volume-nocopy")) {
		f->kind = "volume";
		TRY(flag_value(spec, key, value, &yes));
		if (yes)
			strv_push(&m->options, "nocopy");
	} else if (str_eq(key, "tmpfs-size") && value) {
		uint64_t bytes;
		f->kind = "tmpfs";
		TRY(parse_size(value, what, &bytes));
		strv_push_take(&m->options, xasprintf("size=%llu", (unsigned long long)bytes));
	} else if (str_eq(key, "tmpfs-mode") && value) {
		uint32_t mode;
		f->kind = "tmpfs";
		TRY(parse_octal(value, what, 07777, &mode));
		strv_push_take(&m->options, xasprintf("mode=%o", mode));
	} else if (str_eq(key, "volume-driver") && value && str_eq(value, "local")) {
		f->kind = "volume";
	} else if (str_eq(key, "volume-subpath") && value) {
		f->kind = "volume";
		free(m->subpath);
		m->subpath = xstrdup(value);
	} else if ((str_eq(key, "volume-opt") || str_eq(key, "volume-label")) && value) {
		f->kind = "volume";
		strv_push(str_eq(key, "volume-opt") ? &m->volume_options : &m->volume_labels, value);
	} else if (str_eq(key, "bind-create-src") || str_eq(key, "bind-create-host-path")) {
		f->kind = "bind";
		TRY(flag_value(spec, key, value, &m->create_source));
	} else if (str_eq(key, "rw") || str_eq(key, "readwrite")) {
		f->kind = "image";
		TRY(flag_value(spec, key, value, &yes));
		if (yes)
			strv_push(&m->options, "rw");
	} else if (str_eq(key, "consistency")) {
		return NULL; /* only ever had a meaning on macOS */
	} else if (str_eq(key, "image-subpath") || str_eq(key, "subpath") || str_eq(key, "volume-driver")) {
		return err_new(ERR_UNSUPPORTED, "%s is not supported", what);
	} else {
		return err_new(ERR_INVALID, "mount \"%s\": unknown or incomplete field \"%s\"", spec, key);
	}
	return NULL;
}

static struct err *set_field(const char *spec, char *field, struct container_mount *m, struct mount_fields *f)
{
	char *value = strchr(field, '=');
	bool yes;

	if (value)
		*value++ = '\0';
	for (char *c = field; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (str_eq(field, "readonly") || str_eq(field, "ro")) {
		TRY(flag_value(spec, field, value, &yes));
		f->read_only = yes;
		return NULL;
	}
	if (value && str_eq(field, "type")) {
		f->has_type = true;
		return set_type(spec, value, m);
	}
	if (value && (str_eq(field, "source") || str_eq(field, "src"))) {
		free(m->source);
		m->source = *value ? xstrdup(value) : NULL;
		return NULL;
	}
	if (value && (str_eq(field, "target") || str_eq(field, "destination") || str_eq(field, "dst"))) {
		free(m->target);
		m->target = xstrdup(value);
		return NULL;
	}
	return set_specific(spec, field, value, m, f);
}

static struct err *check_mount(const char *spec, struct container_mount *m, const struct mount_fields *f)
{
	static const char *const kinds[] = {[MOUNT_BIND] = "bind",
					    [MOUNT_VOLUME] = "volume",
					    [MOUNT_TMPFS] = "tmpfs",
					    [MOUNT_IMAGE] = "image"};

	if (!m->target)
		return err_new(ERR_INVALID, "mount \"%s\": target=… is missing", spec);
	TRY(check_target(spec, m->target));
	if (f->kind && !str_eq(f->kind, kinds[m->type]))
		return err_new(ERR_INVALID, "mount \"%s\": a %s option in a mount of type %s", spec, f->kind,
			       kinds[m->type]);
	if (m->type == MOUNT_TMPFS && m->source)
		return err_new(ERR_INVALID, "mount \"%s\": a tmpfs has no source", spec);
	if (m->type == MOUNT_VOLUME && m->source && !is_volume_name(m->source))
		return err_new(ERR_INVALID,
			       "mount \"%s\": \"%s\" is no volume name (for a host path use type=bind)", spec,
			       m->source);
	if (m->type == MOUNT_IMAGE && !m->source)
		return err_new(ERR_INVALID, "mount \"%s\": source=IMAGE is missing", spec);
	if (m->type == MOUNT_BIND) {
		if (!m->source)
			return err_new(ERR_INVALID, "mount \"%s\": source=… is missing", spec);
		if (m->source[0] != '/') {
			if (!is_relative_path(m->source))
				return err_new(ERR_INVALID,
					       "mount \"%s\": the source of a bind mount must be an absolute "
					       "path or "
					       "begin with ./",
					       spec);
			char *absolute;
			TRY(absolute_source(spec, m->source, &absolute));
			free(m->source);
			m->source = absolute;
		}
	}
	if (f->read_only)
		strv_push(&m->options, "ro");
	return NULL;
}

struct err *mount_spec_parse(const char *s, struct container_mount *ret)
{
	_cleanup_mount_ struct container_mount m = {.type = MOUNT_VOLUME};
	struct mount_fields f = {0};
	const char *at = s;

	if (strlen(s) > SPEC_MAX)
		return err_new(ERR_LIMIT, "mount specification is longer than %d bytes", SPEC_MAX);
	if (!*s)
		return err_new(ERR_INVALID, "mount: empty; the form is type=bind,source=…,target=…");
	while (*at) {
		_cleanup_free_ char *field = NULL;
		TRY(next_field(s, &at, &field));
		TRY(set_field(s, field, &m, &f));
	}
	TRY(check_mount(s, &m, &f));
	*ret = m;
	m = (struct container_mount){0};
	return NULL;
}
