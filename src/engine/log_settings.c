/* SPDX-License-Identifier: Apache-2.0 */
#include "log_settings.h"

#include <ctype.h>
#include <stdlib.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct driver {
	const char *name, *format, *options; /* options: words separated by blanks */
	uint64_t max_size;
	unsigned max_file;
};
static const struct driver drivers[] = {
	{"json-file", "json", "max-size max-file labels env tag mode max-buffer-size compress", 0, 1},
	{"local", "json", "max-size max-file labels env tag mode max-buffer-size compress", 20000000, 5},
	{"k8s-file", "k8s", "max-size max-file mode max-buffer-size compress", 0, 1},
	{"journald", "journal", "labels env tag mode max-buffer-size", 0, 1},
	{"none", NULL, "", 0, 1},
};

static const struct driver *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (str_eq(drivers[i].name, name ? name : "json-file"))
			return &drivers[i];
	return NULL;
}

bool log_settings_has_file(const struct container_spec *s)
{
	const struct driver *d = find(s->log_driver);

	return d && d->format && !str_eq(d->format, "journal");
}

struct settings {
	uint64_t max_size;
	unsigned max_file;
	const char *labels, *env, *tag; /* borrowed */
};

static bool has_option(const struct driver *d, const char *name, size_t n)
{
	_cleanup_strv_ char **known = strv_split(d->options, " ");
	_cleanup_free_ char *asked = xstrndup(name, n);

	return strv_contains(known, asked);
}

static struct err *parse_option(const char *o, struct settings *s)
{
	const char *value = strchr(o, '=') + 1;
	uint64_t n;

	if (str_starts(o, "max-size=")) {
		if (str_eq(value, "-1"))
			s->max_size = 0;
		else
			TRY_WRAP(parse_size(value, "max-size", &s->max_size), "invalid log option");
	} else if (str_starts(o, "max-file=")) {
		TRY_WRAP(parse_u64(value, "max-file", 1, 1000, &n), "invalid log option");
		s->max_file = (unsigned)n;
	} else if (str_starts(o, "labels=")) {
		s->labels = value;
	} else if (str_starts(o, "env=")) {
		s->env = value;
	} else if (str_starts(o, "tag=")) {
		s->tag = value;
	} else if (str_starts(o, "mode=")) {
		if (!str_eq(value, "blocking") && !str_eq(value, "non-blocking"))
			return err_new(ERR_INVALID, "log option mode=%.32s: it is blocking or non-blocking",
				       value);
	} else if (str_starts(o, "compress=") && !str_eq(value, "false")) {
		return err_new(ERR_UNSUPPORTED,
			       "log option compress=%.32s: rotated logs are not compressed here", value);
	}
	return NULL;
}

static struct err *parse(const struct container_spec *spec, const struct driver **ret_driver,
			 struct settings *ret)
{
	const struct driver *d = find(spec->log_driver);

	if (!d)
		return err_new(ERR_UNSUPPORTED,
			       "--log-driver %.64s is not available: there are json-file, local, k8s-file, "
			       "journald and none",
			       spec->log_driver);
	*ret = (struct settings){.max_size = d->max_size, .max_file = d->max_file};
	STRV_FOREACH (o, spec->log_opts) {
		size_t n = strcspn(*o, "=");
		if (!has_option(d, *o, n))
			return err_new(ERR_INVALID, "unknown log option \"%.64s\" for the log driver %s%s%s",
				       *o, d->name, *d->options ? ", which has " : "", d->options);
		if (!(*o)[n])
			return err_new(ERR_INVALID, "the log option %.64s needs a value: %.64s=VALUE", *o,
				       *o);
		TRY(parse_option(*o, ret));
	}
	if (ret->max_file > 1 && !ret->max_size)
		return err_new(ERR_INVALID, "max-file cannot be used without max-size");
	*ret_driver = d;
	return NULL;
}

struct err *log_settings_check(const struct container_spec *s)
{
	const struct driver *d;
	struct settings settings;

	return parse(s, &d, &settings);
}

/* -- attributes of entries ------------------------------------------------------------------------------------------ */

/* docker's templates of a tag, as far as they have a meaning here. */
static char *expand_tag(const struct container *c, const char *tag)
{
	const struct {
		const char *field, *value;
		int max;
	} fields[] = {{"{{.ID}}", c->id, 12},
		      {"{{.FullID}}", c->id, 64},
		      {"{{.Name}}", c->name, 1000},
		      {"{{.ImageName}}", c->image_name, 1000},
		      {"{{.ImageFullID}}", c->image.s, 1000},
		      {"{{.DaemonName}}", "havre", 1000}};
	struct strbuf out = {0};

	while (*tag) {
		size_t i = 0;
		while (i < ARRAY_SIZE(fields) && !str_starts(tag, fields[i].field))
			i++;
		if (i == ARRAY_SIZE(fields)) {
			strbuf_putc(&out, *tag++);
			continue;
		}
		strbuf_printf(&out, "%.*s", fields[i].max, fields[i].value);
		tag += strlen(fields[i].field);
	}
	return strbuf_take(&out);
}

/* Those of KEY=value pairs whose keys are listed, "a,b". */
static void add_chosen(struct json *o, char *const *pairs, const char *chosen)
{
	_cleanup_strv_ char **keys = strv_split(chosen ?: "", ",");

	STRV_FOREACH (key, keys) {
		const char *value = env_get(pairs, *key);
		if (value)
			json_set_string(o, *key, value);
	}
}

static struct json *attributes(const struct container *c, const struct settings *s)
{
	struct json *o = json_new_object();

	add_chosen(o, c->labels, s->labels);
	add_chosen(o, c->spec->env, s->env);
	if (s->tag) {
		_cleanup_free_ char *tag = expand_tag(c, s->tag);
		json_set_string(o, "tag", tag);
	}
	return o;
}

/* The journal's names are upper-case letters, digits and underscores, and begin with a letter. */
static void put_field(struct strbuf *b, const char *name, const char *value)
{
	size_t start = b->len;

	for (const char *p = name; *p; p++)
		strbuf_putc(b, isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_');
	if (b->len == start || !isalpha((unsigned char)b->data[start]) || strchr(value, '\n')) {
		b->len = start; /* none that the journal would take */
		return;
	}
	strbuf_printf(b, "=%s\n", value);
}

static char *journal_fields(const struct container *c, const struct settings *s)
{
	_cleanup_json_ struct json *chosen = json_new_object();
	_cleanup_free_ char *tag = expand_tag(c, s->tag ? s->tag : "{{.ID}}"),
			    *short_id = xstrndup(c->id, 12);
	struct json_cursor root = json_root(chosen), member;
	struct strbuf b = {0};

	put_field(&b, "CONTAINER_ID", short_id);
	put_field(&b, "CONTAINER_ID_FULL", c->id);
	put_field(&b, "CONTAINER_NAME", c->name);
	put_field(&b, "CONTAINER_TAG", tag);
	put_field(&b, "IMAGE_NAME", c->image_name);
	put_field(&b, "SYSLOG_IDENTIFIER", tag);
	add_chosen(chosen, c->labels, s->labels);
	add_chosen(chosen, c->spec->env, s->env);
	for (struct json_iter it = json_iter(&root); json_next(&it, &member);) {
		const char *value;
		struct err *e = json_as_string(&member, &value);
		if (!e)
			put_field(&b, member.key, value);
		err_free(e);
	}
	return strbuf_take(&b);
}

struct err *log_settings_config(const struct container *c, struct json *config)
{
	const struct driver *d;
	struct settings s;

	TRY(parse(c->spec, &d, &s));
	if (!d->format)
		return NULL;
	struct json *log = json_new_object();
	json_set(config, "log", log);
	json_set_string(log, "format", d->format);
	if (str_eq(d->format, "journal")) {
		const char *socket = getenv("HAVRE_JOURNAL_SOCKET");
		_cleanup_free_ char *fields = journal_fields(c, &s);
		json_set_string(log, "path", str_empty(socket) ? JOURNAL_SOCKET : socket);
		json_set_string(log, "extra", fields);
		return NULL;
	}
	json_set_string(log, "path", c->log_path);
	json_set_u64(log, "max_size", s.max_size);
	json_set_u64(log, "max_file", s.max_file);
	_cleanup_json_ struct json *attrs = attributes(c, &s);
	struct json_cursor root = json_root(attrs), member;
	struct json_iter it = json_iter(&root);
	if (json_next(&it, &member)) {
		_cleanup_free_ char *text = json_print(attrs, JSON_COMPACT);
		_cleanup_free_ char *extra = xasprintf("\"attrs\":%s,", text);
		json_set_string(log, "extra", extra);
	}
	return NULL;
}
