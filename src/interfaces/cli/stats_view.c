// SPDX-License-Identifier: Apache-2.0
/* The picture of stats: a line for each container with bars of CPU and memory, and the CPU's history. */
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli.h"
#include "command/terminal.h"
#include "stats.h"

#define NAME_WIDTH 16
#define BAR_WIDTH 12
#define FIXED_WIDTH 88 /* all but the history */

static struct termios saved;
static bool changed;

void stats_view_begin(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved) == 0) {
		raw = saved;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	fputs("\033[?1049h\033[?25l", stdout);
}

void stats_view_end(void)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (changed)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	changed = false;
}

/* Eighths of a column. */
static void put_bar(struct strbuf *b, double percent, bool colours)
{
	static const char *const parts[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	double filled = MIN(MAX(percent, 0.0), 100.0) / 100.0 * BAR_WIDTH;
	size_t whole = (size_t)filled, eighth = (size_t)((filled - (double)whole) * 8);

	if (colours)
		strbuf_puts(b, percent >= 90 ? "\033[31m" : percent >= 60 ? "\033[33m" : "\033[32m");
	for (size_t i = 0; i < BAR_WIDTH; i++)
		strbuf_puts(b, i < whole ? "█" : i == whole ? parts[eighth] : " ");
	if (colours)
		strbuf_puts(b, "\033[0m");
}

static void put_history(struct strbuf *b, const struct stats_row *r, size_t width, bool colours)
{
	static const char *const levels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	size_t n = MIN(r->n_history, width);
	double top = 1; /* less than a percent is flat */

	for (size_t i = r->n_history - n; i < r->n_history; i++)
		top = MAX(top, r->history[i]);
	if (colours)
		strbuf_puts(b, "\033[36m");
	for (size_t i = r->n_history - n; i < r->n_history; i++)
		strbuf_puts(b, levels[(size_t)(MAX(r->history[i], 0.0) / top * 7.0 + 0.5)]);
	if (colours)
		strbuf_puts(b, "\033[0m");
}

char *stats_view_line(const struct stats_row *r, size_t width, bool colours)
{
	struct strbuf b = {0};

	strbuf_printf(&b, "%-*.*s ", NAME_WIDTH, NAME_WIDTH, r->c->name);
	if (!r->up) {
		strbuf_puts(&b, container_status_name(r->c->status));
		return strbuf_take(&b);
	}
	const struct container_sample *s = &r->now;
	_cleanup_free_ char *memory = stats_binary_size(s->memory_bytes), *rx = format_size(s->rx_bytes),
			    *tx = format_size(s->tx_bytes), *in = format_size(s->read_bytes),
			    *out = format_size(s->write_bytes);
	_cleanup_free_ char *net = xasprintf("%s/%s", rx, tx), *block = xasprintf("%s/%s", in, out);
	strbuf_printf(&b, "%6.1f%% ", r->cpu_percent);
	put_bar(&b, r->cpu_percent, colours);
	strbuf_printf(&b, " %9s ", memory);
	if (width < FIXED_WIDTH) /* a small terminal: what matters most */
		return strbuf_take(&b);
	put_bar(&b, stats_memory_percent(r), colours);
	strbuf_printf(&b, " %13s %13s %4llu ", net, block, (unsigned long long)s->pids);
	if (width > FIXED_WIDTH)
		put_history(&b, r, MIN(width - FIXED_WIDTH, (size_t)STATS_HISTORY), colours);
	return strbuf_take(&b);
}

void stats_view_draw(const struct stats_rows *v, int wait_ms, bool *ret_quit)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	size_t width = terminal_width(STDOUT_FILENO, 80);
	bool colours = terminal_colours(STDOUT_FILENO);
	struct winsize size = {0};
	size_t rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2 ? size.ws_row : 24;
	char key = 0;

	_cleanup_free_ char *head =
		width < FIXED_WIDTH
			? xasprintf("%-*s %7s %*s %9s", NAME_WIDTH, "NAME", "CPU", BAR_WIDTH, "", "MEMORY")
			: xasprintf("%-*s %7s %*s %9s %-*s %13s %13s %4s CPU HISTORY", NAME_WIDTH, "NAME",
				    "CPU", BAR_WIDTH, "", "MEMORY", BAR_WIDTH, "OF LIMIT", "NET IN/OUT",
				    "READ/WRITE", "PIDS");
	printf("\033[H%s%.*s%s\033[K\n", colours ? "\033[1m" : "", (int)width, head,
	       colours ? "\033[0m" : "");
	for (size_t i = 0; i < v->n && i + 2 < rows; i++) {
		_cleanup_free_ char *line = stats_view_line(&v->items[i], width, colours);
		printf("%s\033[K\n", line);
	}
	if (v->n == 0)
		printf("no container is running\033[K\n");
	else if (v->n + 2 > rows)
		printf("and %zu more\033[K", v->n + 2 - rows);
	fputs("\033[J", stdout);
	fflush(stdout);
	if (!changed) /* no keyboard */
		(void)poll(NULL, 0, wait_ms);
	else if (poll(&p, 1, wait_ms) > 0)
		*ret_quit = read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q';
}
