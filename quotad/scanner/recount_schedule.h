/*
 * The slow round: every mailbox of the table is counted file by file once in
 * recount_every, so that no error in a number stays. One mailbox a step, the steps spread
 * over the time.
 */
#ifndef QUOTAD_RECOUNT_SCHEDULE_H
#define QUOTAD_RECOUNT_SCHEDULE_H

#include <event2/event.h>
#include <stdint.h>

#include "users_reload.h"

struct recount_schedule;

/* Begins; RECOUNT is called with each mailbox when it is its turn. NULL without memory.
 */
struct recount_schedule *recount_schedule_new(struct event_base *base,
	struct users_reload *reload, void (*recount)(void *arg, const char *mailbox),
	void *arg);

/* How long a round takes, in seconds: it holds from the next round on. */
void recount_schedule_set(struct recount_schedule *r, uint64_t every_s);

void recount_schedule_free(struct recount_schedule **r);

#endif
