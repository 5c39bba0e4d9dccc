/*
 * Requests: the words of the protocol, who may say them, and what they do. One table has
 * them all; answers go through session_answer, at once or when the ledger has decided.
 */
#ifndef QUOTAD_REQUESTS_H
#define QUOTAD_REQUESTS_H

#include "daemon/server.h"
#include "wire/connection.h"

/* Performs one line, which is changed. R is answered or waits for the ledger. */
void requests_perform(struct server *v, struct request *r, char *line, size_t length);

/* The ledger has decided. */
void requests_answered(
	struct server *v, struct request *r, const struct ledger_answer *answer);

/* Adds the next piece to the answer of a request that streams. */
void requests_continue(struct server *v, struct request *r);

/* Frees what the request holds. */
void requests_clear(struct request *r);

#endif
