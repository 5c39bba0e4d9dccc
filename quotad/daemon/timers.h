/* What happens by itself: signals, and what is due at its time. */
#ifndef QUOTAD_TIMERS_H
#define QUOTAD_TIMERS_H

#include <event2/event.h>
#include <stdint.h>

#define TIMERS_EVENTS 8

struct server;

struct timers {
	struct event *events[TIMERS_EVENTS];
};

/* Adds them to the server's loop: 0, or -1 without memory. */
int timers_start(struct timers *t, struct server *v);
void timers_free(struct timers *t);

/* The loop makes a pass in so many milliseconds at the latest, since the ledger has
 * something to do then. */
void timers_wake_ledger(struct timers *t, uint64_t ms);

#endif
