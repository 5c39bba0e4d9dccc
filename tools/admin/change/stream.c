/*
 * apply --interval: changes as they come, one a line, made in batches, each line answered
 * once the table holds it.
 *
 * A batch is what was read since the last change of the table, at most so many lines. A
 * line that is refused leaves the others alone. Aliases are looked at over the whole
 * batch; where they are at fault it is undone and tried again in halves, down to the
 * line. Between batches the lock is free. Where the table can't be changed at all, each
 * line of the batch is answered so, and the next batch tries again.
 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define BATCH_MAX  50000
#define LINE_BYTES (4 * RECORD_LINE_MAX)
#define READ_SIZE  65536

struct line {
	char *text;
	size_t length;
	unsigned long number;
	const char *bad; /* why it can't be run; NULL if it can */
	int status;
	char *reason; /* NULL with TOOL_OK */
};

struct stream {
	struct brimadm *a;
	int fd;
	char *rest; /* of a line that has no end yet */
	size_t rest_length;
	int overlong; /* that line is thrown away up to its end */
	struct line *lines;
	size_t count;
	unsigned long number;
	int ended;
	uint64_t due, interval; /* when the next change may be made; ms */
	int worst;              /* status */
};

static volatile sig_atomic_t stopped;

static void
stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

static void
judge(struct line *l, int status, const char *reason)
{
	free(l->reason);
	l->status = status;
	l->reason = status ? strdup(reason) : NULL;
}

/* Runs the line; TOOL_CANT where nothing more can be done on this copy. */
static int
run_line(struct brimadm *a, struct line *l)
{
	char *text;
	int status;

	if (l->bad) {
		judge(l, TOOL_USAGE, l->bad);
		return TOOL_OK;
	}
	text = strndup(l->text, l->length);
	if (!text)
		return brimadm_refuse(a, TOOL_CANT, "no memory");
	status = brimadm_apply_line(a, text, strlen(text));
	free(text);
	judge(l, status, a->why.text);
	return status == TOOL_CANT ? status : TOOL_OK;
}

/* --- a batch --- */

/* Runs the lines on a sound copy and leaves it sound: those at fault are judged so, and
 * undone. */
static int
run_lines(struct brimadm *a, struct line *lines, size_t count)
{
	int status = TOOL_OK;

	for (size_t i = 0; i < count && !status; i++)
		status = run_line(a, &lines[i]);
	if (!status)
		status = brimadm_status(change_check_aliases(a->change, &a->why));
	if (status == TOOL_OK || status == TOOL_CANT)
		return status;
	if (count == 1)
		judge(lines, status, a->why.text);
	status = brimadm_status(change_undo(a->change, &a->why));
	if (status || count == 1)
		return status;
	status = run_lines(a, lines, count / 2);
	return status ? status : run_lines(a, lines + count / 2, count - count / 2);
}

static int
any_ok(const struct stream *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->lines[i].status == TOOL_OK)
			return 1;
	return 0;
}

/* The lines that would hold fail with the table; the others keep their own fault. */
static void
fail_all(struct stream *s, int status)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->lines[i].status == TOOL_OK || s->lines[i].status == TOOL_CANT)
			judge(&s->lines[i], status, s->a->why.text);
}

static void
answer(struct stream *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct line *l = &s->lines[i];

		if (l->status == TOOL_OK)
			printf("ok %lu\n", l->number);
		else
			printf("failed %lu %d %s\n", l->number, l->status,
				l->reason ? l->reason : "no memory");
		if (l->status > s->worst)
			s->worst = l->status;
		free(l->reason);
		free(l->text);
	}
	fflush(stdout);
	s->count = 0;
}

/* Makes one change of all lines that were read. */
static void
publish(struct stream *s)
{
	struct brimadm *a = s->a;
	int status = brimadm_begin(a, CHANGE_CAN_UNDO);

	if (!status)
		status = run_lines(a, s->lines, s->count);
	if (!status && !any_ok(s))
		brimadm_end_silently(a, TOOL_NO); /* nothing to be changed */
	else
		status = brimadm_end_silently(a, status);
	if (status)
		fail_all(s, status);
	answer(s);
	s->due = clock_now_ms() + s->interval;
}

/* --- reading --- */

static int
add_line(struct stream *s, const char *text, size_t length, const char *bad)
{
	struct line *l = &s->lines[s->count];

	*l = (struct line){.length = length, .number = ++s->number, .bad = bad};
	l->text = malloc(s->rest_length + length + 1);
	if (!l->text)
		return brimadm_refuse(s->a, TOOL_CANT, "no memory");
	if (s->rest_length)
		memcpy(l->text, s->rest, s->rest_length);
	memcpy(l->text + s->rest_length, text, length);
	l->length = s->rest_length + length;
	l->text[l->length] = '\0';
	s->rest_length = 0;
	if (!bad && input_trim(l->text, &l->length, l->number == 1, &s->a->why))
		l->bad = "the input is UTF-16: send UTF-8";
	else if (!bad && strlen(l->text) != l->length)
		l->bad = "a NUL byte";
	s->count++;
	return TOOL_OK;
}

/* Keeps the begin of a line whose end has not come. */
static void
keep_rest(struct stream *s, const char *text, size_t length)
{
	if (s->overlong || s->rest_length + length > LINE_BYTES) {
		s->overlong = 1;
		s->rest_length = 0;
		return;
	}
	memcpy(s->rest + s->rest_length, text, length);
	s->rest_length += length;
}

static int
take_lines(struct stream *s, const char *text, size_t length)
{
	const char *end;
	int status = TOOL_OK;

	while (!status && (end = memchr(text, '\n', length))) {
		size_t n = (size_t)(end - text);

		status = add_line(s, text, s->overlong ? 0 : n,
			s->overlong ? "the line is too long" : NULL);
		s->overlong = 0;
		length -= n + 1;
		text = end + 1;
	}
	keep_rest(s, text, length);
	return status;
}

static int
read_some(struct stream *s)
{
	char buffer[READ_SIZE];
	ssize_t n = read(s->fd, buffer, sizeof buffer);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return TOOL_OK;
	if (n < 0) {
		reason_errno(&s->a->why, "the input: read");
		return TOOL_CANT;
	}
	if (n > 0)
		return take_lines(s, buffer, (size_t)n);
	s->ended = 1;
	if (s->rest_length == 0 && !s->overlong)
		return TOOL_OK;
	return add_line(s, "", 0, "the line has no end: the input may be cut off");
}

/* Waits for input, a signal or the time of the next change: 1 if there is input. */
static int
wait_for_input(const struct stream *s, int full, const sigset_t *unblocked)
{
	uint64_t now = clock_now_ms(), left = s->due > now ? s->due - now : 0;
	struct timespec pause = {.tv_sec = (time_t)(left / 1000),
		.tv_nsec = (long)(left % 1000) * 1000000};
	struct pollfd p = {.fd = s->fd, .events = POLLIN};

	return ppoll(&p, !full, s->count ? &pause : NULL, unblocked) > 0;
}

static int
run_stream(struct stream *s, const sigset_t *unblocked)
{
	int status = TOOL_OK;

	while (!status && !s->ended && !stopped && !ferror(stdout)) {
		if (wait_for_input(s, s->count >= BATCH_MAX, unblocked))
			status = read_some(s);
		else if (s->count && (clock_now_ms() >= s->due))
			publish(s);
	}
	if (s->count)
		publish(s);
	return status ? tool_fail((enum tool_status)status, "%s", s->a->why.text)
		      : s->worst;
}

/* --- the command --- */

/* SIGTERM and SIGINT come while it waits, at no other time. */
static void
catch_signals(sigset_t *unblocked)
{
	struct sigaction action = {.sa_handler = stop};
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
	sigdelset(unblocked, SIGTERM);
	sigdelset(unblocked, SIGINT);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static int
open_stream(struct stream *s, int argc, char **argv)
{
	int named = argc && strcmp(argv[0], "-") != 0;

	s->rest = malloc(LINE_BYTES);
	/* as many lines as one read may bring find room */
	s->lines = calloc(BATCH_MAX + READ_SIZE, sizeof *s->lines);
	if (!s->rest || !s->lines) {
		tool_fail(TOOL_CANT, "no memory");
		return TOOL_CANT;
	}
	if (s->a->option[OPTION_DRY_RUN])
		return tool_fail(TOOL_USAGE, "apply: --interval with --dry-run makes no "
					     "sense");
	if (amount_time(s->a->option[OPTION_INTERVAL], &s->interval, &s->a->why))
		return tool_fail(TOOL_USAGE, "--interval: %s", s->a->why.text);
	s->interval *= 1000;
	s->fd = named ? open(argv[0], O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (s->fd < 0)
		return tool_fail(TOOL_CANT, "%s: %s", argv[0], strerror(errno));
	return TOOL_OK;
}

int
brimadm_stream(struct brimadm *a, int argc, char **argv)
{
	struct stream s = {.a = a, .fd = -1};
	sigset_t unblocked;
	int status = open_stream(&s, argc, argv);

	/* a table that is not there is told now, not at the first line */
	if (!status && (status = brimadm_begin(a, 0)) != 0)
		tool_fail((enum tool_status)status, "%s", a->why.text);
	brimadm_end_silently(a, TOOL_NO);
	if (!status) {
		catch_signals(&unblocked);
		status = run_stream(&s, &unblocked);
	}
	if (s.fd > STDERR_FILENO)
		close(s.fd);
	free(s.rest);
	free(s.lines);
	return status;
}
