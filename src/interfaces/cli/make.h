/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by run, create, start and exec (cmd_run.c). */
#ifndef CLI_MAKE_H
#define CLI_MAKE_H

#include "cli.h"

/* Image, container, id file; warnings are printed. */
_must_check_ struct err *make_container(struct engine *e, const struct create_options *o,
					struct container_spec *s, struct container **ret);
/* Of our terminal; not touched when there is none. */
void window_size(unsigned *ret_rows, unsigned *ret_cols);

#endif
