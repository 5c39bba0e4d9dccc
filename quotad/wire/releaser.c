/* The connection to brim-release. */
#include "releaser.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "reason.h"

#define LINE_MAX_BYTES 512 /* of an answer */

struct release {
	STAILQ_ENTRY(release) next;
	uint64_t sent_ms;
	char id[];
};

struct releaser {
	struct event_base *base;
	const char *const *path;
	releaser_answered *answered;
	void *arg;
	int fd; /* -1: not connected */
	struct event *readable;
	STAILQ_HEAD(, release) sent;
	size_t count; /* of them */
	uint64_t not_before_ms;
	int is_failing; /* the log has said so */
	size_t length;  /* of what has come of an answer */
	char line[LINE_MAX_BYTES + 1];
};

struct releaser *
releaser_new(struct event_base *base, const char *const *path,
	releaser_answered *answered, void *arg)
{
	struct releaser *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->base = base;
	r->path = path;
	r->answered = answered;
	r->arg = arg;
	r->fd = -1;
	STAILQ_INIT(&r->sent);
	return r;
}

static void
disconnect(struct releaser *r)
{
	if (r->readable != NULL)
		event_free(r->readable);
	r->readable = NULL;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->length = 0;
}

static struct release *
take_first(struct releaser *r)
{
	struct release *first = STAILQ_FIRST(&r->sent);

	if (first != NULL) {
		STAILQ_REMOVE_HEAD(&r->sent, next);
		r->count--;
	}
	return first;
}

void
releaser_free(struct releaser **r)
{
	struct release *first;

	if (*r == NULL)
		return;
	disconnect(*r);
	while ((first = take_first(*r)) != NULL)
		free(first);
	free(*r);
	*r = NULL;
}

/* --- failing ---------------------------------------------------------------------- */

/* What was sent may have been done, or not. */
static void
fail(struct releaser *r, const struct reason *why)
{
	struct release *first;

	if (!r->is_failing)
		log_warning("brim-release: %s; mail that waits comes when the mail "
			    "server tries again",
			why->text);
	r->is_failing = 1;
	r->not_before_ms = clock_now_ms() + RELEASER_RETRY_MS;
	disconnect(r);
	while ((first = take_first(r)) != NULL) {
		r->answered(r->arg, first->id, 0);
		free(first);
	}
}

static void
fail_with(struct releaser *r, const char *text)
{
	struct reason why;

	reason_set(&why, "%s: %s", *r->path, text);
	fail(r, &why);
}

static void
fail_by_errno(struct releaser *r)
{
	struct reason why;

	reason_errno(&why, "%s", *r->path);
	fail(r, &why);
}

/* --- answers ---------------------------------------------------------------------- */

static void
take_answer(struct releaser *r, const char *line)
{
	int ok = strcmp(line, "OK") == 0;
	struct release *first;

	if (r->count == 0 || (!ok && strncmp(line, "ERR ", 4) != 0)) {
		fail_with(r, "an answer that makes no sense");
		return;
	}
	first = take_first(r);
	if (ok && r->is_failing)
		log_info("brim-release answers again");
	if (!ok && !r->is_failing)
		log_warning(
			"brim-release could not release id=%s: %s", first->id, line + 4);
	r->is_failing = !ok;
	r->answered(r->arg, first->id, ok);
	free(first);
}

/* Takes the whole lines; of one that is too long there is no room for more. */
static void
take_lines(struct releaser *r)
{
	char *end;

	while (r->fd >= 0 && (end = memchr(r->line, '\n', r->length)) != NULL) {
		char line[LINE_MAX_BYTES + 1];
		size_t length = (size_t)(end - r->line);

		memcpy(line, r->line, length);
		line[length] = '\0';
		r->length -= length + 1;
		memmove(r->line, end + 1, r->length);
		take_answer(r, line);
	}
	if (r->length == LINE_MAX_BYTES)
		fail_with(r, "an answer that makes no sense");
}

/* Between two requests it may end as it likes. */
static void
on_readable(int fd, short what, void *arg)
{
	struct releaser *r = arg;
	ssize_t n =
		recv(fd, r->line + r->length, LINE_MAX_BYTES - r->length, MSG_DONTWAIT);

	(void)what;
	if (n > 0) {
		r->length += (size_t)n;
		take_lines(r);
	} else if (n == 0 && r->count == 0) {
		disconnect(r);
		r->not_before_ms = clock_now_ms() + RELEASER_RETRY_MS / 5;
	} else if (n == 0) {
		fail_with(r, "it has ended the connection");
	} else if (errno != EAGAIN && errno != EINTR) {
		fail_by_errno(r);
	}
}

/* --- requests --------------------------------------------------------------------- */

/* A socket of this host is connected at once, or not at all. */
static int
open_connection(struct releaser *r)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	errno = ENAMETOOLONG;
	if (strlen(*r->path) >= sizeof to.sun_path)
		return -1;
	strcpy(to.sun_path, *r->path);
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->fd == -1 || connect(r->fd, (struct sockaddr *)&to, sizeof to) == -1)
		return -1;
	r->readable = event_new(r->base, r->fd, EV_READ | EV_PERSIST, on_readable, r);
	if (r->readable != NULL && event_add(r->readable, NULL) == 0)
		return 0;
	errno = ENOMEM;
	return -1;
}

/* While it fails one request tells whether it still does. */
int
releaser_may(struct releaser *r)
{
	const size_t most = r->is_failing ? 1 : RELEASER_MOST;
	const struct release *first = STAILQ_FIRST(&r->sent);
	const uint64_t now = clock_now_ms();

	if (first != NULL && now - first->sent_ms >= RELEASER_ANSWER_MS)
		fail_with(r, "it does not answer");
	if (r->fd == -1 && now >= r->not_before_ms && open_connection(r) == -1)
		fail_by_errno(r);
	return r->fd >= 0 && r->count < most;
}

void
releaser_send(struct releaser *r, const char *id)
{
	size_t size = strlen(id) + 1;
	struct release *new = calloc(1, sizeof *new + size);
	char line[LINE_MAX_BYTES];
	int length = snprintf(line, sizeof line, "RELEASE %s\n", id);

	if (new == NULL || r->fd == -1) {
		free(new);
		r->answered(r->arg, id, 0);
		return;
	}
	memcpy(new->id, id, size);
	new->sent_ms = clock_now_ms();
	STAILQ_INSERT_TAIL(&r->sent, new, next);
	r->count++;
	/* the socket holds all that may be on its way: what does not fit is an error */
	if (send(r->fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) != length)
		fail_with(r, "it takes no more requests");
}
