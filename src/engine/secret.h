/* SPDX-License-Identifier: Apache-2.0 */
/* What a container is given of secrets (engine/secret.h): --secret NAME[,type=mount|env][,target=…][,uid=…][,gid=…][,mode=…]. */
#ifndef ENGINE_SECRET_PRIVATE_H
#define ENGINE_SECRET_PRIVATE_H

#include "engine/secret.h"
#include "private.h"

/* At creation: they exist, and their options make sense. */
_must_check_ struct err *secrets_check(struct engine *e, const struct container_spec *s);
/* Files in the run directory and their mounts, by default at /run/secrets/NAME. */
_must_check_ struct err *secrets_mount(const struct spec_input *in, struct json *mounts);
/* NAME=value of those with type=env. */
_must_check_ struct err *secrets_environment(struct engine *e, const struct container_spec *s, char ***ret);

#endif
