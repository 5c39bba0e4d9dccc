/*
 * The end that nobody planned: the deadline, or a signal that would kill the process.
 *
 * Some MTAs bounce a message whose delivery agent was killed, so lda always ends by
 * itself: it writes a prepared line and ends with a prepared exit status, or, where the
 * message has got its name already, syncs it and says nothing with status 0. The handler
 * runs on a stack of its own, since the stack's overflow is one of its cases, and makes
 * async-signal-safe calls alone.
 */
#ifndef LDA_EMERGENCY_H
#define LDA_EMERGENCY_H

#include <stdint.h>

#include "verdict.h"

/* Takes over every signal that ends a process; those that nobody should send are blocked.
 * Until something else is prepared an emergency is 4.3.0. 0, or -1 with errno. */
int emergency_install(void);

/* From now on an emergency says this; the next alarm is so many seconds away (at least
 * one). */
void emergency_prepare(enum verdict v, const char *text, uint64_t seconds);

/* The message's file, which has no name yet, and the directory that it is going to be
 * linked into. */
void emergency_watch(int file, int directory);

/* A file in tmp/ to be removed; NAME must stay. Called before the file is made. */
void emergency_watch_tmp(int tmp, const char *name);

/* The message is stored: from now on an emergency is silent and ends with 0. */
void emergency_delivered(void);

/* The last word is being said: no signal but the alarm's gets in between any more. */
void emergency_over(void);

#endif
