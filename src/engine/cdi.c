/* SPDX-License-Identifier: Apache-2.0 */
/* Finding devices: files, names, precedence. cdi_edit.c checks and applies what they say. */
#include "cdi.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/yaml.h"
#include "cdi_edit.h"

#define FILES_MAX 4096
#define DEFAULT_DIRS "/etc/cdi:/var/run/cdi"

/* VENDOR/CLASS=DEVICE, by the specification's alphabet. */
static bool is_word(const char *s, size_t n, const char *inner)
{
	if (n == 0 || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr(inner, s[i]))
			return false;
	return true;
}

static bool is_kind(const char *s, size_t n)
{
	const char *slash = memchr(s, '/', n);

	return slash && n < 256 && isalpha((unsigned char)s[0]) && is_word(s, (size_t)(slash - s), "_-.") &&
	       isalpha((unsigned char)slash[1]) && is_word(slash + 1, n - (size_t)(slash - s) - 1, "_-");
}

static bool is_device(const char *s)
{
	return strlen(s) < 256 && is_word(s, strlen(s), "_-.:");
}

bool cdi_is_name(const char *device)
{
	const char *eq = strchr(device, '=');

	return eq && is_kind(device, (size_t)(eq - device)) && is_device(eq + 1);
}

static struct err *check(struct json *doc)
{
	struct json_cursor root = json_root(doc), edits, devices;
	const char *kind, *version, *name;

	if (json_kind(&root) != JSON_OBJECT)
		return json_error(&root, "not an object");
	TRY(json_get_string(&root, "cdiVersion", JSON_REQUIRED, &version));
	if (!str_starts(version, "0.") && !str_starts(version, "1."))
		return json_error_at(&root, "cdiVersion",
				     "version \"%.32s\" is not known here (0.x and 1.x are)", version);
	TRY(json_get_string(&root, "kind", JSON_REQUIRED, &kind));
	if (!is_kind(kind, strlen(kind)))
		return json_error_at(&root, "kind", "\"%.100s\" is not VENDOR/CLASS", kind);
	TRY(json_get_object(&root, "containerEdits", JSON_OPTIONAL, &edits));
	TRY(cdi_edit_check(&edits));
	TRY(json_get_array(&root, "devices", JSON_REQUIRED, &devices));
	for (size_t i = 0, n = json_array_len(&devices); i < n; i++) {
		struct json_cursor d = json_at(&devices, i);
		TRY(json_get_string(&d, "name", JSON_REQUIRED, &name));
		if (!is_device(name))
			return json_error_at(&d, "name", "\"%.100s\" is not the name of a device", name);
		TRY(json_get_object(&d, "containerEdits", JSON_REQUIRED, &edits));
		TRY(cdi_edit_check(&edits));
	}
	return NULL;
}

struct err *cdi_parse(const char *text, size_t size, bool yaml, const char *what, struct json **ret)
{
	_cleanup_json_ struct json *doc = NULL, *list = NULL;

	if (size > YAML_SIZE_MAX)
		return err_new(ERR_LIMIT, "%s is larger than %u bytes", what, YAML_SIZE_MAX);
	if (yaml) {
		TRY(yaml_parse(text, size, what, &list));
		struct json_cursor all = json_root(list);
		if (json_array_len(&all) != 1)
			return err_new(ERR_INVALID, "%s: %zu documents, where one is wanted", what,
				       json_array_len(&all));
		struct json_cursor one = json_at(&all, 0);
		doc = json_ref(one.value);
	} else {
		TRY(json_parse(text, size, what, &doc));
	}
	TRY_WRAP(check(doc), "%s", what);
	*ret = TAKE_PTR(doc);
	return NULL;
}

/* -- the files that there are --- */

struct cdi_file {
	struct json *doc;
	unsigned directory; /* its precedence */
};
struct cdi_files {
	struct cdi_file *items;
	size_t n, cap;
	struct err *broken; /* the first file that could not be read: a reason for a device that is missing */
};

static void files_release(struct cdi_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		json_unref(f->items[i].doc);
	free(f->items);
	err_free(f->broken);
}

static void load_file(struct cdi_files *f, const char *dir, const char *name, unsigned directory)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name), *text = NULL;
	struct json *doc = NULL;
	size_t size;
	struct err *error = file_read(path, YAML_SIZE_MAX, &text, &size);

	if (!error)
		error = cdi_parse(text, size, !str_ends(name, ".json"), path, &doc);
	if (error && f->broken) {
		err_free(error);
	} else if (error) {
		f->broken = error;
	} else {
		GROW(f->items, f->n, f->cap);
		f->items[f->n++] = (struct cdi_file){doc, directory};
	}
}

static int is_file(const struct dirent *d)
{
	return d->d_name[0] != '.' &&
	       (str_ends(d->d_name, ".json") || str_ends(d->d_name, ".yaml") || str_ends(d->d_name, ".yml"));
}

static void load_files(struct cdi_files *f)
{
	const char *own = getenv("HAVRE_CDI_SPEC_DIRS");
	_cleanup_strv_ char **dirs = strv_split(str_empty(own) ? DEFAULT_DIRS : own, ":");
	unsigned k = 0;

	STRV_FOREACH (d, dirs) {
		struct dirent **names;
		int n = scandir(*d, &names, is_file, alphasort);
		k++;
		for (int i = 0; i < n; i++) {
			if (i < FILES_MAX)
				load_file(f, *d, names[i]->d_name, k);
			free(names[i]);
		}
		if (n >= 0)
			free(names);
	}
}

/* The device in one file; value NULL: not there. */
static struct json_cursor device_in(const struct json_cursor *root, const char *kind, size_t kind_len,
				    const char *name)
{
	struct json_cursor devices = {0};
	const char *have = NULL;

	err_free(json_get_string(root, "kind", JSON_REQUIRED, &have)); /* checked by cdi_parse */
	err_free(json_get_array(root, "devices", JSON_REQUIRED, &devices));
	if (!have || strlen(have) != kind_len || strncmp(have, kind, kind_len) != 0)
		return (struct json_cursor){0};
	for (size_t i = 0, n = json_array_len(&devices); i < n; i++) {
		struct json_cursor d = json_at(&devices, i);
		const char *other = NULL;
		err_free(json_get_string(&d, "name", JSON_REQUIRED, &other));
		if (str_eq(other, name))
			return d;
	}
	return (struct json_cursor){0};
}

static struct err *find(const struct cdi_files *f, const char *device, size_t *ret_file)
{
	const char *eq = strchr(device, '=');
	size_t found = 0;
	unsigned best = 0;

	for (size_t i = 0; i < f->n; i++) {
		struct json_cursor root = json_root(f->items[i].doc),
				   d = device_in(&root, device, (size_t)(eq - device), eq + 1);
		if (!d.value || f->items[i].directory < best)
			continue;
		found = f->items[i].directory > best ? 1 : found + 1;
		best = f->items[i].directory;
		*ret_file = i;
	}
	if (found == 1)
		return NULL;
	if (found > 1)
		return err_new(ERR_INVALID, "device %s is described by several CDI files of one directory",
			       device);
	_cleanup_free_ char *why = f->broken ? err_text(f->broken) : NULL;
	return err_new(ERR_NOT_FOUND,
		       "unresolvable CDI device %s: no file in /etc/cdi or /var/run/cdi describes it%s%s%s",
		       device, why ? " (" : "", why ? why : "", why ? ")" : "");
}

struct err *cdi_apply(char *const *devices, struct json *oci)
{
	_cleanup_(files_release) struct cdi_files f = {0};
	_cleanup_free_ bool *used = NULL;
	bool loaded = false;

	STRV_FOREACH (d, devices) {
		struct json_cursor edits = {0};
		size_t i = 0;
		if (!cdi_is_name(*d))
			continue;
		if (!loaded)
			load_files(&f);
		loaded = true;
		TRY(find(&f, *d, &i));
		if (!oci)
			continue;
		if (!used)
			used = xcalloc(f.n, sizeof(*used));
		const char *eq = strchr(*d, '=');
		struct json_cursor root = json_root(f.items[i].doc),
				   one = device_in(&root, *d, (size_t)(eq - *d), eq + 1);
		TRY(json_get_object(&one, "containerEdits", JSON_REQUIRED, &edits));
		TRY_WRAP(cdi_edit(&edits, oci), "device %s", *d);
		if (used[i]) /* the file's own edits count once */
			continue;
		used[i] = true;
		TRY(json_get_object(&root, "containerEdits", JSON_OPTIONAL, &edits));
		TRY_WRAP(cdi_edit(&edits, oci), "device %s", *d);
	}
	return NULL;
}

/* -- GPUs --- */

/* The kind whose files are here, of those that graphics processors have. */
static const char *gpu_kind(const char *driver)
{
	static const struct {
		const char *driver, *kind;
	} known[] = {{"nvidia", "nvidia.com/gpu"}, {"amd", "amd.com/gpu"}, {"intel", "intel.com/gpu"}};
	_cleanup_(files_release) struct cdi_files f = {0};

	load_files(&f);
	for (size_t k = 0; k < ARRAY_SIZE(known); k++) {
		if (driver && !str_eq(driver, known[k].driver))
			continue;
		for (size_t i = 0; i < f.n; i++) {
			struct json_cursor root = json_root(f.items[i].doc);
			const char *have = NULL;
			err_free(json_get_string(&root, "kind", JSON_REQUIRED, &have));
			if (str_eq(have, known[k].kind))
				return known[k].kind;
		}
	}
	return NULL;
}

static struct err *add_gpu(const char *kind, const char *name, char ***devices)
{
	_cleanup_free_ char *device = xasprintf("%s=%s", kind, name);

	if (!cdi_is_name(device))
		return err_new(ERR_INVALID, "--gpus: \"%.64s\" is not the name of a device", name);
	strv_push(devices, device);
	return NULL;
}

struct err *cdi_gpus(const char *gpus, char ***devices)
{
	/* A field in quotes may have commas: '"device=0,2",capabilities=utility'. */
	_cleanup_strv_ char **names = NULL;
	const char *driver = NULL, *kind;
	_cleanup_free_ char *driver_text = NULL;
	uint64_t count = 0;
	bool all = false, in_list = false;
	_cleanup_free_ char *plain = xstrdup(gpus);
	char *to = plain;

	for (const char *c = gpus; *c; c++)
		if (*c != '"')
			*to++ = *c;
	*to = '\0';
	_cleanup_strv_ char **fields = strv_split(plain, ",");
	STRV_FOREACH (f, fields) {
		if (str_starts(*f, "device=")) {
			strv_push(&names, *f + 7);
			in_list = true;
		} else if (in_list && !strchr(*f, '=')) {
			strv_push(&names, *f);
		} else if (str_starts(*f, "driver=")) {
			free(driver_text);
			driver_text = xstrdup(*f + 7);
			driver = driver_text;
			in_list = false;
		} else if (str_eq(*f, "all") || str_eq(*f, "count=all") || str_eq(*f, "-1") ||
			   str_eq(*f, "count=-1")) {
			all = true;
		} else if (str_starts(*f, "capabilities=") || str_starts(*f, "options=")) {
			in_list = false; /* a CDI file gives what its device needs */
		} else if (!strchr(*f, '=') && !isdigit((unsigned char)**f)) {
			continue; /* a further capability */
		} else {
			TRY_WRAP(parse_u64(str_starts(*f, "count=") ? *f + 6 : *f, "count", 1, 256, &count),
				 "--gpus \"%.64s\": write all, a number, or device=NAME,…", gpus);
		}
	}
	if (!all && !count && !names)
		return err_new(ERR_INVALID, "--gpus \"%.64s\": write all, a number, or device=NAME,…", gpus);
	kind = gpu_kind(driver);
	if (!kind)
		return err_new(ERR_NOT_FOUND, "--gpus: no CDI file in /etc/cdi or /var/run/cdi describes a "
					      "GPU; its vendor's tool makes one (for "
					      "NVIDIA's: nvidia-ctk cdi generate)");
	if (all)
		return add_gpu(kind, "all", devices);
	STRV_FOREACH (n, names)
		TRY(add_gpu(kind, *n, devices));
	for (uint64_t i = 0; !names && i < count; i++) {
		_cleanup_free_ char *n = xasprintf("%llu", (unsigned long long)i);
		TRY(add_gpu(kind, n, devices));
	}
	return NULL;
}
