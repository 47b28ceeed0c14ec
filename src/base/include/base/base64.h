/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 of RFC 4648 section 4. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

#include "base/error.h"

/* With padding. Caller frees. */
char *base64_encode(const char *data, size_t size);
/* ERR_INVALID for anything but base64 with or without padding. NUL-terminated. */
_must_check_ struct err *base64_decode(const char *text, char **ret_data, size_t *ret_size);

#endif
