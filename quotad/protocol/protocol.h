/*
 * What a protocol is to the connections that carry it, and what it may call. A protocol
 * gives messages and answers their meaning: text in, text out. It knows no socket; the
 * connection (quotad/wire) knows bytes, limits, the order of answers and who is at the
 * other end.
 *
 * A request begins with a message and ends with one answer, at once or later. Requests of
 * a connection are performed as they come (those that end something may overtake others),
 * their answers leave in that order.
 */
#ifndef QUOTAD_PROTOCOL_H
#define QUOTAD_PROTOCOL_H

#include <stddef.h>

#include "room.h"

struct evbuffer;
struct request; /* the connection's */

/* What the bytes that have come so far hold. */
enum protocol_read {
	PROTOCOL_MESSAGE,    /* a message, which has been taken from them */
	PROTOCOL_INCOMPLETE, /* no whole message; what is left at the end is none */
	PROTOCOL_NONSENSE    /* what can't become a message: the connection ends */
};

/* SERVICE is what the protocol works with, as the listener's list has it. */
struct protocol {
	const char *name; /* of its sockets among those of systemd */

	/* How long a client may be idle between two requests; 0: as anyone. */
	uint64_t idle_ms;

	/* Takes the first message off the bytes: into *message, which the connection
	 * frees and may be changed, with a NUL after its *length bytes. To be bounded:
	 * bytes that make no message are kept. */
	enum protocol_read (*read)(
		struct evbuffer *bytes, char **message, size_t *length);

	/* Whether the message says that something has ended: it is quick, needs no slot,
	 * waits for none before it, and counts even from a client that is gone. NULL
	 * where none does. */
	int (*is_end)(const char *message);

	/* Performs a message; MESSAGE is NULL after PROTOCOL_NONSENSE. The request is
	 * answered, or will be. */
	void (*perform)(void *service, struct request *r, char *message, size_t length);

	/* Adds the next piece to the answer of a request that streams, or its end; NULL
	 * where none does. */
	void (*add_piece)(void *service, struct request *r);

	/* The request is over, answered or not: frees its state. NULL where none is kept.
	 */
	void (*finish)(struct request *r);

	/* Writes what is told to a connection that is not taken, at most SIZE bytes with
	 * a NUL; NULL where nothing is. */
	void (*turn_away)(char *to, size_t size, const char *text);
};

/* --- what a protocol may call ----------------------------------------------------- */

/* Answers the request with these bytes, whole as the protocol frames them. The request is
 * gone then. */
void request_answer(struct request *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The answer comes in pieces, by add_piece, once it is the request's turn. */
void request_stream(struct request *r);

/* Adds to the answer of a request that streams. */
void request_add(struct request *r, const char *text);

/* The request was malformed: after a few such the connection is closed. */
void request_fault(struct request *r);

/* What the protocol keeps for the request, NULL at first. */
void request_set_state(struct request *r, void *state);
void *request_state(const struct request *r);

/* Who asks. */
struct room_asker request_asker(const struct request *r);

/* How many connections there are, of all protocols. */
uint64_t request_connections(const struct request *r);

#endif
