// SPDX-License-Identifier: Apache-2.0
#include "command/table.h"

#include "base/memory.h"

#define PADDING 3

static size_t width_n(const char *s, size_t n)
{
	size_t width = 0;
	for (size_t i = 0; i < n; i++)
		width += ((unsigned char)s[i] & 0xc0) != 0x80;
	return width;
}

/* As text/tabwriter: a column is a run of consecutive lines that have a tab-ended cell at that place. */
static size_t column_width(const char *line, size_t column, size_t min)
{
	size_t widest = 0;

	for (; *line;) {
		size_t len = strcspn(line, "\n"), left = column;
		const char *cell = line, *end = line + len, *tab;
		while ((tab = memchr(cell, '\t', (size_t)(end - cell))) && left > 0) {
			cell = tab + 1;
			left--;
		}
		if (!tab)
			break;
		widest = MAX(widest, width_n(cell, (size_t)(tab - cell)));
		line = end + (*end == '\n');
	}
	return MAX(widest + PADDING, min);
}

/* The width of a column is found once per run of lines that have it: `valid` counts the lines for which it
 * still holds. */
struct column {
	size_t width;
	bool valid;
};

void table_align(const char *text, size_t min, struct strbuf *out)
{
	struct column *columns = NULL;
	size_t n_columns = 0, cap = 0, start = out->len;

	while (*text) {
		size_t len = strcspn(text, "\n"), column = 0;
		const char *cell = text, *end = text + len, *tab;
		while ((tab = memchr(cell, '\t', (size_t)(end - cell)))) {
			while (n_columns <= column) {
				GROW(columns, n_columns, cap);
				columns[n_columns++] = (struct column){0};
			}
			if (!columns[column].valid)
				columns[column] = (struct column){column_width(text, column, min), true};
			strbuf_append(out, cell, (size_t)(tab - cell));
			for (size_t w = width_n(cell, (size_t)(tab - cell)); w < columns[column].width; w++)
				strbuf_putc(out, ' ');
			cell = tab + 1;
			column++;
		}
		for (size_t i = column; i < n_columns; i++)
			columns[i].valid = false;
		strbuf_append(out, cell, (size_t)(end - cell));
		if (*end == '\n')
			strbuf_putc(out, '\n');
		text = end + (*end == '\n');
	}
	free(columns);
	if (out->len > start)
		str_hide_controls(out->data + start);
}
