/* SPDX-License-Identifier: Apache-2.0 */
/* What a container gets with a device: variables, nodes, mounts, hooks, groups, network interfaces, a class of cache. Checked when the
 * file is read, so that a wrong file is nobody's device, and then applied to the OCI configuration. */
#include "cdi_edit.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/memory.h"
#include "base/str.h"
#include "cdi.h"

#define LIST_MAX 4096u

/* -- checking --- */

static struct err *list_of(const struct json_cursor *edits, const char *key, struct json_cursor *ret)
{
	TRY(json_get_array(edits, key, JSON_OPTIONAL, ret));
	if (json_array_len(ret) > LIST_MAX)
		return json_error_at(edits, key, "more than %u entries", LIST_MAX);
	return NULL;
}

static struct err *absolute(const struct json_cursor *o, const char *key, enum json_need need)
{
	const char *s = NULL;

	TRY(json_get_string(o, key, need, &s));
	if (s && s[0] != '/')
		return json_error_at(o, key, "\"%.100s\" is not an absolute path", s);
	return NULL;
}

static struct err *strings(const struct json_cursor *o, const char *key)
{
	_cleanup_strv_ char **v = NULL;
	return json_get_strv(o, key, JSON_OPTIONAL, &v);
}

static struct err *check_env(const struct json_cursor *edits)
{
	_cleanup_strv_ char **env = NULL;

	TRY(json_get_strv(edits, "env", JSON_OPTIONAL, &env));
	STRV_FOREACH (v, env)
		if (!strchr(*v, '=') || **v == '=')
			return json_error_at(edits, "env", "\"%.100s\" is not NAME=value", *v);
	return NULL;
}

static struct err *check_node(const struct json_cursor *n)
{
	const char *type = NULL, *permissions = NULL;
	uint32_t number;
	int64_t big;

	TRY(absolute(n, "path", JSON_REQUIRED));
	TRY(absolute(n, "hostPath", JSON_OPTIONAL));
	TRY(json_get_string(n, "type", JSON_OPTIONAL, &type));
	if (!str_empty(type) && (strlen(type) != 1 || !strchr("bcup", type[0])))
		return json_error_at(n, "type", "\"%.16s\" is none of b, c, u, p", type);
	TRY(json_get_string(n, "permissions", JSON_OPTIONAL, &permissions));
	if (permissions && strspn(permissions, "rwm") != strlen(permissions))
		return json_error_at(n, "permissions", "\"%.16s\" is more than r, w and m", permissions);
	TRY(json_get_i64(n, "major", JSON_OPTIONAL, 0, UINT32_MAX, &big));
	TRY(json_get_i64(n, "minor", JSON_OPTIONAL, 0, UINT32_MAX, &big));
	TRY(json_get_i64(n, "fileMode", JSON_OPTIONAL, 0, 07777777, &big));
	TRY(json_get_u32(n, "uid", JSON_OPTIONAL, &number));
	return json_get_u32(n, "gid", JSON_OPTIONAL, &number);
}

static struct err *check_mount(const struct json_cursor *m)
{
	const char *s = NULL;

	TRY(json_get_string(m, "hostPath", JSON_REQUIRED, &s));
	TRY(absolute(m, "containerPath", JSON_REQUIRED));
	TRY(json_get_string(m, "type", JSON_OPTIONAL, &s));
	return strings(m, "options");
}

static const char *const hook_names[] = {"prestart",       "createRuntime", "createContainer",
					 "startContainer", "poststart",     "poststop"};

static struct err *check_hook(const struct json_cursor *h)
{
	const char *name;
	int64_t timeout;

	TRY(json_get_string(h, "hookName", JSON_REQUIRED, &name));
	for (size_t i = 0; i <= ARRAY_SIZE(hook_names); i++) {
		if (i == ARRAY_SIZE(hook_names))
			return json_error_at(h, "hookName", "\"%.32s\" is not a hook of the runtime's", name);
		if (str_eq(name, hook_names[i]))
			break;
	}
	TRY(absolute(h, "path", JSON_REQUIRED));
	TRY(strings(h, "args"));
	TRY(strings(h, "env"));
	return json_get_i64(h, "timeout", JSON_OPTIONAL, 0, 86400, &timeout);
}

static struct err *check_net_device(const struct json_cursor *d)
{
	const char *s;

	TRY(json_get_string(d, "hostInterfaceName", JSON_REQUIRED, &s));
	return json_get_string(d, "name", JSON_REQUIRED, &s);
}

static struct err *check_rdt(const struct json_cursor *edits)
{
	static const char *const texts[] = {"closID", "l3CacheSchema", "memBwSchema"},
				 *const flags[] = {"enableCMT", "enableMBM", "enableMonitoring"};
	struct json_cursor rdt;
	const char *s;
	bool b;

	TRY(json_get_object(edits, "intelRdt", JSON_OPTIONAL, &rdt));
	if (!rdt.value)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		TRY(json_get_string(&rdt, texts[i], JSON_OPTIONAL, &s));
		TRY(json_get_bool(&rdt, flags[i], JSON_OPTIONAL, &b));
	}
	return strings(&rdt, "schemata");
}

struct err *cdi_edit_check(const struct json_cursor *edits)
{
	static const struct {
		const char *key;
		struct err *(*check)(const struct json_cursor *);
	} lists[] = {{"deviceNodes", check_node},
		     {"mounts", check_mount},
		     {"hooks", check_hook},
		     {"netDevices", check_net_device}};
	struct json_cursor list;
	int64_t gid;

	if (!edits->value)
		return NULL;
	TRY(check_env(edits));
	for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
		TRY(list_of(edits, lists[k].key, &list));
		for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
			struct json_cursor one = json_at(&list, i);
			TRY(lists[k].check(&one));
		}
	}
	TRY(list_of(edits, "additionalGids", &list));
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor one = json_at(&list, i);
		TRY(json_as_i64(&one, 0, UINT32_MAX - 1, &gid));
	}
	return check_rdt(edits);
}

/* -- applying --- */

/* The member, made when it is not there. Borrowed from `o`. */
static struct err *member(struct json *o, const char *key, bool array, struct json **ret)
{
	struct json_cursor root = json_root(o), c;

	TRY(array ? json_get_array(&root, key, JSON_OPTIONAL, &c)
		  : json_get_object(&root, key, JSON_OPTIONAL, &c));
	if (!c.value) {
		json_set(o, key, array ? json_new_array() : json_new_object());
		TRY(json_get(&root, key, JSON_REQUIRED, &c));
	}
	*ret = c.value;
	return NULL;
}

/* `list` without those whose `key` is `value`. */
static struct err *without(struct json *o, const char *name, const char *key, const char *value,
			   struct json **ret)
{
	_cleanup_json_ struct json *kept = json_new_array();
	struct json *old;
	struct json_cursor root;

	TRY(member(o, name, true, &old));
	root = json_root(old);
	for (size_t i = 0, n = json_array_len(&root); i < n; i++) {
		struct json_cursor one = json_at(&root, i);
		const char *have = NULL;
		TRY(json_get_string(&one, key, JSON_OPTIONAL, &have));
		if (!str_eq(have, value))
			json_append(kept, json_ref(one.value));
	}
	json_set(o, name, TAKE_PTR(kept));
	return member(o, name, true, ret);
}

static struct err *apply_env(const struct json_cursor *edits, struct json *oci)
{
	_cleanup_strv_ char **add = NULL, **env = NULL;
	struct json *process;

	TRY(json_get_strv(edits, "env", JSON_OPTIONAL, &add));
	if (!add)
		return NULL;
	TRY(member(oci, "process", false, &process));
	struct json_cursor root = json_root(process);
	TRY(json_get_strv(&root, "env", JSON_OPTIONAL, &env));
	STRV_FOREACH (v, add) {
		_cleanup_free_ char *name = xstrndup(*v, strcspn(*v, "="));
		env_set(&env, name, strchr(*v, '=') + 1);
	}
	json_set_strv(process, "env", env);
	return NULL;
}

/* Copies members that are there. */
static struct err *copy(const struct json_cursor *from, const char *key, struct json *to, const char *as)
{
	struct json_cursor c;

	TRY(json_get(from, key, JSON_OPTIONAL, &c));
	if (c.value)
		json_set(to, as, json_deep_copy(c.value));
	return NULL;
}

static struct err *apply_node(const struct json_cursor *n, struct json *linux_)
{
	const char *path, *host = NULL, *type = NULL, *permissions = "rwm";
	int64_t major_ = -1, minor_ = -1;
	struct json *devices, *resources, *rules, *node = json_new_object();
	_cleanup_json_ struct json *owner = node;
	char own_type[2] = "c";
	struct stat st;

	TRY(json_get_string(n, "path", JSON_REQUIRED, &path));
	host = path;
	TRY(json_get_string(n, "hostPath", JSON_OPTIONAL, &host));
	TRY(json_get_string(n, "type", JSON_OPTIONAL, &type));
	TRY(json_get_i64(n, "major", JSON_OPTIONAL, 0, UINT32_MAX, &major_));
	TRY(json_get_i64(n, "minor", JSON_OPTIONAL, 0, UINT32_MAX, &minor_));
	TRY(json_get_string(n, "permissions", JSON_OPTIONAL, &permissions));
	if (str_empty(type) || (major_ <= 0 && !str_eq(type, "p"))) { /* as the host has it */
		if (stat(host, &st) < 0)
			return err_errno(errno, "cannot look at the device node %s", host);
		if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode) && !S_ISFIFO(st.st_mode))
			return err_new(ERR_INVALID, "%s is not a device node", host);
		own_type[0] = S_ISBLK(st.st_mode) ? 'b' : S_ISFIFO(st.st_mode) ? 'p' : 'c';
		type = own_type;
		major_ = major(st.st_rdev);
		minor_ = minor(st.st_rdev);
		json_set_i64(node, "fileMode", st.st_mode & 0777);
	}
	json_set_string(node, "path", path);
	json_set_string(node, "type", type);
	if (!str_eq(type, "p")) {
		json_set_i64(node, "major", major_);
		json_set_i64(node, "minor", minor_ < 0 ? 0 : minor_);
	}
	TRY(copy(n, "fileMode", node, "fileMode"));
	TRY(copy(n, "uid", node, "uid"));
	TRY(copy(n, "gid", node, "gid"));
	TRY(without(linux_, "devices", "path", path, &devices));
	json_append(devices, TAKE_PTR(owner));
	if (str_eq(type, "p") || str_empty(permissions))
		return NULL;
	TRY(member(linux_, "resources", false, &resources));
	TRY(member(resources, "devices", true, &rules));
	struct json *rule = json_new_object();
	json_set_bool(rule, "allow", true);
	json_set_string(rule, "type", str_eq(type, "u") ? "c" : type);
	json_set_i64(rule, "major", major_);
	json_set_i64(rule, "minor", minor_ < 0 ? 0 : minor_);
	json_set_string(rule, "access", permissions);
	json_append(rules, rule);
	return NULL;
}

static struct err *apply_mount(const struct json_cursor *m, struct json *oci)
{
	_cleanup_strv_ char **options = NULL;
	const char *source, *target, *type = NULL;
	struct json *mounts, *o;

	TRY(json_get_string(m, "hostPath", JSON_REQUIRED, &source));
	TRY(json_get_string(m, "containerPath", JSON_REQUIRED, &target));
	TRY(json_get_string(m, "type", JSON_OPTIONAL, &type));
	TRY(json_get_strv(m, "options", JSON_OPTIONAL, &options));
	if ((str_empty(type) || str_eq(type, "bind")) && !strv_contains(options, "bind") &&
	    !strv_contains(options, "rbind"))
		strv_push(&options, "rbind");
	TRY(without(oci, "mounts", "destination", target, &mounts));
	o = json_new_object();
	json_set_string(o, "destination", target);
	json_set_string(o, "type", str_empty(type) ? "bind" : type);
	json_set_string(o, "source", source);
	json_set_strv(o, "options", options);
	json_append(mounts, o);
	return NULL;
}

static struct err *apply_hook(const struct json_cursor *h, struct json *oci)
{
	const char *name;
	struct json *hooks, *list, *hook = json_new_object();
	_cleanup_json_ struct json *owner = hook;

	TRY(json_get_string(h, "hookName", JSON_REQUIRED, &name));
	TRY(copy(h, "path", hook, "path"));
	TRY(copy(h, "args", hook, "args"));
	TRY(copy(h, "env", hook, "env"));
	TRY(copy(h, "timeout", hook, "timeout"));
	TRY(member(oci, "hooks", false, &hooks));
	TRY(member(hooks, name, true, &list));
	json_append(list, TAKE_PTR(owner));
	return NULL;
}

static struct err *apply_net_device(const struct json_cursor *d, struct json *linux_)
{
	const char *host, *name;
	struct json *devices, *o = json_new_object();
	_cleanup_json_ struct json *owner = o;

	TRY(json_get_string(d, "hostInterfaceName", JSON_REQUIRED, &host));
	TRY(json_get_string(d, "name", JSON_REQUIRED, &name));
	json_set_string(o, "name", name);
	TRY(member(linux_, "netDevices", false, &devices));
	json_set(devices, host, TAKE_PTR(owner));
	return NULL;
}

static struct err *apply_gids(const struct json_cursor *edits, struct json *oci)
{
	struct json_cursor list, have;
	struct json *process, *user, *gids;

	TRY(json_get_array(edits, "additionalGids", JSON_OPTIONAL, &list));
	if (!json_array_len(&list))
		return NULL;
	TRY(member(oci, "process", false, &process));
	TRY(member(process, "user", false, &user));
	TRY(member(user, "additionalGids", true, &gids));
	have = json_root(gids);
	for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
		struct json_cursor one = json_at(&list, i);
		int64_t gid = 0, other;
		bool known = false;
		TRY(json_as_i64(&one, 0, UINT32_MAX - 1, &gid));
		for (size_t k = 0, m = json_array_len(&have); k < m; k++) {
			struct json_cursor old = json_at(&have, k);
			TRY(json_as_i64(&old, 0, UINT32_MAX, &other));
			known |= other == gid;
		}
		if (gid != 0 && !known) /* root's group is nothing that a device gives */
			json_append(gids, json_new_i64(gid));
	}
	return NULL;
}

static struct err *apply_rdt(const struct json_cursor *edits, struct json *linux_)
{
	static const char *const same[] = {"closID", "l3CacheSchema", "memBwSchema", "schemata"},
				 *const watch[] = {"enableCMT", "enableMBM", "enableMonitoring"};
	struct json_cursor rdt;
	_cleanup_json_ struct json *o = json_new_object();
	bool monitoring = false;

	TRY(json_get_object(edits, "intelRdt", JSON_OPTIONAL, &rdt));
	if (!rdt.value)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		TRY(copy(&rdt, same[i], o, same[i]));
	for (size_t i = 0; i < ARRAY_SIZE(watch); i++) {
		bool on = false;
		TRY(json_get_bool(&rdt, watch[i], JSON_OPTIONAL, &on));
		monitoring |= on;
	}
	if (monitoring)
		json_set_bool(o, "enableMonitoring", true);
	json_set(linux_, "intelRdt", TAKE_PTR(o));
	return NULL;
}

struct err *cdi_edit(const struct json_cursor *edits, struct json *oci)
{
	struct json *linux_;
	const struct {
		const char *key;
		struct err *(*apply)(const struct json_cursor *, struct json *);
		bool linux_;
	} lists[] = {{"deviceNodes", apply_node, true},
		     {"mounts", apply_mount, false},
		     {"hooks", apply_hook, false},
		     {"netDevices", apply_net_device, true}};
	struct json_cursor list;

	if (!edits->value)
		return NULL;
	TRY(member(oci, "linux", false, &linux_));
	TRY(apply_env(edits, oci));
	for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
		TRY(json_get_array(edits, lists[k].key, JSON_OPTIONAL, &list));
		for (size_t i = 0, n = json_array_len(&list); i < n; i++) {
			struct json_cursor one = json_at(&list, i);
			TRY(lists[k].apply(&one, lists[k].linux_ ? linux_ : oci));
		}
	}
	TRY(apply_gids(edits, oci));
	return apply_rdt(edits, linux_);
}
