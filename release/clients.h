/*
 * Who asks: root and quotad's user alone, as the kernel says of the socket's other end.
 * Lines "RELEASE <queue id>"; answers "OK" or "ERR <text>", in the order of asking.
 *
 * Bounded: connections, bytes of a line, the time for one, and the requests and answers
 * of a connection that are kept. A line that is too long ends the connection, since
 * nobody knows where the next one begins.
 */
#ifndef RELEASE_CLIENTS_H
#define RELEASE_CLIENTS_H

#include <event2/event.h>
#include <sys/types.h>

#include "queue.h"

#define CLIENTS_MOST      16
#define CLIENTS_LINE_MOST 64
#define CLIENTS_REQUESTS  2000  /* of one that have no answer yet */
#define CLIENTS_UNREAD    65536 /* bytes of answers that one has not read */

struct clients;

/* UID may ask, besides root. NULL without memory. */
struct clients *clients_new(
	struct event_base *base, uid_t uid, const struct postqueue_settings *settings);

/* Ends all connections, and all that they asked for. */
void clients_free(struct clients **c);

/* Takes a connection, which is non-blocking; the descriptor is the callee's. */
void clients_accept(struct clients *c, int fd);

#endif
