/* SPDX-License-Identifier: Apache-2.0 */
/* What image repack, insert and config have in common: umoci's flags for the step in the history, and the new image's name. */
#ifndef CLI_EDIT_FLAGS_H
#define CLI_EDIT_FLAGS_H

#include "cli.h"
#include "images/edit.h"

struct edit_flags {
	const char *tag, *author, *comment, *created, *created_by;
	bool no_history, quiet;
};

#define EDIT_FLAGS(type)                                                                                    \
	{FLAG_STRING_FIELD(type, edit.author), .name = "history.author", .metavar = "name",                 \
	 .help = "Author of the step in the image's history"},                                              \
		{FLAG_STRING_FIELD(type, edit.comment), .name = "history.comment", .metavar = "text",       \
		 .help = "Comment of the step"},                                                            \
		{FLAG_STRING_FIELD(type, edit.created), .name = "history.created", .metavar = "time",       \
		 .help = "Time of the step (RFC 3339); default: SOURCE_DATE_EPOCH, or now"},                \
		{FLAG_STRING_FIELD(type, edit.created_by), .name = "history.created_by", .metavar = "text", \
		 .help = "What made the step"},                                                             \
		{FLAG_BOOL_FIELD(type, edit.no_history), .name = "no-history",                              \
		 .help = "Add no step to the history"},                                                     \
	{                                                                                                   \
		FLAG_BOOL_FIELD(type, edit.quiet), .name = "quiet", .letter = 'q',                          \
						   .help = "Show no progress"                               \
	}

_must_check_ struct err *edit_flags_parse(const struct edit_flags *f, const char *created_by,
					  struct image_edit *ret);
/* The new image takes the name that was given, or else that of the old one, unless that was no name. */
_must_check_ struct err *edit_choose_name(const char *tag, const struct image *image, const char *what,
					  struct reference *name);
/* The new image's id, or the error, which is consumed. */
_must_check_ struct err *edit_print_result(struct err *e, const char *verb, const char *what,
					   const struct digest *id);

#endif
