// SPDX-License-Identifier: Apache-2.0
/* Rows and objects as tables, JSON or templates. */
#include <stdio.h>
#include <time.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "cli.h"
#include "command/table.h"
#include "command/template.h"
#include "command/terminal.h"

#define TABLE_COLUMN_MIN 10 /* docker's */

struct label_call {
	char *(*label)(void *user, size_t row, const char *key);
	void *user;
	size_t row;
};

static char *call_label(void *user, const char *argument)
{
	struct label_call *c = user;
	char *value = c->label ? c->label(c->user, c->row, argument) : NULL;

	return value ? value : xstrdup("");
}

/* The heading of {{.Label "com.example.some-key"}} is "some key". */
static char *label_heading(void *user, size_t row, const char *key)
{
	const char *dot = strrchr(key, '.');
	char *s = xstrdup(dot ? dot + 1 : key);
	for (char *c = s; *c; c++)
		if (*c == '-' || *c == '_')
			*c = ' ';
	return s;
}

/* In a format a shell's user writes \t and \n. */
static char *unescape(const char *s)
{
	struct strbuf b = {0};

	for (; *s; s++) {
		if (s[0] == '\\' && (s[1] == 't' || s[1] == 'n'))
			strbuf_putc(&b, *++s == 't' ? '\t' : '\n');
		else
			strbuf_putc(&b, *s);
	}
	return strbuf_take(&b);
}

static struct err *run_row(const struct template *t, struct json *row, struct label_call *label,
			   struct strbuf *out)
{
	const struct template_method method = {"Label", call_label, label};

	TRY(template_run(t, row, &method, out));
	strbuf_putc(out, '\n');
	return NULL;
}

static struct err *run_rows(const struct template *t, struct json *rows, struct label_call *label,
			    struct strbuf *out)
{
	struct json_cursor all = json_root(rows);

	for (size_t i = 0, n = json_array_len(&all); i < n; i++) {
		label->row = i;
		struct json_cursor row = json_at(&all, i);
		TRY(run_row(t, row.value, label, out));
	}
	return NULL;
}

static void print_json_rows(struct json *rows)
{
	struct json_cursor all = json_root(rows);

	for (size_t i = 0, n = json_array_len(&all); i < n; i++) {
		struct json_cursor row = json_at(&all, i);
		_cleanup_free_ char *text = json_print(row.value, JSON_COMPACT);
		puts(text);
	}
}

static void put_text(const struct strbuf *b)
{
	fwrite(strbuf_str(b), 1, b->len, stdout);
}

struct err *format_rows(const char *format, const struct format_table *table, struct json *rows,
			char *(*label)(void *user, size_t row, const char *key), void *user)
{
	struct label_call call = {label, user, 0}, heading = {label_heading, NULL, 0};
	_cleanup_template_ struct template *t = NULL;
	_cleanup_strbuf_ struct strbuf out = {0};

	if (str_eq(format, "json")) {
		print_json_rows(rows);
		return NULL;
	}
	bool as_table = !format || str_eq(format, "table") || str_starts(format, "table ");
	const char *source = !format || str_eq(format, "table") ? table->columns
			     : as_table                         ? format + 6
								: format;
	_cleanup_free_ char *text = unescape(source);
	TRY(template_parse(text, &t));
	if (as_table) {
		_cleanup_json_ struct json *headings = json_new_object();
		for (const struct format_field *f = table->fields; f->name; f++)
			json_set_string(headings, f->name, f->header);
		TRY(run_row(t, headings, &heading, &out));
	}
	TRY(run_rows(t, rows, &call, &out));
	if (as_table) {
		_cleanup_strbuf_ struct strbuf aligned = {0};
		table_align(strbuf_str(&out), TABLE_COLUMN_MIN, &aligned);
		put_text(&aligned);
	} else {
		put_text(&out);
	}
	return NULL;
}

struct err *format_object(const char *format, struct json *object)
{
	_cleanup_template_ struct template *t = NULL;
	_cleanup_strbuf_ struct strbuf out = {0};

	if (str_eq(format, "json")) {
		_cleanup_free_ char *text = json_print(object, JSON_COMPACT);
		puts(text);
		return NULL;
	}
	_cleanup_free_ char *text = unescape(format);
	TRY(template_parse(text, &t));
	TRY(template_run(t, object, NULL, &out));
	strbuf_putc(&out, '\n');
	put_text(&out);
	return NULL;
}

const char *short_id(const char *id)
{
	static char ring[8][13];
	static unsigned next;
	const char *colon = strchr(id, ':');
	char *s = ring[next++ % ARRAY_SIZE(ring)];

	snprintf(s, sizeof(ring[0]), "%.12s", colon ? colon + 1 : id);
	return s;
}

#define COMMAND_WIDTH 20

char *command_text(char *const *command, bool no_trunc)
{
	_cleanup_free_ char *joined = strv_join(command, " ");
	struct strbuf b = {0};

	strbuf_putc(&b, '"');
	if (no_trunc || text_width(joined) <= COMMAND_WIDTH) {
		strbuf_puts(&b, joined);
	} else {
		size_t columns = 0;
		for (const char *c = joined; *c; c++) {
			columns += ((unsigned char)*c & 0xc0) != 0x80;
			if (columns == COMMAND_WIDTH)
				break;
			strbuf_putc(&b, *c);
		}
		strbuf_puts(&b, "…");
	}
	strbuf_putc(&b, '"');
	/* A command may hold anything; control characters would spoil the table. */
	for (char *c = b.data; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	return strbuf_take(&b);
}

char *local_date(int64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;
	char s[80];

	localtime_r(&t, &tm);
	if (strftime(s, sizeof(s), "%Y-%m-%d %H:%M:%S %z %Z", &tm) == 0)
		s[0] = '\0';
	return xstrdup(s);
}
