// SPDX-License-Identifier: Apache-2.0
/* The progress of pull, push and load. On a terminal: a line per layer, redrawn in place, at most some ten times a second, and a total
 * below; what does not fit the screen is left out, finished layers first. Elsewhere: a line when a layer begins and when it ends.
 *
 * The screen holds `drawn` lines of ours above the cursor; a redraw goes up that many lines and writes them again with one write(2),
 * each cut to the present width, so that a line never wraps and the count stays right. */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "cli.h"
#include "command/terminal.h"

#define REDRAW_NS (80 * 1000000ll)
#define SPEED_WINDOW_NS (1000 * 1000000ll)
#define BAR_MAX 50
#define BAR_MIN 10
#define ID_MAX 24
#define ITEMS_MAX 1024

struct item {
	char id[ID_MAX];
	enum progress_phase phase;
	uint64_t done, total;
	uint64_t downloaded; /* highest seen while downloading, for the speed and the sum */
	uint64_t size;       /* of the download, once known */
};

struct progress_display {
	struct progress callbacks;
	int fd;
	enum progress_work work;
	bool quiet, live, colours;
	char *intro; /* printed before the first sign of life; NULL: printed, or none */
	struct item *items;
	size_t n, cap;
	size_t drawn;
	int64_t last_draw_ns;
	int64_t speed_since_ns;
	uint64_t speed_bytes; /* sum of `downloaded` then */
	double speed;         /* bytes a second */
};

static void put(const struct progress_display *d, const struct strbuf *b)
{
	const char *s = strbuf_str(b);
	size_t left = b->len;

	while (left) {
		ssize_t n = write(d->fd, s, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* progress is no result: its loss is no failure */
		s += n;
		left -= (size_t)n;
	}
}

static const char *phase_words(const struct progress_display *d, enum progress_phase p)
{
	bool load = d->work == PROGRESS_LOAD, push = d->work == PROGRESS_PUSH,
	     copy = d->work == PROGRESS_COPY;

	switch (p) {
	case PROGRESS_WAITING:
		return "Waiting";
	case PROGRESS_DOWNLOADING:
		return "Downloading";
	case PROGRESS_APPLYING:
		return load ? "Loading" : "Extracting";
	case PROGRESS_DONE:
		return load ? "Loaded" : copy ? "Copied" : push ? "Pushed" : "Pull complete";
	case PROGRESS_EXISTS:
		return push ? "Layer already exists" : "Already exists";
	case PROGRESS_UPLOADING:
		return "Pushing";
	case PROGRESS_MOUNTED:
		return "Mounted";
	case PROGRESS_RETRYING:
		return "Retrying";
	}
	return "";
}

static bool is_over(const struct item *i)
{
	return i->phase == PROGRESS_DONE || i->phase == PROGRESS_EXISTS || i->phase == PROGRESS_MOUNTED;
}

static bool is_moving(const struct item *i)
{
	return i->phase == PROGRESS_DOWNLOADING || i->phase == PROGRESS_UPLOADING;
}

static void append_size(struct strbuf *b, uint64_t bytes)
{
	_cleanup_free_ char *s = format_size(bytes);
	strbuf_puts(b, s);
}

/* "[=====>    ]" in `width` columns including the brackets. */
static void append_bar(struct strbuf *b, uint64_t done, uint64_t total, size_t width)
{
	size_t inside = width - 2,
	       full = total ? (size_t)((double)MIN(done, total) / (double)total * (double)inside) : 0;

	strbuf_putc(b, '[');
	for (size_t i = 0; i < inside; i++)
		strbuf_putc(b, i < full ? '=' : i == full && full < inside ? '>' : ' ');
	strbuf_putc(b, ']');
}

/* Adds the line, cut to `width` columns, with the codes that end it. */
static void append_cut(struct strbuf *b, const char *line, size_t width)
{
	size_t columns = 0;

	for (const char *c = line; *c; c++) {
		if (((unsigned char)*c & 0xc0) != 0x80 && ++columns > width)
			break;
		strbuf_putc(b, *c);
	}
	strbuf_puts(b, "\033[K\n");
}

static void draw_item(const struct progress_display *d, const struct item *i, size_t width,
		      struct strbuf *out)
{
	_cleanup_strbuf_ struct strbuf line = {0}, sizes = {0};
	bool working = is_moving(i) || i->phase == PROGRESS_APPLYING, bar = working && i->total;

	strbuf_printf(&line, "%s: %s", i->id, phase_words(d, i->phase));
	if (working) {
		append_size(&sizes, i->done);
		if (i->total) {
			strbuf_putc(&sizes, '/');
			append_size(&sizes, i->total);
		}
	}
	if (bar) {
		/* Columns left for the bar behind the longest words and sizes, so that all bars begin and end at one place. */
		size_t head = strlen(i->id) + 2 + strlen("Downloading") + 1, tail = 2 + strlen("999MB/999MB");
		size_t room = width > head + tail ? width - head - tail : 0;
		while (line.len < head)
			strbuf_putc(&line, ' ');
		if (room >= BAR_MIN)
			append_bar(&line, i->done, i->total, MIN(room, (size_t)BAR_MAX + 2));
		strbuf_putc(&line, ' ');
	}
	if (sizes.len)
		strbuf_printf(&line, " %s", strbuf_str(&sizes));
	if (d->colours && is_over(i)) {
		strbuf_puts(out, "\033[32m");
		append_cut(out, strbuf_str(&line), width);
		out->len--; /* the colour ends before the line does */
		strbuf_puts(out, "\033[0m\n");
		return;
	}
	append_cut(out, strbuf_str(&line), width);
}

static void sums(const struct progress_display *d, uint64_t *ret_done, uint64_t *ret_total, bool *ret_busy)
{
	*ret_done = *ret_total = 0;
	*ret_busy = false;
	for (size_t i = 0; i < d->n; i++) {
		*ret_done += d->items[i].downloaded;
		*ret_total += MAX(d->items[i].size, d->items[i].downloaded);
		*ret_busy |= is_moving(&d->items[i]);
	}
}

static void measure_speed(struct progress_display *d, int64_t now, uint64_t done)
{
	if (!d->speed_since_ns) {
		d->speed_since_ns = now;
		d->speed_bytes = done;
		return;
	}
	int64_t span = now - d->speed_since_ns;
	if (span < SPEED_WINDOW_NS / 4)
		return;
	double current = (double)(done - MIN(d->speed_bytes, done)) * 1e9 / (double)span;
	d->speed = d->speed > 0 ? d->speed * 0.7 + current * 0.3 : current;
	d->speed_since_ns = now;
	d->speed_bytes = done;
}

static void draw_total(struct progress_display *d, int64_t now, size_t width, struct strbuf *out)
{
	_cleanup_strbuf_ struct strbuf line = {0};
	uint64_t done, total;
	bool busy;

	sums(d, &done, &total, &busy);
	measure_speed(d, now, done);
	if (!total)
		return;
	strbuf_puts(&line, "Total: ");
	append_size(&line, done);
	strbuf_putc(&line, '/');
	append_size(&line, total);
	if (busy && d->speed > 1) {
		strbuf_puts(&line, "  ");
		append_size(&line, (uint64_t)d->speed);
		strbuf_puts(&line, "/s");
		double left = (double)(total - done) / d->speed;
		if (left < 360000)
			strbuf_printf(&line, "  %d:%02d left", (int)left / 60, (int)left % 60);
	}
	append_cut(out, strbuf_str(&line), width);
	d->drawn++;
}

static void redraw(struct progress_display *d, int64_t now, bool last)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	struct winsize w = {0};
	size_t width = terminal_width(d->fd, 80) - 1;
	size_t rows = ioctl(d->fd, TIOCGWINSZ, &w) == 0 && w.ws_row > 4 ? w.ws_row - 2u : 22;

	if (d->drawn)
		strbuf_printf(&out, "\033[%zuA\r", d->drawn);
	d->drawn = 0;
	/* More layers than rows: those that are over are left out, then the last ones; the final drawing shows all and may scroll. */
	size_t active = 0;
	for (size_t i = 0; i < d->n; i++)
		active += !is_over(&d->items[i]);
	size_t skip_over = d->n > rows && !last ? d->n - rows : 0;
	skip_over = MIN(skip_over, d->n - active);
	for (size_t i = 0; i < d->n && (last || d->drawn < rows); i++) {
		if (skip_over && is_over(&d->items[i])) {
			skip_over--;
			continue;
		}
		draw_item(d, &d->items[i], width, &out);
		d->drawn++;
	}
	if (!last)
		draw_total(d, now, width, &out);
	strbuf_puts(&out, "\033[J");
	put(d, &out);
	d->last_draw_ns = now;
}

static void print_intro(struct progress_display *d)
{
	if (!d->intro)
		return;
	_cleanup_strbuf_ struct strbuf b = {0};
	strbuf_puts(&b, d->intro);
	free(d->intro);
	d->intro = NULL;
	put(d, &b);
}

static struct item *find_item(struct progress_display *d, const char *id, bool *ret_new)
{
	*ret_new = false;
	for (size_t i = 0; i < d->n; i++)
		if (strncmp(d->items[i].id, id, ID_MAX - 1) == 0)
			return &d->items[i];
	if (d->n == ITEMS_MAX)
		return NULL;
	GROW(d->items, d->n, d->cap);
	struct item *item = &d->items[d->n++];
	*item = (struct item){0};
	snprintf(item->id, sizeof(item->id), "%s", id);
	*ret_new = true;
	return item;
}

static void print_line(const struct progress_display *d, const char *id, const char *words)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	strbuf_printf(&b, "%s: %s\n", id, words);
	put(d, &b);
}

static void update(void *user, const char *id, enum progress_phase phase, uint64_t done, uint64_t total)
{
	struct progress_display *d = user;
	bool is_new;

	if (d->quiet)
		return;
	print_intro(d);
	struct item *item = find_item(d, id, &is_new);
	if (!item)
		return;
	bool changed = is_new || item->phase != phase;
	item->phase = phase;
	item->done = done;
	item->total = total;
	if (is_moving(item)) {
		item->downloaded = done;
		item->size = MAX(item->size, total);
	} else if (phase == PROGRESS_APPLYING || phase == PROGRESS_DONE) {
		item->downloaded = item->size;
	}
	if (d->live) {
		int64_t now = timestamp_monotonic_ns();
		if (changed || now - d->last_draw_ns >= REDRAW_NS)
			redraw(d, now, false);
		return;
	}
	if (d->work == PROGRESS_COPY)
		return; /* the messages say it */
	if (is_new && !is_over(item))
		print_line(d, item->id, d->work == PROGRESS_PUSH ? "Preparing" : "Pulling fs layer");
	if (changed && (is_over(item) || phase == PROGRESS_RETRYING))
		print_line(d, item->id, phase_words(d, phase));
}

static void message(void *user, const char *text)
{
	struct progress_display *d = user;

	if (d->quiet)
		return;
	print_intro(d);
	_cleanup_strbuf_ struct strbuf b = {0};
	/* Above the bars: the message takes their place, they are drawn again below it. */
	if (d->drawn)
		strbuf_printf(&b, "\033[%zuA\r", d->drawn);
	strbuf_puts(&b, text);
	if (d->live)
		strbuf_puts(&b, "\033[K");
	strbuf_putc(&b, '\n');
	put(d, &b);
	if (d->drawn) {
		d->drawn = 0;
		redraw(d, timestamp_monotonic_ns(), false);
	}
}

static bool cancelled(void *user)
{
	return interrupted();
}

struct progress_display *progress_display_new(int fd, enum progress_work work, bool quiet, const char *intro)
{
	struct progress_display *d = xnew(struct progress_display);
	const char *term = getenv("TERM");

	d->callbacks =
		(struct progress){.update = update, .message = message, .cancelled = cancelled, .user = d};
	d->fd = fd;
	d->work = work;
	d->live = isatty(fd) && term && !str_eq(term, "dumb");
	d->quiet = quiet || (work == PROGRESS_LOAD && !d->live);
	d->colours = terminal_colours(fd);
	d->intro = xstrdup_null(intro);
	return d;
}

const struct progress *progress_display_callbacks(struct progress_display *d)
{
	return &d->callbacks;
}

void progress_display_finish(struct progress_display *d)
{
	if (d->live && d->n && !d->quiet)
		redraw(d, timestamp_monotonic_ns(), true);
	d->drawn = 0;
}

void progress_display_free(struct progress_display *d)
{
	if (!d)
		return;
	free(d->intro);
	free(d->items);
	free(d);
}
