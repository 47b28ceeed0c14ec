/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PULL_H
#define CLI_PULL_H

#include "cli.h"
#include "images/pull.h"

/* "1.2: Pulling from library/debian\n" */
char *pull_intro(const struct reference *r);
/* Whether the user named a tag or digest himself. */
bool reference_has_tag(const char *s);

#endif
