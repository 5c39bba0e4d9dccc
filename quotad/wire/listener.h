/*
 * The sockets on which quotad is reached: made at the path of the setting "socket", under
 * a lock that keeps a second quotad away from it, or taken from systemd.
 *
 * A socket file that is there already is removed only once the lock is ours, and only if
 * it is a socket. When the process has no descriptor left, a spare one is used to turn a
 * client away, and accepting pauses for 100 ms instead of spinning.
 */
#ifndef QUOTAD_LISTENER_H
#define QUOTAD_LISTENER_H

#include <event2/event.h>

#include "reason.h"

struct listener;

/* Opens the socket PATH (mode 0666; its directory is made, if it is missing), or takes
 * GIVEN sockets of systemd. NULL with the reason. */
struct listener *listener_open(const char *path, int given, struct reason *why);

/* Begins to accept: calls ACCEPTED with each connection, non-blocking and close-on-exec,
 * which is the callee's. 0, or -1 without memory. */
int listener_start(struct listener *l, struct event_base *base,
	void (*accepted)(void *arg, int fd), void *arg);

/* Accepts no more. */
void listener_stop(struct listener *l);

/* Removes the socket's file, if it was made here and may be removed, and the lock. */
void listener_close(struct listener **l);

#endif
