/*
 * The two processes of the scanner, or of the spawner, as the daemon has them: the first
 * takes jobs, and a spare that it has forked waits to take over if it dies. Both end with
 * the daemon.
 */
#ifndef QUOTAD_SCANNER_PAIR_H
#define QUOTAD_SCANNER_PAIR_H

#include <event2/event.h>

#include "events.h"
#include "process.h"

struct pair;

struct pair_calls {
	/* The first has died, and the spare is in its place, if there was one. Jobs that
	 * the dead one had taken go on in its children; those that it had not are to be
	 * handed over again, since their sockets end with it. */
	void (*replaced)(void *arg);
	/* Both are gone. */
	void (*died)(void *arg);
	/* The first has sent an event, or one may be lost: then it is an overflow. */
	void (*event)(void *arg, const struct scanner_event *event);
};

/* Forks the first and waits until it says that it is ready: NULL with the reason. */
struct pair *pair_start(const struct scanner_role *role, struct reason *why);

/* Binds them to the loop and to CALLS: 0, or -1 without memory. */
int pair_attach(struct pair *p, struct event_base *base, const struct pair_calls *calls,
	void *arg);

/* Hands a job over: the socket on which its child answers, or -1 where it can't be taken
 * at the moment. */
int pair_hand_over(struct pair *p, const char *request);

/* Tells every event that was sent before this call. More than an honest scanner can have
 * sent by now end in an overflow: the rest is told later. */
void pair_receive(struct pair *p);

/* Whether there is a process that takes jobs. */
int pair_is_alive(const struct pair *p);

/* Sees to it that there is a spare: about once a second. */
void pair_keep_spare(struct pair *p);

void pair_stop(struct pair **p);

#endif
