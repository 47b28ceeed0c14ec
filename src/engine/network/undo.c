/* SPDX-License-Identifier: Apache-2.0 */
#include "undo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/netlink.h"
#include "base/process.h"
#include "base/str.h"

struct err *names_replace(const char *path, const char *container_id, const char *line)
{
	_cleanup_free_ char *lock_path = xasprintf("%s.lock", path), *text = NULL;
	_cleanup_fd_ int lock = -1;
	_cleanup_strbuf_ struct strbuf out = {0};
	size_t size = 0, id_len = strlen(container_id);

	TRY(file_lock_at(AT_FDCWD, lock_path, FILE_LOCK_EXCLUSIVE, &lock));
	struct err *error = file_read(path, NETWORK_FILE_MAX, &text, &size);
	if (error && error->kind != ERR_NOT_FOUND)
		return error;
	err_free(error);
	for (const char *l = text; l && *l;) {
		const char *end = strchr(l, '\n');
		size_t len = end ? (size_t)(end - l) + 1 : strlen(l);
		if (strncmp(l, container_id, id_len) != 0 || l[id_len] != ' ')
			strbuf_append(&out, l, len);
		l += len;
	}
	if (line)
		strbuf_puts(&out, line);
	return file_replace_at(AT_FDCWD, path, strbuf_str(&out), out.len, 0600, FILE_VOLATILE);
}

static void undo_rules(const char *run_dir, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", run_dir, name), *batch = NULL;
	_cleanup_fd_ int sock = -1;
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	size_t size;

	struct err *error = file_read(path, NETWORK_FILE_MAX, &batch, &size);
	if (!error)
		error = netlink_open(NETLINK_NETFILTER, &sock);
	/* Refused as a whole when the table was made anew or removed meanwhile: then the elements are gone, too. */
	if (!error)
		(void)!sendto(sock, batch, size, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	err_free(error);
	(void)unlink(path);
}

static void end_process(const char *line)
{
	int pid;
	uint64_t ticks;
	_cleanup_fd_ int pidfd = -1;

	if (sscanf(line, "process %d %" SCNu64, &pid, &ticks) != 2)
		return;
	struct err *gone = process_open_exact(pid, ticks, &pidfd);
	if (!gone)
		gone = process_signal(pidfd, SIGTERM);
	err_free(gone);
}

bool network_left(const char *run_dir)
{
	_cleanup_free_ char *path = xasprintf("%s/" NETWORK_CONF, run_dir);

	return access(path, F_OK) == 0;
}

void network_undo(const char *run_dir, const char *container_id)
{
	_cleanup_free_ char *path = xasprintf("%s/" NETWORK_CONF, run_dir), *text = NULL;
	size_t size;

	struct err *error = file_read(path, NETWORK_FILE_MAX, &text, &size);
	if (error) { /* none: there was no network */
		err_free(error);
		return;
	}
	/* Each is refused as a whole unless all of its elements are there: one of them is what the table has. */
	undo_rules(run_dir, NETWORK_RULES_BEFORE);
	undo_rules(run_dir, NETWORK_RULES);
	_cleanup_strv_ char **lines = strv_split(text, "\n");
	STRV_FOREACH (l, lines) {
		end_process(*l);
		if (str_starts(*l, "names ") && strchr(*l + 6, ' '))
			err_free(names_replace(strchr(*l + 6, ' ') + 1, container_id, NULL));
	}
	(void)unlink(path);
}
