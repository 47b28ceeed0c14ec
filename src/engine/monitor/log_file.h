/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a container's log. In docker's json-file format, a line per entry:
 *   {"log":"text\n","stream":"stdout","attrs":{"key":"value"},"time":"2026-11-24T00:00:00.000000000Z"}
 * or in that of container runtimes under Kubernetes (CRI), F for whole lines and P for parts:
 *   2026-11-24T00:00:00.000000000Z stdout F text
 * or to the machine's journal (log_journal.c).
 * A line longer than LOG_LINE_MAX is several entries, of which only the last ends in a newline.
 *
 * With max_size the file is rotated to PATH.1 … PATH.(max_file - 1), oldest dropped. Files are only ever appended to,
 * renamed or unlinked, never truncated: a reader that holds the old file can finish it. */
#ifndef ENGINE_MONITOR_LOG_FILE_H
#define ENGINE_MONITOR_LOG_FILE_H

#include <stdint.h>

#include "base/str.h"

#define LOG_LINE_MAX (16u << 10)

enum log_format { LOG_JSON, LOG_K8S, LOG_JOURNAL };

struct log_file {
	char *path; /* NULL: no log is written; of the journal its socket */
	enum log_format format;
	char *extra; /* NULL, or what each entry has: `"attrs":{…},` or the journal's NAME=value lines */
	int fd;
	uint64_t size, max_size;  /* 0: no limit */
	unsigned max_file;        /* at least 1 */
	struct strbuf partial[2]; /* the unfinished lines of stdout and stderr */
	struct strbuf pending;    /* entries not yet written */
	int failed;               /* errno of the first entry that was lost, or 0 */
};

/* Opens for appending, making the file when missing. Owns a copy of path. */
_must_check_ struct err *log_file_open(struct log_file *l, const char *path, uint64_t max_size,
				       unsigned max_file);
/* The journal: l->path is its socket. A connection that broke is made anew once an entry. */
_must_check_ struct err *log_journal_open(struct log_file *l);
void log_journal_entry(struct log_file *l, int stream, const char *text, size_t n);
/* A log that cannot be written never stops the container: `failed` remembers it. stream: 0 stdout, 1 stderr. */
void log_file_write(struct log_file *l, int stream, const char *data, size_t size);
void log_file_flush_partial(struct log_file *l);
void log_file_release(struct log_file *l);

#endif
