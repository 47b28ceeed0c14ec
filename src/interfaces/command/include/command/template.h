/* SPDX-License-Identifier: Apache-2.0 */
/* Go's text/template, as far as users of --format write it, over JSON values.
 *
 * Known: text, {{- trimming -}}, comments, fields (.A.B, $.A, $x.A), variables ($x := …, $x = …), pipelines,
 * parentheses, string, raw string, character and number literals, true, false, nil, if / else if / else,
 * range (with index and element variables, else, break, continue), with, and the functions and or not len
 * index slice print printf println eq ne lt le gt ge html js urlquery and docker's json join split title
 * lower upper pad truncate. Refused with a message: define, template, block, call.
 *
 * A member that does not exist: begins its name with a capital (a field of docker's structs), printing it is
 * an error that lists what there is; otherwise (a key of a map such as Labels) it prints "<no value>" as Go
 * does. Conditions take both as false.
 */
#ifndef COMMAND_TEMPLATE_H
#define COMMAND_TEMPLATE_H

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

struct template;

/* A method that rows have beside their fields: {{.Label "key"}}. */
struct template_method {
	const char *name;
	char *(*call)(void *user, const char *argument); /* never NULL; freed by the template */
	void *user;
};

/* ERR_INVALID with the place and the reason. The text is not needed afterwards. */
_must_check_ struct err *template_parse(const char *text, struct template **ret);
void template_free(struct template *t);
DEFINE_CLEANUP(struct template *, template_free)
#define _cleanup_template_ _cleanup_(template_freep)
/* Appends to out. `method` may be NULL. Work and output are capped (ERR_LIMIT). */
_must_check_ struct err *template_run(const struct template *t, struct json *data,
				      const struct template_method *method, struct strbuf *out);

#endif
