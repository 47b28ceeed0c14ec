/* SPDX-License-Identifier: Apache-2.0 */
/* The network mode "pasta". */
#ifndef ENGINE_NETWORK_PASTA_H
#define ENGINE_NETWORK_PASTA_H

#include "network_private.h"

/* NULL when the program and the device that it needs are there. */
_must_check_ struct err *pasta_check(void);
/* Connects a namespace and publishes the ports; host ports 0 become those that were chosen. network_undo ends it. */
_must_check_ struct err *pasta_up(const struct container *c, int netns, struct ports *p);

#endif
