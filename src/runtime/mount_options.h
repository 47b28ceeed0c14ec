/* SPDX-License-Identifier: Apache-2.0 */
/* The options of mounts[].options: a table, and the reading of mounts. config.md "Mounts", "Linux mount options". */
#ifndef RUNTIME_MOUNT_OPTIONS_H
#define RUNTIME_MOUNT_OPTIONS_H

#include "spec.h"

/* The name of option `index` of the table, NULL behind the last: for `features`. */
const char *mount_option_name(unsigned index);

/* The mappings behind "idmap=" or "ridmap="; empty text gives none. `own` are those of the container's user namespace. Released by the
 * caller, also after an error. */
_must_check_ struct err *mount_idmap_parse(const struct json_cursor *entry, const char *text,
					   const struct spec_id_maps *own, struct spec_id_maps *ret);

#endif
