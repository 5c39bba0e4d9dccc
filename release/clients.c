/* Connections: who they are, lines in, answers out. */
#include "clients.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

#define READ_AT_ONCE 4096
#define LINE_SECONDS 10  /* for the rest of a line, and for reading an answer */
#define IDLE_SECONDS 300 /* between two requests */
#define VERB         "RELEASE "

struct client {
	TAILQ_ENTRY(client) next;
	struct clients *all;
	struct bufferevent *stream;
	TAILQ_HEAD(, request)
	requests;     /* in order; answered ones wait for earlier ones */
	size_t count; /* of them */
	int asks_no_more;
};

struct clients {
	struct event_base *base;
	uid_t uid;
	struct queue *queue;
	TAILQ_HEAD(, client) list;
	size_t count; /* of them */
};

/* --- the end ---------------------------------------------------------------------- */

static void
end_client(struct client *c)
{
	struct request *r, *next;

	for (r = TAILQ_FIRST(&c->requests); r != NULL; r = next) {
		next = TAILQ_NEXT(r, of_client);
		TAILQ_REMOVE(&c->requests, r, of_client);
		if (r->answered)
			free(r);
		else
			queue_forget(c->all->queue, r);
	}
	TAILQ_REMOVE(&c->all->list, c, next);
	c->all->count--;
	bufferevent_free(c->stream);
	free(c);
}

static size_t
unread(const struct client *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->stream));
}

/* It has sent all that it wants: 1 if it is ended, since nothing is left to do. */
static int
end_if_done(struct client *c)
{
	if (!c->asks_no_more || c->count > 0 || unread(c) > 0)
		return 0;
	end_client(c);
	return 1;
}

static void
stop_reading(struct client *c)
{
	struct evbuffer *input = bufferevent_get_input(c->stream);

	c->asks_no_more = 1;
	bufferevent_disable(c->stream, EV_READ);
	evbuffer_drain(input, evbuffer_get_length(input));
}

/* --- answers ---------------------------------------------------------------------- */

/* Sends the answers that are due, in order: 0, or -1 where it reads none, and is ended.
 */
static int
send_answers(struct client *c)
{
	struct evbuffer *output = bufferevent_get_output(c->stream);
	struct request *r, *next;

	for (r = TAILQ_FIRST(&c->requests); r != NULL && r->answered; r = next) {
		next = TAILQ_NEXT(r, of_client);
		if (r->ok)
			evbuffer_add_printf(output, "OK\n");
		else
			evbuffer_add_printf(output, "ERR %s\n", r->why.text);
		TAILQ_REMOVE(&c->requests, r, of_client);
		c->count--;
		free(r);
	}
	if (unread(c) <= CLIENTS_UNREAD)
		return 0;
	log_warning("a client reads no answers: its connection is ended");
	end_client(c);
	return -1;
}

static void take_lines(struct client *c);

/* There may be room for lines that have come already. */
static void
on_answer(struct request *r)
{
	struct client *c = r->client;

	if (send_answers(c) == 0 && !end_if_done(c) && !c->asks_no_more)
		take_lines(c);
}

/* --- lines ------------------------------------------------------------------------ */

/* A new request, not answered yet, or answered with a refusal; NULL without memory. */
static struct request *
add_request(struct client *c, const char *refusal)
{
	struct request *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->client = c;
	if (refusal != NULL) {
		reason_set(&r->why, "%s", refusal);
		r->answered = 1;
	}
	TAILQ_INSERT_TAIL(&c->requests, r, of_client);
	c->count++;
	return r;
}

/* 0, or -1 without memory. */
static int
take_line(struct client *c, const char *line, size_t length)
{
	const size_t verb = sizeof VERB - 1;
	const char *refusal = NULL;
	struct request *r;

	if (length < verb || memcmp(line, VERB, verb) != 0)
		refusal = "not \"RELEASE <queue id>\"";
	else if (!postqueue_is_id(line + verb, length - verb))
		refusal = "not a queue id: 6 to 20 digits and letters";
	r = add_request(c, refusal);
	if (r == NULL)
		return -1;
	if (refusal != NULL)
		return 0;
	memcpy(r->id, line + verb, length - verb);
	if (queue_add(c->all->queue, r) == -1) {
		reason_set(&r->why, "%d requests wait already", QUEUE_MOST);
		r->answered = 1;
	}
	return 0;
}

/* Each byte of half a line prolongs its time: so often as a line has bytes. */
static void
set_patience(struct client *c, int in_line)
{
	const struct timeval whole = {.tv_sec = in_line ? LINE_SECONDS : IDLE_SECONDS},
			     answer = {.tv_sec = LINE_SECONDS};

	bufferevent_set_timeouts(c->stream, &whole, &answer);
}

/* Reads as many lines as may wait; the rest stays in the kernel. */
static void
take_lines(struct client *c)
{
	struct evbuffer *input = bufferevent_get_input(c->stream);
	struct evbuffer_ptr end;
	char line[CLIENTS_LINE_MOST + 1];
	int failed = 0;

	end = evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF);
	while (!failed && end.pos >= 0 && end.pos <= CLIENTS_LINE_MOST &&
		c->count < CLIENTS_REQUESTS) {
		evbuffer_remove(input, line, (size_t)end.pos + 1);
		failed = take_line(c, line, (size_t)end.pos) == -1;
		end = evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF);
	}
	if (end.pos > CLIENTS_LINE_MOST ||
		(end.pos < 0 && evbuffer_get_length(input) > CLIENTS_LINE_MOST)) {
		add_request(c, "a line is too long");
		failed = 1;
	}
	if (failed)
		stop_reading(c);
	if (send_answers(c) == 0 && !end_if_done(c))
		set_patience(c, evbuffer_get_length(input) > 0);
}

static void
on_lines(struct bufferevent *stream, void *arg)
{
	(void)stream;
	take_lines(arg);
}

static void
on_sent(struct bufferevent *stream, void *arg)
{
	(void)stream;
	end_if_done(arg);
}

/* Whether the other end is gone, rather than only done with asking. */
static int
has_hung_up(const struct client *c)
{
	struct pollfd p = {.fd = bufferevent_getfd(c->stream)};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void
on_event(struct bufferevent *stream, short what, void *arg)
{
	struct client *c = arg;

	(void)stream;
	if (what & BEV_EVENT_TIMEOUT && what & BEV_EVENT_READING && c->count > 0) {
		bufferevent_enable(c->stream, EV_READ); /* it waits for us */
	} else if (what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT) || has_hung_up(c)) {
		end_client(c);
	} else {
		stop_reading(c);
		end_if_done(c);
	}
}

/* --- life ------------------------------------------------------------------------- */

/* 0 where the other end may ask; -1 with what it is told. */
static int
check_peer(const struct clients *all, int fd, struct reason *why)
{
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t size = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == -1)
		return reason_errno(why, "SO_PEERCRED");
	if (who.uid != 0 && who.uid != all->uid)
		return reason_set(why, "not for uid %u: for root and uid %u alone",
			who.uid, all->uid);
	if (all->count >= CLIENTS_MOST)
		return reason_set(why, "%d connections are open already", CLIENTS_MOST);
	return 0;
}

/* A word that it may read or not. */
static void
turn_away(int fd, const struct reason *why)
{
	char line[REASON_SIZE + sizeof "ERR \n"];
	int length = snprintf(line, sizeof line, "ERR %s\n", why->text);

	log_warning("a connection was refused: %s", why->text);
	if (send(fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
		log_warning("a connection was refused, and is not told");
	close(fd);
}

void
clients_accept(struct clients *all, int fd)
{
	struct client *c = NULL;
	struct reason why;

	if (check_peer(all, fd, &why) == -1) {
		turn_away(fd, &why);
		return;
	}
	c = calloc(1, sizeof *c);
	if (c != NULL)
		c->stream = bufferevent_socket_new(all->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (c == NULL || c->stream == NULL) {
		free(c);
		close(fd);
		return;
	}
	c->all = all;
	TAILQ_INIT(&c->requests);
	TAILQ_INSERT_TAIL(&all->list, c, next);
	all->count++;
	bufferevent_setcb(c->stream, on_lines, on_sent, on_event, c);
	bufferevent_setwatermark(c->stream, EV_READ, 0, READ_AT_ONCE);
	set_patience(c, 0);
	bufferevent_enable(c->stream, EV_READ | EV_WRITE);
}

struct clients *
clients_new(struct event_base *base, uid_t uid, const struct postqueue_settings *settings)
{
	struct clients *all = calloc(1, sizeof *all);

	if (all == NULL)
		return NULL;
	all->base = base;
	all->uid = uid;
	TAILQ_INIT(&all->list);
	all->queue = queue_new(base, settings, on_answer);
	if (all->queue == NULL) {
		free(all);
		return NULL;
	}
	return all;
}

void
clients_free(struct clients **clients)
{
	struct clients *all = *clients;
	struct client *c, *next;

	*clients = NULL;
	if (all == NULL)
		return;
	for (c = TAILQ_FIRST(&all->list); c != NULL; c = next) {
		next = TAILQ_NEXT(c, next);
		end_client(c);
	}
	queue_free(&all->queue);
	free(all);
}
