/*
 * Connections: lines in, answers out in the order of the requests.
 *
 * A request is performed as soon as it is read, so that a COMMIT never waits behind a
 * RESERVE that waits for a count, but answers leave in order and after the commit of the
 * usage store. Everything is bounded: the line, the requests that wait, what a client has
 * not yet read; beyond a bound the connection is not read from until there is room again.
 * A client that is idle for too long, or sends garbage, is closed.
 *
 * How a connection ends matters to the ledger: by the client (end of file, reset), after
 * everything it sent was performed, or by the daemon.
 */
#ifndef QUOTAD_SESSION_H
#define QUOTAD_SESSION_H

#include <sys/queue.h>

#include "daemon/server.h"
#include "mailbox.h"

#define SESSION_SLOTS   64    /* requests of a connection that wait at a time */
#define SESSION_OUT_MAX 65536 /* bytes that a client has not read yet */
#define SESSION_IDLE_MS 60000 /* without a ticket */
#define SESSION_GRACE_S 30    /* with one: this much longer than the deadline */
#define SESSION_FAULTS  16    /* malformed requests */

struct session;
struct command;

/* A request: its place among the answers, and what requests.c keeps for it. */
struct request {
	STAILQ_ENTRY(request) next;
	struct session *session;
	char *answer; /* ready, while others before it are not */
	int streams;  /* LIST: answered piece by piece once it is the first */

	const struct command *command;
	struct account *account;
	struct ledger_limits limits;
	enum mailbox_state state; /* of the record */
	char *pattern;            /* LIST */
	char *last;               /* LIST: the key that was looked at last */
	char *lines;              /* EXPLAIN: all but the last line */
	uint64_t listed;
};

struct sessions *sessions_new(struct server *v);
/* Closes every connection. */
void sessions_free(struct sessions **s);

/* Takes a new connection, or says why not and closes it. */
void sessions_accept(struct sessions *s, int fd);

/* Goes on with connections that can: requests read and not performed, lists, ends. */
void sessions_work(struct sessions *s);

/* The end of a pass: sends what was answered in it, or, where it could not be COMMITTED,
 * closes those connections. */
void sessions_flush(struct sessions *s, int committed);

/* 1 if there is work for the next pass, which need not wait for input then. */
int sessions_are_busy(const struct sessions *s);

/* Closes connections that were idle for too long. */
void sessions_sweep(struct sessions *s, uint64_t now_ms);

/* --- for requests ----------------------------------------------------------------- */

/* Answers the request, in one or more lines without the last line's end; it is gone then.
 */
void session_answer(struct request *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Adds a line to the answer of a request that streams. */
void session_part(struct request *r, const char *line);

/* The request was malformed: after a few such the connection is closed. */
void session_fault(struct request *r);

struct peer *session_peer(const struct request *r);
struct ledger_connection *session_connection(const struct request *r);

#endif
