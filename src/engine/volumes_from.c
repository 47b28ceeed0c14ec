/* SPDX-License-Identifier: Apache-2.0 */
/* --volumes-from: the binds and volumes of another container, also of one that does not run. */
#include "private.h"

static bool has_target(const struct container_spec *s, const char *target)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (str_eq(s->mounts[i].target, target))
			return true;
	return false;
}

static void add(struct container_spec *s, const struct container_mount *from, const char *mode)
{
	s->mounts = xrealloc(s->mounts, s->n_mounts + 1, sizeof(*s->mounts));
	struct container_mount *m = &s->mounts[s->n_mounts++];

	*m = (struct container_mount){.type = from->type,
				      .source = xstrdup_null(from->source),
				      .target = xstrdup(from->target),
				      .create_source = from->create_source,
				      .anonymous = from->anonymous};
	STRV_FOREACH (o, from->options)
		if (!mode || (!str_eq(*o, "ro") && !str_eq(*o, "rw") && !str_eq(*o, "readonly")))
			strv_push(&m->options, *o);
	if (mode)
		strv_push(&m->options, mode);
}

struct err *volumes_from(struct engine *e, struct container_spec *s)
{
	STRV_FOREACH (text, s->volumes_from) {
		_cleanup_strv_ char **parts = strv_split(*text, ":");
		_cleanup_container_ struct container *other = NULL;
		const char *mode = strv_len(parts) == 2 ? parts[1] : NULL;

		if (strv_len(parts) < 1 || strv_len(parts) > 2 ||
		    (mode && !str_eq(mode, "ro") && !str_eq(mode, "rw")))
			return err_new(
				ERR_INVALID,
				"--volumes-from \"%.128s\": write CONTAINER, CONTAINER:ro or CONTAINER:rw",
				*text);
		TRY_WRAP(container_find(e, parts[0], &other), "--volumes-from %s", *text);
		for (size_t i = 0; i < other->spec->n_mounts; i++) {
			const struct container_mount *m = &other->spec->mounts[i];
			if ((m->type == MOUNT_BIND || m->type == MOUNT_VOLUME) && !has_target(s, m->target))
				add(s, m, mode);
		}
	}
	return NULL;
}
