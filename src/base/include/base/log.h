/* SPDX-License-Identifier: Apache-2.0 */
/* The log: structured and quiet. Only programs (interfaces, monitor) log, once, at the edge; libraries return
 * errors and may log at debug level only. Default: warnings and above, as text, on stderr. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format {
	LOG_FORMAT_TEXT, /* "program: warning: message"; errors without the word */
	LOG_FORMAT_JSON, /* {"level":"error","msg":"…","time":"RFC3339Nano"}, a line each: what runc's callers parse */
	LOG_FORMAT_KEYS,    /* time="…" level=error msg="…", a line each: runc's log as text */
	LOG_FORMAT_JOURNAL, /* journald's native protocol, a datagram each */
	LOG_FORMAT_SYSLOG,  /* RFC 3164 as syslog(3) sends it, a datagram each */
};

void log_init(const char *program); /* the name shown; borrowed */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_set_format(enum log_format format);
void log_set_identifier(const char *identifier); /* for journald and syslog; borrowed; default: the program */
void log_set_fd(int fd); /* borrowed; default 2. Each message is one write(2), so that files opened with
			    O_APPEND stay whole. */
_must_check_ struct err *log_level_parse(const char *s, enum log_level *ret);

void log_message(enum log_level level, const char *fmt, ...) _printf_(2, 3);
#define log_debug(...) \
	(log_get_level() <= LOG_LEVEL_DEBUG ? log_message(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_message(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
void log_err(enum log_level level, const struct err *e); /* the whole chain as one message */

#endif
