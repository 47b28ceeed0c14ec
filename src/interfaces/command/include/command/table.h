/* SPDX-License-Identifier: Apache-2.0 */
/* Columns, laid out as docker's tables are: cells end with a tab, a column is as wide as its widest cell plus
 * three blanks, at least ten; the last cell of a line is not padded. */
#ifndef COMMAND_TABLE_H
#define COMMAND_TABLE_H

#include "base/str.h"

/* Replaces the tabs of `text` (lines separated by newlines) by blanks; appends to out. */
void table_align(const char *text, size_t min, struct strbuf *out);

#endif
