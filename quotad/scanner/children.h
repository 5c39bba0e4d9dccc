/*
 * The scanner's children of one kind, as the daemon has them. Each has one job at a time.
 * One that has answered rests, and takes the next job of a mailbox of the same owner:
 * what a user's mailbox has made of a child, it has made of the user's own.
 *
 * A child ends when the daemon closes its socket. So does one that rests for long, is
 * old, or has said anything but that it takes another job.
 */
#ifndef QUOTAD_SCANNER_CHILDREN_H
#define QUOTAD_SCANNER_CHILDREN_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "answer.h"
#include "pair.h"

struct child;

enum child_end { CHILD_ANSWERED, CHILD_PASSED_ON, CHILD_TOLD_NONSENSE, CHILD_DIED };

struct children_calls {
	/* Takes a line of the job's answer. */
	enum answer_step (*line)(void *job, const char *line, size_t length);
	/* The job's child has no job any more: it rests, or is gone. */
	void (*ended)(void *job, enum child_end how);
};

struct children {
	struct event_base *base;
	const struct children_calls *calls;
	unsigned int most;                     /* that there may be */
	unsigned int count;                    /* those that have a job, too */
	TAILQ_HEAD(child_list, child) resting; /* the latest first */
};

/* Hands the job to a child, one that rests or a new one: NULL if there can be none at the
 * moment. Those that have a job are fewer than MOST. */
struct child *children_begin(struct children *all, struct pair *pair, uint64_t owner,
	const char *request, void *job);

/* Sends the child what is in the buffer, which is empty then: 0, or -1 without memory. */
int child_send(struct child *child, struct evbuffer *what);

/* Ends the child, whatever it does; NULL is no child. */
void child_end(struct child *child);

/* Ends those that have rested long enough, about once a second. */
void children_end_old(struct children *all);

/* Ends all that rest. */
void children_end_resting(struct children *all);

#endif
