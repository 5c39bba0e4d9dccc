/* The scanner's children: with a job, or at rest. */
#include "children.h"

#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "process.h"
#include "record.h"

#define REST_MS  5000 /* without a job */
#define READY_MS 1000 /* from an answer until it says that it takes another job */

struct child {
	TAILQ_ENTRY(child) link; /* of those that rest */
	struct children *all;
	struct bufferevent *stream;
	void *job; /* NULL: it rests */
	uint64_t owner;
	uint64_t begun_ms, rested_ms;
	int ready; /* for another job */
};

static void
release(struct child *child)
{
	child->all->count--;
	bufferevent_free(child->stream);
	free(child);
}

void
child_end(struct child *child)
{
	if (!child)
		return;
	if (!child->job)
		TAILQ_REMOVE(&child->all->resting, child, link);
	release(child);
}

/* At once, and by the loop what the socket does not take: a job costs the loop nothing.
 */
int
child_send(struct child *child, struct evbuffer *what)
{
	if (evbuffer_get_length(bufferevent_get_output(child->stream)) == 0)
		evbuffer_write(what, bufferevent_getfd(child->stream));
	return bufferevent_write_buffer(child->stream, what);
}

/* --- what it says ----------------------------------------------------------------- */

/* Ends the child's job before the child or its rest. */
static void
end_job(struct child *child, enum child_end how)
{
	const struct children_calls *calls = child->all->calls;
	void *job = child->job;

	if (how == CHILD_ANSWERED || how == CHILD_PASSED_ON) {
		child->job = NULL;
		child->rested_ms = clock_now_ms();
		TAILQ_INSERT_HEAD(&child->all->resting, child, link);
	} else {
		child_end(child);
	}
	calls->ended(job, how);
}

static void
end_with_nonsense(struct child *child)
{
	if (child->job) {
		end_job(child, CHILD_TOLD_NONSENSE);
	} else {
		log_warning("a child of the scanner sent nonsense and was ended");
		child_end(child);
	}
}

/* Returns 0 if the child is gone. */
static int
take_line(struct child *child, const char *line, size_t length)
{
	enum answer_step step = ANSWER_NONSENSE;

	if (child->job) {
		step = child->all->calls->line(child->job, line, length);
	} else if (!child->ready && length == strlen(SCANNER_READY) &&
		   strcmp(line, SCANNER_READY) == 0) {
		child->ready = 1;
		step = ANSWER_MORE;
	}
	if (step == ANSWER_COMPLETE)
		end_job(child, CHILD_ANSWERED);
	else if (step == ANSWER_NOT_MINE)
		end_job(child, CHILD_PASSED_ON);
	else if (step == ANSWER_NONSENSE)
		end_with_nonsense(child);
	return step != ANSWER_NONSENSE;
}

static void
on_read(struct bufferevent *stream, void *arg)
{
	struct child *child = arg;
	struct evbuffer *input = bufferevent_get_input(stream);
	int alive = 1;
	size_t length;
	char *line;

	while (alive && (line = evbuffer_readln(input, &length, EVBUFFER_EOL_LF))) {
		alive = take_line(child, line, length);
		free(line);
	}
	if (alive && evbuffer_get_length(input) > RECORD_LINE_MAX)
		end_with_nonsense(child);
}

static void
on_end(struct bufferevent *stream, short what, void *arg)
{
	struct child *child = arg;

	(void)stream;
	(void)what;
	if (child->job)
		end_job(child, CHILD_DIED);
	else
		child_end(child);
}

/* --- jobs for it ------------------------------------------------------------------ */

static int
is_young(const struct child *child)
{
	return clock_now_ms() - child->begun_ms < SCANNER_YOUNG_SECONDS * 1000;
}

static int
send_request(struct child *child, const char *request)
{
	struct evbuffer *line = evbuffer_new();
	int failed = !line || evbuffer_add_printf(line, "%s\n", request) < 0 ||
		     child_send(child, line);

	if (line)
		evbuffer_free(line);
	return failed ? -1 : 0;
}

static struct child *
wake(struct children *all, uint64_t owner, const char *request)
{
	struct child *child;

	TAILQ_FOREACH(child, &all->resting, link)
		if (child->ready && child->owner == owner && is_young(child))
			break;
	if (!child)
		return NULL;
	if (send_request(child, request)) {
		child_end(child);
		return NULL;
	}
	TAILQ_REMOVE(&all->resting, child, link);
	return child;
}

static struct child *
fork_one(struct children *all, struct pair *pair, const char *request)
{
	struct child *child = calloc(1, sizeof *child);
	int fd = child ? pair_hand_over(pair, request) : -1;

	if (fd >= 0)
		child->stream =
			bufferevent_socket_new(all->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (fd < 0 || !child->stream) {
		if (fd >= 0)
			close(fd);
		free(child);
		return NULL;
	}
	bufferevent_setcb(child->stream, on_read, NULL, on_end, child);
	bufferevent_enable(child->stream, EV_READ | EV_WRITE);
	child->all = all;
	child->begun_ms = clock_now_ms();
	all->count++;
	return child;
}

struct child *
children_begin(struct children *all, struct pair *pair, uint64_t owner,
	const char *request, void *job)
{
	struct child *child = wake(all, owner, request);

	if (!child) {
		if (all->count >= all->most)
			child_end(TAILQ_LAST(&all->resting, child_list));
		child = fork_one(all, pair, request);
	}
	if (!child)
		return NULL;
	child->job = job;
	child->owner = owner;
	child->ready = 0;
	return child;
}

static void
end_resting(struct child *child)
{
	TAILQ_REMOVE(&child->all->resting, child, link);
	release(child);
}

void
children_end_old(struct children *all)
{
	uint64_t now = clock_now_ms(), rested;
	struct child *child, *next;

	for (child = TAILQ_FIRST(&all->resting); child; child = next) {
		next = TAILQ_NEXT(child, link);
		rested = now - child->rested_ms;
		if (rested >= (child->ready ? REST_MS : READY_MS) || !is_young(child))
			end_resting(child);
	}
}

void
children_end_resting(struct children *all)
{
	struct child *child, *next;

	for (child = TAILQ_FIRST(&all->resting); child; child = next) {
		next = TAILQ_NEXT(child, link);
		release(child);
	}
	TAILQ_INIT(&all->resting);
}
