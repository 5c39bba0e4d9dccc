/*
 * Connections: messages in, answers out in the order of the requests. What a message is,
 * and what it means, is its protocol's.
 *
 * Connections that can go on take turns (rota.h), one request a turn, and a pass of the
 * loop has so many turns and no more. Answers leave in order and after the commit of the
 * usage store. A request that ends something (a COMMIT, say) never waits behind one that
 * waits for a count, needs no slot, and is performed though its client is gone; all else
 * that a client which is gone had sent is dropped.
 *
 * Everything is bounded: the message (by its protocol), the requests that wait, what a
 * client has not yet read, and what all connections hold together: beyond that the user
 * who holds the most loses the connection that holds the most. A client that is idle for
 * too long, or sends garbage, is closed.
 *
 * How a connection ends matters to the ledger: by the client (end of file, reset), after
 * what it sent was performed, or by the daemon.
 */
#ifndef QUOTAD_CONNECTION_H
#define QUOTAD_CONNECTION_H

#include <stdint.h>

#include "conf.h"
#include "service.h"

#define CONNECTION_SLOTS    64    /* requests of a connection that wait at a time */
#define CONNECTION_REQUESTS 256   /* with those that have no slot yet, or need none */
#define CONNECTION_KEPT_MAX 4096  /* bytes of those that have none */
#define CONNECTION_OUT_MAX  65536 /* bytes that a client has not read yet */
#define CONNECTION_IDLE_MS  60000 /* without a ticket */
#define CONNECTION_GRACE_S  30    /* with one: this much longer than the deadline */
#define CONNECTION_FAULTS   16    /* malformed requests */

#define CONNECTIONS_HELD_MAX (32 << 20) /* bytes that all hold together */
#define CONNECTIONS_TURNS    256        /* of a pass */
#define CONNECTIONS_PASS_MS  2          /* of turns, after which a pass ends */

struct connections; /* all of them */
struct event_base;
struct ledger_connection;
struct peers;

/* CONF is read as it is at the moment. NULL without memory. */
struct connections *connections_new(struct event_base *base, struct ledger *l,
	struct peers *peers, const struct conf *conf);
/* Closes every connection. */
void connections_free(struct connections **all);

/* Takes a new connection of that service, or says why not and closes it. */
void connections_accept(struct connections *all, int fd, const struct service *service);

/* The turns of a pass: connections go on that can. */
void connections_work(struct connections *all);

/* Reads what the owners of tickets have sent about whose mailboxes refusals wait, before
 * their turns. */
void connections_read_owners(struct connections *all);
/* Whether the connection was read to its end by the last connections_read_owners. ALL is
 * for ledger_settle to pass on. */
int connections_has_read(void *all, struct ledger_connection *c);

/* The end of a pass: sends what was answered in it, or, where it could not be COMMITTED,
 * closes those connections; then closes what holds too much. */
void connections_flush(struct connections *all, int committed);

/* 1 if there is work for the next pass, which need not wait for input then. */
int connections_are_busy(const struct connections *all);

/* Closes connections that were idle for too long. */
void connections_sweep(struct connections *all, uint64_t now_ms);

#endif
