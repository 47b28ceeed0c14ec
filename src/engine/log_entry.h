/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a log in docker's json-file format or in that of CRI (monitor/log_file.h); the first byte tells which. Parsed here and not by base/json.h, because a container's
 * output may hold any bytes, NUL among them, and because logs are long. */
#ifndef ENGINE_LOG_ENTRY_H
#define ENGINE_LOG_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct log_entry {
	struct strbuf text;       /* reused from entry to entry; the owner releases it */
	struct strbuf attributes; /* "key=value,key=value" of --log-opt labels, env and tag; likewise */
	int stream;               /* 0 stdout, 1 stderr */
	int64_t time_ns;
};
/* False: the line is damaged (cut off by a power loss). Members may come in any order, unknown ones with string values are skipped. */
bool log_entry_parse(const char *line, size_t size, struct log_entry *e);

#endif
