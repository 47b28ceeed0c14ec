/* SPDX-License-Identifier: Apache-2.0 */
#include "config_change.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"

#define PORTS_MAX 4096

void config_change_release(struct config_change *c)
{
	strv_free(c->env);
	strv_free(c->cmd);
	strv_free(c->entrypoint);
	strv_free(c->ports);
	strv_free(c->volumes);
	strv_free(c->label_keys);
	strv_free(c->label_values);
	strv_free(c->on_build);
	json_unref(c->health);
	free(c->user);
	free(c->workdir);
	free(c->stop_signal);
	*c = (struct config_change){0};
}

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* One word with shell quoting taken off; *p moves behind it. */
static struct err *next_word(const char **p, char **ret)
{
	_cleanup_strbuf_ struct strbuf word = {0};
	const char *s = *p;
	char quote = '\0';

	for (; *s && (quote || (*s != ' ' && *s != '\t')); s++) {
		if (quote == '\'' ? *s == '\'' : quote ? *s == '"' : *s == '"' || *s == '\'') {
			quote = quote ? '\0' : *s;
		} else if (*s == '\\' && quote != '\'' && s[1]) {
			/* Between double quotes a backslash stands for itself except before these. */
			if (quote && !strchr("\"\\$", s[1]))
				strbuf_putc(&word, '\\');
			strbuf_putc(&word, *++s);
		} else {
			strbuf_putc(&word, *s);
		}
	}
	if (quote)
		return err_new(ERR_INVALID, "a %c is not closed", quote);
	*p = skip_blanks(s);
	*ret = strbuf_take(&word);
	return NULL;
}

static struct err *words(const char *args, char ***ret)
{
	_cleanup_strv_ char **v = NULL;

	while (*args) {
		char *word;
		TRY(next_word(&args, &word));
		strv_push_take(&v, word);
	}
	*ret = TAKE_PTR(v);
	return NULL;
}

/* A JSON array of strings, or NULL when it is none. */
static char **json_words(const char *args)
{
	_cleanup_json_ struct json *doc = NULL;
	char **v = NULL;
	struct err *e = args[0] == '[' ? json_parse(args, strlen(args), "arguments", &doc) : NULL;

	if (e || !doc) {
		err_free(e);
		return NULL;
	}
	struct json_cursor array = json_root(doc);
	for (size_t i = 0, n = json_array_len(&array); i < n; i++) {
		struct json_cursor item = json_at(&array, i);
		const char *s = NULL;
		e = json_as_string(&item, &s);
		if (e) {
			err_free(e);
			strv_free(v);
			return NULL;
		}
		strv_push(&v, s);
	}
	return v;
}

static struct err *set_command(char ***slot, const char *args)
{
	char **v = json_words(args);

	if (!v && !str_eq(args, "[]")) {
		strv_push(&v, "/bin/sh");
		strv_push(&v, "-c");
		strv_push(&v, args);
	}
	strv_free(*slot);
	*slot = v;
	return NULL;
}

/* KEY=VALUE …, or the old form KEY VALUE. */
static struct err *pairs(const char *args, char ***keys, char ***values)
{
	size_t first = strcspn(args, "= \t");

	if (first == 0 || !args[first])
		return err_new(ERR_INVALID, "it needs KEY=VALUE");
	if (args[first] != '=' && args[0] != '"' && args[0] != '\'') {
		strv_push_take(keys, xstrndup(args, first));
		strv_push(values, skip_blanks(args + first));
		return NULL;
	}
	while (*args) {
		_cleanup_free_ char *word = NULL;
		TRY(next_word(&args, &word));
		const char *equals = strchr(word, '=');
		if (!equals || equals == word)
			return err_new(ERR_INVALID, "%s is not KEY=VALUE", word);
		strv_push_take(keys, xstrndup(word, (size_t)(equals - word)));
		strv_push(values, equals + 1);
	}
	return NULL;
}

static struct err *add_env(struct config_change *c, const char *args)
{
	_cleanup_strv_ char **keys = NULL, **values = NULL;

	TRY(pairs(args, &keys, &values));
	for (size_t i = 0; i < strv_len(keys); i++)
		env_set(&c->env, keys[i], values[i]);
	return NULL;
}

static struct err *add_labels(struct config_change *c, const char *args)
{
	return pairs(args, &c->label_keys,
		     &c->label_values); /* a later label replaces an earlier one when written */
}

/* "80", "80/udp", "8000-8010/tcp" */
static struct err *add_port(struct config_change *c, const char *word)
{
	_cleanup_free_ char *range = xstrdup(word);
	char *protocol = strchr(range, '/'), *dash;
	uint64_t first, last;

	if (protocol)
		*protocol++ = '\0';
	if (protocol && strcasecmp(protocol, "tcp") != 0 && strcasecmp(protocol, "udp") != 0 &&
	    strcasecmp(protocol, "sctp") != 0)
		return err_new(ERR_INVALID, "%s: the protocol is none of tcp, udp, sctp", word);
	dash = strchr(range, '-');
	if (dash)
		*dash++ = '\0';
	TRY(parse_u64(range, "port", 1, 65535, &first));
	last = first;
	if (dash)
		TRY(parse_u64(dash, "port", first, 65535, &last));
	if (last - first >= PORTS_MAX)
		return err_new(ERR_LIMIT, "%s: more than %d ports", word, PORTS_MAX);
	for (uint64_t port = first; port <= last; port++) {
		char *text = xasprintf("%u/%s", (unsigned)port, protocol ? protocol : "tcp");
		for (char *p = text; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		strv_push_take(&c->ports, text);
	}
	return NULL;
}

static struct err *add_ports(struct config_change *c, const char *args)
{
	_cleanup_strv_ char **v = NULL;

	TRY(words(args, &v));
	STRV_FOREACH (word, v)
		TRY(add_port(c, *word));
	return NULL;
}

static struct err *add_volumes(struct config_change *c, const char *args)
{
	_cleanup_strv_ char **v = json_words(args);

	if (!v)
		TRY(words(args, &v));
	STRV_FOREACH (path, v) {
		if (str_empty(*path))
			return err_new(ERR_INVALID, "a volume has an empty path");
		strv_push(&c->volumes, *path);
	}
	return NULL;
}

static struct err *set_workdir(struct config_change *c, const char *args)
{
	_cleanup_free_ char *old = c->workdir;

	c->workdir = args[0] == '/' ? xstrdup(args)
				    : xasprintf("%s/%s", str_empty(old) || str_eq(old, "/") ? "" : old, args);
	return NULL;
}

static struct err *set_user(struct config_change *c, const char *args)
{
	free(c->user);
	c->user = xstrdup(args);
	return NULL;
}

static struct err *set_stop_signal(struct config_change *c, const char *args)
{
	int signum;

	TRY(signal_parse(args, &signum));
	free(c->stop_signal);
	c->stop_signal = xstrdup(args);
	return NULL;
}

static struct err *set_cmd(struct config_change *c, const char *args)
{
	c->cmd_given = true;
	return set_command(&c->cmd, args);
}

static struct err *set_entrypoint(struct config_change *c, const char *args)
{
	if (!c->cmd_given) {
		strv_free(c->cmd);
		c->cmd = NULL;
	}
	return set_command(&c->entrypoint, args);
}

static struct err *set_health(struct config_change *c, const char *args)
{
	struct json *health;

	TRY(config_health_parse(args, json_words, &health));
	json_unref(c->health);
	c->health = health;
	return NULL;
}

/* For images that are built from this one. */
static struct err *add_on_build(struct config_change *c, const char *args)
{
	static const char *const refused[] = {"ONBUILD", "FROM", "MAINTAINER"};
	_cleanup_free_ char *name = xstrndup(args, strcspn(args, " \t"));

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (strcasecmp(name, refused[i]) == 0)
			return err_new(ERR_INVALID, "%s is not possible as an instruction of ONBUILD",
				       refused[i]);
	strv_push(&c->on_build, args);
	return NULL;
}

static const struct instruction {
	const char *name;
	struct err *(*apply)(struct config_change *c, const char *args);
} instructions[] = {
	{"CMD", set_cmd},          {"ENTRYPOINT", set_entrypoint},  {"ENV", add_env},
	{"EXPOSE", add_ports},     {"HEALTHCHECK", set_health},     {"LABEL", add_labels},
	{"ONBUILD", add_on_build}, {"STOPSIGNAL", set_stop_signal}, {"USER", set_user},
	{"VOLUME", add_volumes},   {"WORKDIR", set_workdir},
};

static struct err *apply(struct config_change *c, const char *name, const char *args)
{
	for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
		if (strcasecmp(name, instructions[i].name) != 0)
			continue;
		if (!*args)
			return err_new(ERR_INVALID, "it needs an argument");
		return instructions[i].apply(c, args);
	}
	return err_new(ERR_INVALID, "the instruction is none of CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, "
				    "LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR");
}

struct err *config_change_apply(struct config_change *c, const char *instruction)
{
	const char *start = skip_blanks(instruction);
	_cleanup_free_ char *name = xstrndup(start, strcspn(start, " \t"));
	_cleanup_free_ char *args = xstrdup(skip_blanks(start + strlen(name)));

	for (size_t n = strlen(args);
	     n > 0 && (args[n - 1] == ' ' || args[n - 1] == '\t' || args[n - 1] == '\n'); n--)
		args[n - 1] = '\0';
	TRY_WRAP(apply(c, name, args), "change \"%.256s\"", instruction);
	return NULL;
}

/* -- existing configurations --------------------------------------------------------------------------------- */

static struct err *load_keys(const struct json_cursor *config, const char *key, char ***ret)
{
	struct json_cursor set, member;

	TRY(json_get_object(config, key, JSON_OPTIONAL, &set));
	struct json_iter it = json_iter(&set);
	while (json_next(&it, &member))
		strv_push(ret, member.key);
	return NULL;
}

static struct err *load_string(const struct json_cursor *config, const char *key, char **ret)
{
	const char *value = NULL;

	TRY(json_get_string(config, key, JSON_OPTIONAL, &value));
	if (!str_empty(value))
		*ret = xstrdup(value);
	return NULL;
}

struct err *config_change_load(struct config_change *c, const struct json_cursor *config)
{
	struct json_cursor labels, health, member;

	TRY(json_get_strv(config, "Env", JSON_OPTIONAL, &c->env));
	TRY(json_get_strv(config, "Cmd", JSON_OPTIONAL, &c->cmd));
	TRY(json_get_strv(config, "Entrypoint", JSON_OPTIONAL, &c->entrypoint));
	TRY(json_get_strv(config, "OnBuild", JSON_OPTIONAL, &c->on_build));
	TRY(load_keys(config, "ExposedPorts", &c->ports));
	TRY(load_keys(config, "Volumes", &c->volumes));
	TRY(load_string(config, "User", &c->user));
	TRY(load_string(config, "WorkingDir", &c->workdir));
	TRY(load_string(config, "StopSignal", &c->stop_signal));
	TRY(json_get_object(config, "Labels", JSON_OPTIONAL, &labels));
	struct json_iter it = json_iter(&labels);
	while (json_next(&it, &member)) {
		const char *value = "";
		TRY(json_as_string(&member, &value));
		strv_push(&c->label_keys, member.key);
		strv_push(&c->label_values, value);
	}
	TRY(json_get_object(config, "Healthcheck", JSON_OPTIONAL, &health));
	if (health.value)
		c->health = json_ref(health.value);
	return NULL;
}

/* A missing member and an empty one are the same; one that became empty goes. */
static void set_keys(struct json *o, const char *key, char *const *v)
{
	json_remove(o, key);
	if (!strv_len(v))
		return;
	struct json *set = json_new_object();
	STRV_FOREACH (s, v)
		json_set(set, *s, json_new_object());
	json_set(o, key, set);
}

static void set_list(struct json *o, const char *key, char *const *v)
{
	json_remove(o, key);
	if (strv_len(v))
		json_set_strv(o, key, v);
}

static void set_text(struct json *o, const char *key, const char *s)
{
	json_remove(o, key);
	if (s)
		json_set_string(o, key, s);
}

void config_change_store(const struct config_change *c, struct json *o)
{
	set_text(o, "User", c->user);
	set_keys(o, "ExposedPorts", c->ports);
	set_list(o, "Env", c->env);
	set_list(o, "Entrypoint", c->entrypoint);
	set_list(o, "Cmd", c->cmd);
	set_keys(o, "Volumes", c->volumes);
	set_text(o, "WorkingDir", c->workdir);
	json_remove(o, "Labels");
	if (c->label_keys) {
		struct json *labels = json_new_object();
		for (size_t i = 0; i < strv_len(c->label_keys); i++)
			json_set_string(labels, c->label_keys[i], c->label_values[i]);
		json_set(o, "Labels", labels);
	}
	set_text(o, "StopSignal", c->stop_signal);
	set_list(o, "OnBuild", c->on_build);
	struct json *health = c->health ? json_ref(c->health) : NULL;
	json_remove(o, "Healthcheck");
	if (health)
		json_set(o, "Healthcheck", health);
}

struct json *config_change_json(const struct config_change *c)
{
	struct json *o = json_new_object();

	config_change_store(c, o);
	return o;
}
