/*
 * What the connections' files share: their structures. From the bottom: requests.c has
 * the requests of a connection and the order of their answers; intake.c what comes in,
 * and a connection's turn; heaviest.c which of them holds most; connection.c bounds, and
 * the life of connections.
 */
#ifndef QUOTAD_WIRE_PARTS_H
#define QUOTAD_WIRE_PARTS_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <sys/queue.h>

#include "connection.h"
#include "peer.h"
#include "rota.h"

/* A request: its place among the answers of its connection. */
struct request {
	STAILQ_ENTRY(request) next;
	struct connection *connection;
	char *message; /* until it is performed; NULL then, or where it is nonsense */
	size_t length;
	void *state;  /* the protocol's */
	char *answer; /* ready, while others before it are not */
	unsigned is_end : 1, begun : 1, streams : 1;
};

struct connection {
	TAILQ_ENTRY(connection) all, dirty, turn, owning;
	struct connections *owner;
	const struct service *service;
	int fd;
	struct event *readable, *writable;
	struct evbuffer *in, *answers, *out; /* read; for the commit; on the way */
	struct peer peer;
	struct ledger_connection ledger;
	uint64_t counted_tickets; /* that the peer's user has been charged with */
	uint64_t active_ms;
	uint64_t read_in; /* the number of the reading that last reached its end */
	STAILQ_HEAD(request_queue, request) requests;
	unsigned count, slots, faults; /* requests; those that wait; malformed ones */
	size_t kept;                   /* bytes of requests that have not begun */
	size_t held;                   /* bytes that its user is charged with */
	unsigned is_dirty : 1, has_turn : 1, is_owning : 1; /* it is in that list */
	unsigned input_waits : 1;   /* the kernel has something to be read */
	unsigned incomplete : 1;    /* what was read has no whole message */
	unsigned input_closed : 1;  /* the client sends nothing more */
	unsigned output_closed : 1; /* the client reads nothing more */
	unsigned gone : 1;          /* the client is */
	unsigned nonsense : 1;      /* what comes after it has no meaning */
	unsigned closing : 1;       /* perform nothing more; close once all is sent */
	unsigned broken : 1;        /* close at its next turn */
};

TAILQ_HEAD(connection_list, connection);

struct connections {
	struct event_base *base;
	struct ledger *ledger;
	struct peers *peers;
	const struct conf *conf;
	uint64_t last_number, readings;
	uint64_t held;
	struct connection_list all, dirty, owning;
	struct rota rota;
};

/* connection.c */
void connection_mark_dirty(struct connection *c); /* it has answers for the commit */
void connection_want_turn(struct connection *c);
void connection_break_off(struct connection *c);
/* Whether the client has read enough for more answers. */
int connection_has_room(const struct connection *c);
/* Events and buffers, once there is something to read: 0, or -1 without memory. */
int connection_set_up(struct connection *c);
/* Sets what the connection waits for. */
void connection_watch(struct connection *c);
/* The client reads nothing more: what was to be sent is dropped. */
void connection_stop_writing(struct connection *c);
/* Counts anew what it holds. */
void connection_weigh(struct connection *c);
void connection_end(struct connection *c, int by_client);

/* heaviest.c */
/* The connection that holds most, of the user who holds most; strangers are one user. */
struct connection *heaviest_find(const struct connections *all);

/* intake.c */
void intake_take_turn(struct connection *c);
/* Reads on, whoever's turn it is, as far as it may: what ends something is performed. */
void intake_read_owner(struct connection *c);
/* Whether more is to be read. */
int intake_is_wanted(const struct connection *c);
/* Whether both directions are closed, and not only the client's sending one. */
int intake_has_hung_up(const struct connection *c);

/* requests.c */
/* Takes a message, which is the request's then (NULL: it could not be read), and performs
 * it if it may begin. */
void requests_add(struct connection *c, char *message, size_t length);
/* The first that has not begun; NULL where all have. */
struct request *requests_next(const struct connection *c);
void requests_begin(struct request *r);
/* Goes on with the first request, if it streams: 1 then. */
int requests_go_on(struct connection *c);
/* Forgets those that have not begun. */
void requests_drop_kept(struct connection *c);
/* Forgets all requests. */
void requests_drop(struct connection *c);

#endif
