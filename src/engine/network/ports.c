/* SPDX-License-Identifier: Apache-2.0 */
/* The published ports of a run: what was asked for, at the addresses of this start; bound, in their row, in the rules. And all of it anew
 * while the container runs: the monitor gets a new holder in exchange for its own, so that no port is free for a moment. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"
#include "engine/stream.h"
#include "join.h"
#include "monitor/monitor.h"
#include "undo.h"

/* -- what was asked for --- */

const struct endpoint *endpoint_gateway(const struct endpoints *v, bool v6)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct network *n = v->items[i].network;
		if (!n->spec.internal && (v6 ? n->gateway6.family && v->items[i].ip6.family
					     : n->gateway4.family && v->items[i].ip4.family))
			return &v->items[i];
	}
	return NULL;
}

void ports_push(struct ports *to, struct port p, const struct ip *host, const struct ip *target, bool twin)
{
	p.host = *host;
	p.target = *target;
	p.twin = twin;
	GROW(to->items, to->n, to->cap);
	to->items[to->n++] = p;
}

/* What was asked for, with the addresses of this start. */
static struct err *resolve_ports(const struct container_spec *s, const struct endpoints *v, struct ports *ret)
{
	static const struct ip any4 = {.family = AF_INET}, any6 = {.family = AF_INET6};
	const struct endpoint *v4 = endpoint_gateway(v, false), *v6 = endpoint_gateway(v, true);
	struct ports asked = {0}, exposed = {0};

	if ((!v4 || !network_is_bridge(v4->network)) && (!v6 || !network_is_bridge(v6->network)))
		return NULL;
	TRY(publish_parse(s->publish, "--publish", &asked));
	struct err *error = s->publish_all ? publish_parse(s->expose, "--expose", &exposed) : NULL;
	for (size_t i = 0; !error && i < asked.n + exposed.n; i++) {
		struct port p = i < asked.n ? asked.items[i] : exposed.items[i - asked.n];
		bool chosen = false;
		for (size_t k = 0; i >= asked.n && k < asked.n; k++)
			chosen |= asked.items[k].port == p.port && asked.items[k].protocol == p.protocol;
		if (chosen)
			continue;
		if (p.host.family == AF_INET && !v4)
			error = err_new(ERR_INVALID,
					"--publish: the container has no IPv4 network for port %u", p.port);
		else if (p.host.family == AF_INET6 && !v6)
			error = err_new(ERR_INVALID,
					"--publish: the container has no IPv6 network for port %u on an IPv6 "
					"address; make one "
					"with `network create --ipv6`",
					p.port);
		else if (p.host.family)
			ports_push(ret, p, &p.host, p.host.family == AF_INET ? &v4->ip4 : &v6->ip6, false);
		else if (v4 && v4->network->binding4.family)
			ports_push(ret, p, &v4->network->binding4, &v4->ip4, false);
		if (error || p.host.family || (v4 && v4->network->binding4.family))
			continue;
		if (v4)
			ports_push(ret, p, &any4, &v4->ip4, false);
		if (v6)
			ports_push(ret, p, &any6, &v6->ip6, v4 != NULL);
	}
	free(asked.items);
	free(exposed.items);
	if (error) {
		free(ret->items);
		*ret = (struct ports){0};
	}
	return error;
}

/* A port published on loopback reaches the container with a source of 127.0.0.1, which the kernel only routes when told so. */
static void allow_localnet(const struct ports *p, const struct endpoints *v)
{
	const struct endpoint *v4 = endpoint_gateway(v, false);

	for (size_t i = 0; v4 && i < p->n; i++) {
		const struct ip *host = &p->items[i].host;
		if (host->family != AF_INET || (!ip_is_any(host) && !ip_is_loopback(host)))
			continue;
		_cleanup_free_ char *path =
			xasprintf("/proc/sys/net/ipv4/conf/%s/route_localnet", v4->network->interface);
		_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
		(void)!write(fd, "1", 1); /* without it only loopback is missing */
		return;
	}
}

/* How packets get from the host's port to the container, but for the rules. */
static struct err *prepare_links(const struct ports *p, const struct endpoints *v)
{
	if (p->n == 0)
		return NULL;
	allow_localnet(p, v);
	for (size_t i = 0; i < v->n; i++)
		if (network_is_bridge(v->items[i].network))
			TRY(link_hairpin(&v->items[i]));
	return NULL;
}

/* -- at a start --- */

static struct err *write_row(struct engine *e, const struct container *c, const struct ports *p)
{
	struct db *db;
	_cleanup_free_ char *text = ports_to_text(p);

	TRY(engine_db(e, &db));
	return db_run(db, NULL, "INSERT OR REPLACE INTO ports (container, ports) VALUES (?,?)", "ss", c->id,
		      text);
}

/* What takes the rules back is there before they are. */
static struct err *write_undo(struct engine *e, const struct container *c, const struct ports *p)
{
	_cleanup_strbuf_ struct strbuf batch = {0};
	_cleanup_free_ char *path = xasprintf("%s/" NETWORK_RULES, c->run_dir);

	rules_unpublish_batch(e, p, &batch);
	if (batch.len)
		return file_replace_at(AT_FDCWD, path, batch.data, batch.len, 0600, FILE_VOLATILE);
	(void)unlink(path);
	return NULL;
}

static struct err *publish(struct engine *e, const struct container *c, const struct endpoints *v,
			   struct ports *p, int *ret_holder)
{
	if (p->n)
		TRY(publish_bind(p, NULL, ret_holder));
	/* The row first: who makes the table anew from now on includes them. */
	TRY(write_row(e, c, p));
	if (p->n == 0)
		return NULL;
	TRY(prepare_links(p, v));
	TRY(write_undo(e, c, p));
	return rules_publish(e, p);
}

struct err *ports_publish(struct engine *e, const struct container *c, const struct endpoints *v,
			  int *ret_holder)
{
	struct ports p = {0};

	if (!c->spec->publish && !c->spec->publish_all)
		return NULL;
	TRY(resolve_ports(c->spec, v, &p));
	struct err *error = publish(e, c, v, &p, ret_holder);
	free(p.items);
	return error;
}

/* -- while it runs --- */

static struct err *read_row(struct engine *e, const struct container *c, struct ports *ret)
{
	struct db *db;
	_cleanup_db_stmt_ struct db_stmt *stmt = NULL;
	bool row;

	TRY(engine_db(e, &db));
	TRY(db_query(db, &stmt, "SELECT ports FROM ports WHERE container=?", "s", c->id));
	TRY(db_step(stmt, &row));
	return row ? ports_from_text(db_column_text(stmt, 0), ret) : NULL;
}

static bool is_same(const struct port *wanted, const struct port *held)
{
	return wanted->protocol == held->protocol && wanted->port == held->port &&
	       ip_equal(&wanted->host, &held->host) &&
	       (wanted->host_port == 0 ||
		(held->host_port >= wanted->host_port && held->host_port <= wanted->host_port_last));
}

static bool asked_by_number(const struct ports *asked, const struct port *held)
{
	for (size_t i = 0; i < asked->n; i++) {
		const struct port *p = &asked->items[i];
		if (p->host_port && p->protocol == held->protocol && p->port == held->port &&
		    held->host_port >= p->host_port && held->host_port <= p->host_port_last)
			return true;
	}
	return false;
}

/* Which of the wanted ones are bound already, and where. True: what is bound is all wanted. A port that the kernel chose is kept for who
 * asked for any: it is none that was `asked` for by its number until now. */
static bool match_held(struct ports *wanted, const struct ports *asked, const struct ports *now,
		       bool *already)
{
	_cleanup_free_ bool *used = xnew_array(bool, now->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < wanted->n; i++) {
		struct port *p = &wanted->items[i];
		for (size_t k = 0; k < now->n && !already[i]; k++) {
			const struct port *o = &now->items[k];
			if (used[k] || !is_same(p, o) || (!p->host_port && asked_by_number(asked, o)))
				continue;
			already[i] = used[k] = true;
			p->host_port = p->host_port_last = o->host_port;
			n++;
		}
	}
	return n == now->n;
}

/* The holder that the monitor has. */
static struct err *monitor_holder(int sock, int *ret_fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return err_errno(errno, "cannot find the container's monitor");
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, MONITOR_FD_PORTS, 0);
	if (fd < 0)
		return err_errno(errno, "cannot take the ports that monitor %d holds", (int)peer.pid);
	*ret_fd = fd;
	return NULL;
}

static struct err *hand_over(int sock, int holder)
{
	struct stream_parser parser = {0};
	unsigned char header[STREAM_HEADER_SIZE];
	struct stream_frame f = {0};

	stream_header(header, STREAM_PORTS, 0);
	TRY(fd_send(sock, header, sizeof(header), &holder, 1));
	struct err *error = stream_receive(sock, &parser, "the container's monitor", &f);
	while (!error && f.type != STREAM_PORTS_HELD)
		error = stream_receive(sock, &parser, "the container's monitor", &f);
	stream_parser_release(&parser);
	return error ? err_wrap(error, "cannot hand the published ports over (a monitor of an older version "
				       "cannot take them: restart the container)")
		     : NULL;
}

static struct err *connect_monitor(const struct container *c, int *ret_sock)
{
	_cleanup_free_ char *path = xasprintf("%s/attach.sock", c->run_dir);
	const unsigned char nothing[] = {0};
	_cleanup_fd_ int sock = -1;

	TRY(fd_unix_connect(path, SOCK_STREAM, &sock));
	TRY(stream_send(sock, STREAM_HELLO, nothing, sizeof(nothing)));
	*ret_sock = TAKE_FD(sock);
	return NULL;
}

/* The rows and the rules: what was, or what will be; the table is made anew of whichever the rows say. */
static struct err *exchange_rules(struct engine *e, const struct container *c, const struct ports *p)
{
	struct db *db;
	_cleanup_free_ char *rules = xasprintf("%s/" NETWORK_RULES, c->run_dir),
			    *before = xasprintf("%s/" NETWORK_RULES_BEFORE, c->run_dir);

	if (rename(rules, before) < 0 && errno != ENOENT)
		return err_errno(errno, "cannot rename %s", rules);
	TRY(write_undo(e, c, p));
	TRY(engine_db(e, &db));
	TRY(db_begin(db));
	struct err *error = write_row(e, c, p);
	if (!error)
		error = networks_changed(e);
	if (!error)
		error = db_commit(db, false);
	if (error) {
		db_rollback(db);
		return error;
	}
	TRY(rules_ensure(e));
	(void)unlink(before);
	return NULL;
}

static struct err *change(struct engine *e, const struct container *c, const struct endpoints *v,
			  const struct ports *asked, const struct ports *now, struct ports *wanted)
{
	_cleanup_free_ bool *already = xnew_array(bool, wanted->n + 1);
	_cleanup_fd_ int sock = -1, held = -1, all = -1, final = -1;
	bool nothing_dropped = match_held(wanted, asked, now, already);

	TRY(connect_monitor(c, &sock));
	if (now->n)
		TRY(monitor_holder(sock, &held));
	/* First what was and what comes is held, then only what stays: a kill in between leaves a port too many bound, and none too few. */
	TRY(publish_bind(wanted, &(struct ports_held){.already = already, .holder = held}, &all));
	TRY(hand_over(sock, all));
	TRY(prepare_links(wanted, v));
	TRY(exchange_rules(e, c, wanted));
	if (nothing_dropped)
		return NULL;
	memset(already, true, wanted->n);
	TRY(publish_bind(wanted, &(struct ports_held){.already = already, .holder = all, .keep = wanted},
			 &final));
	return hand_over(sock, final);
}

struct err *ports_change(struct engine *e, const struct container *c, const struct container_spec *s,
			 const struct endpoints *v)
{
	struct ports now = {0}, wanted = {0}, asked = {0};
	struct err *error = read_row(e, c, &now);

	if (!error)
		error = publish_parse(c->spec->publish, "--publish", &asked);
	if (!error)
		error = resolve_ports(s, v, &wanted);
	if (!error && (now.n || wanted.n))
		error = change(e, c, v, &asked, &now, &wanted);
	free(now.items);
	free(asked.items);
	free(wanted.items);
	return error;
}
