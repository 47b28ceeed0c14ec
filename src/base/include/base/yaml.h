/* SPDX-License-Identifier: Apache-2.0 */
/* YAML read as JSON: mappings with text keys, sequences and scalars, as the core schema of YAML 1.2 has them (null, booleans, integers,
 * floats; what is quoted is text). Aliases are copies. Depth, nodes and size are bounded, so that aliases of aliases cannot grow. */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/json.h"

#define YAML_SIZE_MAX (4u << 20)
#define YAML_NODES_MAX 200000u

/* All documents of `text`, an array; empty ones are left out. `what` names it in errors, which say the line. A key that is there twice is an
 * error. ERR_INVALID, ERR_LIMIT. */
_must_check_ struct err *yaml_parse(const char *text, size_t size, const char *what,
				    struct json **ret_documents);

#endif
