/* SPDX-License-Identifier: Apache-2.0 */
/* Annotations: any are allowed, and passed on in the state; those named run.oci.* change how the container is made, as in crun. */
#include "base/memory.h"
#include "base/str.h"
#include "spec.h"

static struct err *parse_context_type(struct spec *s, const struct json_cursor *note, const char *value)
{
	static const char *const types[] = {"context", "fscontext", "defcontext", "rootcontext"};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (str_eq(value, types[i])) {
			s->mount_context_type = value;
			return NULL;
		}
	}
	return json_error(note, "\"%s\" is not one of: context fscontext defcontext rootcontext", value);
}

static struct err *parse_one(struct spec *s, const struct json_cursor *note, const char *value)
{
	const char *name = note->key + strlen("run.oci.");
	if (str_eq(name, "handler") && *value)
		return json_error(note, "there is no handler \"%s\": programs run as Linux processes only",
				  value);
	if (str_eq(name, "mount_context_type"))
		return parse_context_type(s, note, value);
	if (str_eq(name, "keep_original_groups"))
		s->process.keep_original_groups = true;
	else if (str_eq(name, "systemd.force_cgroup_v1"))
		s->force_cgroup_v1 = value;
	else if (str_eq(name, "delegate-cgroup"))
		s->delegate_cgroup = *value ? value : NULL;
	else if (str_eq(name, "hooks.stdout"))
		s->hooks.stdout_path = value;
	else if (str_eq(name, "hooks.stderr"))
		s->hooks.stderr_path = value;
	return NULL;
}

struct err *spec_annotations_parse(struct spec *s)
{
	struct json_cursor notes, note;
	s->mount_context_type = "context";
	TRY(json_get_object(&s->root, "annotations", JSON_OPTIONAL, &notes));
	struct json_iter it = json_iter(&notes);
	while (json_next(&it, &note)) {
		const char *value;
		if (!*note.key)
			return json_error(&notes, "an annotation has an empty name");
		TRY(json_as_string(&note, &value));
		if (str_starts(note.key, "run.oci."))
			TRY(parse_one(s, &note, value));
	}
	return NULL;
}
