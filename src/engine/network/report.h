/* SPDX-License-Identifier: Apache-2.0 */
/* The network parts of docker's container object, for inspect.c. Beside engine/network.h. */
#ifndef ENGINE_NETWORK_REPORT_H
#define ENGINE_NETWORK_REPORT_H

#include "engine/network.h"

_must_check_ struct err *network_settings(struct engine *e, const struct container *c, struct json **ret);
struct json *network_port_bindings(const struct container_spec *s);
struct json *network_exposed_ports(const struct container_spec *s); /* NULL: none */

#endif
