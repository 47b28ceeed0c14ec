/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of a systemd unit as the elements of an a(sv), marshalled from offset 0: systemd.resource-control(5), systemd.scope(5).
 *
 * The limits in them repeat what is written into the group's files: systemd writes what it knows again on every daemon-reload, and what
 * it does not know it resets. Where systemd has no word for a limit, the file alone has it. */
#ifndef RUNTIME_SYSTEMD_PROPERTIES_H
#define RUNTIME_SYSTEMD_PROPERTIES_H

#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "cgroup_private.h"

void systemd_property_string(struct strbuf *p, const char *name, const char *value);
void systemd_property_bool(struct strbuf *p, const char *name, bool value);
void systemd_property_u64(struct strbuf *p, const char *name, uint64_t value);
void systemd_property_strv(struct strbuf *p, const char *name, const char *value); /* of one string */
void systemd_property_pid(struct strbuf *p, pid_t pid);

/* Of linux.resources. `v2`: the controllers' names and ranges are v2's. */
_must_check_ struct err *systemd_properties_resources(struct strbuf *p, const struct cg_resources *r,
						      bool v2);
/* Of annotations org.systemd.property.NAME; `config` is config.json. ERR_INVALID names the annotation. */
_must_check_ struct err *systemd_properties_annotations(struct strbuf *p, const struct json_cursor *config);

/* The rules as systemd can express them: what may be used, each entry once; true: everything. Never narrower than the rules. Caller frees.
 * Public here for its test. */
bool systemd_device_list(const struct cg_device_rule *rules, size_t n, struct cg_device_rule **ret,
			 size_t *ret_n);

#endif
