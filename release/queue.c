/* The queue and its pace. */
#include "queue.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"

struct queue {
	TAILQ_HEAD(, request) waiting;
	size_t count;             /* of them */
	struct request *released; /* NULL: none just now */
	uint64_t begun_ms, next_ms;
	struct event *turn;
	struct postqueue *postqueue;
	void (*answered)(struct request *r);
};

/* The next one's turn comes when none runs and the pace allows it, from the loop. */
static void
want_turn(struct queue *q)
{
	const uint64_t now = clock_now_ms(),
		       wait = q->next_ms > now ? q->next_ms - now : 0;
	const struct timeval in = {.tv_usec = (suseconds_t)wait * 1000};

	if (q->released == NULL && q->count > 0)
		evtimer_add(q->turn, &in);
}

static void
answer(struct queue *q, struct request *r, const struct reason *why)
{
	const uint64_t ms = clock_now_ms() - q->begun_ms;

	if (why == NULL)
		log_info("released, id=%s ms=%" PRIu64, r->id, ms);
	else
		log_warning("not released, id=%s ms=%" PRIu64 " reason=\"%s\"", r->id, ms,
			why->text);
	q->released = NULL;
	r->answered = 1;
	r->ok = why == NULL;
	if (why != NULL)
		r->why = *why;
	if (r->client == NULL)
		free(r);
	else
		q->answered(r);
	want_turn(q);
}

static void
on_end(void *arg, const struct reason *why)
{
	struct queue *q = arg;

	answer(q, q->released, why);
}

static void
on_turn(int fd, short what, void *arg)
{
	struct queue *q = arg;
	struct request *r = TAILQ_FIRST(&q->waiting);
	struct reason why;

	(void)fd;
	(void)what;
	if (q->released != NULL || r == NULL)
		return;
	TAILQ_REMOVE(&q->waiting, r, in_queue);
	q->count--;
	q->released = r;
	q->begun_ms = clock_now_ms();
	q->next_ms = q->begun_ms + QUEUE_SPACING_MS;
	if (postqueue_start(q->postqueue, r->id, &why) == -1)
		answer(q, r, &why);
}

struct queue *
queue_new(struct event_base *base, const struct postqueue_settings *settings,
	void (*answered)(struct request *r))
{
	struct queue *q = calloc(1, sizeof *q);

	if (q == NULL)
		return NULL;
	TAILQ_INIT(&q->waiting);
	q->answered = answered;
	q->turn = evtimer_new(base, on_turn, q);
	q->postqueue = postqueue_new(base, settings, on_end, q);
	if (q->turn == NULL || q->postqueue == NULL)
		queue_free(&q);
	return q;
}

void
queue_free(struct queue **queue)
{
	struct queue *q = *queue;
	struct request *r;

	*queue = NULL;
	if (q == NULL)
		return;
	postqueue_free(&q->postqueue);
	while ((r = TAILQ_FIRST(&q->waiting)) != NULL) {
		TAILQ_REMOVE(&q->waiting, r, in_queue);
		free(r);
	}
	free(q->released);
	if (q->turn != NULL)
		event_free(q->turn);
	free(q);
}

int
queue_add(struct queue *q, struct request *r)
{
	if (q->count >= QUEUE_MOST)
		return -1;
	TAILQ_INSERT_TAIL(&q->waiting, r, in_queue);
	q->count++;
	want_turn(q);
	return 0;
}

void
queue_forget(struct queue *q, struct request *r)
{
	r->client = NULL;
	if (r == q->released)
		return;
	TAILQ_REMOVE(&q->waiting, r, in_queue);
	q->count--;
	free(r);
}
