/*
 * The line protocol with the real room and fakes for everything around them: what is said
 * to each line, to whom, and what the ledger is asked.
 */
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "mailbox_record.h"
#include "quotad/access.h"
#include "quotad/protocol/line.h"
#include "quotad/waiting/waiting.h"
#include "suite.h"

static struct fake {
	int trusted, nobody;
	uid_t uid;
	uint64_t open_tickets, ticket_limit;
	int has_table, reservations_of_mailbox;
	char answer[32768]; /* all answers and parts, a line each */
	int faults;
	struct ledger_request asked;
	char asked_name[300], asked_ids[600];
	int asks;
	struct access_question *access; /* that was asked, */
	char access_text[200];          /* in short */
	char waiting[200];              /* the last that was told of mail that waits */
} fake;

static struct conf conf;
static const struct room room = {.conf = &conf};
static struct line service = {
	.room = &room, .started_ms = 1000, .waiting = (struct waiting *)&fake};

/* --- the neighbours --------------------------------------------------------------- */

static void
add_text(const char *text)
{
	size_t at = strlen(fake.answer);

	snprintf(fake.answer + at, sizeof fake.answer - at, "%s", text);
}

struct request {
	void *state;
	int streams, over;
};

void
request_answer(struct request *r, const char *format, ...)
{
	char answer[16384];
	va_list args;

	ck_assert_int_eq(r->over, 0);
	va_start(args, format);
	vsnprintf(answer, sizeof answer, format, args);
	va_end(args);
	ck_assert(answer[strlen(answer) - 1] == '\n');
	add_text(answer);
	r->over = 1;
}

void
request_add(struct request *r, const char *text)
{
	ck_assert_int_eq(r->streams, 1);
	add_text(text);
}

void
request_stream(struct request *r)
{
	r->streams = 1;
}

void
request_fault(struct request *r)
{
	(void)r;
	fake.faults++;
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
	static struct ledger_connection connection = {.number = 5};

	(void)r;
	return (struct room_asker){
		.uid = fake.uid,
		.nobody = fake.nobody,
		.trusted = fake.trusted && !fake.nobody,
		.tickets = fake.open_tickets,
		.ticket_limit = fake.ticket_limit,
		.connection = &connection,
	};
}

uint64_t
request_connections(const struct request *r)
{
	(void)r;
	return 3;
}

struct users *
users_reload_table(struct users_reload *t)
{
	(void)t;
	return fake.has_table ? (struct users *)&fake : NULL;
}

int
users_reload_is_newest(const struct users_reload *t)
{
	(void)t;
	return 1;
}

void
users_reload_look(struct users_reload *t)
{
	(void)t;
}

const char *
users_reload_identity(const struct users_reload *t)
{
	(void)t;
	return "1:2:3.4";
}

const char *
users_reload_fault(const struct users_reload *r, char refused[USERS_IDENTITY_SIZE])
{
	(void)r;
	(void)refused;
	return NULL;
}

enum users_reload_state
users_reload_state(struct users_reload *t, const char *identity)
{
	(void)t;
	return strcmp(identity, "1:2:3.4") == 0   ? USERS_RELOAD_USED
	       : strcmp(identity, "1:2:5.6") == 0 ? USERS_RELOAD_REFUSED
						  : USERS_RELOAD_UNKNOWN;
}

uint64_t
users_reload_generation(const struct users_reload *t)
{
	(void)t;
	return 42;
}

int
usage_on_disk(const struct usage *u)
{
	(void)u;
	return 1;
}

uint64_t
clock_now_ms(void)
{
	return 61000;
}

/* alice (uid 1001) and bob (1002), who is disabled; nobody else. */
int
mailbox_find(struct mailbox *m, struct users *u, const struct conf *c,
	const char *address, struct outcome *o)
{
	(void)u;
	(void)c;
	memset(m, 0, sizeof *m);
	m->quota = 1000;
	m->messages = 50;
	m->over_quota = 7;
	m->uid = strncmp(address, "alice", 5) == 0 ? 1001 : 1002;
	m->state = m->uid == 1001 ? MAILBOX_ENABLED : MAILBOX_DISABLED;
	snprintf(m->key, sizeof m->key, "%s", address);
	if (strncmp(address, "alice", 5) == 0 || strncmp(address, "bob", 3) == 0)
		return 0;
	outcome_set(o, VERDICT_NO_SUCH_USER, NULL);
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

uint64_t
mailbox_place(const char *path, uint64_t uid)
{
	ck_assert_ptr_null(path); /* of this file's mailbox_find */
	return UINT64_C(0xabcdef0000000000) + uid;
}

void
mailbox_clear(struct mailbox *m)
{
	(void)m;
}

enum mailbox_kind
mailbox_kind_of(const struct record *r)
{
	return r->key[0] == '@' ? MAILBOX_KIND_DOMAIN : MAILBOX_KIND_MAILBOX;
}

int
mailbox_from_record(struct mailbox *m, const struct record *r,
	const struct record *domain, const struct conf *c, struct reason *why)
{
	struct outcome o;

	(void)domain;
	(void)why;
	return mailbox_find(m, NULL, c, r->key, &o);
}

int
users_get(struct users *u, const char *key, struct record *r, struct reason *why)
{
	(void)u;
	(void)key;
	(void)why;
	memset(r, 0, sizeof *r);
	return 0;
}

/* A table of 1200 mailboxes of alice and a domain. */
int
users_each(struct users *u, const char *after,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why)
{
	char key[40] = "@example.org";
	const struct record r = {.key = key};
	int result = strcmp(after, key) < 0 ? each(arg, &r) : 0;

	(void)u;
	(void)why;
	for (int i = 0; i < 1200 && result == 0; i++) {
		snprintf(key, sizeof key, "alice%04d@example.org", i);
		if (strcmp(after, key) < 0)
			result = each(arg, &r);
	}
	return result;
}

struct account *
ledger_account(struct ledger *l, const char *name)
{
	static char copy[ADDRESS_MAX + 1];

	(void)l;
	snprintf(copy, sizeof copy, "%s", name);
	return (struct account *)copy;
}

struct account *
ledger_find(struct ledger *l, const char *name)
{
	return strcmp(name, "alice0007@example.org") == 0 ||
			       strcmp(name, "alice0008@example.org") == 0
		       ? ledger_account(l, name)
		       : NULL;
}

const char *
ledger_name(const struct account *a)
{
	return (const char *)a;
}

int
ledger_has_ticket(const struct account *a, const char *name)
{
	(void)a;
	(void)name;
	return 0;
}

void
ledger_numbers(const struct ledger *l, const struct account *a, struct ledger_numbers *n)
{
	(void)l;
	(void)a;
	memset(n, 0, sizeof *n);
	n->used = 250;
	n->messages = 40;
	n->reserved = 10;
	n->tickets = (uint64_t)fake.reservations_of_mailbox;
	n->known = 1;
	/* alice0008 was counted when somebody else owned that mailbox. */
	n->place.path = mailbox_place(NULL, 0);
	n->place.owner = strchr((const char *)a, '8') ? 1005 : 1001;
}

void
ledger_bind(struct ledger *l, struct account *a, struct ledger_place place)
{
	(void)l;
	(void)a;
	(void)place;
}

void
ledger_clock(struct ledger *l, uint64_t now)
{
	(void)l;
	(void)now;
}

uint64_t
ledger_held_ms(const struct ledger *l)
{
	(void)l;
	return 0;
}

void
ledger_show_tickets(const struct ledger *l, const struct account *a,
	void (*each)(void *arg, const struct ledger_ticket *t), void *arg)
{
	(void)l;
	(void)a;
	for (int i = 0; i < fake.reservations_of_mailbox; i++) {
		const struct ledger_ticket t = {.name = "1.a b",
			.id = 7,
			.bytes = 5,
			.age_ms = 3000,
			.state = i ? LEDGER_UNSURE : LEDGER_OPEN,
			.earlier = i > 0};

		each(arg, &t);
	}
}

const struct ledger_totals *
ledger_totals(const struct ledger *l)
{
	static const struct ledger_totals totals = {.granted = 17};

	(void)l;
	return &totals;
}

void
ledger_ask(struct ledger *l, const struct ledger_request *r)
{
	(void)l;
	fake.asks++;
	fake.asked = *r;
	snprintf(fake.asked_name, sizeof fake.asked_name, "%s", r->name ? r->name : "");
	snprintf(fake.asked_ids, sizeof fake.asked_ids, "%s", r->ids ? r->ids : "");
}

int
ledger_commit(struct ledger *l, struct ledger_connection *c, uint64_t ticket,
	struct account **a)
{
	*a = ledger_account(l, "alice");
	return c->number == 5 && ticket == 7 ? 0 : -1;
}

int
ledger_cancel(struct ledger *l, struct ledger_connection *c, uint64_t ticket)
{
	(void)l;
	return c->number == 5 && ticket == 7 ? 0 : -1;
}

void
access_ask(const struct access *access, struct access_question *q,
	const struct room_asker *asker)
{
	ck_assert_ptr_null(access); /* of this file's service */
	ck_assert_int_eq(asker->trusted, 1);
	ck_assert_uint_eq(q->count, 1);
	fake.asks++;
	fake.access = q;
	snprintf(fake.access_text, sizeof fake.access_text,
		"%s %ju from %s stage %d%s%s%s", q->recipients[0], (uintmax_t)q->bytes,
		q->sender ? q->sender : "?", (int)q->stage,
		q->leaves_no_trace ? " no trace" : "", q->login ? " login " : "",
		q->login ? q->login : "");
}

void
access_finish(struct access_question *q)
{
	(void)q;
}

void
waiting_refused(struct waiting *w, const char *mailbox, const char *ids, uint64_t bytes,
	int trusted)
{
	ck_assert_ptr_eq(w, &fake);
	snprintf(fake.waiting, sizeof fake.waiting, "refused %s %s %d%s", mailbox, ids,
		(int)bytes, trusted ? " trusted" : "");
}

void
waiting_delivered(struct waiting *w, const char *mailbox, const char *ids)
{
	ck_assert_ptr_eq(w, &fake);
	snprintf(fake.waiting, sizeof fake.waiting, "delivered %s %s", mailbox, ids);
}

/* 1,000 mailboxes, of which the ledger knows some. */
int
waiting_next(const struct waiting *w, struct waiting_mailbox *m)
{
	static char name[ADDRESS_MAX + 1];
	const uint64_t last = m->number;

	ck_assert_ptr_eq(w, &fake);
	if (last == 0)
		ck_assert_str_eq(m->name, "");
	else
		ck_assert_uint_eq(strtoull(m->name + 5, NULL, 10), last - 1);
	snprintf(name, sizeof name, "alice%04d@example.org", (int)last);
	*m = (struct waiting_mailbox){.number = last + 1,
		.name = name,
		.messages = 3,
		.bytes = 700,
		.since_s = 90};
	return last < 1000;
}

void
waiting_totals(const struct waiting *w, struct waiting_totals *t)
{
	ck_assert_ptr_eq(w, &fake);
	*t = (struct waiting_totals){.messages = 11};
}

/* --- the tests -------------------------------------------------------------------- */

static struct request request;

static void
finish(void)
{
	line_protocol.finish(&request);
	memset(&request, 0, sizeof request);
}

static void
setup(void)
{
	memset(&fake, 0, sizeof fake);
	memset(&request, 0, sizeof request);
	fake.trusted = fake.has_table = 1;
	fake.ticket_limit = 10;
}

static void
teardown(void)
{
	finish();
}

/* What is answered at once, to a request of its own as in a connection; "" where the
 * ledger was asked. */
static const char *
send_line(const char *text)
{
	char copy[4097];
	size_t length = strlen(text);

	finish();
	memcpy(copy, text, length + 1);
	fake.answer[0] = '\0';
	fake.asks = 0;
	line_protocol.perform(&service, &request, copy, length);
	memset(copy, 'x', sizeof copy);
	return fake.answer;
}

/* And what is said once the ledger has decided. */
static const char *
send_and_decide(const char *line, enum verdict verdict, const char *text)
{
	struct room decides = room;
	struct ledger_answer answer = {
		.verdict = verdict, .text = text, .ticket = 9, .was = 33};

	ck_assert_str_eq(send_line(line), "");
	ck_assert_int_eq(fake.asks, 1);
	room_decided(&decides, fake.asked.cookie, &answer);
	return fake.answer;
}

START_TEST(malformed_requests_are_told_what_is_wrong)
{
	static const char *const lines[] = {"", " ", "GET", "GET  alice", "GET alice bob",
		"get alice", "FOO", "GET al%00ice", "GET alice%", "GET alice%zz",
		"GET alice\t", "GET \351", "CHECK alice", "CHECK alice 1 b c",
		"CHECK alice 1 place=abcdef00000003e9 c", "CHECK alice 1k",
		"CHECK alice -1", "CHECK alice 18446744073709551616", "RESERVE alice 1",
		"RESERVE alice 1 foo",
		"RESERVE alice 1 name=", "RESERVE alice 1 name=.hidden",
		"RESERVE alice 1 name=..", "RESERVE alice 1 name=a/b",
		"RESERVE alice 1 name=a%2Fb", "RESERVE alice 1 name=a%0Ab",
		"RESERVE alice 1 name=a:2,S", "COMMIT", "COMMIT x", "COMMIT 1 2",
		"CANCEL 0x7", "LIST a b", "WAITING a b", "STATS now",
		"GET a b c d e f g h"};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		ck_assert_msg(strncmp(send_line(lines[i]), "ERR 4.5.2 ", 10) == 0,
			"%s: %s", lines[i], fake.answer);
		ck_assert_int_eq(fake.faults, (int)i + 1);
		ck_assert_int_eq(fake.asks, 0);
	}
}
END_TEST

START_TEST(a_name_is_at_most_255_bytes)
{
	char line[400];

	snprintf(line, sizeof line, "RESERVE alice 1 name=%0255d", 1);
	ck_assert_str_eq(send_line(line), "");
	ck_assert_uint_eq(strlen(fake.asked_name), 255);
	snprintf(line, sizeof line, "RESERVE alice 1 name=%0256d", 1);
	ck_assert_int_eq(strncmp(send_line(line), "ERR 4.5.2 ", 10), 0);
}
END_TEST

START_TEST(a_reservation_asks_for_these_bytes_under_this_name)
{
	ck_assert_str_eq(send_and_decide("RESERVE alice@example.org 100 name=1.M2%25",
				 VERDICT_DELIVERED, NULL),
		"OK ticket=9\n");
	ck_assert_int_eq(fake.asked.kind, LEDGER_RESERVE);
	ck_assert_uint_eq(fake.asked.bytes, 100);
	ck_assert_uint_eq(fake.asked.limits.bytes, 1000);
	ck_assert_uint_eq(fake.asked.limits.messages, 50);
	ck_assert_uint_eq(fake.asked.limits.over_quota, 7);
	ck_assert_str_eq(fake.asked_name, "1.M2%");
}
END_TEST

START_TEST(a_refusal_has_name_code_and_text)
{
	ck_assert_str_eq(send_and_decide("CHECK alice 1", VERDICT_FULL, NULL),
		"NO full 5.2.2 the mailbox is full\n");
	ck_assert_str_eq(send_and_decide("CHECK alice 1 sender@x", VERDICT_FULL_FOR_NOW,
				 "full of deliveries"),
		"NO full-for-now 4.2.2 full of deliveries\n");
	ck_assert_str_eq(
		send_and_decide("CHECK alice 0", VERDICT_DELIVERED, NULL), "OK\n");
	ck_assert_str_eq(send_and_decide("CHECK alice 0", VERDICT_TROUBLE, "too slow"),
		"ERR 4.3.0 too slow\n");
}
END_TEST

START_TEST(room_elsewhere_is_no_room)
{
	ck_assert_str_eq(send_and_decide("RESERVE alice 1 name=a place=abcdef00000003e9",
				 VERDICT_DELIVERED, NULL),
		"OK ticket=9\n");
	ck_assert_str_eq(send_and_decide("CHECK alice 0 place=abcdef00000003e9",
				 VERDICT_DELIVERED, NULL),
		"OK\n");
	ck_assert_str_eq(send_and_decide("CHECK alice 0 place=a place=abcdef00000003e9",
				 VERDICT_DELIVERED, NULL),
		"OK\n");
	ck_assert_int_eq(
		strncmp(send_line("RESERVE alice 1 place=abcdef00000003ea name=a"),
			"ERR 4.3.0 ", 10),
		0);
	/* Nor is it said of another place that it is disabled. */
	ck_assert_int_eq(strncmp(send_line("CHECK bob 1 s@x place=abcdef00000003e9"),
				 "ERR 4.3.0 ", 10),
		0);
	ck_assert_int_eq(fake.asks, 0);
}
END_TEST

#define LONG_ID "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789-----"

START_TEST(queue_ids_are_told_to_the_ledger)
{
	static const char *const requests[] = {"CHECK alice 0 ids=",
		"CHECK alice 0 s@x ids=", "CHECK alice 0 place=abcdef00000003e9 ids=",
		"CHECK alice 0 s@x place=abcdef00000003e9 directory=0000000000000001 "
		"ids=",
		"RESERVE alice 1 name=a ids=",
		"RESERVE alice 1 place=abcdef00000003e9 name=a ids="};
	static const char *const ids[] = {"4XyZ-9", LONG_ID, "1,2,3,4,5,6,7,8", "A,A"};
	char line[500];

	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		for (size_t j = 0; j < sizeof ids / sizeof *ids; j++) {
			snprintf(line, sizeof line, "%s%s", requests[i], ids[j]);
			ck_assert_str_eq(send_line(line), "");
			ck_assert_str_eq(fake.asked_ids, ids[j]);
		}
	ck_assert_str_eq(send_line("CHECK alice 0 s@x"), "");
	ck_assert_str_eq(fake.asked_ids, "");
}
END_TEST

START_TEST(what_is_no_list_of_queue_ids_is_told)
{
	static const char *const lists[] = {"", ",", "A,", ",A", "A,,B", "A B", "A_B",
		"A%0A", "A:B", "1,2,3,4,5,6,7,8,9", LONG_ID "x", "A," LONG_ID "x"};
	char line[500];

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		snprintf(line, sizeof line, "RESERVE alice 1 name=a ids=%s", lists[i]);
		ck_assert_msg(strncmp(send_line(line), "ERR 4.5.2 ", 10) == 0, "%s: %s",
			line, fake.answer);
		snprintf(line, sizeof line, "CHECK alice 1 s@x ids=%s", lists[i]);
		ck_assert_msg(strncmp(send_line(line), "ERR 4.5.2 ", 10) == 0, "%s: %s",
			line, fake.answer);
	}
	ck_assert_int_eq(strncmp(send_line("RESERVE alice 1 name=a ids=A ids=B"),
				 "ERR 4.5.2 ", 10),
		0);
	ck_assert_int_eq(fake.asks, 0);
}
END_TEST

START_TEST(a_missing_maildir_is_told_to_the_ledger)
{
	static const char *const requests[] = {
		"CHECK alice 0 place=abcdef00000003e9 directory=000000000000000",
		"CHECK alice 0 s@x place=abcdef00000003e9 directory=000000000000000",
		"CHECK alice 0 directory=000000000000000",
		"RESERVE alice 1 name=a directory=000000000000000",
	};
	char line[100];

	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		for (int directory = 0; directory <= 1; directory++) {
			snprintf(line, sizeof line, "%s%d", requests[i], directory);
			ck_assert_str_eq(send_line(line), "");
			ck_assert_int_eq(fake.asked.is_missing, !directory);
		}
	ck_assert_str_eq(send_line("CHECK alice 0 s@x"), "");
	ck_assert_int_eq(fake.asked.is_missing, 0);
}
END_TEST

START_TEST(that_an_empty_place_is_meant_is_the_administrators_word)
{
	ck_assert_str_eq(send_and_decide("RECOUNT alice empty", VERDICT_DELIVERED, NULL),
		"OK used=250 was=33\n");
	ck_assert_int_eq(fake.asked.is_meant, 1);
	send_and_decide("RECOUNT alice", VERDICT_DELIVERED, NULL);
	ck_assert_int_eq(fake.asked.is_meant, 0);
	ck_assert_int_eq(strncmp(send_line("RECOUNT alice full"), "ERR 4.5.2 ", 10), 0);
	fake.trusted = 0;
	fake.uid = 1001;
	send_and_decide("RECOUNT alice", VERDICT_DELIVERED, NULL);
	ck_assert_int_eq(strncmp(send_line("RECOUNT alice empty"), "ERR 4.7.0 ", 10), 0);
}
END_TEST

START_TEST(what_the_record_says_needs_no_ledger)
{
	ck_assert_int_eq(strncmp(send_line("CHECK bob 1"), "NO disabled 5.2.1 ", 18), 0);
	ck_assert_int_eq(strncmp(send_line("RESERVE alice 1001 name=a"),
				 "NO too-large 5.2.3 ", 19),
		0);
	ck_assert_int_eq(fake.asks, 0);
}
END_TEST

START_TEST(a_recipient_unknown_here_is_never_a_refusal)
{
	ck_assert_int_eq(strncmp(send_line("CHECK carol 1"), "ERR 4.3.0 ", 10), 0);
	ck_assert_int_eq(
		strncmp(send_line("RESERVE carol 1 name=a"), "ERR 4.3.0 ", 10), 0);
	ck_assert_int_eq(strncmp(send_line("GET carol"), "ERR 4.1.1 ", 10), 0);
	ck_assert_int_eq(strncmp(send_line("RECOUNT carol"), "ERR 4.1.1 ", 10), 0);
}
END_TEST

START_TEST(without_a_table_nothing_is_known)
{
	fake.has_table = 0;
	ck_assert_int_eq(strncmp(send_line("CHECK alice 1"), "ERR 4.3.0 ", 10), 0);
	ck_assert_int_eq(strncmp(send_line("GET alice"), "ERR 4.3.0 ", 10), 0);
	ck_assert_str_eq(send_line("LIST"), "");
	line_protocol.add_piece(&service, &request);
	ck_assert_int_eq(strncmp(fake.answer, "ERR 4.3.0 ", 10), 0);
}
END_TEST

START_TEST(strangers_are_told_the_same_of_every_name)
{
	char first[200];

	fake.trusted = 0;
	fake.uid = 1001;
	snprintf(first, sizeof first, "%s", send_line("GET bob"));
	ck_assert_int_eq(strncmp(first, "ERR 4.7.0 ", 10), 0);
	ck_assert_str_eq(send_line("GET carol"), first);
	ck_assert_str_eq(send_line("CHECK bob 1"), first);
	ck_assert_str_eq(send_line("CHECK bob 5000"), first);
	ck_assert_str_eq(send_line("RESERVE carol 1 name=a"), first);
	ck_assert_str_eq(send_line("RECOUNT bob"), first);
	ck_assert_str_eq(send_line("LIST"), first);
	ck_assert_str_eq(send_line("STATS"), first);
	ck_assert_int_eq(fake.faults, 0);
	ck_assert_str_eq(send_line("GET alice"), "");
	ck_assert_int_eq(fake.asks, 1);
}
END_TEST

START_TEST(the_nameless_may_ask_nothing)
{
	fake.nobody = 1;
	fake.uid = 1001;
	for (const char *const *line = (const char *const[]){"GET alice", "COMMIT 7",
		     "CHECK alice 1", "STATS", "garbage", NULL};
		*line != NULL; line++)
		ck_assert_int_eq(strncmp(send_line(*line), "ERR 4.7.0 ", 10), 0);
	ck_assert_int_eq(fake.asks, 0);
}
END_TEST

START_TEST(another_connections_ticket_is_not_there)
{
	ck_assert_str_eq(send_line("COMMIT 7"), "OK used=250\n");
	ck_assert_str_eq(send_line("CANCEL 7"), "OK\n");
	ck_assert_int_eq(strncmp(send_line("COMMIT 8"), "ERR 4.3.0 ", 10), 0);
	ck_assert_int_eq(strncmp(send_line("CANCEL 8"), "ERR 4.3.0 ", 10), 0);
}
END_TEST

START_TEST(tickets_are_limited_by_user_and_by_mailbox)
{
	fake.open_tickets = 10;
	ck_assert_int_eq(
		strncmp(send_line("RESERVE alice 1 name=a"), "ERR 4.3.0 ", 10), 0);
	fake.open_tickets = 0;
	fake.reservations_of_mailbox = 10;
	ck_assert_int_eq(
		strncmp(send_line("RESERVE alice 1 name=a"), "ERR 4.3.0 ", 10), 0);
	fake.reservations_of_mailbox = 9;
	ck_assert_str_eq(send_line("RESERVE alice 1 name=a"), "");
}
END_TEST

START_TEST(numbers_are_told_with_the_larger_percentage)
{
	ck_assert_str_eq(
		send_and_decide("GET alice%20b@example.org", VERDICT_DELIVERED, NULL),
		"OK mailbox=alice%20b@example.org used=250 messages=40 limit=1000 "
		"message_limit=50 reserved=10 tickets=0 percent=80\n");
	ck_assert_str_eq(
		send_and_decide("RECOUNT alice@example.org", VERDICT_DELIVERED, NULL),
		"OK used=250 was=33\n");
}
END_TEST

START_TEST(an_explanation_tells_ledger_tickets_and_what_comes_next)
{
	fake.reservations_of_mailbox = 2;
	ck_assert_str_eq(send_and_decide("EXPLAIN alice", VERDICT_FULL_FOR_NOW, NULL),
		"* mailbox=alice known=1 used=250 messages=40 reserved=10 tickets=2 "
		"promised=0 promises=0"
		" limit=1000 message_limit=50 over_quota=7 counting=0 had_mail=0"
		" missing=0 directory=0000000000000000 counted_why=never held_ms=0\n"
		"* ticket=7 bytes=5 state=open age=3 earlier=0 name=1.a%20b\n"
		"* ticket=7 bytes=5 state=unsure age=3 earlier=1 name=1.a%20b\n"
		"OK next=full-for-now code=4.2.2 text=the%20mailbox%20is%20full"
		" used=250 messages=40\n");
	ck_assert_int_eq(fake.asked.kind, LEDGER_EXPLAIN);
	ck_assert_uint_eq(fake.asked.bytes, 1);
	send_and_decide("EXPLAIN alice 800", VERDICT_DELIVERED, NULL);
	ck_assert_uint_eq(fake.asked.bytes, 800);
	ck_assert_str_eq(send_line("EXPLAIN alice many"),
		"ERR 4.5.2 the size must be a number of bytes\n");
}
END_TEST

START_TEST(an_explanation_shows_so_many_tickets_and_no_more)
{
	fake.reservations_of_mailbox = 207;
	send_and_decide("EXPLAIN alice", VERDICT_DELIVERED, NULL);
	ck_assert_ptr_nonnull(
		strstr(fake.answer, "\n* tickets_left_out=7\nOK next=delivered "));
}
END_TEST

START_TEST(only_the_trusted_get_explanations)
{
	fake.trusted = 0;
	fake.uid = 1001;
	ck_assert_str_eq(
		send_line("EXPLAIN alice"), "ERR 4.7.0 not yours to ask about\n");
	ck_assert_int_eq(fake.asks, 0);
}
END_TEST

START_TEST(a_list_comes_in_pieces_and_counts_nothing)
{
	int turns = 0;

	ck_assert_str_eq(send_line("LIST alice000*"), "");
	ck_assert_int_eq(request.streams, 1);
	while (strstr(fake.answer, "OK count=") == NULL && turns++ < 10)
		line_protocol.add_piece(&service, &request);
	ck_assert_int_eq(turns, 3);
	ck_assert_ptr_nonnull(strstr(fake.answer,
		"* mailbox=alice0000@example.org limit=1000 message_limit=50 reserved=0 "
		"tickets=0\n"));
	ck_assert_ptr_nonnull(
		strstr(fake.answer, "* mailbox=alice0007@example.org used=250 "));
	ck_assert_ptr_nonnull(strstr(fake.answer,
		"* mailbox=alice0008@example.org limit=1000 message_limit=50 reserved=0 "
		"tickets=0\n"));
	ck_assert_ptr_nonnull(strstr(fake.answer, "OK count=10\n"));
	ck_assert_ptr_null(strstr(fake.answer, "@example.org\n* mailbox=@"));
	ck_assert_int_eq(fake.asks, 0);
}
END_TEST

/* Of the file alone, so to anybody. */
START_TEST(what_became_of_a_table_is_told_to_anybody)
{
	fake.trusted = 0;
	fake.uid = 1009;
	ck_assert_str_eq(send_line("TABLE 1:2:3.4"), "OK state=used\n");
	ck_assert_str_eq(send_line("TABLE 1:2:5.6"), "OK state=refused\n");
	ck_assert_str_eq(send_line("TABLE 7:7:7.7"), "OK state=unknown\n");
	fake.nobody = 1;
	ck_assert_ptr_nonnull(strstr(send_line("TABLE 1:2:3.4"), "ERR 4.7.0"));
}
END_TEST

START_TEST(statistics_are_lines_and_an_end)
{
	const char *answer = send_line("STATS");

	ck_assert_ptr_nonnull(strstr(answer, "* users_table=1:2:3.4\n"));
	ck_assert_ptr_nonnull(strstr(answer, "* generation=42\n"));
	ck_assert_ptr_nonnull(strstr(answer, "* store=disk\n"));
	ck_assert_ptr_nonnull(strstr(answer, "* granted=17\n"));
	ck_assert_ptr_nonnull(strstr(answer, "* connections=3\n"));
	ck_assert_ptr_nonnull(strstr(answer, "* uptime=60\n"));
	ck_assert_str_eq(answer + strlen(answer) - 4, "\nOK\n");
}
END_TEST

/* What the protocol makes of these bytes; how many are left. */
static enum protocol_read
read_bytes(const char *bytes, size_t length, size_t *left)
{
	struct evbuffer *buffer = evbuffer_new();
	char *message = NULL;
	size_t taken = 0;
	enum protocol_read result;

	ck_assert_ptr_nonnull(buffer);
	evbuffer_add(buffer, bytes, length);
	result = line_protocol.read(buffer, &message, &taken);
	if (result == PROTOCOL_MESSAGE)
		ck_assert_mem_eq(message, bytes, taken);
	*left = evbuffer_get_length(buffer);
	free(message);
	evbuffer_free(buffer);
	return result;
}

START_TEST(a_message_is_a_line_of_at_most_4096_bytes)
{
	char bytes[5000];
	size_t left;

	memset(bytes, 'x', sizeof bytes);
	ck_assert_int_eq(read_bytes("GET a\nGET b\n", 12, &left), PROTOCOL_MESSAGE);
	ck_assert_uint_eq(left, 6);
	ck_assert_int_eq(read_bytes("GET a", 5, &left), PROTOCOL_INCOMPLETE);
	ck_assert_int_eq(read_bytes(bytes, 4096, &left), PROTOCOL_INCOMPLETE);
	ck_assert_uint_eq(left, 4096);
	ck_assert_int_eq(read_bytes(bytes, 4097, &left), PROTOCOL_NONSENSE);
	bytes[4097] = '\n';
	ck_assert_int_eq(read_bytes(bytes, 5000, &left), PROTOCOL_NONSENSE);
	bytes[4096] = '\n';
	ck_assert_int_eq(read_bytes(bytes, 5000, &left), PROTOCOL_MESSAGE);
	ck_assert_int_eq(read_bytes("no\0w\n", 5, &left), PROTOCOL_NONSENSE);
}
END_TEST

START_TEST(what_is_no_line_is_told_so)
{
	line_protocol.perform(&service, &request, NULL, 0);
	ck_assert_str_eq(
		fake.answer, "ERR 4.5.2 a line is at most 4096 bytes of ASCII\n");
}
END_TEST

START_TEST(a_reservation_has_no_other_words_and_none_twice)
{
	static const char *const lines[] = {"RESERVE alice 1 name=a name=a",
		"RESERVE alice 1 name=a place=b", "RESERVE alice 1 place=b",
		"RESERVE alice 1 names=a", "RESERVE alice 1 nam=a"};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		ck_assert_msg(strncmp(send_line(lines[i]), "ERR 4.5.2 ", 10) == 0,
			"%s: %s", lines[i], fake.answer);
		ck_assert_int_eq(fake.asks, 0);
	}
}
END_TEST

/* What was asked at SMTP time, in short. */
static const char *
ask_access_of(const char *line)
{
	ck_assert_msg(send_line(line)[0] == '\0', "%s: %s", line, fake.answer);
	ck_assert_int_eq(fake.asks, 1);
	return fake.access_text;
}

START_TEST(a_message_is_asked_about_at_smtp_time)
{
	static const struct {
		const char *line, *asked;
	} cases[] = {
		{"ACCESS alice 7", "alice 7 from ? stage 0"},
		{"ACCESS al%20ice 0 a@b.test", "al ice 0 from a@b.test stage 0"},
		{"ACCESS alice 7 <>", "alice 7 from  stage 0"},
		{"ACCESS alice 7 stage=data", "alice 7 from ? stage 1"},
		{"ACCESS alice 7 a@b stage=message login=bob",
			"alice 7 from a@b stage 2 login bob"},
		{"ACCESS alice 7 a@b login=bob trace=no stage=rcpt",
			"alice 7 from a@b stage 0 no trace login bob"},
		/* a stranger's address, which gets nobody's rights */
		{"ACCESS alice 7 login=bob@b.test",
			"alice 7 from login=bob@b.test stage 0"},
		{"ACCESS alice 7 stage=x@b.test", "alice 7 from stage=x@b.test stage 0"},
		{"ACCESS alice 7 trace=no@b.test stage=rcpt",
			"alice 7 from trace=no@b.test stage 0"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_str_eq(ask_access_of(cases[i].line), cases[i].asked);
}
END_TEST

START_TEST(the_answer_at_smtp_time_has_its_reply_code)
{
	static const struct {
		enum verdict verdict;
		const char *answer;
	} cases[] = {
		{VERDICT_DELIVERED, "OK\n"},
		{VERDICT_FULL, "NO full 552 5.2.2 the mailbox is full\n"},
		{VERDICT_FULL_FOR_NOW, "NO full-for-now 452 4.2.2 the mailbox is full\n"},
		{VERDICT_NO_SUCH_USER, "NO no-such-user 550 5.1.1 User unknown, no such "
				       "mailbox here\n"},
		{VERDICT_TROUBLE, "ERR 4.3.0 error on the mail server\n"},
		{VERDICT_MISCONFIGURED,
			"ERR 4.3.5 the mail server is not set up right\n"},
	};
	struct outcome o;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ask_access_of("ACCESS alice 7");
		outcome_set(&o, cases[i].verdict, NULL);
		fake.access->answered(fake.access, &o);
		ck_assert_str_eq(fake.answer, cases[i].answer);
	}
}
END_TEST

START_TEST(the_answer_at_delivery_leaves_no_trace)
{
	const char *line = "ACCESS alice 7 a@b stage=delivery";

	ck_assert_str_eq(send_and_decide(line, VERDICT_FULL, NULL),
		"NO full 552 5.2.2 the mailbox is full\n");
	ck_assert_int_eq(fake.asked.kind, LEDGER_EXPLAIN);
	ck_assert_uint_eq(fake.asked.bytes, 7);
	ck_assert_str_eq(send_and_decide(line, VERDICT_DELIVERED, NULL), "OK\n");
	ck_assert_str_eq(send_line("ACCESS carol 7 stage=delivery"),
		"NO no-such-user 550 5.1.1 User unknown, no such mailbox here\n");
	ck_assert_str_eq(send_line("ACCESS bob 7 stage=delivery"),
		"NO disabled 550 5.2.1 the mailbox is disabled\n");
}
END_TEST

START_TEST(only_the_trusted_ask_at_smtp_time)
{
	fake.trusted = 0;
	ck_assert_str_eq(
		send_line("ACCESS alice 7"), "ERR 4.7.0 not yours to ask about\n");
	ck_assert_int_eq(fake.asks, 0);
}
END_TEST

START_TEST(what_is_no_field_of_access_is_told_so)
{
	static const struct {
		const char *line, *told;
	} cases[] = {
		{"ACCESS alice", "ACCESS <recipient> <bytes>"},
		{"ACCESS alice x", "the second argument must be a number of bytes"},
		{"ACCESS alice 1k", "the second argument must be a number of bytes"},
		{"ACCESS alice 1 a@b c@d", "behind the sender"},
		{"ACCESS alice 1 stage=rcpt a@b", "behind the sender"},
		{"ACCESS alice 1 stage=rcpt sender=a@b", "behind the sender"},
		{"ACCESS alice 1 a@b stage=", "stage= must be rcpt, data"},
		{"ACCESS alice 1 a@b stage=eom", "stage= must be rcpt, data"},
		{"ACCESS alice 1 a@b trace=yes", "trace= must be no"},
		{"ACCESS alice 1 a@b stage=rcpt stage=data", "stage= must be rcpt, data"},
		{"ACCESS alice 1 a@b login=b login=b", "login= must be there once"},
		{"ACCESS alice 1 a@b stage=rcpt trace=no login=b x",
			"ACCESS <recipient> <bytes>"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *told = send_line(cases[i].line);

		ck_assert_msg(strncmp(told, "ERR 4.5.2 ", 10) == 0 &&
				      strncmp(told + 10, cases[i].told,
					      strlen(cases[i].told)) == 0,
			"%s: %s", cases[i].line, fake.answer);
		ck_assert_int_eq(fake.asks, 0);
	}
}
END_TEST

/* --- mail that waits -------------------------------------------------------------- */

#define RESERVE_IDS "RESERVE alice 10 name=1.a ids=A1,B-2"

START_TEST(a_delivery_that_was_refused_for_now_waits)
{
	send_and_decide(RESERVE_IDS, VERDICT_FULL_FOR_NOW, NULL);
	ck_assert_str_eq(fake.waiting, "refused alice A1,B-2 10 trusted");
	send_and_decide(
		"CHECK alice 20 me@x.test ids=A1,B-2", VERDICT_FULL_FOR_NOW, NULL);
	ck_assert_str_eq(fake.waiting, "refused alice A1,B-2 20 trusted");
	fake.trusted = 0;
	fake.uid = 1001;
	send_and_decide(RESERVE_IDS, VERDICT_FULL_FOR_NOW, NULL);
	ck_assert_str_eq(fake.waiting, "refused alice A1,B-2 10");
}
END_TEST

START_TEST(one_that_got_its_ticket_or_bounces_waits_no_more)
{
	send_and_decide(RESERVE_IDS, VERDICT_DELIVERED, NULL);
	ck_assert_str_eq(fake.waiting, "delivered alice A1,B-2");
	fake.waiting[0] = '\0';
	send_and_decide("CHECK alice 20 ids=A1,B-2", VERDICT_FULL, NULL);
	ck_assert_str_eq(fake.waiting, "delivered alice A1,B-2");
}
END_TEST

START_TEST(nothing_else_is_told_of_mail_that_waits)
{
	send_and_decide("CHECK alice 20 ids=A1,B-2", VERDICT_DELIVERED, NULL);
	send_and_decide(RESERVE_IDS, VERDICT_TROUBLE, NULL);
	send_and_decide("RESERVE alice 10 name=1.a", VERDICT_FULL_FOR_NOW, NULL);
	send_and_decide("CHECK alice 20", VERDICT_FULL_FOR_NOW, NULL);
	fake.trusted = 0;
	fake.uid = 1;
	send_line(RESERVE_IDS); /* not his */
	ck_assert_str_eq(fake.waiting, "");
}
END_TEST

/* The answer to a request that streams. */
static const char *
send_and_stream(const char *line)
{
	ck_assert_str_eq(send_line(line), "");
	while (!request.over)
		line_protocol.add_piece(&service, &request);
	return fake.answer;
}

START_TEST(who_waits_is_told_in_pieces_to_the_trusted)
{
	ck_assert_str_eq(send_line("WAITING alice000*"), "");
	line_protocol.add_piece(&service, &request);
	ck_assert_int_eq(request.over, 0);
	while (!request.over)
		line_protocol.add_piece(&service, &request);
	ck_assert_ptr_nonnull(strstr(fake.answer,
		"* mailbox=alice0009@example.org messages=3 bytes=700 since=90\n"
		"OK count=10\n"));
}
END_TEST

START_TEST(others_see_their_own_mail_that_waits)
{
	fake.trusted = 0;
	fake.uid = 1005;
	ck_assert_str_eq(send_and_stream("WAITING"),
		"* mailbox=alice0008@example.org messages=3 bytes=700 since=90\n"
		"OK count=1\n");
	fake.uid = 1;
	ck_assert_str_eq(send_and_stream("WAITING"), "OK count=0\n");
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {malformed_requests_are_told_what_is_wrong,
		a_name_is_at_most_255_bytes,
		a_reservation_asks_for_these_bytes_under_this_name,
		a_refusal_has_name_code_and_text, room_elsewhere_is_no_room,
		queue_ids_are_told_to_the_ledger, what_is_no_list_of_queue_ids_is_told,
		a_missing_maildir_is_told_to_the_ledger,
		that_an_empty_place_is_meant_is_the_administrators_word,
		what_the_record_says_needs_no_ledger,
		a_recipient_unknown_here_is_never_a_refusal,
		without_a_table_nothing_is_known,
		strangers_are_told_the_same_of_every_name, the_nameless_may_ask_nothing,
		another_connections_ticket_is_not_there,
		tickets_are_limited_by_user_and_by_mailbox,
		numbers_are_told_with_the_larger_percentage,
		a_list_comes_in_pieces_and_counts_nothing,
		an_explanation_tells_ledger_tickets_and_what_comes_next,
		an_explanation_shows_so_many_tickets_and_no_more,
		only_the_trusted_get_explanations,
		what_became_of_a_table_is_told_to_anybody,
		statistics_are_lines_and_an_end,
		a_message_is_a_line_of_at_most_4096_bytes, what_is_no_line_is_told_so,
		a_reservation_has_no_other_words_and_none_twice,
		a_message_is_asked_about_at_smtp_time,
		the_answer_at_smtp_time_has_its_reply_code,
		the_answer_at_delivery_leaves_no_trace, only_the_trusted_ask_at_smtp_time,
		what_is_no_field_of_access_is_told_so,
		a_delivery_that_was_refused_for_now_waits,
		one_that_got_its_ticket_or_bounces_waits_no_more,
		nothing_else_is_told_of_mail_that_waits,
		who_waits_is_told_in_pieces_to_the_trusted,
		others_see_their_own_mail_that_waits};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
