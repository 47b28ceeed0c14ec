// SPDX-License-Identifier: Apache-2.0
#include "command/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MIN 20
#define WIDTH_MAX 1000

size_t terminal_width(int fd, size_t otherwise)
{
	const char *columns = getenv("COLUMNS");
	if (columns) {
		char *end;
		unsigned long n = strtoul(columns, &end, 10);
		if (*columns && !*end && n >= WIDTH_MIN && n <= WIDTH_MAX)
			return n;
	}
	struct winsize w;
	if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col)
		return w.ws_col < WIDTH_MIN ? WIDTH_MIN : w.ws_col;
	return otherwise;
}

bool terminal_colours(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

size_t text_width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80; /* continuation bytes take no column */
	return n;
}

void text_wrap(const char *text, size_t at, size_t indent, size_t width)
{
	bool first = true;

	while (*text) {
		size_t len = strcspn(text, " ");
		size_t columns = 0;
		for (size_t i = 0; i < len; i++)
			columns += ((unsigned char)text[i] & 0xc0) != 0x80;
		if (!first && at + 1 + columns > width) {
			printf("\n%*s", (int)indent, "");
			at = indent;
		} else if (!first) {
			putchar(' ');
			at++;
		}
		fwrite(text, 1, len, stdout);
		at += columns;
		first = false;
		text += len;
		text += strspn(text, " ");
	}
	putchar('\n');
}
