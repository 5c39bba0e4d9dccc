/* What comes in, and a connection's turn: it reads a little, and performs one request. A
 * connection is ended here alone, never while the ledger calls back. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "parts.h"

#define READ_AT_ONCE 4096

#define OWNERS_REQUESTS 256   /* of one user, of all its owners, in a reading */
#define OWNER_KEPT_MAX  65536 /* bytes of an owner that wait for their turns */

int
intake_has_hung_up(const struct connection *c)
{
	struct pollfd p = {.fd = c->fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void
set_gone(struct connection *c)
{
	c->gone = 1;
	connection_stop_writing(c);
}

/* --- reading ---------------------------------------------------------------------- */

static void
take_end(struct connection *c, int error)
{
	if (error != 0 && error != ECONNRESET)
		c->broken = 1;
	c->input_closed = 1;
	if (intake_has_hung_up(c))
		set_gone(c);
}

/* As evbuffer_read, which asks the kernel first how much there is. A connection that is
 * over before it has said anything needs neither buffers nor events. */
static void
read_more(struct connection *c)
{
	char data[READ_AT_ONCE];
	ssize_t n = recv(c->fd, data, sizeof data, 0);

	c->input_waits = n == (ssize_t)sizeof data;
	c->incomplete = 0;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		take_end(c, n < 0 ? errno : 0);
		return;
	}
	if ((c->in == NULL && connection_set_up(c) == -1) ||
		(n > 0 && evbuffer_add(c->in, data, (size_t)n) == -1))
		c->broken = 1;
}

static size_t
unread(const struct connection *c)
{
	return c->in == NULL ? 0 : evbuffer_get_length(c->in);
}

/* A message off what was read, to be performed or kept: 1, or 0 where there is no whole
 * one. */
static int
take_message(struct connection *c)
{
	char *message = NULL;
	size_t length = 0;

	if (unread(c) == 0)
		return 0;
	switch (c->service->protocol->read(c->in, &message, &length)) {
	case PROTOCOL_INCOMPLETE:
		c->incomplete = 1;
		return 0;
	case PROTOCOL_NONSENSE:
		c->nonsense = 1;
		message = NULL;
		length = 0;
		evbuffer_drain(c->in, evbuffer_get_length(c->in));
		break;
	case PROTOCOL_MESSAGE:
		break;
	}
	requests_add(c, message, length);
	return 1;
}

/* --- the turn --------------------------------------------------------------------- */

/* Its client is gone: what ends something is still performed, if the connection has
 * anything to be ended, and nothing else. */
static void
clear_up(struct connection *c)
{
	do {
		ledger_forget(c->owner->ledger, &c->ledger);
		requests_drop(c);
	} while (c->ledger.tickets > 0 && take_message(c));
	if (c->broken || c->nonsense)
		connection_end(c, 0);
	else if (c->ledger.tickets == 0 || c->input_closed)
		connection_end(c, 1);
	else
		connection_want_turn(c);
}

/* Whether messages may be taken that have no slot yet, for the sake of those that need
 * none. */
static int
may_look_ahead(const struct connection *c)
{
	return !c->closing && !c->broken && c->count < CONNECTION_REQUESTS &&
	       c->kept < CONNECTION_KEPT_MAX && connection_has_room(c);
}

static int
may_read(const struct connection *c)
{
	return !c->input_closed && !c->nonsense && !c->closing && !c->broken;
}

int
intake_is_wanted(const struct connection *c)
{
	return may_read(c) && may_look_ahead(c) &&
	       (c->incomplete || unread(c) < READ_AT_ONCE);
}

/* One request: 1 where there was one to be performed or kept. */
static int
perform_one(struct connection *c)
{
	int taken = requests_next(c) == NULL && may_look_ahead(c) && take_message(c);
	struct request *r = requests_next(c);

	if (r == NULL || c->broken)
		return taken;
	if (c->closing) {
		requests_drop_kept(c);
		return 0;
	}
	if (c->slots < CONNECTION_SLOTS && connection_has_room(c)) {
		requests_begin(r);
		return 1;
	}
	return taken || (may_look_ahead(c) && take_message(c));
}

static int
all_is_sent(const struct connection *c)
{
	return STAILQ_EMPTY(&c->requests) &&
	       (c->in == NULL || (evbuffer_get_length(c->answers) == 0 &&
					 evbuffer_get_length(c->out) == 0));
}

static void
go_on(struct connection *c)
{
	int performed = perform_one(c);
	int streamed = connection_has_room(c) && requests_go_on(c);

	if (c->broken || (c->closing && all_is_sent(c))) {
		connection_end(c, 0);
	} else if (c->input_closed && !performed && all_is_sent(c)) {
		/* what is left is no whole message: it may have been cut off */
		connection_end(c, 1);
	} else {
		if (performed || streamed || (c->input_waits && intake_is_wanted(c)))
			connection_want_turn(c);
		connection_weigh(c);
		connection_watch(c);
	}
}

void
intake_take_turn(struct connection *c)
{
	if ((unread(c) > 0 || c->count > 0) && !c->gone && intake_has_hung_up(c))
		set_gone(c);
	if (c->gone ? may_read(c) : c->input_waits && intake_is_wanted(c))
		read_more(c);
	if (c->gone)
		clear_up(c);
	else
		go_on(c);
}

/* --- owners of tickets ------------------------------------------------------------ */

/* One user's owners get so far in a reading, and no further. */
static int
may_take_on(struct connection *c)
{
	struct rota_user *user = peer_rota(&c->peer);

	if (user->reading != c->owner->readings)
		user->read = 0;
	user->reading = c->owner->readings;
	return user->read < OWNERS_REQUESTS && !c->closing && !c->broken;
}

/* 1 where all that there is of it was read, and what ends something performed. */
static int
read_to_end(struct connection *c)
{
	while (may_take_on(c)) {
		size_t before = unread(c);

		if (take_message(c)) {
			peer_rota(&c->peer)->read++;
			continue;
		}
		if (!may_read(c))
			return 1;
		if (c->kept + before >= OWNER_KEPT_MAX)
			return 0;
		read_more(c);
		if (!c->input_closed && unread(c) == before)
			return 1;
	}
	return 0;
}

void
intake_read_owner(struct connection *c)
{
	if (c->broken)
		return;
	if (read_to_end(c))
		c->read_in = c->owner->readings;
	if (c->gone) {
		clear_up(c);
		return;
	}
	connection_weigh(c);
	connection_want_turn(c);
}
