/* SPDX-License-Identifier: Apache-2.0 */
/* What filters of container lists mean, as docker has them: whether a container (struct container *, as const void * for tables of such
 * functions) has one value of a filter. */
#ifndef ENGINE_CONTAINER_MATCH_H
#define ENGINE_CONTAINER_MATCH_H

#include <stdbool.h>

typedef bool container_match(const void *container, const char *value);
container_match container_match_id;       /* the id begins so */
container_match container_match_name;     /* anywhere in the name; ^ and $ are anchors, a leading slash is left out */
container_match container_match_status;   /* docker's word */
container_match container_match_exited;   /* ended with this code */
container_match container_match_ancestor; /* its image, by name or by at least 6 digits of its id */
container_match container_match_volume;   /* a mount's source or target */

#endif
