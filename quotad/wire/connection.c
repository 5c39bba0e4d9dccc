/*
 * Connections. pump() is the heart: it performs what was read as long as it may, and sets
 * what the connection waits for. A connection is ended in its own turn alone (its event,
 * or connections_work), never while the ledger calls back, and never between the commit
 * of a pass and its flush.
 */
#include "connection.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "parts.h"

#define READ_AT_ONCE 16384

/* --- lists ------------------------------------------------------------------------ */

void
connection_mark_dirty(struct connection *c)
{
	if (!c->is_dirty)
		TAILQ_INSERT_TAIL(&c->owner->dirty, c, dirty);
	c->is_dirty = 1;
}

void
connection_mark_todo(struct connection *c)
{
	if (!c->is_todo)
		TAILQ_INSERT_TAIL(&c->owner->todo, c, todo);
	c->is_todo = 1;
}

void
connection_break_off(struct connection *c)
{
	c->broken = 1;
	connection_mark_todo(c);
}

/* --- performing what was read ----------------------------------------------------- */

static int
has_room(const struct connection *c)
{
	return evbuffer_get_length(c->answers) + evbuffer_get_length(c->out) <
	       CONNECTION_OUT_MAX;
}

static int
may_perform(const struct connection *c)
{
	return !c->closing && !c->broken && c->slots < CONNECTION_SLOTS && has_room(c);
}

/* 1 where everything that has come in so far was performed. What is left then is no whole
 * message; if the client is gone it may have been cut off, and is none. */
static int
perform_messages(struct connection *c)
{
	const struct protocol *p = c->service->protocol;
	char *message = NULL;
	size_t length = 0;

	while (may_perform(c)) {
		switch (p->read(c->in, &message, &length)) {
		case PROTOCOL_INCOMPLETE:
			return 1;
		case PROTOCOL_NONSENSE:
			requests_perform(c, NULL, 0);
			break;
		case PROTOCOL_MESSAGE:
			requests_perform(c, message, length);
			free(message);
			break;
		}
	}
	return 0;
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
	peer_leave(owner->peers, &c->peer);
	requests_drop(c);
	if (c->is_dirty)
		TAILQ_REMOVE(&owner->dirty, c, dirty);
	if (c->is_todo)
		TAILQ_REMOVE(&owner->todo, c, todo);
	TAILQ_REMOVE(&owner->all, c, all);
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
	if (c->fd != -1)
		close(c->fd);
	free(c);
}

static void
end(struct connection *c, int by_client)
{
	drop(c, by_client);
	release(c);
}

/* Whether both directions are closed, and not only the client's sending one, as after
 * `printf ... | socat`: then its answers are still wanted. */
static int
has_hung_up(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static int
all_is_sent(const struct connection *c)
{
	return STAILQ_EMPTY(&c->requests) && evbuffer_get_length(c->answers) == 0 &&
	       evbuffer_get_length(c->out) == 0;
}

/* What the connection waits for from now on. Where a request is over and others wait in
 * the buffer already, a little more is read, so that the client's end is seen. */
static void
watch(struct connection *c, int all_performed)
{
	int wanted = all_performed || evbuffer_get_length(c->in) < READ_AT_ONCE;
	int reading = wanted && may_perform(c) && !c->input_closed;
	int writing = evbuffer_get_length(c->out) > 0;

	if (reading != (event_pending(c->readable, EV_READ, NULL) != 0))
		(reading ? event_add(c->readable, NULL) : event_del(c->readable));
	if (writing != (event_pending(c->writable, EV_WRITE, NULL) != 0))
		(writing ? event_add(c->writable, NULL) : event_del(c->writable));
}

static void
pump(struct connection *c)
{
	int all_performed = perform_messages(c);

	if (has_room(c))
		requests_go_on(c);
	if (c->broken || (c->closing && all_is_sent(c)))
		end(c, 0);
	else if (c->input_closed && all_performed && (c->output_closed || all_is_sent(c)))
		end(c, 1);
	else
		watch(c, all_performed);
}

/* --- input and output ------------------------------------------------------------- */

static void
stop_writing(struct connection *c)
{
	c->output_closed = 1;
	evbuffer_drain(c->answers, evbuffer_get_length(c->answers));
	evbuffer_drain(c->out, evbuffer_get_length(c->out));
}

/* As evbuffer_read, which asks the kernel first how much there is. */
static ssize_t
read_in(struct connection *c)
{
	char data[READ_AT_ONCE];
	ssize_t n = recv(c->fd, data, sizeof data, 0);

	if (n > 0 && evbuffer_add(c->in, data, (size_t)n) == -1) {
		errno = ENOMEM;
		return -1;
	}
	return n;
}

static void
on_readable(int fd, short what, void *arg)
{
	struct connection *c = arg;
	ssize_t n = read_in(c);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 && errno != ECONNRESET)
		c->broken = 1;
	if (n <= 0) {
		c->input_closed = 1;
		if (has_hung_up(fd))
			stop_writing(c);
	}
	pump(c);
}

/* A client that is gone may have left requests behind that are still to be read. */
static void
write_out(struct connection *c)
{
	if (evbuffer_get_length(c->out) == 0)
		return;
	if (evbuffer_write(c->out, c->fd) > 0)
		c->active_ms = clock_now_ms();
	else if (errno != EAGAIN && errno != EINTR)
		stop_writing(c);
}

static void
on_writable(int fd, short what, void *arg)
{
	struct connection *c = arg;

	(void)fd;
	(void)what;
	write_out(c);
	pump(c);
}

/* The first write is tried at once; what the socket does not take waits for its event. */
static void
send_answers(struct connection *c)
{
	evbuffer_add_buffer(c->out, c->answers);
	write_out(c);
	if (evbuffer_get_length(c->out) > 0 || evbuffer_get_length(c->in) > 0 ||
		c->input_closed || c->output_closed || c->closing ||
		!STAILQ_EMPTY(&c->requests) || !event_pending(c->readable, EV_READ, NULL))
		connection_mark_todo(c);
}

void
connections_flush(struct connections *all, int committed)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&all->dirty)) != NULL) {
		TAILQ_REMOVE(&all->dirty, c, dirty);
		c->is_dirty = 0;
		if (committed)
			send_answers(c);
		else
			connection_break_off(c);
	}
}

/* --- all of them ------------------------------------------------------------------ */

static int
set_up(struct connection *c)
{
	struct event_base *base = c->owner->base;

	c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
	c->in = evbuffer_new();
	c->answers = evbuffer_new();
	c->out = evbuffer_new();
	if (c->readable == NULL || c->writable == NULL || c->in == NULL ||
		c->answers == NULL || c->out == NULL)
		return -1;
	return event_add(c->readable, NULL);
}

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
	STAILQ_INIT(&c->requests);
	if (set_up(c) == 0)
		return c;
	c->fd = -1; /* the caller's */
	release(c);
	return NULL;
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

	if (peer_enter(owner->peers, fd, &peer, &why) == -1) {
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
}

void
connections_work(struct connections *all)
{
	struct connection_list now = TAILQ_HEAD_INITIALIZER(now);
	struct connection *c;

	TAILQ_CONCAT(&now, &all->todo, todo);
	while ((c = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, c, todo);
		c->is_todo = 0;
		pump(c);
	}
}

int
connections_are_busy(const struct connections *all)
{
	return !TAILQ_EMPTY(&all->todo) || !TAILQ_EMPTY(&all->dirty);
}

/* A client's own slowness alone counts: while it waits for an answer it is not idle. */
static uint64_t
patience(const struct connection *c)
{
	const struct conf *conf = c->owner->conf;
	uint64_t ms = CONNECTION_IDLE_MS;

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

	TAILQ_FOREACH(c, &all->all, all)
		if (now_ms > c->active_ms && now_ms - c->active_ms > patience(c))
			connection_break_off(c);
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
	TAILQ_INIT(&all->todo);
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
		end(c, 0);
	}
	free(all);
}
