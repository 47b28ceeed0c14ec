/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"

static struct {
	const char *program;
	enum log_level level;
	enum log_format format;
	int fd;
	const char *identifier;
} state = {"havre", LOG_LEVEL_WARN, LOG_FORMAT_TEXT, STDERR_FILENO, NULL};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_init(const char *program)
{
	state.program = program;
}

void log_set_level(enum log_level level)
{
	state.level = level;
}

enum log_level log_get_level(void)
{
	return state.level;
}

void log_set_format(enum log_format format)
{
	state.format = format;
}

void log_set_identifier(const char *identifier)
{
	state.identifier = identifier;
}

void log_set_fd(int fd)
{
	state.fd = fd;
}

struct err *log_level_parse(const char *s, enum log_level *ret)
{
	static const struct {
		const char *name;
		enum log_level level;
	} names[] = {
		{"trace", LOG_LEVEL_DEBUG}, {"debug", LOG_LEVEL_DEBUG},  {"info", LOG_LEVEL_INFO},
		{"warn", LOG_LEVEL_WARN},   {"warning", LOG_LEVEL_WARN}, {"error", LOG_LEVEL_ERROR},
		{"fatal", LOG_LEVEL_ERROR}, {"panic", LOG_LEVEL_ERROR},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(s, names[i].name) == 0) {
			*ret = names[i].level;
			return NULL;
		}
	}
	return err_new(ERR_INVALID, "unknown log level \"%.32s\": use debug, info, warn or error", s);
}

/* syslog(3)'s severities. */
static int severity(enum log_level level)
{
	static const int numbers[] = {7, 6, 4, 3};
	return numbers[level];
}

/* A field of journald's native protocol: one with a line feed in it is sent with its length, in little endian. */
static void journal_field(struct strbuf *out, const char *name, const char *value)
{
	size_t n = strlen(value);
	if (!strchr(value, '\n')) {
		strbuf_printf(out, "%s=%s\n", name, value);
		return;
	}
	strbuf_printf(out, "%s\n", name);
	for (unsigned shift = 0; shift < 64; shift += 8)
		strbuf_append(out, &(char){(char)((uint64_t)n >> shift & 0xff)}, 1);
	strbuf_printf(out, "%s\n", value);
}

static void render(struct strbuf *out, enum log_level level, char *text)
{
	char now[TIMESTAMP_STRING_MAX];
	const char *who = state.identifier ? state.identifier : state.program;

	timestamp_format(timestamp_now_ns(), now);
	switch (state.format) {
	case LOG_FORMAT_TEXT:
		str_hide_controls(text);
		strbuf_printf(out, "%s: %s%s%s\n", state.program,
			      level == LOG_LEVEL_ERROR ? "" : level_names[level],
			      level == LOG_LEVEL_ERROR ? "" : ": ", text);
		break;
	case LOG_FORMAT_JSON:
		strbuf_printf(out, "{\"level\":\"%s\",\"msg\":", level_names[level]);
		json_quote(out, text, strlen(text));
		strbuf_printf(out, ",\"time\":\"%s\"}\n", now);
		break;
	case LOG_FORMAT_KEYS:
		strbuf_printf(out, "time=\"%s\" level=%s msg=", now, level_names[level]);
		json_quote(out, text, strlen(text));
		strbuf_puts(out, "\n");
		break;
	case LOG_FORMAT_JOURNAL:
		strbuf_printf(out, "PRIORITY=%d\n", severity(level));
		journal_field(out, "SYSLOG_IDENTIFIER", who);
		journal_field(out, "MESSAGE", text);
		break;
	case LOG_FORMAT_SYSLOG: /* facility 1: user */
		str_hide_controls(text);
		strbuf_printf(out, "<%d>%s[%d]: %s", 1 << 3 | severity(level), who, getpid(), text);
		break;
	}
}

void log_message(enum log_level level, const char *fmt, ...)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	va_list ap;

	if (level < state.level)
		return;
	va_start(ap, fmt);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	va_end(ap);
	render(&out, level, text);
	/* A log that cannot be written has nobody to tell. */
	ssize_t n _unused_ = write(state.fd, out.data, out.len);
}

void log_err(enum log_level level, const struct err *e)
{
	_cleanup_free_ char *text = err_text(e);

	log_message(level, "%s", text);
}
