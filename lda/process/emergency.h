/*
 * The end that nobody planned: the deadline, or a signal that would kill the process.
 *
 * Some MTAs bounce a message whose delivery agent was killed, so lda always ends by
 * itself: it writes a prepared line and ends with a prepared exit status; or, where the
 * store answers that the message is stored, it writes nothing and ends with 0. The
 * handler runs on a stack of its own, since the stack's overflow is one of its cases, and
 * makes async-signal-safe calls alone.
 *
 * Nothing can be caught before emergency_install, so main begins with it. What was
 * inherited then does no harm: it sets every signal's mask and action, a pending signal
 * is caught as it comes, and the first deadline replaces a running alarm.
 */
#ifndef LDA_EMERGENCY_H
#define LDA_EMERGENCY_H

#include <stdint.h>

#include "delivery/host.h"
#include "delivery/store.h"

/* Takes over every signal that ends a process; those that nobody should send are blocked.
 * Until something else is prepared an emergency is 4.3.0. 0, or -1 with errno. */
int emergency_install(void);

/* From now on an emergency writes this; the next alarm is so many seconds away (at least
 * one). ARG is not used, here and below: it is one delivery's process. */
void emergency_prepare(void *arg, enum verdict v, const char *text, uint64_t seconds);

/* From now on an alarm comes so many seconds before it would, if there are as many. */
void emergency_end_early(unsigned seconds);

/* The store that decides from now on whether the message is stored. */
void emergency_watch(void *arg, struct store *s);

/* Writes the line in one write: an MTA reads what comes with it as one answer. Where
 * nobody takes it in time it is dropped, and the exit status is left to tell. */
void emergency_write(const char *line, size_t length);

/* The answer is being written: from now on no signal comes in between, so that line and
 * exit status agree. */
void emergency_over(void);

#endif
