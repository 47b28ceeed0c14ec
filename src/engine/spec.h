/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of spec generation, private to the spec_*.c files and inspect. */
#ifndef ENGINE_SPEC_H
#define ENGINE_SPEC_H

#include "private.h"

#define SPEC_INIT_PATH "/sbin/havre-init" /* where --init's program appears in the container */

_must_check_ struct err *spec_process(const struct spec_input *in, char *const *capabilities,
				      const char *hostname, struct json **ret);
_must_check_ struct err *spec_mounts(const struct spec_input *in, struct json **ret);
_must_check_ struct err *spec_resources(const struct container_spec *s, struct json **ret_resources,
					struct json **ret_devices);
/* blockIO, when something of it is asked for. ERR_NOT_FOUND, ERR_INVALID: a device that is none. */
_must_check_ struct err *spec_block_io(const struct container_spec *s, struct json *resources);
bool spec_private_cgroupns(const struct container_spec *s);
char *spec_hostname(const struct container *c); /* caller frees */

#endif
