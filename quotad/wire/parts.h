/*
 * What the connections' files share: their structures. connection.c has bytes, limits and
 * the life of connections; requests.c the requests of one and the order of their answers.
 */
#ifndef QUOTAD_WIRE_PARTS_H
#define QUOTAD_WIRE_PARTS_H

#include <sys/queue.h>

#include "connection.h"
#include "peer.h"

/* A request: its place among the answers of its connection. */
struct request {
	STAILQ_ENTRY(request) next;
	struct connection *connection;
	void *state;  /* the protocol's */
	char *answer; /* ready, while others before it are not */
	int streams;
};

struct connection {
	TAILQ_ENTRY(connection) all, dirty, todo;
	struct connections *owner;
	const struct service *service;
	int fd;
	struct event *readable, *writable;
	struct evbuffer *in, *answers, *out; /* read; for the commit; on the way */
	struct peer peer;
	struct ledger_connection ledger;
	uint64_t counted_tickets; /* that the peer's user has been charged with */
	uint64_t active_ms;
	STAILQ_HEAD(request_queue, request) requests;
	unsigned slots, faults;
	unsigned is_dirty : 1, is_todo : 1; /* it is in that list */
	unsigned input_closed : 1;          /* the client sends nothing more */
	unsigned output_closed : 1;         /* the client reads nothing more */
	unsigned closing : 1; /* read nothing more; close once all is sent */
	unsigned broken : 1;  /* close at its next turn */
};

TAILQ_HEAD(connection_list, connection);

struct connections {
	struct event_base *base;
	struct ledger *ledger;
	struct peers *peers;
	const struct conf *conf;
	uint64_t last_number;
	struct connection_list all, dirty, todo;
};

/* connection.c */
void connection_mark_dirty(struct connection *c); /* it has answers for the commit */
void connection_mark_todo(struct connection *c);  /* it can go on in the next pass */
void connection_break_off(struct connection *c);

/* requests.c */
/* Performs a message as a request of the connection; NULL: it could not be read. */
void requests_perform(struct connection *c, char *message, size_t length);
/* Goes on with the first request, if it streams. */
void requests_go_on(struct connection *c);
/* Forgets all requests. */
void requests_drop(struct connection *c);

#endif
