// SPDX-License-Identifier: Apache-2.0
/* image trust: which images may be used. podman's image trust show and set. */
#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "cli.h"
#include "commands.h"
#include "images/trust.h"

#define POLICY_MAX ((size_t)4 << 20)
#define KEYS_OUTPUT_MAX ((size_t)1 << 20)

struct trust_flags {
	const char *policy, *type;
	char **keys;
	bool json, raw;
};

/* -- show ------------------------------------------------------------------------------------------------------- */

/* Whose keys are in a file: addresses, or what is said instead of one. gpg knows; without it nothing is said. */
static void add_owners(const char *path, char ***owners)
{
	_cleanup_free_ char *gpg = process_locate("gpg"), *output = NULL;
	char *const argv[] = {(char *)"gpg",
			      (char *)"--batch",
			      (char *)"--with-colons",
			      (char *)"--show-keys",
			      (char *)"--",
			      (char *)path,
			      NULL};
	struct process_spawn p = {.path = gpg, .exec_fd = -1, .argv = argv, .stdio = {-1, -1, -1}};
	size_t size;

	struct err *e = gpg ? process_run(&p, NULL, 0, 30000, KEYS_OUTPUT_MAX, &output, &size) : NULL;
	err_free(e);
	_cleanup_strv_ char **lines = output ? strv_split(output, "\n") : NULL;
	STRV_FOREACH (line, lines) {
		if (!str_starts(*line, "uid:"))
			continue;
		const char *field = *line;
		for (int i = 0; field && i < 9; i++) {
			field = strchr(field, ':');
			field += field != NULL;
		}
		_cleanup_free_ char *uid = field ? xstrndup(field, strcspn(field, ":")) : xstrdup("");
		const char *open = strrchr(uid, '<');
		_cleanup_free_ char *owner = open ? xstrndup(open + 1, strcspn(open + 1, ">")) : xstrdup(uid);
		str_hide_controls(owner);
		if (!strv_contains(*owners, owner))
			strv_push(owners, owner);
	}
}

static struct err *print_table(struct json *rules)
{
	static const struct format_field fields[] = {{"Transport", "TRANSPORT"}, {"Name", "NAME"},
						     {"Type", "TYPE"},           {"ID", "ID"},
						     {"Keys", "KEYS"},           {0}};
	static const struct format_table table = {fields,
						  "{{.Transport}}\t{{.Name}}\t{{.Type}}\t{{.ID}}\t{{.Keys}}"};
	_cleanup_json_ struct json *rows = json_new_array();
	struct json_cursor all = json_root(rules);

	for (size_t i = 0; i < json_array_len(&all); i++) {
		struct json_cursor rule = json_at(&all, i);
		_cleanup_strv_ char **keys = NULL, **owners = NULL;
		const char *transport = "", *name = "", *type = "";
		TRY(json_get_string(&rule, "transport", JSON_REQUIRED, &transport));
		TRY(json_get_string(&rule, "repo_name", JSON_REQUIRED, &name));
		TRY(json_get_string(&rule, "type", JSON_REQUIRED, &type));
		TRY(json_get_strv(&rule, "keys", JSON_OPTIONAL, &keys));
		if (str_eq(type, "signed"))
			STRV_FOREACH (key, keys)
				add_owners(*key, &owners);
		_cleanup_free_ char *id = strv_join(owners, ", "), *files = strv_join(keys, ", ");
		struct json *row = json_new_object();
		json_set_string(row, "Transport", transport);
		json_set_string(row, "Name", name);
		json_set_string(row, "Type", type);
		json_set_string(row, "ID", id);
		json_set_string(row, "Keys", files);
		json_append(rows, row);
	}
	return format_rows(NULL, &table, rows, NULL, NULL);
}

static struct err *show(const struct trust_flags *f)
{
	_cleanup_trust_policy_ struct trust_policy *policy = NULL;
	_cleanup_free_ char *usual = f->policy ? NULL : trust_policy_path();

	if (f->raw) {
		_cleanup_free_ char *text = NULL;
		size_t size;
		TRY(file_read(f->policy ? f->policy : usual, POLICY_MAX, &text, &size));
		fwrite(text, 1, size, stdout);
		return NULL;
	}
	TRY(trust_policy_load(f->policy, &policy));
	_cleanup_json_ struct json *rules = trust_policy_rules(policy);
	if (f->json)
		return format_object("json", rules);
	return print_table(rules);
}

/* -- the command ------------------------------------------------------------------------------------------------ */

static struct err *set(struct invocation *in, const struct trust_flags *f)
{
	struct trust_change c = {.type = f->type, .keys = f->keys};

	if (in->n_args != 2)
		return usage_error(in,
				   "set needs one scope: a registry, a namespace, a repository, an image, or "
				   "\"default\"");
	if (!str_eq(in->args[1], "default"))
		c.scope = in->args[1];
	return trust_policy_change(f->policy, &c);
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct trust_flags *f = in->options;

	if (str_eq(in->args[0], "set"))
		return set(in, f);
	if (!str_eq(in->args[0], "show"))
		return usage_error(in, "\"%s\" is neither show nor set", in->args[0]);
	if (in->n_args > 1)
		return usage_error(in, "show takes no more arguments");
	return show(f);
}

const struct command cmd_image_trust = {
	.name = "image trust",
	.summary = "Show or set which images may be used",
	.usage = "[OPTIONS] show | set SCOPE",
	.help = "The signature policy (containers-policy.json(5)) says for each registry, namespace, "
		"repository or "
		"image what it "
		"needs to be accepted: nothing (accept), a GPG signature (signedBy), a signature of sigstore "
		"(sigstoreSigned), or that it is refused (reject). The "
		"most specific scope counts; \"default\" is what counts for everything else. Without a "
		"policy file "
		"everything is accepted, as with docker; the first `set` makes one.",
	.examples = "PROGRAM image trust show\nPROGRAM image trust set -t reject default\n"
		    "PROGRAM image trust set -t signedBy -f team.asc registry.example/team",
	.flags =
		(const struct flag[]){
			{FLAG_BOOL_FIELD(struct trust_flags, json), .name = "json", .letter = 'j',
			 .help = "Show as JSON"},
			{FLAG_STRING_FIELD(struct trust_flags, policy), .name = "policypath",
			 .metavar = "file",
			 .help = "The policy (default: ~/.config/containers/policy.json, or else "
				 "/etc/containers/policy.json)",
			 .values = "@file"},
			{FLAG_LIST_FIELD(struct trust_flags, keys), .name = "pubkeysfile", .letter = 'f',
			 .metavar = "file", .help = "A file with public keys that are trusted (set)",
			 .values = "@file"},
			{FLAG_BOOL_FIELD(struct trust_flags, raw), .name = "raw",
			 .help = "Show the file as it is"},
			{FLAG_CHOICE_FIELD(struct trust_flags, type), .name = "type", .letter = 't',
			 .metavar = "type", .help = "What is needed (set; default: signedBy)",
			 .values = "accept reject signedBy sigstoreSigned"},
			{0},
		},
	.options_size = sizeof(struct trust_flags),
	.defaults = &(const struct trust_flags){.type = "signedBy"},
	.min_args = 1,
	.max_args = 2,
	.args_values = "show set",
	.traits = COMMAND_LOCAL,
	.run = run,
};
