/* The requests of a connection: performed as they come, answered in that order. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "parts.h"

#define ANSWER_SIZE 4608 /* most answers are far shorter */

/* --- the queue -------------------------------------------------------------------- */

static void
release(struct request *r)
{
	struct connection *c = r->connection;
	const struct protocol *p = c->service->protocol;

	c->count--;
	if (!r->begun)
		c->kept -= r->length + 1;
	else if (!r->is_end)
		c->slots--;
	if (r->begun && p->finish != NULL)
		p->finish(r);
	free(r->message);
	free(r->answer);
	free(r);
}

static void
remove_first(struct connection *c)
{
	struct request *r = STAILQ_FIRST(&c->requests);

	STAILQ_REMOVE_HEAD(&c->requests, next);
	release(r);
}

void
requests_drop(struct connection *c)
{
	while (!STAILQ_EMPTY(&c->requests))
		remove_first(c);
}

void
requests_drop_kept(struct connection *c)
{
	struct request_queue begun = STAILQ_HEAD_INITIALIZER(begun);
	struct request *r;

	while ((r = STAILQ_FIRST(&c->requests)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->requests, next);
		if (r->begun)
			STAILQ_INSERT_TAIL(&begun, r, next);
		else
			release(r);
	}
	STAILQ_CONCAT(&c->requests, &begun);
}

struct request *
requests_next(const struct connection *c)
{
	struct request *r = NULL;

	if (c->kept > 0)
		STAILQ_FOREACH(r, &c->requests, next)
			if (!r->begun)
				break;
	return r;
}

/* --- answers ---------------------------------------------------------------------- */

static void
put_out(struct connection *c, const char *text)
{
	if (c->output_closed)
		return;
	if (evbuffer_add(c->answers, text, strlen(text)) == -1)
		connection_break_off(c);
	connection_mark_dirty(c);
}

/* Puts out the answers that were ready and waited for the one before them. Then there may
 * be room for requests that wait in the buffer, or the last answer may be out. */
static void
put_out_ready(struct connection *c)
{
	const struct request *r;

	while ((r = STAILQ_FIRST(&c->requests)) != NULL && r->answer != NULL) {
		put_out(c, r->answer);
		remove_first(c);
	}
	if (evbuffer_get_length(c->in) > 0 || c->kept > 0 || c->input_closed ||
		c->closing || c->output_closed)
		connection_want_turn(c);
}

/* A question that waits for the ledger may become a ticket. */
static void
charge_tickets(struct connection *c)
{
	uint64_t tickets = c->ledger.tickets + c->ledger.waiting;
	int64_t more = (int64_t)(tickets - c->counted_tickets);

	if (more != 0)
		peer_count_tickets(&c->peer, more);
	c->counted_tickets = tickets;
}

static void
take_answer(struct request *r, const char *text)
{
	struct connection *c = r->connection;

	c->active_ms = clock_now_ms();
	charge_tickets(c);
	if (r == STAILQ_FIRST(&c->requests)) {
		put_out(c, text);
		remove_first(c);
		put_out_ready(c);
	} else if ((r->answer = strdup(text)) == NULL) {
		connection_break_off(c);
	}
}

void
request_answer(struct request *r, const char *format, ...)
{
	char answer[ANSWER_SIZE], *longer = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(answer, sizeof answer, format, args);
	va_end(args);
	if (length >= 0 && (size_t)length < sizeof answer) {
		take_answer(r, answer);
		return;
	}
	va_start(args, format);
	if (vasprintf(&longer, format, args) == -1)
		connection_break_off(r->connection);
	else
		take_answer(r, longer);
	va_end(args);
	free(longer);
}

void
request_stream(struct request *r)
{
	r->streams = 1;
}

void
request_add(struct request *r, const char *text)
{
	put_out(r->connection, text);
}

/* One piece a turn, so that others have theirs. */
int
requests_go_on(struct connection *c)
{
	struct request *r = STAILQ_FIRST(&c->requests);

	if (r == NULL || !r->streams)
		return 0;
	if (c->output_closed)
		take_answer(r, "");
	else
		c->service->protocol->add_piece(c->service->context, r);
	return 1;
}

/* --- performing ------------------------------------------------------------------- */

void
requests_add(struct connection *c, char *message, size_t length)
{
	const struct protocol *p = c->service->protocol;
	struct request *r = calloc(1, sizeof *r);

	if (r == NULL) {
		free(message);
		connection_break_off(c);
		return;
	}
	r->connection = c;
	r->message = message;
	r->length = length;
	r->is_end = message != NULL && p->is_end != NULL && p->is_end(message);
	STAILQ_INSERT_TAIL(&c->requests, r, next);
	c->count++;
	c->kept += length + 1;
	if (r->is_end)
		requests_begin(r);
}

void
requests_begin(struct request *r)
{
	struct connection *c = r->connection;
	char *message = r->message;
	int is_nonsense = message == NULL;

	r->message = NULL;
	r->begun = 1;
	c->kept -= r->length + 1;
	if (!r->is_end)
		c->slots++;
	c->active_ms = clock_now_ms();
	c->service->protocol->perform(c->service->context, r, message, r->length);
	free(message);
	if (is_nonsense)
		c->closing = 1;
	charge_tickets(c);
}

void
request_fault(struct request *r)
{
	if (++r->connection->faults >= CONNECTION_FAULTS)
		r->connection->closing = 1;
}

void
request_set_state(struct request *r, void *state)
{
	r->state = state;
}

void *
request_state(const struct request *r)
{
	return r->state;
}

struct room_asker
request_asker(const struct request *r)
{
	struct connection *c = r->connection;
	struct room_asker asker = peer_asker(c->owner->peers, &c->peer);

	asker.connection = &c->ledger;
	return asker;
}

uint64_t
request_connections(const struct request *r)
{
	return peers_connections(r->connection->owner->peers);
}
