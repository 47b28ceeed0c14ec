/* SPDX-License-Identifier: Apache-2.0 */
#include "systemd.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/dbus.h"
#include "base/memory.h"
#include "base/timestamp.h"

#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"
#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

struct systemd {
	struct dbus_connection connection;
	bool bus; /* messages go through a bus, and so need a destination */
	int timeout_ms;
};

void systemd_free(struct systemd *s)
{
	if (!s)
		return;
	dbus_disconnect(&s->connection);
	free(s);
}

static int64_t deadline(const struct systemd *s)
{
	return timestamp_monotonic_ns() + (int64_t)s->timeout_ms * 1000000;
}

/* -- connecting ------------------------------------------------------------------------------------------------ */

/* The user's bus as the session says, if it is a socket with a path. Caller frees. */
static char *user_bus_path(const char *runtime_dir)
{
	static const char prefix[] = "unix:path=";
	const char *address = getenv("DBUS_SESSION_BUS_ADDRESS");
	if (address && str_starts(address, prefix)) {
		const char *path = address + sizeof(prefix) - 1;
		return xstrndup(path, strcspn(path, ",;"));
	}
	return xasprintf("%s/bus", runtime_dir);
}

static void socket_paths(bool user, char **ret_private, char **ret_bus)
{
	if (!user) {
		*ret_private = xstrdup("/run/systemd/private");
		*ret_bus = xstrdup("/run/dbus/system_bus_socket");
		return;
	}
	const char *dir = getenv("XDG_RUNTIME_DIR");
	_cleanup_free_ char *usual = xasprintf("/run/user/%u", (unsigned)geteuid());
	*ret_private = xasprintf("%s/systemd/private", str_empty(dir) ? usual : dir);
	*ret_bus = user_bus_path(str_empty(dir) ? usual : dir);
}

static struct err *unreachable(bool user, struct err *first, struct err *second)
{
	_cleanup_free_ char *one = err_text(first), *two = err_text(second);
	enum err_kind kind =
		first->kind == ERR_TIMEOUT || second->kind == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UNREACHABLE;
	err_free(first);
	err_free(second);
	const char *remedy = kind == ERR_TIMEOUT ? "it hangs or is overloaded: try again later"
			     : user              ? "log in through a session or set XDG_RUNTIME_DIR"
						 : "boot this machine with it";
	return err_new(
		kind,
		"the systemd cgroup driver cannot reach %s (%s; %s): %s, or use the cgroupfs driver, which "
		"needs no systemd (no --systemd-cgroup, or --cgroup-manager cgroupfs)",
		user ? "the user's systemd" : "systemd", one, two, remedy);
}

struct err *systemd_connect(bool user, int timeout_ms, struct systemd **ret)
{
	_cleanup_free_ char *private = NULL, *bus = NULL;
	_cleanup_(systemd_freep) struct systemd *s = xnew(struct systemd);
	s->connection.fd = -1;
	s->timeout_ms = timeout_ms;
	socket_paths(user, &private, &bus);
	int64_t until = deadline(s); /* for both together */
	struct err *first = dbus_connect(private, false, until, &s->connection);
	if (first) {
		struct err *second = dbus_connect(bus, true, until, &s->connection);
		if (second)
			return unreachable(user, first, second);
		err_free(first);
		s->bus = true;
	}
	*ret = TAKE_PTR(s);
	return NULL;
}

/* -- calls ----------------------------------------------------------------------------------------------------- */

static struct err *doing(struct err *e, const struct systemd *s, const char *what)
{
	if (e->kind != ERR_TIMEOUT)
		return err_wrap(e, "systemd: %s", what);
	err_free(e);
	return err_new(ERR_TIMEOUT,
		       "systemd did not answer within %d s: %s; it hangs or is overloaded, try again later",
		       s->timeout_ms / 1000, what);
}

/* An answer of type DBUS_ERROR as an error. Its text comes from outside and becomes one line. */
static struct err *answered_error(const struct dbus_message *m, const char *what)
{
	static const struct {
		const char *name;
		enum err_kind kind;
	} kinds[] = {
		{"org.freedesktop.systemd1.UnitExists", ERR_EXISTS},
		{"org.freedesktop.systemd1.NoSuchUnit", ERR_NOT_FOUND},
		{"org.freedesktop.DBus.Error.AccessDenied", ERR_PERMISSION},
		{"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", ERR_PERMISSION},
		{"org.freedesktop.DBus.Error.NoReply", ERR_TIMEOUT},
		{"org.freedesktop.DBus.Error.PropertyReadOnly", ERR_INVALID},
		{"org.freedesktop.DBus.Error.UnknownProperty", ERR_INVALID},
		{"org.freedesktop.DBus.Error.InvalidArgs", ERR_INVALID},
	};
	struct dbus_reader body = m->body;
	const char *text = "";
	enum err_kind kind = ERR_SYSTEM;
	if (m->signature[0] == 's')
		TRY(dbus_get_string(&body, &text));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(m->error_name, kinds[i].name))
			kind = kinds[i].kind;
	_cleanup_free_ char *line = xasprintf("%.300s (%.100s)", text, m->error_name);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return err_new(kind, "systemd: %s: %s", what, line);
}

static struct err *ask(struct systemd *s, const char *interface, const char *member, const char *signature,
		       const struct strbuf *body, const char *unit, struct dbus_message *ret)
{
	struct dbus_call call = {
		.destination = s->bus ? "org.freedesktop.systemd1" : NULL,
		.path = MANAGER_PATH,
		.interface = interface,
		.member = member,
		.signature = signature,
	};
	_cleanup_free_ char *what = xasprintf("%s %s", member, unit);
	struct err *e = dbus_ask(&s->connection, &call, body, deadline(s), ret);
	if (e)
		return doing(e, s, what);
	return ret->type == DBUS_ERROR ? answered_error(ret, what) : NULL;
}

struct err *systemd_manager_property(struct systemd *s, const char *name, char **ret)
{
	_cleanup_strbuf_ struct strbuf body = {0};
	struct dbus_message m;
	const char *signature, *value;
	dbus_put_string(&body, MANAGER_INTERFACE);
	dbus_put_string(&body, name);
	TRY(ask(s, PROPERTIES_INTERFACE, "Get", "ss", &body, name, &m));
	if (!str_eq(m.signature, "v"))
		return err_new(ERR_CORRUPT, "systemd: property %s is not a variant", name);
	TRY(dbus_get_signature(&m.body, &signature));
	if (!str_eq(signature, "s"))
		return err_new(ERR_CORRUPT, "systemd: property %s is not a string", name);
	TRY(dbus_get_string(&m.body, &value));
	*ret = xstrdup(value);
	return NULL;
}

/* -- jobs ------------------------------------------------------------------------------------------------------ */

/* A peer sends its signals to everybody who is connected; a bus only what somebody asked for. */
static struct err *watch_jobs(struct systemd *s)
{
	static const struct dbus_call add = {.destination = "org.freedesktop.DBus",
					     .path = "/org/freedesktop/DBus",
					     .interface = "org.freedesktop.DBus",
					     .member = "AddMatch",
					     .signature = "s"};
	_cleanup_strbuf_ struct strbuf body = {0};
	struct dbus_message m;
	if (!s->bus)
		return NULL;
	dbus_put_string(&body, "type='signal',sender='org.freedesktop.systemd1',path='" MANAGER_PATH
			       "',interface='" MANAGER_INTERFACE "',member='JobRemoved'");
	struct err *e = dbus_ask(&s->connection, &add, &body, deadline(s), &m);
	if (e)
		return doing(e, s, "AddMatch");
	return m.type == DBUS_ERROR ? answered_error(&m, "AddMatch") : NULL;
}

static struct err *read_job(struct dbus_message *m, char **ret)
{
	const char *job;
	if (m->signature[0] != 'o')
		return err_new(ERR_CORRUPT, "systemd: the answer is not a job");
	TRY(dbus_get_string(&m->body, &job));
	*ret = xstrdup(job);
	return NULL;
}

/* JobRemoved (uoss): id, job, unit, result. *ret stays NULL for other messages. */
static struct err *read_job_removed(struct dbus_message *m, const char *job, const char **ret)
{
	uint32_t id;
	const char *path, *unit, *result;
	if (m->type != DBUS_SIGNAL || !str_eq(m->member, "JobRemoved") ||
	    !str_eq(m->interface, MANAGER_INTERFACE) || !str_eq(m->signature, "uoss"))
		return NULL;
	TRY(dbus_get_u32(&m->body, &id));
	TRY(dbus_get_string(&m->body, &path));
	TRY(dbus_get_string(&m->body, &unit));
	TRY(dbus_get_string(&m->body, &result));
	if (str_eq(path, job))
		*ret = result;
	return NULL;
}

static struct err *wait_job(struct systemd *s, const char *job, const char *what)
{
	int64_t until = deadline(s);
	const char *result = NULL;
	while (!result) {
		struct dbus_message m;
		struct err *e = dbus_receive(&s->connection, until, &m);
		if (!e)
			e = read_job_removed(&m, job, &result);
		if (e)
			return doing(e, s, what);
	}
	return str_eq(result, "done")
		       ? NULL
		       : err_new(ERR_SYSTEM, "systemd: %s: the job ended with \"%.40s\"", what, result);
}

static struct err *call_for_job(struct systemd *s, const char *member, const char *signature,
				const struct strbuf *body, const char *unit, bool *ret_made)
{
	struct dbus_message m;
	_cleanup_free_ char *job = NULL;
	_cleanup_free_ char *what = xasprintf("waiting for %s %s", member, unit);
	TRY(watch_jobs(s));
	struct err *e = ask(s, "org.freedesktop.systemd1.Manager", member, signature, body, unit, &m);
	if (!e && ret_made)
		*ret_made = true;
	if (!e)
		e = read_job(&m, &job);
	return e ? e : wait_job(s, job, what);
}

static struct err *reset_failed(struct systemd *s, const char *unit)
{
	_cleanup_strbuf_ struct strbuf body = {0};
	struct dbus_message m;
	dbus_put_string(&body, unit);
	return ask(s, MANAGER_INTERFACE, "ResetFailedUnit", "s", &body, unit, &m);
}

struct err *systemd_start_unit(struct systemd *s, const char *unit, const struct strbuf *properties,
			       bool *ret_made)
{
	_cleanup_strbuf_ struct strbuf body = {0};
	dbus_put_string(&body, unit);
	dbus_put_string(&body, "fail"); /* the mode: not over jobs that are queued for it */
	struct dbus_array array = dbus_array_open(&body, 8);
	strbuf_append(&body, properties->data, properties->len);
	dbus_array_close(&body, array);
	dbus_array_close(&body, dbus_array_open(&body, 8)); /* auxiliary units: none */
	struct err *e = call_for_job(s, "StartTransientUnit", "ssa(sv)a(sa(sv))", &body, unit, ret_made);
	if (!e || e->kind != ERR_EXISTS)
		return e;
	/* It may be one that failed and that nobody has looked at since. A running one is not touched by this. */
	struct err *reset = reset_failed(s, unit);
	if (reset) {
		err_free(reset);
		return e;
	}
	err_free(e);
	return call_for_job(s, "StartTransientUnit", "ssa(sv)a(sa(sv))", &body, unit, ret_made);
}

struct err *systemd_set_properties(struct systemd *s, const char *unit, const struct strbuf *properties)
{
	_cleanup_strbuf_ struct strbuf body = {0};
	struct dbus_message m;
	dbus_put_string(&body, unit);
	dbus_put_bool(&body, true); /* until the next boot: the unit does not live longer */
	struct dbus_array array = dbus_array_open(&body, 8);
	strbuf_append(&body, properties->data, properties->len);
	dbus_array_close(&body, array);
	return ask(s, MANAGER_INTERFACE, "SetUnitProperties", "sba(sv)", &body, unit, &m);
}

struct err *systemd_stop_unit(struct systemd *s, const char *unit)
{
	_cleanup_strbuf_ struct strbuf body = {0};
	dbus_put_string(&body, unit);
	dbus_put_string(&body, "replace");
	struct err *e = call_for_job(s, "StopUnit", "ss", &body, unit, NULL);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	/* One whose process was killed by the kernel is "failed", and stays as such until somebody says that it is known. */
	struct err *reset = e && e->kind == ERR_TIMEOUT ? NULL : reset_failed(s, unit);
	if (reset && !e && reset->kind == ERR_TIMEOUT)
		return reset;
	err_free(reset);
	return e;
}

struct err *systemd_attach_process(struct systemd *s, const char *unit, const char *subgroup, pid_t pid)
{
	_cleanup_strbuf_ struct strbuf body = {0};
	struct dbus_message m;
	dbus_put_string(&body, unit);
	dbus_put_string(&body, subgroup);
	struct dbus_array pids = dbus_array_open(&body, 4);
	dbus_put_u32(&body, (uint32_t)pid);
	dbus_array_close(&body, pids);
	return ask(s, MANAGER_INTERFACE, "AttachProcessesToUnit", "ssau", &body, unit, &m);
}
