// SPDX-License-Identifier: Apache-2.0
#include "edit_flags.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/timestamp.h"

struct err *edit_flags_parse(const struct edit_flags *f, const char *created_by, struct image_edit *ret)
{
	*ret = (struct image_edit){
		.author = f->author,
		.comment = f->comment,
		.created_by = f->created_by ? f->created_by : created_by,
		.created_ns = INT64_MIN,
		.no_history = f->no_history,
	};
	return f->created ? timestamp_parse(f->created, &ret->created_ns) : NULL;
}

struct err *edit_choose_name(const char *tag, const struct image *image, const char *what,
			     struct reference *name)
{
	struct err *e = reference_parse(tag ? tag : what, name);

	if (tag) {
		TRY(e);
		return digest_is_set(&name->digest)
			       ? err_new(ERR_INVALID, "%s: a new image cannot be given a digest", tag)
			       : NULL;
	}
	_cleanup_free_ char *canonical = e ? NULL : reference_string(name);
	if (!e && !digest_is_set(&name->digest) && strv_contains(image->names, canonical))
		return NULL;
	err_free(e);
	reference_release(name);
	*name = REFERENCE_NONE;
	return NULL;
}

struct err *edit_print_result(struct err *e, const char *verb, const char *what, const struct digest *id)
{
	TRY_WRAP(e, "cannot %s %s", verb, what);
	puts(id->s);
	return NULL;
}
