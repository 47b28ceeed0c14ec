// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include <fcntl.h>
#include <pty.h>
#include <termios.h>

#include "base/memory.h"
#include "unit.h"

static void feed(struct progress_display *d)
{
	const struct progress *p = progress_display_callbacks(d);

	p->update(p->user, "aaaaaaaaaaaa", PROGRESS_WAITING, 0, 0);
	p->update(p->user, "bbbbbbbbbbbb", PROGRESS_EXISTS, 0, 0);
	p->update(p->user, "aaaaaaaaaaaa", PROGRESS_DOWNLOADING, 500000, 1000000);
	p->message(p->user, "a message");
	p->update(p->user, "aaaaaaaaaaaa", PROGRESS_RETRYING, 500000, 1000000);
	p->update(p->user, "aaaaaaaaaaaa", PROGRESS_APPLYING, 500000, 1000000);
	p->update(p->user, "aaaaaaaaaaaa", PROGRESS_DONE, 1000000, 1000000);
	CHECK(!p->cancelled(p->user));
	progress_display_finish(d);
}

static void read_all(int fd, char *out, size_t size)
{
	size_t len = 0;
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	while (len < size - 1) {
		ssize_t n = read(fd, out + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	out[len] = '\0';
}

TEST(lines_without_a_terminal)
{
	int fds[2];
	char out[4096];
	CHECK(pipe(fds) == 0);
	_cleanup_progress_display_ struct progress_display *d =
		progress_display_new(fds[1], PROGRESS_PULL, false, "intro\n");
	feed(d);
	read_all(fds[0], out, sizeof(out));
	CHECK_STR(out, "intro\naaaaaaaaaaaa: Pulling fs layer\nbbbbbbbbbbbb: Already exists\na "
		       "message\naaaaaaaaaaaa: Retrying\n"
		       "aaaaaaaaaaaa: Pull complete\n");
}

TEST(quiet_prints_nothing)
{
	int fds[2];
	char out[64];
	CHECK(pipe(fds) == 0);
	_cleanup_progress_display_ struct progress_display *d =
		progress_display_new(fds[1], PROGRESS_PULL, true, "intro\n");
	feed(d);
	read_all(fds[0], out, sizeof(out));
	CHECK_STR(out, "");
}

/* What a terminal of `columns` columns would show: handles what the display sends (up, carriage return, clear to the end). */
static size_t longest_line(const char *s)
{
	size_t longest = 0, now = 0;
	for (; *s; s++) {
		if (*s == '\033') {
			while (*s && !((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z')))
				s++;
			continue;
		}
		if (*s == '\n' || *s == '\r')
			now = 0;
		else if (((unsigned char)*s & 0xc0) != 0x80)
			now++;
		longest = now > longest ? now : longest;
	}
	return longest;
}

TEST(bars_fit_the_terminal)
{
	static const unsigned short widths[] = {20, 40, 80, 200};
	unsetenv("COLUMNS");
	setenv("TERM", "xterm", 1);
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		struct winsize w = {.ws_row = 24, .ws_col = widths[i]};
		int master, slave;
		char out[16384];
		CHECK(openpty(&master, &slave, NULL, NULL, &w) == 0);
		_cleanup_progress_display_ struct progress_display *d =
			progress_display_new(slave, PROGRESS_PULL, false, NULL);
		feed(d);
		read_all(master, out, sizeof(out));
		CHECK(strstr(out, "\033["));
		CHECK(longest_line(out) < widths[i]);
		if (widths[i] >= 80)
			CHECK(strstr(out, "aaaaaaaaaaaa: Downloading [") && strstr(out, "500kB/1MB"));
		close(master);
		close(slave);
	}
}

TEST(more_layers_than_rows)
{
	struct winsize w = {.ws_row = 10, .ws_col = 80};
	int master, slave;
	static char out[1 << 20];
	setenv("TERM", "xterm", 1);
	CHECK(openpty(&master, &slave, NULL, NULL, &w) == 0);
	/* Nobody reads while we write: keep it below what a pty holds. */
	_cleanup_progress_display_ struct progress_display *d =
		progress_display_new(slave, PROGRESS_PULL, false, NULL);
	const struct progress *p = progress_display_callbacks(d);
	CHECK(fcntl(slave, F_SETFL, O_NONBLOCK) == 0);
	for (int i = 0; i < 30; i++) {
		char id[16];
		snprintf(id, sizeof(id), "layer%d", i);
		p->update(p->user, id, PROGRESS_WAITING, 0, 0);
		read_all(master, out, sizeof(out));
		/* Never up by more rows than there are. */
		for (const char *s = out; (s = strstr(s, "\033[")); s++)
			if (strchr(s, 'A') && strchr(s, 'A') < s + 6)
				CHECK(strtol(s + 2, NULL, 10) <= 9);
	}
	close(master);
	close(slave);
}

UNIT_MAIN
