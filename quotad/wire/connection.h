/*
 * Connections: messages in, answers out in the order of the requests. What a message is,
 * and what it means, is its protocol's.
 *
 * A request is performed as soon as it is read, so that a COMMIT never waits behind a
 * RESERVE that waits for a count, but answers leave in order and after the commit of the
 * usage store. Everything is bounded: the message (by its protocol), the requests that
 * wait, what a client has not yet read; beyond a bound the connection is not read from
 * until there is room again. A client that is idle for too long, or sends garbage, is
 * closed.
 *
 * How a connection ends matters to the ledger: by the client (end of file, reset), after
 * everything it sent was performed, or by the daemon.
 */
#ifndef QUOTAD_CONNECTION_H
#define QUOTAD_CONNECTION_H

#include <stdint.h>

#include "conf.h"
#include "service.h"

#define CONNECTION_SLOTS   64    /* requests of a connection that wait at a time */
#define CONNECTION_OUT_MAX 65536 /* bytes that a client has not read yet */
#define CONNECTION_IDLE_MS 60000 /* without a ticket */
#define CONNECTION_GRACE_S 30    /* with one: this much longer than the deadline */
#define CONNECTION_FAULTS  16    /* malformed requests */

struct connections; /* all of them */
struct event_base;
struct peers;

/* CONF is read as it is at the moment. NULL without memory. */
struct connections *connections_new(struct event_base *base, struct ledger *l,
	struct peers *peers, const struct conf *conf);
/* Closes every connection. */
void connections_free(struct connections **all);

/* Takes a new connection of that service, or says why not and closes it. */
void connections_accept(struct connections *all, int fd, const struct service *service);

/* Goes on with connections that can: requests read and not performed, lists, ends. */
void connections_work(struct connections *all);

/* The end of a pass: sends what was answered in it, or, where it could not be COMMITTED,
 * closes those connections. */
void connections_flush(struct connections *all, int committed);

/* 1 if there is work for the next pass, which need not wait for input then. */
int connections_are_busy(const struct connections *all);

/* Closes connections that were idle for too long. */
void connections_sweep(struct connections *all, uint64_t now_ms);

#endif
