// SPDX-License-Identifier: Apache-2.0
/* system check */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "images/check.h"

struct check_flags {
	bool quick, repair;
	const char *format;
};

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static size_t count(const struct check_report *r, enum check_outcome outcome)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->problems[i].outcome == outcome;
	return n;
}

static void print_text(const struct check_report *r, bool quick)
{
	_cleanup_free_ char *read = format_size(r->bytes_read);
	size_t found = count(r, CHECK_FOUND), lost = count(r, CHECK_LOST);

	for (size_t i = 0; i < r->n; i++) {
		const struct check_problem *p = &r->problems[i];
		const char *lead = p->outcome == CHECK_REPAIRED ? "repaired: "
				   : p->outcome == CHECK_FOUND  ? "repair would: "
								: "not repaired: ";
		printf("%s: %s\n    %s%s\n", p->object, p->problem, lead, p->remedy);
	}
	printf("Looked at %zu image%s, %zu blob%s, %zu layer%s and %zu snapshot%s", r->images,
	       plural(r->images), r->blobs, plural(r->blobs), r->layers, plural(r->layers), r->snapshots,
	       plural(r->snapshots));
	if (quick)
		printf(", at sizes only.\n");
	else
		printf(" (%s read).\n", read);
	if (r->leftovers_skipped)
		puts("An image was being added: leftovers were not looked for.");
	if (r->n == 0)
		puts("Nothing is wrong.");
	else
		printf("%zu problem%s: %zu repaired, %zu can be repaired%s, %zu cannot be repaired here.\n",
		       r->n, plural(r->n), count(r, CHECK_REPAIRED), found,
		       found ? " (havre system check --repair)" : "", lost);
}

static struct json *to_json(const struct check_report *r)
{
	struct json *o = json_new_object(), *problems = json_new_array();

	json_set_bool(o, "Healthy", count(r, CHECK_FOUND) + count(r, CHECK_LOST) == 0);
	json_set_u64(o, "Images", r->images);
	json_set_u64(o, "Blobs", r->blobs);
	json_set_u64(o, "Layers", r->layers);
	json_set_u64(o, "Snapshots", r->snapshots);
	json_set_u64(o, "BytesRead", r->bytes_read);
	json_set_u64(o, "BytesFreed", r->bytes_freed);
	json_set_bool(o, "LeftoversSkipped", r->leftovers_skipped);
	for (size_t i = 0; i < r->n; i++) {
		struct json *p = json_new_object();
		json_set_string(p, "Object", r->problems[i].object);
		json_set_string(p, "Problem", r->problems[i].problem);
		json_set_string(p, "Outcome", check_outcome_name(r->problems[i].outcome));
		json_set_string(p, "Remedy", r->problems[i].remedy);
		json_append(problems, p);
	}
	json_set(o, "Problems", problems);
	return o;
}

static bool was_interrupted(void *user)
{
	return interrupted();
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct check_flags *f = in->options;
	const struct engine_check_options o = {
		.quick = f->quick, .repair = f->repair, .cancelled = was_interrupted};
	_cleanup_check_report_ struct check_report report = {0};
	struct engine *e;

	TRY(cli_engine(&e));
	interrupt_catch();
	struct err *failed = engine_check(e, &o, &report);
	interrupt_restore();
	TRY(failed);
	*ret_status = count(&report, CHECK_FOUND) + count(&report, CHECK_LOST) ? 1 : 0;
	if (f->format) {
		_cleanup_json_ struct json *object = to_json(&report);
		return format_object(f->format, object);
	}
	print_text(&report, f->quick);
	return NULL;
}

const struct command cmd_system_check = {
	.name = "system check",
	.summary = "Look for damage in what is kept, and repair it",
	.usage = "[OPTIONS]",
	.help = "Reads every blob and compares it with its digest, and looks at layers, snapshots, names and "
		"leftovers of "
		"killed commands. The status is 0 when nothing is wrong, or all of it was repaired.\n\n"
		"What is damaged is made again from what else is here; a damaged blob is removed, so that "
		"the next pull "
		"of its image fetches it. Unpacked layers have no digest: of them it is looked at that they "
		"are there.",
	.examples = "# only look\nPROGRAM system check\n# repair, and show as JSON what was done\n"
		    "PROGRAM system check --repair --format json",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct check_flags, quick), .name = "quick", .letter = 'q',
			 .help = "Compare sizes instead of digests"},
			{FLAG_BOOL_FIELD(struct check_flags, repair), .name = "repair", .letter = 'r',
			 .help = "Repair what can be repaired, remove what is left over"},
			{FLAG_STRING_FIELD(struct check_flags, format), .name = "format",
			 .metavar = "template",
			 .help = "Print with a template ({{.Healthy}}, {{json .Problems}}) or as json",
			 .values = "json"},
			{0},
		},
	.options_size = sizeof(struct check_flags),
	.max_args = 0,
	.run = run,
};
