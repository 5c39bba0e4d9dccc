/*
 * Connections over real socket pairs and a real event loop, with fakes for protocol,
 * ledger and peers. A request of the fake is one word: "now" is answered at once, "wait"
 * when the test says so, "big" with 4000 bytes, "list" in pieces.
 */
#include <event2/buffer.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "quotad/wire/connection.h"
#include "quotad/wire/peer.h"
#include "suite.h"

#define WAITING_MAX    200
#define LINE_MAX_BYTES 4096
#define FORM_MAX       40000 /* of messages that are no lines */

static struct fake {
	struct request *waiting[WAITING_MAX];
	int waits, performed, ended_by_client, ended_by_us, pieces;
	int unfinished; /* requests */
	int full;       /* no connection more */
	int trusted;
	uint64_t now;
	size_t bytes;
	char last[64];
	struct ledger_connection *owner[4];
	int owners;
	int by_user[3]; /* requests performed */
} fake;

static struct rota_user users[3]; /* each connection is of the last one that was set */
static int user;
static struct event_base *base;
static struct connections *connections;
static struct conf conf;
static int client;

/* --- the neighbours --------------------------------------------------------------- */

static struct ledger_connection *
ledger_connection(const struct request *r)
{
	return request_asker(r).connection;
}

static enum protocol_read
read_line(struct evbuffer *bytes, char **line, size_t *length)
{
	*line = evbuffer_readln(bytes, length, EVBUFFER_EOL_LF);
	if (*line == NULL)
		return evbuffer_get_length(bytes) > LINE_MAX_BYTES ? PROTOCOL_NONSENSE
								   : PROTOCOL_INCOMPLETE;
	if (*length <= LINE_MAX_BYTES && strlen(*line) == *length)
		return PROTOCOL_MESSAGE;
	free(*line);
	return PROTOCOL_NONSENSE;
}

static void
perform(void *service, struct request *r, char *line, size_t length)
{
	(void)length;
	ck_assert_ptr_eq(service, &fake);
	ck_assert_ptr_null(request_state(r));
	request_set_state(r, &fake.unfinished);
	fake.unfinished++;
	if (line == NULL) {
		request_answer(r, "ERR 4.5.2 nonsense\n");
		return;
	}
	fake.performed++;
	fake.by_user[request_asker(r).uid]++;
	snprintf(fake.last, sizeof fake.last, "%.60s", line);
	if (strcmp(line, "wait") == 0) {
		ledger_connection(r)->waiting++;
		fake.waiting[fake.waits++] = r;
	} else if (strcmp(line, "big") == 0) {
		request_answer(r, "%04000d\n", 1);
	} else if (strcmp(line, "huge") == 0) {
		request_answer(r, "%09000d\n", 1);
	} else if (strcmp(line, "list") == 0) {
		request_stream(r);
	} else if (strcmp(line, "bad") == 0) {
		request_fault(r);
		request_answer(r, "ERR\n");
	} else {
		request_answer(r, "OK %.200s\n", line);
	}
}

static void
add_piece(void *service, struct request *r)
{
	ck_assert_ptr_eq(service, &fake);
	if (++fake.pieces % 3 == 0)
		request_answer(r, "OK\n");
	else
		request_add(r, "* piece\n");
}

static void
turn_away(char *to, size_t size, const char *text)
{
	snprintf(to, size, "ERR 4.3.0 %s\n", text);
}

static void
finish(struct request *r)
{
	fake.unfinished--;
	ck_assert_ptr_eq(request_state(r), &fake.unfinished);
}

static int
is_end(const char *message)
{
	return strncmp(message, "commit", 6) == 0;
}

static const struct protocol protocol = {
	.name = "lines",
	.read = read_line,
	.is_end = is_end,
	.perform = perform,
	.add_piece = add_piece,
	.finish = finish,
	.turn_away = turn_away,
};

static const struct service for_anyone = {NULL, &protocol, &fake, SERVICE_ANYONE, 0, 0};
static const struct protocol patient = {
	.name = "patient",
	.idle_ms = 10 * CONNECTION_IDLE_MS,
	.read = read_line,
	.is_end = is_end,
	.perform = perform,
	.finish = finish,
};
static const struct service for_patient = {
	NULL, &patient, &fake, SERVICE_PERMITTED, 0, 0};
static const struct service for_trusted = {NULL, &protocol, &fake, SERVICE_TRUSTED, 0, 0};

void
ledger_each_owner(const struct ledger *l,
	void (*each)(void *arg, struct ledger_connection *c), void *arg)
{
	(void)l;
	for (int i = 0; i < fake.owners; i++)
		each(arg, fake.owner[i]);
}

void
ledger_connect(struct ledger_connection *c, uint64_t number)
{
	c->number = number;
}

void
ledger_forget(struct ledger *l, const struct ledger_connection *c)
{
	(void)l;
	(void)c;
}

void
ledger_disconnected(struct ledger *l, struct ledger_connection *c, int by_client)
{
	(void)l;
	(void)c;
	if (by_client)
		fake.ended_by_client++;
	else
		fake.ended_by_us++;
}

int
peer_enter(struct peers *p, int fd, int permitted, struct peer *peer, struct reason *why)
{
	(void)permitted;
	(void)p;
	(void)fd;
	peer->user = (struct peer_user *)&users[user];
	return fake.full ? reason_set(why, "too many connections") : 0;
}

struct rota_user *
peer_rota(const struct peer *peer)
{
	return (struct rota_user *)peer->user;
}

void
peer_leave(struct peers *p, struct peer *peer)
{
	(void)p;
	(void)peer;
}

void
peer_count_tickets(struct peer *peer, int64_t more)
{
	(void)peer;
	(void)more;
}

struct room_asker
peer_asker(const struct peers *p, const struct peer *peer)
{
	(void)p;
	return (struct room_asker){.uid = (uid_t)((struct rota_user *)peer->user - users),
		.trusted = fake.trusted};
}

uint64_t
peers_connections(const struct peers *p)
{
	(void)p;
	return 3;
}

uint64_t
clock_now_ms(void)
{
	return fake.now;
}

/* --- helpers ---------------------------------------------------------------------- */

static void
setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	memset(&fake, 0, sizeof fake);
	fake.now = 1000;
	user = 0;
	for (int i = 0; i < 3; i++)
		rota_user_init(&users[i], ROTA_KNOWN);
	base = event_base_new();
	conf.deadline = 300;
	conf.quotad_timeout = 10;
	connections = connections_new(base, NULL, NULL, &conf);
	ck_assert_ptr_nonnull(connections);
}

static void
teardown(void)
{
	connections_free(&connections);
	ck_assert_int_eq(fake.unfinished, 0);
	event_base_free(base);
}

static int
connect_to(const struct service *service)
{
	int pair[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
		0);
	connections_accept(connections, pair[1], service);
	return pair[0];
}

static int
connect_one(void)
{
	return connect_to(&for_anyone);
}

/* Passes as the server makes them, until nothing is left to do. */
static void
pass(int committed)
{
	for (int i = 0; i < 30; i++) {
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		connections_work(connections);
		connections_flush(connections, committed);
	}
	ck_assert_int_eq(connections_are_busy(connections), 0);
}

static void
send_text(const char *text)
{
	ck_assert_int_eq(write(client, text, strlen(text)), (ssize_t)strlen(text));
	pass(1);
}

/* What has arrived; "EOF" where the connection is closed. */
static const char *
receive(void)
{
	static char text[200000];
	ssize_t n = read(client, text, sizeof text - 1);

	if (n == 0)
		return "EOF";
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
decide(int which)
{
	ledger_connection(fake.waiting[which])->waiting--;
	request_answer(fake.waiting[which], "OK decided %d\n", which);
	pass(1);
}

/* --- the tests -------------------------------------------------------------------- */

START_TEST(answers_leave_in_the_order_of_requests)
{
	client = connect_one();
	send_text("wait\nfirst\nwait\nsecond\n");
	ck_assert_int_eq(fake.performed, 4);
	ck_assert_str_eq(receive(), "");
	decide(1);
	ck_assert_str_eq(receive(), "");
	decide(0);
	ck_assert_str_eq(receive(), "OK decided 0\nOK first\nOK decided 1\nOK second\n");
}
END_TEST

START_TEST(a_pass_that_is_not_committed_answers_nobody)
{
	client = connect_one();
	ck_assert_int_eq(write(client, "now\n", 4), 4);
	pass(0);
	ck_assert_int_eq(fake.performed, 1);
	ck_assert_str_eq(receive(), "EOF");
	ck_assert_int_eq(fake.ended_by_us, 1);
}
END_TEST

START_TEST(nothing_leaves_before_the_commit)
{
	client = connect_one();
	ck_assert_int_eq(write(client, "now\n", 4), 4);
	for (int i = 0; i < 3; i++) {
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		connections_work(connections);
	}
	ck_assert_int_eq(fake.performed, 1);
	ck_assert_str_eq(receive(), "");
	connections_flush(connections, 1);
	ck_assert_str_eq(receive(), "OK now\n");
	pass(1);
}
END_TEST

START_TEST(sixty_four_may_wait_and_no_more_are_read)
{
	client = connect_one();
	for (int i = 0; i < 100; i++)
		send_text("wait\n");
	ck_assert_int_eq(fake.performed, CONNECTION_SLOTS);
	for (int i = 0; i < 100; i++)
		decide(i);
	ck_assert_int_eq(fake.performed, 100);
}
END_TEST

START_TEST(a_client_that_does_not_read_is_not_read_from)
{
	int sent = 0;

	client = connect_one();
	while (sent < 100000 && write(client, "big\n", 4) == 4) {
		sent++;
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		connections_work(connections);
		connections_flush(connections, 1);
	}
	ck_assert_int_lt(sent, 100000);
	ck_assert_int_lt(fake.performed, 400);
	for (int i = 0; i < 100000 && fake.performed < sent; i++) {
		receive();
		pass(1);
	}
	ck_assert_int_eq(fake.performed, sent);
}
END_TEST

START_TEST(a_client_that_does_not_read_is_closed_in_the_end)
{
	client = connect_one();
	for (int i = 0; i < 2000 && write(client, "big\n", 4) == 4; i++) {
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		connections_work(connections);
		connections_flush(connections, 1);
	}
	pass(1);
	fake.now += CONNECTION_IDLE_MS + 1;
	connections_sweep(connections, fake.now);
	pass(1);
	ck_assert_int_eq(fake.ended_by_us, 1);
}
END_TEST

START_TEST(all_that_a_client_sent_is_performed_before_its_end)
{
	client = connect_one();
	ck_assert_int_eq(write(client, "now\none\ntwo\nhalf", 16), 16);
	shutdown(client, SHUT_WR);
	pass(1);
	ck_assert_int_eq(fake.performed, 3);
	ck_assert_str_eq(fake.last, "two");
	ck_assert_int_eq(fake.ended_by_client, 1);
}
END_TEST

/* A connection that has a ticket. */
static struct ledger_connection *
connect_with_ticket(void)
{
	struct ledger_connection *c;

	client = connect_one();
	send_text("wait\n");
	c = ledger_connection(fake.waiting[fake.waits - 1]);
	c->tickets = 1;
	decide(fake.waits - 1);
	return c;
}

START_TEST(of_a_client_that_is_gone_only_what_ends_something_is_performed)
{
	connect_with_ticket();
	ck_assert_int_eq(
		write(client, "one\ntwo\ncommit 1\nthree\ncommit 2\nlast\n", 38), 38);
	close(client);
	pass(1);
	ck_assert_str_eq(fake.last, "commit 2");
	ck_assert_int_le(fake.performed, 4);
	ck_assert_int_eq(fake.ended_by_client, 1);
	ck_assert_int_eq(fake.ended_by_us, 0);
}
END_TEST

START_TEST(a_client_that_is_gone_and_has_no_ticket_is_forgotten_at_once)
{
	client = connect_one();
	for (int i = 0; i < 20000 && write(client, "wait\n", 5) == 5; i++)
		;
	close(client);
	pass(1);
	ck_assert_int_le(fake.performed, 1);
	ck_assert_int_eq(fake.ended_by_client, 1);
}
END_TEST

/* Its answer can't be delivered, and then what it had sent is still there to be read. */
START_TEST(what_a_client_that_is_gone_had_sent_is_performed)
{
	client = connect_one();
	send_text("wait\n");
	ledger_connection(fake.waiting[0])->tickets = 1;
	ck_assert_int_eq(write(client, "commit\n", 7), 7);
	close(client);
	ledger_connection(fake.waiting[0])->waiting--;
	request_answer(fake.waiting[0], "OK\n");
	connections_flush(connections, 1);
	pass(1);
	ck_assert_str_eq(fake.last, "commit");
	ck_assert_int_eq(fake.ended_by_client, 1);
	ck_assert_int_eq(fake.ended_by_us, 0);
}
END_TEST

START_TEST(a_reset_is_an_end_by_the_client)
{
	client = connect_one();
	send_text("now\n"); /* the answer stays unread: closing resets */
	close(client);
	pass(1);
	ck_assert_int_eq(fake.ended_by_client, 1);
	ck_assert_int_eq(fake.ended_by_us, 0);
}
END_TEST

START_TEST(a_client_that_only_stops_sending_gets_its_answers)
{
	client = connect_one();
	ck_assert_int_eq(write(client, "wait\nnow\n", 9), 9);
	shutdown(client, SHUT_WR);
	pass(1);
	ck_assert_int_eq(fake.ended_by_client, 0);
	decide(0);
	ck_assert_str_eq(receive(), "OK decided 0\nOK now\n");
	ck_assert_str_eq(receive(), "EOF");
	ck_assert_int_eq(fake.ended_by_client, 1);
}
END_TEST

START_TEST(a_line_of_4096_bytes_is_taken_and_a_longer_one_is_the_end)
{
	char line[5001];

	memset(line, 'x', sizeof line);
	strcpy(line + 4096, "\n");
	client = connect_one();
	send_text(line);
	ck_assert_int_eq(fake.performed, 1);
	receive();
	memset(line, 'x', sizeof line);
	strcpy(line + 4097, "\n");
	send_text(line);
	ck_assert_int_eq(fake.performed, 1);
	ck_assert_int_eq(strncmp(receive(), "ERR 4.5.2 ", 10), 0);
	ck_assert_str_eq(receive(), "EOF");
	ck_assert_int_eq(fake.ended_by_us, 1);
}
END_TEST

START_TEST(a_line_without_end_is_not_waited_for)
{
	char line[5000];

	memset(line, 'x', sizeof line);
	line[sizeof line - 1] = '\0';
	client = connect_one();
	send_text(line);
	ck_assert_int_eq(strncmp(receive(), "ERR 4.5.2 ", 10), 0);
	ck_assert_str_eq(receive(), "EOF");
}
END_TEST

START_TEST(a_nul_is_the_end)
{
	client = connect_one();
	ck_assert_int_eq(write(client, "no\0w\nnow\n", 9), 9);
	pass(1);
	ck_assert_int_eq(fake.performed, 0);
	ck_assert_int_eq(strncmp(receive(), "ERR 4.5.2 ", 10), 0);
	ck_assert_str_eq(receive(), "EOF");
}
END_TEST

START_TEST(one_who_sends_garbage_is_closed)
{
	client = connect_one();
	for (int i = 0; i < CONNECTION_FAULTS - 1; i++)
		send_text("bad\n");
	ck_assert_int_eq(fake.ended_by_us, 0);
	send_text("bad\nnow\n");
	ck_assert_int_eq(fake.performed, CONNECTION_FAULTS);
	ck_assert_int_eq(fake.ended_by_us, 1);
}
END_TEST

START_TEST(the_idle_are_closed_and_bytes_without_a_request_are_idle)
{
	client = connect_one();
	for (int i = 0; i < 6; i++) {
		fake.now += CONNECTION_IDLE_MS / 5;
		send_text("x");
		connections_sweep(connections, fake.now);
		pass(1);
	}
	ck_assert_str_eq(receive(), "EOF");
	ck_assert_int_eq(fake.ended_by_us, 1);
}
END_TEST

static void
wait_idle(uint64_t ms)
{
	fake.now += ms;
	connections_sweep(connections, fake.now);
	pass(1);
}

START_TEST(a_protocol_may_have_patience_between_two_requests_alone)
{
	client = connect_to(&for_patient);
	send_text("now\n");
	wait_idle(10 * CONNECTION_IDLE_MS);
	ck_assert_int_eq(fake.ended_by_us, 0);
	send_text("now\n");
	send_text("n"); /* half a request */
	wait_idle(CONNECTION_IDLE_MS);
	ck_assert_int_eq(fake.ended_by_us, 0);
	wait_idle(1);
	ck_assert_int_eq(fake.ended_by_us, 1);
}
END_TEST

START_TEST(a_request_now_and_then_keeps_a_connection)
{
	client = connect_one();
	for (int i = 0; i < 6; i++) {
		fake.now += CONNECTION_IDLE_MS / 5;
		send_text("now\n");
		connections_sweep(connections, fake.now);
		pass(1);
	}
	ck_assert_int_eq(fake.ended_by_us, 0);
}
END_TEST

START_TEST(with_a_ticket_the_deadline_and_a_grace_are_waited_for)
{
	client = connect_one();
	send_text("wait\n");
	ledger_connection(fake.waiting[0])->tickets = 1;
	decide(0);
	fake.now += (300 + CONNECTION_GRACE_S) * 1000;
	connections_sweep(connections, fake.now);
	pass(1);
	ck_assert_int_eq(fake.ended_by_us, 0);
	fake.now += 1;
	connections_sweep(connections, fake.now);
	pass(1);
	ck_assert_int_eq(fake.ended_by_us, 1);
}
END_TEST

START_TEST(who_waits_for_an_answer_is_not_idle)
{
	client = connect_one();
	send_text("wait\n");
	fake.now += CONNECTION_IDLE_MS + 10000;
	connections_sweep(connections, fake.now);
	pass(1);
	ck_assert_int_eq(fake.ended_by_us, 0);
}
END_TEST

START_TEST(a_list_comes_in_its_place_piece_by_piece)
{
	client = connect_one();
	send_text("wait\nlist\nnow\n");
	ck_assert_int_eq(fake.pieces, 0);
	decide(0);
	ck_assert_str_eq(receive(), "OK decided 0\n* piece\n* piece\nOK\nOK now\n");
}
END_TEST

START_TEST(an_answer_may_be_longer_than_a_line)
{
	client = connect_one();
	send_text("huge\n");
	ck_assert_uint_eq(strlen(receive()), 9001);
}
END_TEST

START_TEST(one_too_many_is_told_so)
{
	fake.full = 1;
	client = connect_one();
	ck_assert_str_eq(receive(), "ERR 4.3.0 too many connections\n");
	ck_assert_str_eq(receive(), "EOF");
}
END_TEST

START_TEST(later_connections_have_higher_numbers)
{
	uint64_t first;

	client = connect_one();
	send_text("wait\n");
	first = ledger_connection(fake.waiting[0])->number;
	client = connect_one();
	send_text("wait\n");
	ck_assert_uint_gt(ledger_connection(fake.waiting[1])->number, first);
}
END_TEST

START_TEST(a_service_of_the_trusted_turns_others_away)
{
	client = connect_to(&for_trusted);
	ck_assert_str_eq(receive(), "ERR 4.3.0 not for this user\n");
	ck_assert_str_eq(receive(), "EOF");
	fake.trusted = 1;
	client = connect_to(&for_trusted);
	send_text("now\n");
	ck_assert_str_eq(receive(), "OK now\n");
}
END_TEST

START_TEST(sixty_four_wait_and_what_was_sent_behind_them_is_performed)
{
	client = connect_one();
	ck_assert_int_eq(write(client, "list\n", 5), 5);
	for (int i = 0; i < CONNECTION_SLOTS; i++)
		ck_assert_int_eq(write(client, "wait\n", 5), 5);
	ck_assert_int_eq(write(client, "late 1\nlate 2\n", 14), 14);
	shutdown(client, SHUT_WR);
	pass(1);
	ck_assert_int_eq(fake.performed, 1 + CONNECTION_SLOTS);
	ck_assert_int_eq(fake.ended_by_client, 0);
	decide(7); /* its slot is free after those before it */
	ck_assert_int_eq(fake.performed, 1 + CONNECTION_SLOTS);
	decide(0);
	ck_assert_str_eq(fake.last, "late 1");
	decide(1);
	ck_assert_str_eq(fake.last, "late 2");
	ck_assert_int_eq(fake.ended_by_client, 0);
	for (int i = 2; i < CONNECTION_SLOTS; i++)
		if (i != 7) {
			decide(i);
			receive();
		}
	pass(1);
	ck_assert_int_eq(fake.ended_by_client, 1);
	ck_assert_int_eq(fake.ended_by_us, 0);
}
END_TEST

START_TEST(what_ends_something_needs_no_slot_and_its_answer_has_its_place)
{
	client = connect_one();
	for (int i = 0; i < CONNECTION_SLOTS; i++)
		send_text("wait\n");
	send_text("late\ncommit 1\n");
	ck_assert_str_eq(fake.last, "commit 1");
	ck_assert_int_eq(fake.performed, CONNECTION_SLOTS + 1);
	for (int i = 0; i < CONNECTION_SLOTS - 1; i++) {
		decide(i);
		receive();
	}
	decide(CONNECTION_SLOTS - 1);
	ck_assert_str_eq(receive(), "OK decided 63\nOK late\nOK commit 1\n");
}
END_TEST

/* Sends it so many times at once. */
static void
send_many(const char *text, int times)
{
	static char all[20000];
	size_t length = 0;

	for (int i = 0; i < times; i++)
		length += (size_t)sprintf(all + length, "%s", text);
	ck_assert_int_eq(write(client, all, length), (ssize_t)length);
}

/* A pass of the loop, and no more. */
static void
one_pass(void)
{
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	connections_work(connections);
	connections_flush(connections, 1);
}

START_TEST(a_pass_has_so_many_turns)
{
	client = connect_one();
	send_many("now\n", 900);
	one_pass();
	ck_assert_int_gt(fake.performed, 100);
	ck_assert_int_le(fake.performed, CONNECTIONS_TURNS);
	pass(1);
	ck_assert_int_eq(fake.performed, 900);
}
END_TEST

/* However many connections the other has, and however much it has sent. */
START_TEST(users_share_a_pass)
{
	for (int i = 0; i < 50; i++) {
		client = connect_one();
		send_many("now\n", 200);
	}
	user = 1;
	client = connect_one();
	send_many("now\n", 200);
	one_pass();
	ck_assert_int_ge(fake.by_user[1], fake.by_user[0] - 1);
	ck_assert_int_ge(fake.by_user[0], fake.by_user[1] - 1);
}
END_TEST

START_TEST(strangers_have_a_fifth_of_the_turns_together)
{
	static const enum rota_rank ranks[] = {ROTA_TRUSTED, ROTA_KNOWN, ROTA_STRANGERS};

	for (user = 0; user < 3; user++) {
		rota_user_init(&users[user], ranks[user]);
		client = connect_one();
		send_many("now\n", 300);
	}
	one_pass();
	ck_assert_int_le(fake.by_user[2], CONNECTIONS_TURNS / 5 + 1);
	ck_assert_int_ge(fake.by_user[2], CONNECTIONS_TURNS / 5 - 1);
	ck_assert_int_ge(fake.by_user[1], 2 * fake.by_user[2] - 2);
}
END_TEST

/* The owner's COMMIT is behind a thousand other requests, and it is not its turn. */
START_TEST(owners_are_read_though_it_is_not_their_turn)
{
	struct ledger_connection *owner = connect_with_ticket();

	send_many("now\n", 100);
	ck_assert_int_eq(write(client, "commit 1\n", 9), 9);
	fake.owner[0] = owner;
	fake.owners = 1;
	connections_read_owners(connections);
	ck_assert_str_eq(fake.last, "commit 1");
	ck_assert_int_eq(connections_has_read(connections, owner), 1);
	pass(1);
	ck_assert_int_eq(fake.performed, 102);
	close(client);
	connections_read_owners(connections);
	ck_assert_int_eq(fake.ended_by_client, 1);
}
END_TEST

START_TEST(a_reading_of_owners_is_bounded)
{
	struct ledger_connection *owner = connect_with_ticket();
	int performed = fake.performed;

	send_many("commit 1\n", 1000);
	fake.owner[0] = owner;
	fake.owners = 1;
	connections_read_owners(connections);
	ck_assert_int_eq(connections_has_read(connections, owner), 0);
	ck_assert_int_le(fake.performed - performed, 300);
	for (int i = 0; i < 4; i++)
		connections_read_owners(connections);
	ck_assert_int_eq(connections_has_read(connections, owner), 1);
	ck_assert_int_eq(fake.performed - performed, 1000);
	pass(1);
}
END_TEST

/* The user who holds most loses connections, and nobody else does. */
START_TEST(what_nobody_reads_is_bounded_over_all_connections)
{
	static int clients[600];
	int modest;

	user = 1;
	modest = client = connect_one();
	send_text("big\n");
	user = 0;
	for (int i = 0; i < 600; i++) {
		client = clients[i] = connect_one();
		for (int k = 0; k < 60; k++)
			if (write(client, "big\n", 4) != 4)
				break;
		for (int k = 0; k < 3; k++)
			one_pass();
	}
	ck_assert_int_gt(fake.ended_by_us, 10);
	ck_assert_uint_le(users[0].held + users[1].held, CONNECTIONS_HELD_MAX);
	client = modest;
	ck_assert_uint_eq(strlen(receive()), 4001);
	send_text("now\n");
	ck_assert_str_eq(receive(), "OK now\n");
	for (int i = 0; i < 600; i++)
		close(clients[i]);
}
END_TEST

START_TEST(what_waits_in_the_buffer_is_bounded)
{
	char lines[5000];
	size_t sent = 0;
	ssize_t n;

	for (size_t i = 0; i < sizeof lines; i++)
		lines[i] = "list\n"[i % 5];
	client = connect_one();
	for (int i = 0; i < 1000; i++) {
		for (size_t at = sent % 5; (n = write(client, lines + at, 4000)) > 0;
			at = sent % 5)
			sent += (size_t)n;
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		connections_work(connections);
		connections_flush(connections, 1);
		receive();
	}
	ck_assert_int_gt(fake.performed, 300); /* one after the other */
	ck_assert_uint_lt(sent, 1000000);
}
END_TEST

/* --- messages of other forms ------------------------------------------------------ */

/* Lines up to an empty one, as Postfix asks its policy services. */
static enum protocol_read
read_paragraph(struct evbuffer *bytes, char **message, size_t *length)
{
	struct evbuffer_ptr end = evbuffer_search(bytes, "\n\n", 2, NULL);

	if (end.pos == -1)
		return evbuffer_get_length(bytes) > FORM_MAX ? PROTOCOL_NONSENSE
							     : PROTOCOL_INCOMPLETE;
	*length = (size_t)end.pos + 2;
	*message = calloc(1, *length + 1);
	ck_assert_ptr_nonnull(*message);
	evbuffer_remove(bytes, *message, *length);
	return PROTOCOL_MESSAGE;
}

/* "5:hello,", as socketmap has it. */
static enum protocol_read
read_netstring(struct evbuffer *bytes, char **message, size_t *length)
{
	char head[8] = "", *colon;
	ssize_t n = evbuffer_copyout(bytes, head, sizeof head - 1);

	*length = strtoul(head, &colon, 10);
	if (*colon == '\0' && n < (ssize_t)sizeof head - 1)
		return PROTOCOL_INCOMPLETE;
	if (*colon != ':' || *length > FORM_MAX)
		return PROTOCOL_NONSENSE;
	if (evbuffer_get_length(bytes) < (size_t)(colon + 1 - head) + *length + 1)
		return PROTOCOL_INCOMPLETE;
	*message = calloc(1, *length + 2);
	ck_assert_ptr_nonnull(*message);
	evbuffer_drain(bytes, (size_t)(colon + 1 - head));
	evbuffer_remove(bytes, *message, *length + 1);
	(*message)[*length] = '\0'; /* the comma */
	return PROTOCOL_MESSAGE;
}

static void
perform_form(void *service, struct request *r, char *message, size_t length)
{
	(void)service;
	if (message == NULL) {
		request_answer(r, "nonsense,");
		return;
	}
	fake.performed++;
	ck_assert_int_eq(message[length], '\0');
	fake.bytes += length;
	snprintf(fake.last, sizeof fake.last, "%.60s", message);
	request_answer(r, "%zu,", length);
}

static const struct protocol paragraphs = {
	.name = "paragraphs", .read = read_paragraph, .perform = perform_form};
static const struct protocol netstrings = {
	.name = "netstrings", .read = read_netstring, .perform = perform_form};
static const struct service of_paragraphs = {
	NULL, &paragraphs, NULL, SERVICE_ANYONE, 0, 0};
static const struct service of_netstrings = {
	NULL, &netstrings, NULL, SERVICE_ANYONE, 0, 0};

START_TEST(two_messages_in_one_read_are_two)
{
	client = connect_to(&of_paragraphs);
	send_text("request=a\nsize=1\n\nrequest=b\n\n");
	ck_assert_int_eq(fake.performed, 2);
	ck_assert_str_eq(fake.last, "request=b\n\n");
	ck_assert_str_eq(receive(), "18,11,");
	client = connect_to(&of_netstrings);
	send_text("5:hello,0:,4:4:a,,");
	ck_assert_int_eq(fake.performed, 5);
	ck_assert_str_eq(fake.last, "4:a,");
	ck_assert_str_eq(receive(), "5,0,4,");
}
END_TEST

START_TEST(a_message_in_many_reads_is_one)
{
	static const struct {
		const struct service *service;
		const char *text, *answer;
	} cases[] = {{&of_paragraphs, "request=a\nsize=1\n\n", "18,"},
		{&of_netstrings, "12:hello,world,,", "12,"}};

	for (int i = 0; i < 2; i++) {
		client = connect_to(cases[i].service);
		for (const char *c = cases[i].text; *c != '\0'; c++) {
			ck_assert_int_eq(fake.performed, i);
			send_text((char[]){*c, '\0'});
		}
		ck_assert_int_eq(fake.performed, i + 1);
		ck_assert_str_eq(receive(), cases[i].answer);
	}
}
END_TEST

START_TEST(a_message_may_be_longer_than_a_read)
{
	static char text[FORM_MAX + 100];
	int length = snprintf(text, sizeof text, "%d:%0*d,3:end,", FORM_MAX, FORM_MAX, 1);

	client = connect_to(&of_netstrings);
	ck_assert_int_eq(write(client, text, (size_t)length), length);
	pass(1);
	ck_assert_int_eq(fake.performed, 2);
	ck_assert_uint_eq(fake.bytes, FORM_MAX + 3);
	ck_assert_str_eq(fake.last, "end");
}
END_TEST

START_TEST(a_nul_is_part_of_a_message_that_may_have_it)
{
	client = connect_to(&of_netstrings);
	ck_assert_int_eq(write(client, "3:a\0b,", 6), 6);
	pass(1);
	ck_assert_str_eq(receive(), "3,");
}
END_TEST

START_TEST(a_message_that_is_cut_off_by_the_end_is_none)
{
	static const struct service *const services[] = {&of_paragraphs, &of_netstrings};
	static const char *const texts[] = {
		"request=a\n\nrequest=b\nsize=1\n", "1:a,12:hello,wor"};

	for (int i = 0; i < 2; i++) {
		client = connect_to(services[i]);
		ck_assert_int_eq(write(client, texts[i], strlen(texts[i])),
			(ssize_t)strlen(texts[i]));
		shutdown(client, SHUT_WR);
		pass(1);
		ck_assert_int_eq(fake.performed, i + 1);
		ck_assert_int_eq(fake.ended_by_client, i + 1);
		receive();
		ck_assert_str_eq(receive(), "EOF");
	}
	ck_assert_int_eq(fake.ended_by_us, 0);
}
END_TEST

START_TEST(nonsense_is_answered_and_ends_any_connection)
{
	client = connect_to(&of_netstrings);
	send_text("1:a,hello\n");
	ck_assert_int_eq(fake.performed, 1);
	ck_assert_str_eq(receive(), "1,nonsense,");
	ck_assert_str_eq(receive(), "EOF");
	ck_assert_int_eq(fake.ended_by_us, 1);
}
END_TEST

START_TEST(one_too_many_of_a_protocol_without_words_is_closed)
{
	fake.full = 1;
	client = connect_to(&of_netstrings);
	ck_assert_str_eq(receive(), "EOF");
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {answers_leave_in_the_order_of_requests,
		a_pass_that_is_not_committed_answers_nobody,
		nothing_leaves_before_the_commit,
		sixty_four_may_wait_and_no_more_are_read,
		a_client_that_does_not_read_is_not_read_from,
		a_client_that_does_not_read_is_closed_in_the_end,
		all_that_a_client_sent_is_performed_before_its_end,
		of_a_client_that_is_gone_only_what_ends_something_is_performed,
		a_client_that_is_gone_and_has_no_ticket_is_forgotten_at_once,
		what_a_client_that_is_gone_had_sent_is_performed,
		what_ends_something_needs_no_slot_and_its_answer_has_its_place,
		a_pass_has_so_many_turns, users_share_a_pass,
		strangers_have_a_fifth_of_the_turns_together,
		owners_are_read_though_it_is_not_their_turn,
		a_reading_of_owners_is_bounded,
		what_nobody_reads_is_bounded_over_all_connections,
		a_reset_is_an_end_by_the_client,
		a_client_that_only_stops_sending_gets_its_answers,
		a_line_of_4096_bytes_is_taken_and_a_longer_one_is_the_end,
		a_line_without_end_is_not_waited_for, a_nul_is_the_end,
		one_who_sends_garbage_is_closed,
		the_idle_are_closed_and_bytes_without_a_request_are_idle,
		a_request_now_and_then_keeps_a_connection,
		a_protocol_may_have_patience_between_two_requests_alone,
		with_a_ticket_the_deadline_and_a_grace_are_waited_for,
		who_waits_for_an_answer_is_not_idle,
		a_list_comes_in_its_place_piece_by_piece,
		an_answer_may_be_longer_than_a_line, one_too_many_is_told_so,
		later_connections_have_higher_numbers,
		a_service_of_the_trusted_turns_others_away,
		sixty_four_wait_and_what_was_sent_behind_them_is_performed,
		what_waits_in_the_buffer_is_bounded, two_messages_in_one_read_are_two,
		a_message_in_many_reads_is_one, a_message_may_be_longer_than_a_read,
		a_nul_is_part_of_a_message_that_may_have_it,
		a_message_that_is_cut_off_by_the_end_is_none,
		nonsense_is_answered_and_ends_any_connection,
		one_too_many_of_a_protocol_without_words_is_closed};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown, .timeout = 20);
}
