/*
 * The sockets on which quotad is reached. For each service (a protocol, who may connect)
 * they are those that systemd has under the protocol's name; a service that has none
 * there gets one at its own path, under a lock that keeps a second quotad away from it.
 *
 * A PERMITTED service is opened by itself, with a failure of its own: a policy service
 * that can't be had is no reason to hold up deliveries. A pass of the loop accepts so
 * many connections and no more. When the process has no descriptor left, a spare one is
 * used to turn a client away, and accepting pauses for 100 ms instead of spinning.
 */
#ifndef QUOTAD_LISTENER_H
#define QUOTAD_LISTENER_H

#include <event2/event.h>

#include "reason.h"
#include "service.h"
#include "systemd.h"

struct listener;

/* Takes the sockets that systemd gave (one without a protocol's name, "", "unknown" or
 * "quotad.socket", belongs to the first service), and binds those of the services that
 * are not PERMITTED (mode 0666; a directory that is missing is made). The services must
 * live as long. NULL with the reason. */
struct listener *listener_open(const struct service *services, size_t count,
	const struct systemd_socket *given, size_t given_count, struct reason *why);

/* Binds the service's own socket, unless it has none or systemd has it. -1 with the
 * reason. */
int listener_open_own(
	struct listener *l, const struct service *service, struct reason *why);

/* Listens, as the user that this process is by now: it is what clients are told of who is
 * at the other end. They wait until accepting begins. 0, or -1 with the reason. */
int listener_listen(struct listener *l, struct reason *why);

/* Begins to accept: calls ACCEPTED with each connection, non-blocking and close-on-exec,
 * which is the callee's. 0, or -1 without memory. */
int listener_start(struct listener *l, struct event_base *base,
	void (*accepted)(void *arg, int fd, const struct service *service), void *arg);

/* Says in the log, once, which socket's file was removed. */
void listener_tell_lost(struct listener *l);

/* Accepts no more. */
void listener_stop(struct listener *l);

/* Closes the sockets, and removes their files if they were made here and may be removed.
 * The locks stay. L may be NULL. */
void listener_end(struct listener *l);

/* Ends it where it was not yet ended, and gives the locks up: another quotad may begin.
 */
void listener_close(struct listener **l);

#endif
