/* SPDX-License-Identifier: Apache-2.0 */
/* A container's files as it sees them, with its volumes, whether it runs or not: for cp and for docker's archive requests. */
#ifndef ENGINE_FILES_H
#define ENGINE_FILES_H

#include <sys/types.h>

#include "base/inroot.h"
#include "engine/engine.h"

struct container_files;
/* Of a running container the root of its processes; their owner may change anything under our hands, so that everything has to go through
 * the struct inroot. Of another one its root file system with its volumes and binds mounted in a mount namespace that exists for this
 * alone; it cannot be started until the files are closed. */
_must_check_ struct err *container_files_open(struct engine *e, struct container *c,
					      struct container_files **ret);
void container_files_close(struct container_files *f);
DEFINE_CLEANUP(struct container_files *, container_files_close)
const struct inroot *container_files_root(const struct container_files *f); /* borrowed */
/* Who the container's own processes are, by its passwd. */
_must_check_ struct err *container_files_owner(const struct container_files *f, const struct container *c,
					       uid_t *ret_uid, gid_t *ret_gid);

#endif
