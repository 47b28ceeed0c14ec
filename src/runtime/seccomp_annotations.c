/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of a container: linux.seccomp together with crun's annotations run.oci.seccomp*. */
#include <linux/seccomp.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "container_private.h"
#include "seccomp_private.h"

static struct err *annotation(const struct spec *s, const char *name, const char **ret)
{
	struct json_cursor notes;

	TRY(json_get_object(&s->root, "annotations", JSON_OPTIONAL, &notes));
	if (notes.value)
		TRY(json_get_string(&notes, name, JSON_OPTIONAL, ret));
	return NULL;
}

struct err *rt_container_seccomp_receiver(const struct spec *s, const char **ret)
{
	const char *path = NULL;

	if (s->seccomp.value)
		TRY(json_get_string(&s->seccomp, "listenerPath", JSON_OPTIONAL, &path));
	if (str_empty(path))
		TRY(annotation(s, "run.oci.seccomp.receiver", &path));
	if (!str_empty(path) && *path != '/')
		return err_new(ERR_INVALID, "the seccomp receiver %s must be an absolute path", path);
	*ret = str_empty(path) ? NULL : path;
	return NULL;
}

/* Names that no architecture has are ignored, unless the annotation forbids it. */
static struct err *check_names(const struct json_cursor *seccomp)
{
	struct json_cursor rules, names;

	TRY(json_get_array(seccomp, "syscalls", JSON_OPTIONAL, &rules));
	for (size_t i = 0, n = json_array_len(&rules); i < n; i++) {
		struct json_cursor rule = json_at(&rules, i);
		TRY(json_get_array(&rule, "names", JSON_REQUIRED, &names));
		for (size_t k = 0, m = json_array_len(&names); k < m; k++) {
			struct json_cursor at = json_at(&names, k);
			const char *name = NULL;
			TRY(json_as_string(&at, &name));
			if (sc_row(name) < 0)
				return json_error(&at,
						  "no system call is called %.60s, and "
						  "run.oci.seccomp_fail_unknown_syscall "
						  "is set",
						  name);
		}
	}
	return NULL;
}

static bool notifies(const struct rt_seccomp *f)
{
	for (size_t i = 0; i < f->n_insns; i++)
		if (f->insns[i].code == (BPF_RET | BPF_K) &&
		    (f->insns[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	return false;
}

/* A program that somebody else compiled. The kernel checks it when it is loaded. */
static struct err *take_program(const struct spec *s, const char *text, struct rt_seccomp *ret)
{
	_cleanup_free_ char *data = NULL;
	size_t size;
	struct rt_seccomp f = {.flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW};

	TRY_WRAP(base64_decode(text, &data, &size), "annotations.run.oci.seccomp_bpf_data");
	if (size == 0 || size % sizeof(*f.insns) || size / sizeof(*f.insns) > BPF_MAXINSNS)
		return err_new(ERR_INVALID,
			       "annotations.run.oci.seccomp_bpf_data: %zu bytes are no filter: it must be 1 "
			       "to %d instructions of "
			       "%zu bytes",
			       size, BPF_MAXINSNS, sizeof(*f.insns));
	if (s->seccomp.value)
		TRY(sc_flags_parse(&s->seccomp, &f.flags));
	f.n_insns = size / sizeof(*f.insns);
	f.insns = xnew_array(struct sock_filter, f.n_insns);
	memcpy(f.insns, data, size);
	f.notify = notifies(&f);
	*ret = f;
	return NULL;
}

struct err *rt_container_seccomp(const struct spec *s, struct rt_seccomp *filter,
				 const struct rt_seccomp **ret)
{
	const char *plugins = NULL, *program = NULL, *strict = NULL, *receiver = NULL;

	TRY(annotation(s, "run.oci.seccomp.plugins", &plugins));
	if (!str_empty(plugins))
		return err_new(
			ERR_UNSUPPORTED,
			"annotations.run.oci.seccomp.plugins: plugins are not supported: use an agent behind "
			"linux.seccomp.listenerPath");
	TRY(annotation(s, "run.oci.seccomp_bpf_data", &program));
	if (!program && !s->seccomp.value)
		return NULL;
	TRY(annotation(s, "run.oci.seccomp_fail_unknown_syscall", &strict));
	if (strict && strcmp(strict, "0") != 0 && s->seccomp.value)
		TRY(check_names(&s->seccomp));
	if (program)
		TRY(take_program(s, program, filter));
	else
		TRY(rt_seccomp_compile(&s->seccomp, filter));
	log_debug("seccomp filter flags: %u", filter->flags & ~(uint32_t)SECCOMP_FILTER_FLAG_TSYNC);
	*ret = filter;
	TRY(rt_container_seccomp_receiver(s, &receiver));
	/* Without a rule that asks it an agent that is there is sent the listener, as by crun; one that is not is ignored, as by runc. */
	struct stat st;
	if (receiver && !filter->notify)
		filter->notify = stat(receiver, &st) == 0 && S_ISSOCK(st.st_mode);
	if (filter->notify && !receiver)
		return err_new(ERR_INVALID,
			       "linux.seccomp: SCMP_ACT_NOTIFY is used, but there is no listenerPath");
	return NULL;
}
