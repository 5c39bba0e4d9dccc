/*
 * Postfix's postqueue: one at a time is run, for one message, as the user that this
 * process is. postqueue gets the group postdrop from its own file.
 *
 * No shell, an environment and descriptors of its own; it has so much time and then is
 * killed with all that it has started. Of its output a little is kept, for the reason.
 * The program is run by the descriptor that was checked: a regular file of root's that
 * nobody else may write, in a directory that is so, and no link.
 */
#ifndef RELEASE_POSTQUEUE_H
#define RELEASE_POSTQUEUE_H

#include <event2/event.h>
#include <stdint.h>

#include "reason.h"

#define POSTQUEUE_ID_LEAST 6
#define POSTQUEUE_ID_MOST  20

struct postqueue_settings {
	const char *path;          /* absolute */
	const char *configuration; /* Postfix's directory; NULL: its own default */
	uint64_t limit_ms;
};

/* Called when it has ended: WHY is NULL where it did what it was asked. */
typedef void postqueue_ended(void *arg, const struct reason *why);

struct postqueue;

/* NULL without memory. The settings must live as long. */
struct postqueue *postqueue_new(struct event_base *base,
	const struct postqueue_settings *settings, postqueue_ended *ended, void *arg);

/* Kills the one that runs, and waits for it. */
void postqueue_free(struct postqueue **p);

/* Whether the text is a queue id: 6 to 20 digits and letters, so that it can be no option
 * and no pattern. */
int postqueue_is_id(const char *text, size_t length);

/* Whether the program may be run: 0, or -1 with the reason. */
int postqueue_check(const struct postqueue_settings *settings, struct reason *why);

int postqueue_is_running(const struct postqueue *p);

/* Starts `postqueue -i ID` while none runs: 0, or -1 with the reason, and nothing is
 * called. */
int postqueue_start(struct postqueue *p, const char *id, struct reason *why);

#endif
