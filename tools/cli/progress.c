/* A bar of progress on a terminal. */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "tool.h"

#define PAUSE_MS  100
#define WIDTH_MAX 200

void
progress_begin(struct progress *p, uint64_t total, const char *what)
{
	*p = (struct progress){.total = total};
	if (!isatty(STDERR_FILENO))
		return;
	p->what = what;
	p->drawn = clock_now_ms();
}

/* One column less than the terminal has, since some break the line at the last. */
static int
find_width(void)
{
	int width = tool_terminal_width(STDERR_FILENO, 80) - 1;

	return width < WIDTH_MAX ? width : WIDTH_MAX;
}

/* "reading users  42 % [=====>      ]", or the count alone without a total. */
static int
format(const struct progress *p, uint64_t done, char *text, size_t size)
{
	int width = find_width(), n, room, full;

	if (p->total == 0) {
		n = snprintf(text, size, "%s: %llu", p->what, (unsigned long long)done);
		return n < width ? n : width;
	}
	if (done > p->total)
		done = p->total;
	n = snprintf(text, size, "%s %3.0f %% ", p->what,
		100 * (double)done / (double)p->total);
	room = width - n - 2;
	if (n < 0 || room < 10)
		return n < width ? n : width;
	full = (int)((double)room * (double)done / (double)p->total);
	text[n++] = '[';
	memset(text + n, '=', (size_t)full);
	memset(text + n + full, ' ', (size_t)(room - full));
	text[n + room] = ']';
	return n + room + 1;
}

static void
draw(struct progress *p, uint64_t done)
{
	char text[2 * WIDTH_MAX];
	int n = format(p, done, text, sizeof text), wipe = p->width - n;

	fprintf(stderr, "\r%.*s%*s", n, text, wipe > 0 ? wipe : 0, "");
	fflush(stderr);
	p->width = n;
}

void
progress_step(struct progress *p, uint64_t done)
{
	uint64_t now;

	if (!p->what)
		return;
	now = clock_now_ms();
	if (now - p->drawn < PAUSE_MS)
		return;
	p->drawn = now;
	draw(p, done);
}

void
progress_say(struct progress *p, const char *what)
{
	progress_begin(p, 0, what);
	if (p->what)
		p->width = fprintf(stderr, "\r%s...", what);
	fflush(stderr);
}

void
progress_end(struct progress *p)
{
	if (p->what && p->width)
		fprintf(stderr, "\r%*s\r", p->width, "");
	p->what = NULL;
}
