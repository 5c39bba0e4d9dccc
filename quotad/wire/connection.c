/*
 * Connections: what they hold, what they send, and their life. A connection is ended in
 * its own turn (intake.c), or between two passes, but never while the ledger calls back.
 */
#include "connection.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "parts.h"

#define REQUEST_COST 512   /* bytes, about, with what protocol and ledger keep */
#define SEND_BUFFER  16384 /* what the kernel keeps for one who does not read */

/* --- lists ------------------------------------------------------------------------ */

void
connection_mark_dirty(struct connection *c)
{
	if (!c->is_dirty)
		TAILQ_INSERT_TAIL(&c->owner->dirty, c, dirty);
	c->is_dirty = 1;
}

void
connection_want_turn(struct connection *c)
{
	if (!c->has_turn)
		rota_add(&c->owner->rota, peer_rota(&c->peer), c);
	c->has_turn = 1;
}

void
connection_break_off(struct connection *c)
{
	c->broken = 1;
	connection_want_turn(c);
}

/* --- what they hold --------------------------------------------------------------- */

static size_t
not_read(const struct connection *c)
{
	return c->in == NULL
		       ? 0
		       : evbuffer_get_length(c->answers) + evbuffer_get_length(c->out);
}

int
connection_has_room(const struct connection *c)
{
	return not_read(c) < CONNECTION_OUT_MAX;
}

static void
charge(struct connection *c, size_t held)
{
	peer_rota(&c->peer)->held += held - c->held;
	c->owner->held += held - c->held;
	c->held = held;
}

void
connection_weigh(struct connection *c)
{
	size_t read = c->in == NULL ? 0 : evbuffer_get_length(c->in);

	charge(c, not_read(c) + read + c->kept + c->count * REQUEST_COST);
}

/* --- the end ---------------------------------------------------------------------- */

static void
drop(struct connection *c, int by_client)
{
	struct connections *owner = c->owner;
	struct ledger *l = owner->ledger;

	ledger_forget(l, &c->ledger);
	ledger_disconnected(l, &c->ledger, by_client);
	peer_count_tickets(&c->peer, -(int64_t)c->counted_tickets);
	requests_drop(c);
	charge(c, 0);
	if (c->has_turn)
		rota_remove(peer_rota(&c->peer), c);
	if (c->is_dirty)
		TAILQ_REMOVE(&owner->dirty, c, dirty);
	if (c->is_owning)
		TAILQ_REMOVE(&owner->owning, c, owning);
	TAILQ_REMOVE(&owner->all, c, all);
	peer_leave(owner->peers, &c->peer);
}

static void
release(struct connection *c)
{
	if (c->readable != NULL)
		event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	if (c->in != NULL)
		evbuffer_free(c->in);
	if (c->answers != NULL)
		evbuffer_free(c->answers);
	if (c->out != NULL)
		evbuffer_free(c->out);
	close(c->fd);
	free(c);
}

void
connection_end(struct connection *c, int by_client)
{
	drop(c, by_client);
	release(c);
}

/* --- events ----------------------------------------------------------------------- */

/* One that has to wait for its turn is not told of again. */
static void
on_readable(int fd, short what, void *arg)
{
	struct connection *c = arg;

	(void)fd;
	(void)what;
	if (c->has_turn)
		event_del(c->readable);
	c->input_waits = 1;
	connection_want_turn(c);
}

void
connection_stop_writing(struct connection *c)
{
	c->output_closed = 1;
	if (c->in == NULL)
		return;
	evbuffer_drain(c->answers, evbuffer_get_length(c->answers));
	evbuffer_drain(c->out, evbuffer_get_length(c->out));
}

/* Nearly every answer is in one piece, for which send() costs less than writev(). */
static ssize_t
send_some(struct connection *c)
{
	size_t length = evbuffer_get_length(c->out);
	ssize_t n;

	if (evbuffer_get_contiguous_space(c->out) < length)
		return evbuffer_write(c->out, c->fd);
	n = send(
		c->fd, evbuffer_pullup(c->out, (ev_ssize_t)length), length, MSG_NOSIGNAL);
	if (n > 0)
		evbuffer_drain(c->out, (size_t)n);
	return n;
}

/* A client that is gone may have left requests behind that are still to be read. */
static void
write_out(struct connection *c)
{
	if (evbuffer_get_length(c->out) == 0)
		return;
	if (send_some(c) > 0)
		c->active_ms = clock_now_ms();
	else if (errno != EAGAIN && errno != EINTR)
		connection_stop_writing(c);
}

static void
on_writable(int fd, short what, void *arg)
{
	struct connection *c = arg;

	(void)fd;
	(void)what;
	write_out(c);
	connection_want_turn(c);
}

static void
set_event(struct event *e, short what, int wanted)
{
	if (wanted != (event_pending(e, what, NULL) != 0))
		(wanted ? event_add(e, NULL) : event_del(e));
}

void
connection_watch(struct connection *c)
{
	if (c->in == NULL)
		return;
	set_event(c->readable, EV_READ, intake_is_wanted(c));
	set_event(c->writable, EV_WRITE, evbuffer_get_length(c->out) > 0);
}

/* One who may ask about every mailbox gets long answers. */
static void
bound_kernel(const struct connection *c)
{
	const int size = SEND_BUFFER;

	if (!peer_asker(c->owner->peers, &c->peer).trusted)
		setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

int
connection_set_up(struct connection *c)
{
	struct event_base *base = c->owner->base;

	bound_kernel(c);
	c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
	c->answers = evbuffer_new();
	c->out = evbuffer_new();
	if (c->readable != NULL && c->writable != NULL && c->answers != NULL &&
		c->out != NULL)
		c->in = evbuffer_new();
	return c->in == NULL ? -1 : 0;
}

/* --- the end of a pass ------------------------------------------------------------ */

/* The first write is tried at once; what the socket does not take waits for its event. */
static void
send_answers(struct connection *c)
{
	evbuffer_add_buffer(c->out, c->answers);
	write_out(c);
	if (evbuffer_get_length(c->out) > 0 || evbuffer_get_length(c->in) > 0 ||
		c->input_closed || c->output_closed || c->closing ||
		!STAILQ_EMPTY(&c->requests) || !event_pending(c->readable, EV_READ, NULL))
		connection_want_turn(c);
}

void
connections_flush(struct connections *all, int committed)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&all->dirty)) != NULL) {
		TAILQ_REMOVE(&all->dirty, c, dirty);
		c->is_dirty = 0;
		if (!committed)
			connection_break_off(c);
		else if (c->in != NULL)
			send_answers(c);
		connection_weigh(c);
	}
	while (all->held > CONNECTIONS_HELD_MAX)
		connection_end(heaviest_find(all), 0);
}

/* --- all of them ------------------------------------------------------------------ */

static void
turn_away(int fd, const struct protocol *p, const char *text)
{
	char answer[REASON_SIZE + 64] = "";

	if (p->turn_away != NULL)
		p->turn_away(answer, sizeof answer, text);
	/* it fits into any socket's buffer; a client that is gone needs none */
	if (answer[0] != '\0')
		send(fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static struct connection *
new_connection(struct connections *owner, int fd, const struct service *service,
	const struct peer *peer)
{
	struct connection *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->owner = owner;
	c->service = service;
	c->fd = fd;
	c->peer = *peer;
	c->active_ms = clock_now_ms();
	c->input_waits = 1; /* most have sent something already */
	STAILQ_INIT(&c->requests);
	return c;
}

/* A connection of that peer, or NULL with the reason. */
static struct connection *
admit(struct connections *owner, int fd, const struct service *service,
	const struct peer *peer, struct reason *why)
{
	struct connection *c = NULL;

	if (service->who == SERVICE_TRUSTED && !peer_asker(owner->peers, peer).trusted) {
		reason_set(why, "not for this user");
		return NULL;
	}
	c = new_connection(owner, fd, service, peer);
	if (c == NULL)
		reason_set(why, "no memory");
	return c;
}

void
connections_accept(struct connections *owner, int fd, const struct service *service)
{
	struct reason why;
	struct peer peer;
	struct connection *c;

	if (peer_enter(owner->peers, fd, service->who == SERVICE_PERMITTED, &peer,
		    &why) == -1) {
		turn_away(fd, service->protocol, why.text);
		return;
	}
	c = admit(owner, fd, service, &peer, &why);
	if (c == NULL) {
		peer_leave(owner->peers, &peer);
		turn_away(fd, service->protocol, why.text);
		return;
	}
	ledger_connect(&c->ledger, ++owner->last_number);
	TAILQ_INSERT_TAIL(&owner->all, c, all);
	connection_want_turn(c);
}

void
connections_work(struct connections *all)
{
	uint64_t began = clock_now_ms();
	struct connection *c;

	for (int turns = 0;
		turns < CONNECTIONS_TURNS && clock_now_ms() - began < CONNECTIONS_PASS_MS;
		turns++) {
		c = rota_next(&all->rota);
		if (c == NULL)
			break;
		c->has_turn = 0;
		intake_take_turn(c);
	}
}

static void
add_owner(void *arg, struct ledger_connection *ledger)
{
	struct connection *c =
		(void *)((char *)ledger - offsetof(struct connection, ledger));
	struct connections *all = arg;

	if (!c->is_owning)
		TAILQ_INSERT_TAIL(&all->owning, c, owning);
	c->is_owning = 1;
}

void
connections_read_owners(struct connections *all)
{
	struct connection *c;

	all->readings++;
	ledger_each_owner(all->ledger, add_owner, all);
	while ((c = TAILQ_FIRST(&all->owning)) != NULL) {
		TAILQ_REMOVE(&all->owning, c, owning);
		c->is_owning = 0;
		intake_read_owner(c);
	}
}

int
connections_has_read(void *all, struct ledger_connection *ledger)
{
	const struct connection *c =
		(void *)((char *)ledger - offsetof(struct connection, ledger));

	return c->read_in == ((const struct connections *)all)->readings;
}

int
connections_are_busy(const struct connections *all)
{
	return rota_is_waited_for(&all->rota) || !TAILQ_EMPTY(&all->dirty);
}

/* Between two requests, with nothing half read or not yet taken. */
static int
is_at_rest(const struct connection *c)
{
	return STAILQ_EMPTY(&c->requests) &&
	       (c->in == NULL || (evbuffer_get_length(c->in) == 0 &&
					 evbuffer_get_length(c->out) == 0));
}

/* A client's own slowness alone counts: while it waits for an answer it is not idle. */
static uint64_t
patience(const struct connection *c)
{
	const struct conf *conf = c->owner->conf;
	uint64_t at_rest_ms = c->service->protocol->idle_ms, ms = CONNECTION_IDLE_MS;

	if (at_rest_ms > 0 && is_at_rest(c))
		ms = at_rest_ms;
	if (c->ledger.tickets > 0)
		ms = (conf->deadline + CONNECTION_GRACE_S) * 1000;
	if (c->ledger.waiting > 0)
		ms += conf->quotad_timeout * 6 * 1000; /* a person's GET waits so long */
	return ms;
}

void
connections_sweep(struct connections *all, uint64_t now_ms)
{
	struct connection *c;

	TAILQ_FOREACH(c, &all->all, all) {
		if (now_ms > c->active_ms && now_ms - c->active_ms > patience(c))
			connection_break_off(c);
		else if (c->in != NULL && !event_pending(c->readable, EV_READ, NULL) &&
			 intake_has_hung_up(c))
			connection_want_turn(c);
	}
}

struct connections *
connections_new(struct event_base *base, struct ledger *l, struct peers *peers,
	const struct conf *conf)
{
	struct connections *all = calloc(1, sizeof *all);

	if (all == NULL)
		return NULL;
	all->base = base;
	all->ledger = l;
	all->peers = peers;
	all->conf = conf;
	TAILQ_INIT(&all->all);
	TAILQ_INIT(&all->dirty);
	TAILQ_INIT(&all->owning);
	rota_init(&all->rota);
	return all;
}

void
connections_free(struct connections **connections)
{
	struct connections *all = *connections;
	struct connection *c, *next;

	*connections = NULL;
	if (all == NULL)
		return;
	for (c = TAILQ_FIRST(&all->all); c != NULL; c = next) {
		next = TAILQ_NEXT(c, all);
		connection_end(c, 0);
	}
	free(all);
}
