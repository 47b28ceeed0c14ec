/* SPDX-License-Identifier: Apache-2.0 */
/* CDI, the Container Device Interface 1.0: files that say what a container needs to use a device, by the device's vendor. A name is
 * VENDOR/CLASS=DEVICE. Files are *.json and *.yaml in /etc/cdi and /var/run/cdi ($HAVRE_CDI_SPEC_DIRS: others, separated by colons); those
 * of a later directory win, and a device that two files of one directory describe is nobody's. */
#ifndef ENGINE_CDI_H
#define ENGINE_CDI_H

#include "base/json.h"

/* Whether --device means this, and not a path. */
bool cdi_is_name(const char *device);

/* A file's content, checked: kind, names, and every edit. Borrowed by nobody; freed with json_unref. */
_must_check_ struct err *cdi_parse(const char *text, size_t size, bool yaml, const char *what,
				   struct json **ret);
/* Applies containerEdits to an OCI configuration. */
_must_check_ struct err *cdi_edit(const struct json_cursor *edits, struct json *oci);

/* Those of `devices` that are names of CDI become edits of `oci`; NULL: they are only looked for. */
_must_check_ struct err *cdi_apply(char *const *devices, struct json *oci);
/* docker's --gpus ("all", "2", "device=0,1") as names. Appends to *devices. */
_must_check_ struct err *cdi_gpus(const char *gpus, char ***devices);

#endif
