/*
 * Sessions. pump() is the heart: it performs what was read as long as it may, and says
 * what the connection waits for. A session is ended in its own turn alone (its event, or
 * sessions_work), never while the ledger calls back, and never between the commit of a
 * pass and its flush.
 */
#include "connection.h"

#include <errno.h>
#include <event2/buffer.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "protocol/line.h"
#include "record.h"

#define READ_AT_ONCE 16384
#define LINE_SIZE    4608 /* most answers are far shorter */

struct session {
	TAILQ_ENTRY(session) all, dirty, todo;
	struct sessions *owner;
	int fd;
	struct event *readable, *writable;
	struct evbuffer *in, *answers, *out; /* read; for the commit; on the way */
	struct peer peer;
	struct ledger_connection connection;
	uint64_t counted_tickets; /* that the peer's user has been charged with */
	uint64_t active_ms;
	STAILQ_HEAD(request_queue, request) requests;
	unsigned slots, faults;
	unsigned is_dirty : 1, is_todo : 1; /* it is in that list */
	unsigned eof : 1;                   /* the client sends nothing more */
	unsigned deaf : 1;                  /* the client reads nothing more */
	unsigned closing : 1; /* read nothing more; close once all is sent */
	unsigned broken : 1;  /* close at its next turn */
};

TAILQ_HEAD(session_list, session);

struct sessions {
	struct server *server;
	uint64_t last_number;
	struct session_list all, dirty, todo;
};

/* --- lists ------------------------------------------------------------------------ */

static void
mark_dirty(struct session *s)
{
	if (!s->is_dirty)
		TAILQ_INSERT_TAIL(&s->owner->dirty, s, dirty);
	s->is_dirty = 1;
}

static void
mark_todo(struct session *s)
{
	if (!s->is_todo)
		TAILQ_INSERT_TAIL(&s->owner->todo, s, todo);
	s->is_todo = 1;
}

static void
break_off(struct session *s)
{
	s->broken = 1;
	mark_todo(s);
}

/* --- the queue of requests -------------------------------------------------------- */

static struct request *
add_request(struct session *s)
{
	struct request *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->session = s;
	STAILQ_INSERT_TAIL(&s->requests, r, next);
	s->slots++;
	return r;
}

static void
remove_first(struct session *s)
{
	struct request *r = STAILQ_FIRST(&s->requests);

	STAILQ_REMOVE_HEAD(&s->requests, next);
	s->slots--;
	requests_clear(r);
	free(r->answer);
	free(r);
}

static void
put_out(struct session *s, const char *text)
{
	if (s->deaf)
		return;
	if (evbuffer_add(s->answers, text, strlen(text)) == -1 ||
		evbuffer_add(s->answers, "\n", 1) == -1)
		break_off(s);
	mark_dirty(s);
}

/* Answers that were ready, and waited for the one that has just left. Then there may be
 * room for requests that wait in the buffer, or the last answer may be out. */
static void
put_out_ready(struct session *s)
{
	const struct request *r;

	while ((r = STAILQ_FIRST(&s->requests)) != NULL && r->answer != NULL) {
		put_out(s, r->answer);
		remove_first(s);
	}
	if (evbuffer_get_length(s->in) > 0 || s->eof || s->closing || s->deaf)
		mark_todo(s);
}

/* What waits for the ledger may become a ticket. */
static void
charge_tickets(struct session *s)
{
	uint64_t tickets = s->connection.tickets + s->connection.waiting;
	int64_t more = (int64_t)(tickets - s->counted_tickets);

	if (more != 0)
		peer_count_tickets(&s->peer, more);
	s->counted_tickets = tickets;
}

static void
take_answer(struct request *r, const char *text)
{
	struct session *s = r->session;

	s->active_ms = clock_now_ms();
	charge_tickets(s);
	if (r == STAILQ_FIRST(&s->requests)) {
		put_out(s, text);
		remove_first(s);
		put_out_ready(s);
	} else if ((r->answer = strdup(text)) == NULL) {
		break_off(s);
	}
}

void
session_answer(struct request *r, const char *format, ...)
{
	char line[LINE_SIZE], *longer = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (length >= 0 && (size_t)length < sizeof line) {
		take_answer(r, line);
		return;
	}
	va_start(args, format);
	if (vasprintf(&longer, format, args) == -1)
		break_off(r->session);
	else
		take_answer(r, longer);
	va_end(args);
	free(longer);
}

void
session_part(struct request *r, const char *line)
{
	put_out(r->session, line);
}

void
session_fault(struct request *r)
{
	if (++r->session->faults >= SESSION_FAULTS)
		r->session->closing = 1;
}

struct peer *
session_peer(const struct request *r)
{
	return &r->session->peer;
}

struct ledger_connection *
session_connection(const struct request *r)
{
	return &r->session->connection;
}

/* --- performing what was read ----------------------------------------------------- */

static int
has_room(const struct session *s)
{
	return evbuffer_get_length(s->answers) + evbuffer_get_length(s->out) <
	       SESSION_OUT_MAX;
}

static int
may_perform(const struct session *s)
{
	return !s->closing && !s->broken && s->slots < SESSION_SLOTS && has_room(s);
}

static int
has_nul(const char *line, size_t length)
{
	return memchr(line, '\0', length) != NULL;
}

static void
perform(struct session *s, char *line, size_t length)
{
	struct request *r = add_request(s);

	if (r == NULL) {
		break_off(s);
		return;
	}
	s->active_ms = clock_now_ms();
	if (length > RECORD_LINE_MAX || has_nul(line, length)) {
		s->closing = 1;
		session_answer(r, "ERR 4.5.2 a line is at most %d bytes of ASCII",
			RECORD_LINE_MAX);
		return;
	}
	requests_perform(s->owner->server, r, line, length);
	charge_tickets(s);
}

/* A line that is too long already need not be read to its end. What is left without a
 * line's end when the client is gone may have been cut off, and is no request. */
static char *
next_line(struct session *s, size_t *length)
{
	char *line = evbuffer_readln(s->in, length, EVBUFFER_EOL_LF);

	if (line != NULL || evbuffer_get_length(s->in) <= RECORD_LINE_MAX)
		return line;
	*length = evbuffer_get_length(s->in);
	return strdup("");
}

/* 1 where everything that has come in so far was performed. */
static int
perform_lines(struct session *s)
{
	size_t length;
	char *line;

	while (may_perform(s)) {
		line = next_line(s, &length);
		if (line == NULL)
			return 1;
		perform(s, line, length);
		free(line);
	}
	return 0;
}

/* One piece of a list a turn, so that others have theirs. */
static void
go_on_streaming(struct session *s)
{
	struct request *r = STAILQ_FIRST(&s->requests);

	if (r == NULL || !r->streams || !has_room(s))
		return;
	if (s->deaf)
		session_answer(r, "ERR 4.3.0 nobody listens");
	else
		requests_continue(s->owner->server, r);
	mark_todo(s);
}

/* --- the end ---------------------------------------------------------------------- */

static void
drop(struct session *s, int by_client)
{
	struct sessions *owner = s->owner;
	struct ledger *l = owner->server->ledger;

	ledger_forget(l, &s->connection);
	ledger_disconnected(l, &s->connection, by_client);
	peer_count_tickets(&s->peer, -(int64_t)s->counted_tickets);
	peer_leave(owner->server->peers, &s->peer);
	while (!STAILQ_EMPTY(&s->requests))
		remove_first(s);
	if (s->is_dirty)
		TAILQ_REMOVE(&owner->dirty, s, dirty);
	if (s->is_todo)
		TAILQ_REMOVE(&owner->todo, s, todo);
	TAILQ_REMOVE(&owner->all, s, all);
}

static void
release(struct session *s)
{
	if (s->readable != NULL)
		event_free(s->readable);
	if (s->writable != NULL)
		event_free(s->writable);
	if (s->in != NULL)
		evbuffer_free(s->in);
	if (s->answers != NULL)
		evbuffer_free(s->answers);
	if (s->out != NULL)
		evbuffer_free(s->out);
	if (s->fd != -1)
		close(s->fd);
	free(s);
}

static void
end(struct session *s, int by_client)
{
	drop(s, by_client);
	release(s);
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
all_is_sent(const struct session *s)
{
	return STAILQ_EMPTY(&s->requests) && evbuffer_get_length(s->answers) == 0 &&
	       evbuffer_get_length(s->out) == 0;
}

/* What the connection waits for from now on. */
static void
watch(struct session *s, int all_performed)
{
	int reading = all_performed && may_perform(s) && !s->eof;
	int writing = evbuffer_get_length(s->out) > 0;

	if (reading != (event_pending(s->readable, EV_READ, NULL) != 0))
		(reading ? event_add(s->readable, NULL) : event_del(s->readable));
	if (writing != (event_pending(s->writable, EV_WRITE, NULL) != 0))
		(writing ? event_add(s->writable, NULL) : event_del(s->writable));
}

static void
pump(struct session *s)
{
	int all_performed = perform_lines(s);

	go_on_streaming(s);
	if (s->broken || (s->closing && all_is_sent(s)))
		end(s, 0);
	else if (s->eof && all_performed && (s->deaf || all_is_sent(s)))
		end(s, 1);
	else
		watch(s, all_performed);
}

/* --- input and output ------------------------------------------------------------- */

static void
stop_writing(struct session *s)
{
	s->deaf = 1;
	evbuffer_drain(s->answers, evbuffer_get_length(s->answers));
	evbuffer_drain(s->out, evbuffer_get_length(s->out));
}

/* As evbuffer_read, which asks the kernel first how much there is. */
static ssize_t
read_in(struct session *s)
{
	char data[READ_AT_ONCE];
	ssize_t n = recv(s->fd, data, sizeof data, 0);

	if (n > 0 && evbuffer_add(s->in, data, (size_t)n) == -1) {
		errno = ENOMEM;
		return -1;
	}
	return n;
}

static void
on_readable(int fd, short what, void *arg)
{
	struct session *s = arg;
	ssize_t n = read_in(s);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 && errno != ECONNRESET)
		s->broken = 1;
	if (n <= 0) {
		s->eof = 1;
		if (has_hung_up(fd))
			stop_writing(s);
	}
	pump(s);
}

/* A client that is gone may have left requests behind that are still to be read. */
static void
write_out(struct session *s)
{
	if (evbuffer_get_length(s->out) == 0)
		return;
	if (evbuffer_write(s->out, s->fd) > 0)
		s->active_ms = clock_now_ms();
	else if (errno != EAGAIN && errno != EINTR)
		stop_writing(s);
}

static void
on_writable(int fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	write_out(s);
	pump(s);
}

/* The first write is tried at once; what the socket does not take waits for its event. */
static void
send_answers(struct session *s)
{
	evbuffer_add_buffer(s->out, s->answers);
	write_out(s);
	if (evbuffer_get_length(s->out) > 0 || evbuffer_get_length(s->in) > 0 || s->eof ||
		s->deaf || s->closing || !STAILQ_EMPTY(&s->requests) ||
		!event_pending(s->readable, EV_READ, NULL))
		mark_todo(s);
}

void
sessions_flush(struct sessions *sessions, int committed)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&sessions->dirty)) != NULL) {
		TAILQ_REMOVE(&sessions->dirty, s, dirty);
		s->is_dirty = 0;
		if (committed)
			send_answers(s);
		else
			break_off(s);
	}
}

/* --- all of them ------------------------------------------------------------------ */

static int
set_up(struct session *s)
{
	struct event_base *base = s->owner->server->base;

	s->readable = event_new(base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
	s->writable = event_new(base, s->fd, EV_WRITE | EV_PERSIST, on_writable, s);
	s->in = evbuffer_new();
	s->answers = evbuffer_new();
	s->out = evbuffer_new();
	if (s->readable == NULL || s->writable == NULL || s->in == NULL ||
		s->answers == NULL || s->out == NULL)
		return -1;
	return event_add(s->readable, NULL);
}

static void
refuse(int fd, const char *text)
{
	char line[REASON_SIZE + 16];
	int length = snprintf(line, sizeof line, "ERR 4.3.0 %s\n", text);

	/* a line fits into any socket's buffer; a client that is gone needs none */
	send(fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static struct session *
new_session(struct sessions *owner, int fd, const struct peer *peer)
{
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->owner = owner;
	s->fd = fd;
	s->peer = *peer;
	s->active_ms = clock_now_ms();
	STAILQ_INIT(&s->requests);
	if (set_up(s) == 0)
		return s;
	s->fd = -1; /* the caller's */
	release(s);
	return NULL;
}

void
sessions_accept(struct sessions *owner, int fd)
{
	struct peers *peers = owner->server->peers;
	struct reason why;
	struct peer peer;
	struct session *s;

	if (peer_enter(peers, fd, &peer, &why) == -1) {
		refuse(fd, why.text);
		return;
	}
	s = new_session(owner, fd, &peer);
	if (s == NULL) {
		peer_leave(peers, &peer);
		refuse(fd, "no memory");
		return;
	}
	ledger_connect(&s->connection, ++owner->last_number);
	TAILQ_INSERT_TAIL(&owner->all, s, all);
}

void
sessions_work(struct sessions *sessions)
{
	struct session_list now = TAILQ_HEAD_INITIALIZER(now);
	struct session *s;

	TAILQ_CONCAT(&now, &sessions->todo, todo);
	while ((s = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, s, todo);
		s->is_todo = 0;
		pump(s);
	}
}

int
sessions_are_busy(const struct sessions *s)
{
	return !TAILQ_EMPTY(&s->todo) || !TAILQ_EMPTY(&s->dirty);
}

/* A client's own slowness alone counts: while it waits for an answer it is not idle. */
static uint64_t
patience(const struct session *s)
{
	const struct conf *c = &s->owner->server->conf;
	uint64_t ms = SESSION_IDLE_MS;

	if (s->connection.tickets > 0)
		ms = (c->deadline + SESSION_GRACE_S) * 1000;
	if (s->connection.waiting > 0)
		ms += c->quotad_timeout * 6 * 1000; /* a person's GET waits so long */
	return ms;
}

void
sessions_sweep(struct sessions *sessions, uint64_t now_ms)
{
	struct session *s;

	TAILQ_FOREACH(s, &sessions->all, all)
		if (now_ms > s->active_ms && now_ms - s->active_ms > patience(s))
			break_off(s);
}

struct sessions *
sessions_new(struct server *v)
{
	struct sessions *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->server = v;
	TAILQ_INIT(&s->all);
	TAILQ_INIT(&s->dirty);
	TAILQ_INIT(&s->todo);
	return s;
}

void
sessions_free(struct sessions **sessions)
{
	struct session *s, *next;

	if (*sessions == NULL)
		return;
	for (s = TAILQ_FIRST(&(*sessions)->all); s != NULL; s = next) {
		next = TAILQ_NEXT(s, all);
		end(s, 0);
	}
	free(*sessions);
	*sessions = NULL;
}
