/* The requests of a connection: performed as they come, answered in that order. */
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "parts.h"

#define ANSWER_SIZE 4608 /* most answers are far shorter */

/* --- the queue -------------------------------------------------------------------- */

static struct request *
add_request(struct connection *c)
{
	struct request *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->connection = c;
	STAILQ_INSERT_TAIL(&c->requests, r, next);
	c->slots++;
	return r;
}

static void
remove_first(struct connection *c)
{
	const struct protocol *p = c->service->protocol;
	struct request *r = STAILQ_FIRST(&c->requests);

	STAILQ_REMOVE_HEAD(&c->requests, next);
	c->slots--;
	if (p->finish != NULL)
		p->finish(r);
	free(r->answer);
	free(r);
}

void
requests_drop(struct connection *c)
{
	while (!STAILQ_EMPTY(&c->requests))
		remove_first(c);
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
	if (evbuffer_get_length(c->in) > 0 || c->input_closed || c->closing ||
		c->output_closed)
		connection_mark_todo(c);
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
void
requests_go_on(struct connection *c)
{
	struct request *r = STAILQ_FIRST(&c->requests);

	if (r == NULL || !r->streams)
		return;
	if (c->output_closed)
		take_answer(r, "");
	else
		c->service->protocol->add_piece(c->service->context, r);
	connection_mark_todo(c);
}

/* --- performing ------------------------------------------------------------------- */

void
requests_perform(struct connection *c, char *message, size_t length)
{
	struct request *r = add_request(c);

	if (r == NULL) {
		connection_break_off(c);
		return;
	}
	c->active_ms = clock_now_ms();
	if (message == NULL)
		c->closing = 1;
	c->service->protocol->perform(c->service->context, r, message, length);
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
