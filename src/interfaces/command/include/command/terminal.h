/* SPDX-License-Identifier: Apache-2.0 */
/* What our output looks like: widths, colours. */
#ifndef COMMAND_TERMINAL_H
#define COMMAND_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Columns of the terminal behind fd; COLUMNS wins; `otherwise` when it is none. */
size_t terminal_width(int fd, size_t otherwise);
/* A terminal, TERM is not "dumb", and NO_COLOR is unset or empty. */
bool terminal_colours(int fd);
/* Columns that a UTF-8 string takes: one per code point (bytes that are no UTF-8 count one each). */
size_t text_width(const char *s);
/* Prints `text` to stdout in lines of at most `width` columns, the first beginning at column `at`, the others
 * indented by `indent`. */
void text_wrap(const char *text, size_t at, size_t indent, size_t width);

#endif
