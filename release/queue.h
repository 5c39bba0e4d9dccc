/*
 * What is to be released: in the order of asking, one at a time, at most ten in a second.
 * A request belongs to whoever asked until it is answered.
 */
#ifndef RELEASE_QUEUE_H
#define RELEASE_QUEUE_H

#include <sys/queue.h>

#include "postqueue.h"

#define QUEUE_MOST       1000 /* requests that wait */
#define QUEUE_SPACING_MS 100  /* from one start to the next */

struct request {
	TAILQ_ENTRY(request) in_queue;
	TAILQ_ENTRY(request) of_client; /* the client's own list */
	void *client;                   /* NULL: it is gone */
	char id[POSTQUEUE_ID_MOST + 1];
	int answered;
	int ok;
	struct reason why; /* where it is answered and not ok */
};

struct queue;

/* ANSWERED is called with each request once it is released or could not be: from then on
 * it is the callee's. NULL without memory; the settings must live as long. */
struct queue *queue_new(struct event_base *base,
	const struct postqueue_settings *settings, void (*answered)(struct request *r));

/* All that waits is freed, unanswered. */
void queue_free(struct queue **q);

/* Adds a request: 0, or -1 where so many wait already. The answer comes later, never from
 * within. */
int queue_add(struct queue *q, struct request *r);

/* Takes a request back whose client is gone: one that waits is freed now, the one that is
 * being released is answered to nobody, and freed then. */
void queue_forget(struct queue *q, struct request *r);

#endif
