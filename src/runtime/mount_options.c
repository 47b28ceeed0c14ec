/* SPDX-License-Identifier: Apache-2.0 */
#include "mount_options.h"

#include <sys/mount.h>

#include "base/memory.h"
#include "base/str.h"
#include "spec.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

enum option_kind {
	SET,     /* attribute on */
	CLEAR,   /* attribute off */
	ATIME,   /* one value of the access time field: the field is cleared first */
	REC_SET, /* the same for the whole tree */
	REC_CLEAR,
	REC_ATIME,
	PROPAGATION,
	REC_PROPAGATION,
	SUPER,   /* a flag of the file system: goes to it by name */
	NOTHING, /* the default anyway, or without meaning for a new mount */
	BIND,
	REC_BIND,
	REMOUNT,
	TMPCOPYUP,
	COPY_SYMLINK,
	SRC_NOFOLLOW,
	DEST_NOFOLLOW,
	IDMAP,
	REC_IDMAP,
};

static const struct option {
	const char *name;
	enum option_kind kind;
	unsigned long value;
} options[] = {
	{"async", NOTHING, 0},
	{"atime", ATIME, MOUNT_ATTR_RELATIME},
	{"bind", BIND, 0},
	{"copy-symlink", COPY_SYMLINK, 0},
	{"defaults", NOTHING, 0},
	{"dest-nofollow", DEST_NOFOLLOW, 0},
	{"dev", CLEAR, MOUNT_ATTR_NODEV},
	{"diratime", CLEAR, MOUNT_ATTR_NODIRATIME},
	{"dirsync", SUPER, 0},
	{"exec", CLEAR, MOUNT_ATTR_NOEXEC},
	{"idmap", IDMAP, 0},
	{"iversion", NOTHING, 0},
	{"lazytime", SUPER, 0},
	{"loud", NOTHING, 0},
	{"mand", SUPER, 0},
	{"noatime", ATIME, MOUNT_ATTR_NOATIME},
	{"nodev", SET, MOUNT_ATTR_NODEV},
	{"nodiratime", SET, MOUNT_ATTR_NODIRATIME},
	{"noexec", SET, MOUNT_ATTR_NOEXEC},
	{"noiversion", NOTHING, 0},
	{"nolazytime", NOTHING, 0},
	{"nomand", NOTHING, 0},
	{"norelatime", ATIME, MOUNT_ATTR_STRICTATIME},
	{"nostrictatime", ATIME, MOUNT_ATTR_RELATIME},
	{"nosuid", SET, MOUNT_ATTR_NOSUID},
	{"nosymfollow", SET, MOUNT_ATTR_NOSYMFOLLOW},
	{"private", PROPAGATION, MS_PRIVATE},
	{"ratime", REC_ATIME, MOUNT_ATTR_RELATIME},
	{"rbind", REC_BIND, 0},
	{"rdev", REC_CLEAR, MOUNT_ATTR_NODEV},
	{"rdiratime", REC_CLEAR, MOUNT_ATTR_NODIRATIME},
	{"relatime", ATIME, MOUNT_ATTR_RELATIME},
	{"remount", REMOUNT, 0},
	{"rexec", REC_CLEAR, MOUNT_ATTR_NOEXEC},
	{"ridmap", REC_IDMAP, 0},
	{"rnoatime", REC_ATIME, MOUNT_ATTR_NOATIME},
	{"rnodev", REC_SET, MOUNT_ATTR_NODEV},
	{"rnodiratime", REC_SET, MOUNT_ATTR_NODIRATIME},
	{"rnoexec", REC_SET, MOUNT_ATTR_NOEXEC},
	{"rnorelatime", REC_ATIME, MOUNT_ATTR_STRICTATIME},
	{"rnostrictatime", REC_ATIME, MOUNT_ATTR_RELATIME},
	{"rnosuid", REC_SET, MOUNT_ATTR_NOSUID},
	{"rnosymfollow", REC_SET, MOUNT_ATTR_NOSYMFOLLOW},
	{"ro", SET, MOUNT_ATTR_RDONLY},
	{"rprivate", REC_PROPAGATION, MS_PRIVATE},
	{"rrelatime", REC_ATIME, MOUNT_ATTR_RELATIME},
	{"rro", REC_SET, MOUNT_ATTR_RDONLY},
	{"rrw", REC_CLEAR, MOUNT_ATTR_RDONLY},
	{"rshared", REC_PROPAGATION, MS_SHARED},
	{"rslave", REC_PROPAGATION, MS_SLAVE},
	{"rstrictatime", REC_ATIME, MOUNT_ATTR_STRICTATIME},
	{"rsuid", REC_CLEAR, MOUNT_ATTR_NOSUID},
	{"rsymfollow", REC_CLEAR, MOUNT_ATTR_NOSYMFOLLOW},
	{"runbindable", REC_PROPAGATION, MS_UNBINDABLE},
	{"rw", CLEAR, MOUNT_ATTR_RDONLY},
	{"shared", PROPAGATION, MS_SHARED},
	{"silent", NOTHING, 0},
	{"slave", PROPAGATION, MS_SLAVE},
	{"src-nofollow", SRC_NOFOLLOW, 0},
	{"strictatime", ATIME, MOUNT_ATTR_STRICTATIME},
	{"suid", CLEAR, MOUNT_ATTR_NOSUID},
	{"symfollow", CLEAR, MOUNT_ATTR_NOSYMFOLLOW},
	{"sync", SUPER, 0},
	{"tmpcopyup", TMPCOPYUP, 0},
	{"unbindable", PROPAGATION, MS_UNBINDABLE},
};

const char *mount_option_name(unsigned index)
{
	return index < ARRAY_SIZE(options) ? options[index].name : NULL;
}

/* The last one wins, as on a command line. */
static void attr_change(uint64_t *set, uint64_t *clear, uint64_t on, uint64_t off)
{
	*set = (*set & ~off) | on;
	*clear = (*clear & ~on) | off;
}

static void option_apply(struct spec_mount *m, const struct option *o)
{
	switch (o->kind) {
	case SET:
		attr_change(&m->attr_set, &m->attr_clear, o->value, 0);
		break;
	case CLEAR:
		attr_change(&m->attr_set, &m->attr_clear, 0, o->value);
		break;
	case ATIME: /* mount_setattr wants the whole field cleared when any value of it is set */
		m->attr_set = (m->attr_set & ~(uint64_t)MOUNT_ATTR__ATIME) | o->value;
		m->attr_clear |= MOUNT_ATTR__ATIME;
		break;
	case REC_SET:
		attr_change(&m->rec_set, &m->rec_clear, o->value, 0);
		break;
	case REC_CLEAR:
		attr_change(&m->rec_set, &m->rec_clear, 0, o->value);
		break;
	case REC_ATIME:
		m->rec_set = (m->rec_set & ~(uint64_t)MOUNT_ATTR__ATIME) | o->value;
		m->rec_clear |= MOUNT_ATTR__ATIME;
		break;
	case PROPAGATION:
	case REC_PROPAGATION:
		m->propagation = o->value;
		m->propagation_recursive = o->kind == REC_PROPAGATION;
		break;
	case SUPER:
		strv_push(&m->data, o->name);
		break;
	case NOTHING:
		break;
	case BIND:
		m->bind = true;
		break;
	case REC_BIND:
		m->bind = m->recursive = true;
		break;
	case REMOUNT:
		m->remount = true;
		break;
	case TMPCOPYUP:
		m->tmpcopyup = true;
		break;
	case COPY_SYMLINK:
		m->copy_symlink = true;
		break;
	case SRC_NOFOLLOW:
		m->src_nofollow = true;
		break;
	case DEST_NOFOLLOW:
		m->dest_nofollow = true;
		break;
	case IDMAP:
		m->idmap = SPEC_IDMAP_ONE;
		break;
	case REC_IDMAP:
		m->idmap = SPEC_IDMAP_RECURSIVE;
		break;
	}
}

static int option_compare(const void *name, const void *entry)
{
	return strcmp(name, ((const struct option *)entry)->name);
}

/* uidMappings and gidMappings of the mount say it better when they are there, too. */
static struct err *idmap_parse(const struct spec *s, const struct json_cursor *entry, const char *text,
			       bool given, struct spec_mount *m)
{
	bool recursive = text[0] == 'r';
	m->idmap = recursive ? SPEC_IDMAP_RECURSIVE : SPEC_IDMAP_ONE;
	if (given)
		return NULL;
	spec_id_maps_release(&m->maps);
	return mount_idmap_parse(entry, strchr(text, '=') + 1, &s->maps, &m->maps);
}

static struct err *options_parse(const struct spec *s, const struct json_cursor *c, struct spec_mount *m)
{
	bool mapped = m->maps.n_uid;
	struct json_cursor list;
	TRY(json_get_array(c, "options", JSON_OPTIONAL, &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor entry = json_at(&list, i);
		const char *text;
		TRY(json_as_string(&entry, &text));
		const struct option *o =
			bsearch(text, options, ARRAY_SIZE(options), sizeof(options[0]), option_compare);
		if (o)
			option_apply(m, o);
		else if (str_starts(text, "idmap=") || str_starts(text, "ridmap="))
			TRY(idmap_parse(s, &entry, text, mapped, m));
		else if (*text)
			strv_push(&m->data, text);
	}
	return NULL;
}

static struct err *mount_check(const struct spec *s, const struct json_cursor *c, struct spec_mount *m)
{
	if (m->bind && !m->remount && str_empty(m->source))
		return json_error_at(c, "source", "is missing: a bind mount needs one");
	if (!m->bind && !m->remount && str_empty(m->type))
		return json_error_at(c, "type", "is missing");
	if (m->maps.n_uid && m->idmap == SPEC_IDMAP_NONE)
		m->idmap = SPEC_IDMAP_ONE;
	if (m->idmap != SPEC_IDMAP_NONE && !m->bind)
		return json_error(c, "ids can be mapped on bind mounts only");
	if (m->idmap != SPEC_IDMAP_NONE && !m->maps.n_uid && !s->ns[SPEC_NS_USER].present)
		return json_error(
			c, "idmap needs uidMappings and gidMappings, or a user namespace of the container");
	if (m->tmpcopyup && !str_eq(m->type, "tmpfs"))
		return json_error(c, "tmpcopyup is for tmpfs only");
	if (m->copy_symlink && !m->bind)
		return json_error(c, "copy-symlink is for bind mounts only");
	return NULL;
}

static struct err *mount_parse(struct spec *s, const struct json_cursor *c, struct spec_mount *m)
{
	TRY(json_get_string(c, "destination", JSON_REQUIRED, &m->destination));
	if (!*m->destination)
		return json_error_at(c, "destination", "is empty");
	TRY(json_get_string(c, "type", JSON_OPTIONAL, &m->type));
	TRY(json_get_string(c, "source", JSON_OPTIONAL, &m->source));
	if (str_eq(m->type, "bind"))
		m->bind = true;
	TRY(spec_id_maps_parse(c, &m->maps));
	TRY(options_parse(s, c, m));
	return mount_check(s, c, m);
}

static const char *without_slashes(const char *path)
{
	while (*path == '/')
		path++;
	return path;
}

static bool is_below(const char *path, const char *directory)
{
	path = without_slashes(path);
	directory = without_slashes(directory);
	size_t n = strlen(directory);
	while (n && directory[n - 1] == '/')
		n--;
	return strncmp(path, directory, n) == 0 && path[n] == '/' && without_slashes(path + n)[0];
}

/* A read-only tmpfs in which something is still to be made: a later mount's target, or the devices. As runc has it, it is writable until
 * then. */
static void put_off_readonly(struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		struct spec_mount *m = &s->mounts[i];
		if (!(m->attr_set & MOUNT_ATTR_RDONLY) || m->bind || m->remount || !str_eq(m->type, "tmpfs"))
			continue;
		bool wanted = is_below("/dev/null", m->destination);
		for (size_t k = i + 1; k < s->n_mounts && !wanted; k++)
			wanted = is_below(s->mounts[k].destination, m->destination);
		if (!wanted)
			continue;
		m->attr_set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
		m->late_readonly = true;
	}
}

struct err *spec_mounts_parse(struct spec *s)
{
	struct json_cursor list;
	TRY(json_get_array(&s->root, "mounts", JSON_OPTIONAL, &list));
	size_t n = json_array_len(&list);
	if (n > 100000)
		return json_error(&list, "has more mounts than a namespace can hold");
	if (n)
		s->mounts = xnew_array(struct spec_mount, n);
	for (size_t i = 0; i < n; i++) {
		struct json_cursor c = json_at(&list, i);
		s->n_mounts = i + 1;
		TRY(mount_parse(s, &c, &s->mounts[i]));
	}
	put_off_readonly(s);
	return NULL;
}
