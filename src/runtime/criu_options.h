/* SPDX-License-Identifier: Apache-2.0 */
/* The criu_opts message: what dump and restore have in common. */
#ifndef RUNTIME_CRIU_OPTIONS_H
#define RUNTIME_CRIU_OPTIONS_H

#include "criu.h"
#include "runtime/checkpoint.h"
#include "spec.h"

#define CRIU_DESCRIPTORS "descriptors.json"
/* File descriptors 3 and up of the first process, for restore --preserve-fds: a list of our own, as the other has just three. */
#define CRIU_PRESERVED "preserved-descriptors.json"
#define CRIU_PRESERVED_MAX 256
/* In the state directory of a container that stopped because it was checkpointed: a restore may take its place. */
#define STATE_CHECKPOINTED "checkpointed"

/* The directories of a dump or restore, opened, with their absolute paths. Without a work path work is -1, and NULL. */
struct criu_dirs {
	int images, work;
	char *images_path, *work_path;
};
#define CRIU_DIRS_NONE                    \
	(struct criu_dirs)                \
	{                                 \
		.images = -1, .work = -1, \
	}
void criu_dirs_close(struct criu_dirs *d);
_must_check_ struct err *criu_dirs_open(const struct rt_criu_options *o, bool make, struct criu_dirs *ret);
/* Makes the fds those of the same directories in the mount namespace of process `pid`, keeping their numbers: CRIU mounts things in them. */
_must_check_ struct err *criu_dirs_move(const struct criu_dirs *d, pid_t pid);
/* Where CRIU logs. */
void criu_set_log(struct criu_talk *t, const struct criu_dirs *d, const char *file);

void criu_put_options(struct strbuf *out, const struct rt_criu_options *o, const struct criu_dirs *d,
		      const char *log_file);
/* org.criu.config: absent is runc's file, empty is none. */
_must_check_ struct err *criu_put_config_file(struct strbuf *out, const struct spec *s);
_must_check_ struct err *criu_check_options(const struct rt_criu_options *o, unsigned version);

/* Calls `add` for each mount that is CRIU's "external": bind mounts, and a cgroup mount that is made of binds. `inside` is the path as
 * the configuration has it; `host` is absolute. */
typedef struct err *criu_external_fn(void *data, const char *inside, const char *host);
_must_check_ struct err *criu_each_external(const struct spec *s, const char *bundle,
					    const struct rt_cgroup *cg, criu_external_fn *add, void *data);
/* CRIU's name for an external namespace of that kind: "extRootNetNS". NULL for kinds that are not external but joined. */
const char *criu_external_ns_key(size_t kind);

#endif
