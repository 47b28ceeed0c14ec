/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_NAME_CHOICE_H
#define CLI_NAME_CHOICE_H

#include "images/short_names.h"

/* The canonical names that `what` may mean, in the order in which they are tried. *ret_asked: somebody chose, which is worth remembering. */
_must_check_ struct err *cli_choose_names(const char *what, bool quiet, char ***ret_names, bool *ret_asked);

#endif
