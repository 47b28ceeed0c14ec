/* SPDX-License-Identifier: Apache-2.0 */
/* containerEdits of CDI. */
#ifndef ENGINE_CDI_EDIT_H
#define ENGINE_CDI_EDIT_H

#include "base/json.h"

/* Everything that cdi_edit relies on; absent edits are right. */
_must_check_ struct err *cdi_edit_check(const struct json_cursor *edits);

#endif
