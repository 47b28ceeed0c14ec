/* SPDX-License-Identifier: Apache-2.0 */
/* The network of an ordinary user's container: pasta(1) carries its connections as the user's own, without any right on the host. One
 * process for each container; what keeps it is its pid in network.conf (undo.h). Addresses and routes inside are copies of the host's. */
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/process.h"
#include "pasta.h"
#include "undo.h"

#define READY_TIMEOUT_MS 10000
#define OUTPUT_MAX (64u << 10)
#define PID_FILE "pasta.pid"

struct err *pasta_check(void)
{
	_cleanup_free_ char *program = process_locate("pasta");

	if (!program)
		return err_new(ERR_NOT_FOUND,
			       "pasta is not in PATH (package passt): an ordinary user's containers "
			       "have their network through it");
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return err_errno(errno, "pasta needs /dev/net/tun");
	return NULL;
}

/* -t and -u of pasta: [ADDRESS/]HOST-PORT:PORT. */
static struct err *add_ports(const struct ports *p, char ***argv)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct port *port = &p->items[i];
		char address[IP_TEXT_MAX] = "";
		if (port->protocol != IPPROTO_TCP && port->protocol != IPPROTO_UDP)
			return err_new(ERR_UNSUPPORTED, "--publish: pasta carries tcp and udp, not %s",
				       protocol_name(port->protocol));
		if (port->twin) /* an address-less port of pasta's is one of both families */
			continue;
		if (!ip_is_any(&port->host))
			ip_text(&port->host, address);
		strv_push(argv, port->protocol == IPPROTO_TCP ? "-t" : "-u");
		strv_push_take(argv, xasprintf("%s%s%u:%u", address, *address ? "/" : "", port->host_port,
					       port->port));
	}
	return NULL;
}

static void add_none(const struct ports *p, uint8_t protocol, const char *flag, char ***argv)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].protocol == protocol)
			return;
	strv_push(argv, flag);
	strv_push(argv, "none");
}

/* It has daemonised when it ends with 0: everything is in place then. */
static struct err *run(const struct container *c, int netns, const struct ports *p)
{
	_cleanup_strv_ char **argv = NULL;
	_cleanup_free_ char *program = process_locate("pasta"), *output = NULL;
	_cleanup_free_ char *pid_file = xasprintf("%s/" PID_FILE, c->run_dir);
	size_t size;

	for (const char *const *a = (const char *const[]){"pasta", "--config-net", "--quiet", "--no-map-gw",
							  "--no-netns-quit", "-T", "none", "-U", "none",
							  "--netns", "/proc/self/fd/3", "--pid", NULL};
	     *a; a++)
		strv_push(&argv, *a);
	strv_push(&argv, pid_file);
	TRY(add_ports(p, &argv));
	add_none(p, IPPROTO_TCP, "-t", &argv);
	add_none(p, IPPROTO_UDP, "-u", &argv);
	struct process_spawn child = {.path = program,
				      .exec_fd = -1,
				      .argv = argv,
				      .stdio = {-1, -1, -1},
				      .fds = &netns,
				      .n_fds = 1,
				      .new_session = true};
	TRY_WRAP(process_run(&child, NULL, 0, READY_TIMEOUT_MS, OUTPUT_MAX, &output, &size),
		 "cannot connect the container's network with pasta");
	return NULL;
}

static struct err *note(const struct container *c)
{
	_cleanup_free_ char *pid_file = xasprintf("%s/" PID_FILE, c->run_dir), *text = NULL;
	_cleanup_free_ char *path = xasprintf("%s/" NETWORK_CONF, c->run_dir);
	_cleanup_strbuf_ struct strbuf b = {0};
	uint64_t pid, ticks;
	size_t size;

	TRY(file_read(pid_file, 64, &text, &size));
	text[strcspn(text, "\n")] = '\0';
	TRY(parse_u64(text, "pid", 1, INT32_MAX, &pid));
	TRY(process_start_time((pid_t)pid, &ticks));
	strbuf_printf(&b, "process %" PRIu64 " %" PRIu64 "\n", pid, ticks);
	STRV_FOREACH (d, c->spec->dns)
		strbuf_printf(&b, "dns %s\n", *d);
	return file_replace_at(AT_FDCWD, path, b.data, b.len, 0600, FILE_VOLATILE);
}

/* Ports that were left to us are chosen by binding them. Others are not tried: where a connection just ended only pasta, which listens, can
 * bind them at once. */
static struct err *choose(struct ports *p)
{
	struct ports open = {0};
	int holder = -1;

	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].host_port == 0 || p->items[i].host_port_last > p->items[i].host_port) {
			GROW(open.items, open.n, open.cap);
			open.items[open.n++] = p->items[i];
		}
	struct err *error = open.n ? publish_bind(&open, NULL, &holder) : NULL;
	for (size_t i = 0, k = 0; !error && i < p->n; i++)
		if (p->items[i].host_port == 0 || p->items[i].host_port_last > p->items[i].host_port)
			p->items[i] = open.items[k++];
	fd_close(holder);
	free(open.items);
	return error;
}

struct err *pasta_up(const struct container *c, int netns, struct ports *p)
{
	TRY(pasta_check());
	TRY(choose(p));
	TRY(run(c, netns, p));
	return note(c);
}
