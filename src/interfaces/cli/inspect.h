/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "cli.h"

/* docker's image inspect of the command's arguments. */
_must_check_ struct err *inspect_images(struct invocation *in, const char *format, int *ret_status);

#endif
