/* SPDX-License-Identifier: Apache-2.0 */
/* The document as a whole, its root and hooks. process, linux, mounts and annotations have files of their own. */
#include "spec.h"

#include <limits.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/str.h"

const char *const spec_hook_names[SPEC_HOOK_COUNT] = {
	"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
};

static struct err *hook_parse(const struct json_cursor *c, struct spec_hook *h)
{
	int64_t timeout_s = 0;
	TRY(json_get_string(c, "path", JSON_REQUIRED, &h->path));
	if (h->path[0] != '/')
		return json_error_at(c, "path", "\"%.100s\" must be absolute", h->path);
	TRY(json_get_strv(c, "args", JSON_OPTIONAL, &h->args));
	TRY(json_get_strv(c, "env", JSON_OPTIONAL, &h->env));
	struct json_cursor t;
	TRY(json_get(c, "timeout", JSON_OPTIONAL, &t));
	h->timeout_ms = -1;
	if (t.value) {
		TRY(json_as_i64(&t, 1, INT_MAX / 1000, &timeout_s));
		h->timeout_ms = (int)timeout_s * 1000;
	}
	return NULL;
}

struct err *spec_hooks_parse(const struct json_cursor *root, struct spec_hooks *ret)
{
	struct json_cursor hooks;
	TRY(json_get_object(root, "hooks", JSON_OPTIONAL, &hooks));
	if (!hooks.value)
		return NULL;
	for (size_t kind = 0; kind < SPEC_HOOK_COUNT; kind++) {
		struct json_cursor list;
		TRY(json_get_array(&hooks, spec_hook_names[kind], JSON_OPTIONAL, &list));
		size_t n = json_array_len(&list);
		if (!n)
			continue;
		ret->list[kind] = xnew_array(struct spec_hook, n);
		for (size_t i = 0; i < n; i++) {
			struct json_cursor c = json_at(&list, i);
			ret->n[kind] = i + 1;
			TRY(hook_parse(&c, &ret->list[kind][i]));
		}
	}
	return NULL;
}

void spec_hooks_release(struct spec_hooks *h)
{
	for (size_t kind = 0; kind < SPEC_HOOK_COUNT; kind++) {
		for (size_t i = 0; i < h->n[kind]; i++) {
			strv_free(h->list[kind][i].args);
			strv_free(h->list[kind][i].env);
		}
		free(h->list[kind]);
	}
	fd_close(h->stdout_fd);
	fd_close(h->stderr_fd);
	*h = (struct spec_hooks){.stdout_fd = -1, .stderr_fd = -1};
}

static struct err *root_parse(struct spec *s)
{
	struct json_cursor root;
	TRY(json_get_object(&s->root, "root", JSON_OPTIONAL, &root));
	if (!root.value)
		return NULL;
	TRY(json_get_string(&root, "path", JSON_REQUIRED, &s->root_path));
	if (!*s->root_path)
		return json_error_at(&root, "path", "is empty");
	return json_get_bool(&root, "readonly", JSON_OPTIONAL, &s->root_readonly);
}

/* semver.org, version 2.0.0: MAJOR.MINOR.PATCH, then maybe -PRERELEASE and +BUILD. */
static bool is_semver(const char *s)
{
	static const char identifier[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-.";
	for (int part = 0; part < 3; part++) {
		size_t digits = strspn(s, "0123456789");
		if (!digits || (digits > 1 && *s == '0') || (part < 2 && s[digits] != '.'))
			return false;
		s += digits + (part < 2);
	}
	for (const char *mark = "-+"; *mark; mark++) {
		if (*s != *mark)
			continue;
		size_t n = strspn(s + 1, identifier);
		if (!n)
			return false;
		s += 1 + n;
	}
	return !*s;
}

static struct err *version_check(struct spec *s)
{
	TRY(json_get_string(&s->root, "ociVersion", JSON_REQUIRED, &s->oci_version));
	if (!is_semver(s->oci_version))
		return json_error_at(&s->root, "ociVersion", "\"%.100s\" is not a version like 1.3.0",
				     s->oci_version);
	/* Any 1.x document is readable: minor versions only add properties, and unknown ones are ignored. */
	if (!str_starts(s->oci_version, "1."))
		return json_error_at(&s->root, "ociVersion",
				     "%.100s is not supported: this runtime reads version 1", s->oci_version);
	return NULL;
}

static struct err *names_parse(struct spec *s)
{
	TRY(json_get_string(&s->root, "hostname", JSON_OPTIONAL, &s->hostname));
	TRY(json_get_string(&s->root, "domainname", JSON_OPTIONAL, &s->domainname));
	if (s->hostname && strlen(s->hostname) > 64)
		return json_error_at(&s->root, "hostname", "is longer than 64 bytes");
	if (s->domainname && strlen(s->domainname) > 64)
		return json_error_at(&s->root, "domainname", "is longer than 64 bytes");
	return NULL;
}

static struct err *parse_into(struct spec *s)
{
	struct json_cursor process, vm;
	TRY(version_check(s));
	/* It is required by start only (config.md "Process"): what is created without one has a place, and nothing to run. */
	TRY(json_get_object(&s->root, "process", JSON_OPTIONAL, &process));
	if (process.value)
		TRY(spec_process_parse(&process, &s->process));
	else
		s->process = (struct spec_process){.cwd = "/", .caps.set = true};
	TRY(root_parse(s));
	TRY(names_parse(s));
	TRY(spec_hooks_parse(&s->root, &s->hooks));
	TRY(spec_annotations_parse(s));
	TRY(json_get(&s->root, "vm", JSON_OPTIONAL, &vm));
	if (vm.value)
		return json_error(&vm, "virtual machines are not supported by this runtime");
	TRY(spec_linux_parse(s));
	TRY(spec_mounts_parse(s));
	return NULL;
}

struct err *spec_parse(struct json *document, struct spec **ret)
{
	_cleanup_(spec_freep) struct spec *s = xnew(struct spec);
	s->document = json_ref(document);
	s->hooks.stdout_fd = s->hooks.stderr_fd = -1;
	s->root = json_root(s->document);
	if (json_kind(&s->root) != JSON_OBJECT)
		return err_new(ERR_INVALID, "config.json: must be an object");
	TRY_WRAP(parse_into(s), "config.json");
	*ret = TAKE_PTR(s);
	return NULL;
}

static void mount_release(struct spec_mount *m)
{
	strv_free(m->data);
	spec_id_maps_release(&m->maps);
}

static void pairs_free(struct spec_pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)pairs[i].key);
	free(pairs);
}

void spec_free(struct spec *s)
{
	if (!s)
		return;
	spec_hooks_release(&s->hooks);
	if (memory_left())
		return;
	spec_process_release(&s->process);
	spec_id_maps_release(&s->maps);
	for (size_t i = 0; i < s->n_mounts; i++)
		mount_release(&s->mounts[i]);
	free(s->mounts);
	free(s->devices);
	pairs_free(s->sysctls, s->n_sysctls);
	pairs_free(s->net_devices, s->n_net_devices);
	strv_free(s->masked_paths);
	strv_free(s->readonly_paths);
	strv_free(s->rdt.schemata);
	json_unref(s->document);
	free(s);
}
