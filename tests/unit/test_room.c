/*
 * The room asked by two: by the line protocol, and by a second caller with no connection
 * of that protocol and no text. Ledger, room and line are real; the user table is a fake.
 * Whoever asks, the outcome is the same.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ledger_fakes.h"
#include "mailbox.h"
#include "quotad/access.h"
#include "quotad/protocol/line.h"
#include "suite.h"

#define OWNER 1001

static struct fake {
	int has_table, has_newer_table;
	uint64_t used; /* that a count finds */
	int counts_fail;
	struct room_asker asker;
	char answer[1000]; /* of the line protocol */
} fake;

static struct conf conf;
static struct room room = {.conf = &conf};
static struct line line = {.room = &room};
static struct account *counting, *probing;

/* --- the ledger's neighbours ------------------------------------------------------ */

static void
count(void *arg, struct account *a, int thorough)
{
	(void)arg;
	(void)thorough;
	counting = a;
}

static void
probe(void *arg, struct account *a)
{
	(void)arg;
	probing = a;
}

static const struct ledger_calls calls = {
	.answer = room_decided,
	.count = count,
	.probe = probe,
	.save_account = fake_save_account,
	.save_ticket = fake_save_ticket,
	.remove_ticket = fake_remove_ticket,
	.corrected = fake_corrected,
	.look_up = fake_look_up,
	.is_removed = fake_is_removed,
};

/* --- the table's ------------------------------------------------------------------ */

struct users *
users_reload_table(struct users_reload *r)
{
	(void)r;
	return fake.has_table ? (struct users *)&fake : NULL;
}

void
users_reload_look(struct users_reload *r)
{
	(void)r;
}

int
users_reload_is_newest(const struct users_reload *r)
{
	(void)r;
	return !fake.has_newer_table;
}

const char *
users_reload_identity(const struct users_reload *r)
{
	(void)r;
	return "none";
}

const char *
users_reload_fault(const struct users_reload *r, char refused[USERS_IDENTITY_SIZE])
{
	(void)r;
	(void)refused;
	return NULL;
}

enum users_reload_state
users_reload_state(struct users_reload *r, const char *identity)
{
	(void)r;
	(void)identity;
	return USERS_RELOAD_USED;
}

uint64_t
users_reload_generation(const struct users_reload *r)
{
	(void)r;
	return 0;
}

/* alice, bob who is disabled, and broken, whose record makes no sense. */
int
mailbox_find(struct mailbox *m, struct users *u, const struct conf *c,
	const char *address, struct outcome *o)
{
	(void)u;
	(void)c;
	memset(m, 0, sizeof *m);
	m->quota = 1000;
	m->uid = OWNER;
	snprintf(m->key, sizeof m->key, "%s", address);
	m->state = strcmp(address, "bob") == 0 ? MAILBOX_DISABLED : MAILBOX_ENABLED;
	if (strcmp(address, "alice") == 0 || m->state == MAILBOX_DISABLED)
		return 0;
	outcome_set(o,
		strcmp(address, "broken") == 0 ? VERDICT_MISCONFIGURED
					       : VERDICT_NO_SUCH_USER,
		NULL);
	return -1;
}

int
mailbox_policy(
	const struct mailbox *m, const struct conf *c, uint64_t bytes, struct outcome *o)
{
	(void)c;
	if (m->state == MAILBOX_ENABLED && bytes <= m->quota)
		return 0;
	outcome_set(o, bytes > m->quota ? VERDICT_TOO_LARGE : VERDICT_DISABLED, NULL);
	return -1;
}

int
mailbox_from_record(struct mailbox *m, const struct record *r,
	const struct record *domain, const struct conf *c, struct reason *why)
{
	(void)m;
	(void)r;
	(void)domain;
	(void)c;
	return reason_set(why, "not in this test");
}

uint64_t
mailbox_place(const char *path, uint64_t uid)
{
	ck_assert_ptr_null(path); /* of this file's mailbox_find */
	return uid;
}

void
mailbox_clear(struct mailbox *m)
{
	(void)m;
}

/* --- access, which asks this room, too: test_access.c ----------------------------- */

void
access_ask(const struct access *access, struct access_question *q,
	const struct room_asker *asker)
{
	(void)access;
	(void)q;
	(void)asker;
	ck_abort_msg("not asked in this test");
}

void
access_finish(struct access_question *q)
{
	(void)q;
}

/* --- the connection's ------------------------------------------------------------- */

struct request {
	void *state;
};

void
request_answer(struct request *r, const char *format, ...)
{
	va_list args;

	(void)r;
	va_start(args, format);
	vsnprintf(fake.answer, sizeof fake.answer, format, args);
	va_end(args);
}

void
request_add(struct request *r, const char *text)
{
	(void)r;
	(void)text;
}

void
request_stream(struct request *r)
{
	(void)r;
}

void
request_fault(struct request *r)
{
	(void)r;
	ck_abort_msg("every line of this test is a request");
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
	(void)r;
	return fake.asker;
}

uint64_t
request_connections(const struct request *r)
{
	(void)r;
	return 1;
}

/* --- both ways -------------------------------------------------------------------- */

/* A ledger that knows nothing, and a connection; or their end. */
static void
open_ledger(struct ledger_connection *connection)
{
	const struct ledger_rules rules = {
		.deadline_ms = 300000, .answer_ms = 10000, .recheck_per_cent = 100};

	room.ledger = ledger_new(&calls, &room, &rules, clock_now_ms());
	ck_assert_ptr_nonnull(room.ledger);
	ledger_connect(connection, 1);
	fake.asker.connection = connection;
	counting = probing = NULL;
}

static void
close_ledger(void)
{
	ledger_forget(room.ledger, fake.asker.connection);
	ledger_disconnected(room.ledger, fake.asker.connection, 1);
	ledger_free(&room.ledger);
}

/* Counts and looks at what is to be, reads all input, until nothing is left to do. */
static void
let_it_decide(void)
{
	const struct ledger_count c = {.exact = !fake.counts_fail,
		.failed = fake.counts_fail,
		.bytes = fake.used,
		.text = "it can't be read"};

	for (int i = 0; i < 10; i++) {
		struct account *counted = counting, *probed = probing;

		counting = probing = NULL;
		if (counted != NULL)
			ledger_counted(room.ledger, counted, &c);
		if (probed != NULL)
			ledger_probed(room.ledger, probed, 0, 0);
		ledger_settle(room.ledger, NULL, NULL);
		ledger_tick(room.ledger, 1000);
	}
}

/* The second caller's answer. */
struct answer {
	struct room_question question; /* first */
	int answers;
	struct outcome outcome;
};

static void
take_answer(struct room_question *q, const struct outcome *o)
{
	struct answer *a = (struct answer *)q;

	a->answers++;
	a->outcome = *o;
}

static struct answer
ask_room(enum ledger_kind kind, const char *recipient, uint64_t bytes)
{
	struct answer a = {.question = {.kind = kind,
				   .recipient = recipient,
				   .bytes = bytes,
				   .name = "1.message",
				   .answered = take_answer}};
	struct ledger_connection connection;

	open_ledger(&connection);
	room_ask(&room, &a.question, &fake.asker);
	let_it_decide();
	close_ledger();
	ck_assert_int_eq(a.answers, 1);
	return a;
}

static const char *
ask_line(enum ledger_kind kind, const char *recipient, uint64_t bytes)
{
	struct ledger_connection connection;
	struct request request = {NULL};
	char text[200];
	int length = snprintf(text, sizeof text, "%s %s %ju%s",
		kind == LEDGER_CHECK ? "CHECK" : "RESERVE", recipient, (uintmax_t)bytes,
		kind == LEDGER_CHECK ? "" : " name=1.message");

	fake.answer[0] = '\0';
	open_ledger(&connection);
	line_protocol.perform(&line, &request, text, (size_t)length);
	let_it_decide();
	close_ledger();
	line_protocol.finish(&request);
	return fake.answer;
}

/* What the line protocol must have said to that outcome. */
static void
expect(char *text, size_t size, enum ledger_kind kind, const struct answer *a)
{
	const struct outcome *o = &a->outcome;

	if (a->question.forbidden)
		snprintf(text, size, "ERR 4.7.0 not yours to ask about\n");
	else if (o->verdict == VERDICT_DELIVERED && kind == LEDGER_RESERVE)
		snprintf(text, size, "OK ticket=%ju\n", (uintmax_t)a->question.ticket);
	else if (o->verdict == VERDICT_DELIVERED)
		snprintf(text, size, "OK\n");
	else if (o->verdict == VERDICT_NO_SUCH_USER)
		snprintf(text, size, "ERR 4.3.0 %s\n", o->text);
	else if (o->verdict == VERDICT_TROUBLE || o->verdict == VERDICT_MISCONFIGURED)
		snprintf(text, size, "ERR %s %s\n", verdict_code(o->verdict), o->text);
	else
		snprintf(text, size, "NO %s %s %s\n", verdict_name(o->verdict),
			verdict_code(o->verdict), o->text);
}

static enum verdict
same_both_ways(enum ledger_kind kind, const char *recipient, uint64_t bytes)
{
	struct answer a = ask_room(kind, recipient, bytes);
	char expected[1000];

	expect(expected, sizeof expected, kind, &a);
	ck_assert_str_eq(ask_line(kind, recipient, bytes), expected);
	return a.outcome.verdict;
}

/* --- the tests -------------------------------------------------------------------- */

static void
setup(void)
{
	memset(&fake, 0, sizeof fake);
	fake.has_table = 1;
	fake.used = 900;
	fake.asker = (struct room_asker){.uid = 0, .trusted = 1, .ticket_limit = 10};
}

START_TEST(the_same_question_has_the_same_outcome_whoever_asks)
{
	static const enum ledger_kind kinds[] = {LEDGER_CHECK, LEDGER_RESERVE};
	static const struct {
		const char *recipient;
		uint64_t bytes;
		enum verdict verdict;
	} cases[] = {
		{"alice", 100, VERDICT_DELIVERED},
		{"alice", 101, VERDICT_FULL},
		{"alice", 1001, VERDICT_TOO_LARGE},
		{"bob", 1, VERDICT_DISABLED},
		{"carol", 1, VERDICT_NO_SUCH_USER},
		{"broken", 1, VERDICT_MISCONFIGURED},
	};

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
			ck_assert_msg(same_both_ways(kinds[k], cases[i].recipient,
					      cases[i].bytes) == cases[i].verdict,
				"%s %ju", cases[i].recipient, (uintmax_t)cases[i].bytes);
}
END_TEST

START_TEST(what_is_unknown_is_no_refusal_whoever_asks)
{
	fake.counts_fail = 1;
	ck_assert_int_eq(same_both_ways(LEDGER_CHECK, "alice", 1), VERDICT_TROUBLE);
	fake.counts_fail = 0;
	fake.has_table = 0;
	ck_assert_int_eq(same_both_ways(LEDGER_CHECK, "alice", 1), VERDICT_TROUBLE);
}
END_TEST

START_TEST(the_limits_of_an_older_table_are_no_refusal_for_good)
{
	fake.has_newer_table = 1;
	ck_assert_int_eq(same_both_ways(LEDGER_RESERVE, "alice", 101), VERDICT_TROUBLE);
	ck_assert_int_eq(same_both_ways(LEDGER_CHECK, "alice", 1001), VERDICT_TROUBLE);
	ck_assert_int_eq(same_both_ways(LEDGER_CHECK, "alice", 100), VERDICT_DELIVERED);
}
END_TEST

START_TEST(who_may_not_ask_is_told_the_same_of_every_name)
{
	static const char *const names[] = {"alice", "bob", "carol", "broken"};

	fake.asker.trusted = 0;
	for (int nobody = 0; nobody < 2; nobody++) {
		fake.asker.nobody = nobody;
		fake.asker.uid = nobody ? OWNER : OWNER + 1;
		for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
			struct answer a = ask_room(LEDGER_CHECK, names[i], 1);

			ck_assert_int_eq(a.question.forbidden, 1);
			ck_assert_int_eq(a.outcome.verdict, VERDICT_TROUBLE);
			same_both_ways(LEDGER_CHECK, names[i], 1);
		}
	}
	fake.asker.nobody = 0;
	fake.asker.uid = OWNER;
	ck_assert_int_eq(same_both_ways(LEDGER_CHECK, "alice", 1), VERDICT_DELIVERED);
}
END_TEST

START_TEST(tickets_are_limited_whoever_asks)
{
	fake.asker.tickets = 10;
	ck_assert_int_eq(same_both_ways(LEDGER_CHECK, "alice", 1), VERDICT_DELIVERED);
	ck_assert_int_eq(same_both_ways(LEDGER_RESERVE, "alice", 1), VERDICT_TROUBLE);
}
END_TEST

/* After a restart a busy user's deliveries are orphans, and their ldas ask again. */
START_TEST(a_ticket_of_that_name_is_taken_over_at_the_limit)
{
	static const struct {
		const char *name;
		uint64_t bytes, tickets; /* of the user, open */
		enum verdict verdict;
	} cases[] = {
		{"1.message", 10, 0, VERDICT_DELIVERED},
		{"1.message", 10, 1, VERDICT_DELIVERED},
		{"1.message", 11, 0, VERDICT_TROUBLE},
		{"2.message", 10, 0, VERDICT_TROUBLE},
	};
	struct answer a = {.question = {.kind = LEDGER_RESERVE,
				   .recipient = "alice",
				   .name = cases[_i].name,
				   .bytes = cases[_i].bytes,
				   .answered = take_answer}};
	struct ledger_connection connection;
	struct ledger_numbers n;
	const struct ledger_ticket kept = {
		.name = "1.message", .bytes = 10, .state = LEDGER_UNSURE};

	fake.asker.ticket_limit = 1;
	fake.asker.tickets = cases[_i].tickets;
	open_ledger(&connection);
	ck_assert_int_eq(ledger_load_ticket(room.ledger,
				 ledger_account(room.ledger, "alice"), &kept),
		0);
	room_ask(&room, &a.question, &fake.asker);
	let_it_decide();
	ledger_numbers(room.ledger, a.question.account, &n);
	close_ledger();
	ck_assert_int_eq(a.answers, 1);
	ck_assert_msg(a.outcome.verdict == cases[_i].verdict, "%s %ju: %s",
		cases[_i].name, (uintmax_t)cases[_i].bytes, a.outcome.text);
	ck_assert_uint_eq(n.tickets, 1);
	ck_assert_uint_eq(n.reserved, 10);
}
END_TEST

static void
take_found(struct room_question *q)
{
	ck_assert_ptr_nonnull(q->account);
	ck_assert_uint_eq(q->limits.bytes, 1000);
	q->bytes = 0; /* it was called */
}

START_TEST(the_mailbox_is_shown_before_the_ledger_is_asked)
{
	struct ledger_connection connection;
	struct answer a = {.question = {.kind = LEDGER_EXPLAIN,
				   .recipient = "alice",
				   .bytes = 1,
				   .found = take_found,
				   .answered = take_answer}};

	open_ledger(&connection);
	room_ask(&room, &a.question, &fake.asker);
	ck_assert_uint_eq(a.question.bytes, 0);
	ck_assert_int_eq(a.answers, 0); /* it must be counted first */
	let_it_decide();
	ck_assert_int_eq(a.answers, 1);
	close_ledger();
}
END_TEST

START_TEST(who_is_gone_gets_no_answer)
{
	struct ledger_connection connection;
	struct answer a = {.question = {.kind = LEDGER_CHECK,
				   .recipient = "alice",
				   .answered = take_answer}};

	open_ledger(&connection);
	room_ask(&room, &a.question, &fake.asker);
	ledger_forget(room.ledger, &connection);
	let_it_decide();
	close_ledger();
	ck_assert_int_eq(a.answers, 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {the_same_question_has_the_same_outcome_whoever_asks,
		what_is_unknown_is_no_refusal_whoever_asks,
		the_limits_of_an_older_table_are_no_refusal_for_good,
		who_may_not_ask_is_told_the_same_of_every_name,
		tickets_are_limited_whoever_asks,
		the_mailbox_is_shown_before_the_ledger_is_asked,
		who_is_gone_gets_no_answer};
	TCase *c = ADD_CASE(suite, tests, .setup = setup);

	tcase_add_loop_test(c, a_ticket_of_that_name_is_taken_over_at_the_limit, 0, 4);
}
