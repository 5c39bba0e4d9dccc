/*
 * Mail that waits, over a fake room and a fake mail server: who is remembered, who gets
 * the room, and who is released when. The room answers at once or when the test lets it.
 */
#include "quotad/waiting/waiting.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "suite.h"

#define MAILBOXES 120
#define START     1000000 /* ms */

struct account {
	char name[40];
	struct ledger_limits limits;
	struct ledger_numbers numbers;
	enum verdict verdict; /* other than full */
};

static struct fake {
	uint64_t now;
	int may_release, answers_later, fails;
	uint64_t takes_ms;
	struct account accounts[MAILBOXES];
	size_t count;
	struct room_question *asked[MAILBOXES]; /* that wait for their answers */
	size_t waiting;
	unsigned looks, promises;
	char released[40000]; /* ids, with blanks between */
	unsigned releases;
	char ended[100]; /* whose promise of SMTP time was, last */
} fake;

static struct waiting *w;
static const struct room room;

/* --- the neighbours --------------------------------------------------------------- */

uint64_t
clock_now_ms(void)
{
	return fake.now;
}

void
ledger_connect(struct ledger_connection *c, uint64_t number)
{
	*c = (struct ledger_connection){.number = number};
}

void
ledger_forget(struct ledger *l, const struct ledger_connection *c)
{
	(void)l;
	(void)c;
}

const char *
ledger_name(const struct account *a)
{
	return a->name;
}

void
ledger_numbers(const struct ledger *l, const struct account *a, struct ledger_numbers *n)
{
	(void)l;
	*n = a->numbers;
}

struct account *
ledger_find(struct ledger *l, const char *name)
{
	(void)l;
	for (size_t i = 0; i < fake.count; i++)
		if (strcmp(fake.accounts[i].name, name) == 0)
			return &fake.accounts[i];
	return NULL;
}

/* All messages of these tests are of one size. */
void
ledger_end_promise(struct ledger *l, struct account *a, const struct ledger_promise *p)
{
	(void)l;
	ck_assert_ptr_nonnull(p->id);
	if (a->numbers.promises == 0)
		return; /* it is over */
	a->numbers.promised -= a->numbers.promised / a->numbers.promises;
	a->numbers.promises--;
}

void
ledger_end_promise_of(struct ledger *l, struct account *a, const char *ids)
{
	(void)l;
	snprintf(fake.ended, sizeof fake.ended, "%s: %s", a->name, ids);
}

static struct account *
account(const char *name)
{
	struct account *known = ledger_find(NULL, name);

	if (known != NULL)
		return known;
	ck_assert_uint_lt(fake.count, MAILBOXES);
	snprintf(fake.accounts[fake.count].name, sizeof fake.accounts->name, "%s", name);
	return &fake.accounts[fake.count++];
}

/* As the ledger does; a promise is for the very bytes of the message. */
static void
answer(struct room_question *q)
{
	struct account *a = q->account;
	struct ledger_numbers *n = &a->numbers;
	struct outcome o;

	fake.now += fake.takes_ms;
	outcome_set(&o, a->verdict, NULL);
	q->limits = a->limits;
	if (a->verdict == VERDICT_DELIVERED && a->limits.bytes &&
		n->used + n->promised + q->bytes > a->limits.bytes)
		outcome_set(&o, VERDICT_FULL_FOR_NOW, NULL);
	if (q->kind == LEDGER_PROMISE && o.verdict == VERDICT_DELIVERED) {
		ck_assert_uint_eq(q->promise->ms, WAITING_PROMISE_MS);
		ck_assert(q->promise->is_exact);
		n->promised += q->bytes;
		n->promises++;
		fake.promises++;
	}
	q->answered(q, &o);
}

void
room_ask(const struct room *r, struct room_question *q, const struct room_asker *asker)
{
	ck_assert_ptr_eq(r, &room);
	ck_assert(asker->trusted && !asker->nobody && asker->connection != NULL);
	ck_assert(q->kind == LEDGER_EXPLAIN || q->kind == LEDGER_PROMISE);
	fake.looks += q->kind == LEDGER_EXPLAIN;
	q->account = account(q->recipient);
	if (fake.answers_later)
		fake.asked[fake.waiting++] = q;
	else
		answer(q);
}

static void
answer_all(void)
{
	while (fake.waiting > 0)
		answer(fake.asked[--fake.waiting]);
}

static int
may_release(void *arg)
{
	ck_assert_ptr_eq(arg, &fake);
	return fake.may_release;
}

static void
release(void *arg, const char *id)
{
	size_t length = strlen(fake.released);

	ck_assert_ptr_eq(arg, &fake);
	snprintf(fake.released + length, sizeof fake.released - length, "%s%s",
		length > 0 ? " " : "", id);
	fake.releases++;
	waiting_released(w, id, !fake.fails);
}

/* --- what the tests do ------------------------------------------------------------ */

static void
setup(void)
{
	static const struct waiting_calls calls = {may_release, release};

	fake = (struct fake){.now = START, .may_release = 1};
	w = waiting_new(&room, &calls, &fake);
	ck_assert_ptr_nonnull(w);
}

static void
teardown(void)
{
	waiting_free(&w);
	ck_assert_ptr_null(w);
}

static struct account *
full_mailbox(const char *name, uint64_t limit)
{
	struct account *a = account(name);

	a->limits.bytes = a->numbers.used = limit;
	return a;
}

static void
refuse(const char *mailbox, const char *ids, uint64_t bytes)
{
	waiting_refused(w, mailbox, ids, bytes, 1);
}

/* Messages ID0001 and so on, all of one size. */
static void
refuse_many(const char *mailbox, const char *prefix, int count, uint64_t bytes)
{
	char id[40];

	for (int i = 1; i <= count; i++) {
		snprintf(id, sizeof id, "%s%06d", prefix, i);
		refuse(mailbox, id, bytes);
	}
}

/* Time passes, a second after the other; the ids that were released meanwhile. */
static const char *
wait_for(uint64_t ms)
{
	fake.released[0] = '\0';
	for (uint64_t end = fake.now + ms; fake.now < end;) {
		fake.now += end - fake.now < 1000 ? end - fake.now : 1000;
		waiting_tick(w, fake.now);
	}
	return fake.released;
}

static uint64_t
messages(void)
{
	struct waiting_totals t;

	waiting_totals(w, &t);
	return t.messages;
}

/* --- who gets the room ------------------------------------------------------------ */

START_TEST(of_twenty_the_seven_oldest_that_fit_are_released)
{
	struct account *a = full_mailbox("alice", 10000);

	refuse_many("alice", "ID", 20, 100);
	ck_assert_str_eq(wait_for(20000), "");
	ck_assert_uint_gt(fake.looks, 2);
	ck_assert_uint_eq(fake.promises, 0);
	a->numbers.used -= 750;
	ck_assert_str_eq(wait_for(WAITING_LOOK_MS),
		"ID000001 ID000002 ID000003 ID000004 ID000005 ID000006 ID000007");
	ck_assert_uint_eq(a->numbers.promised, 700);
	ck_assert_str_eq(wait_for(50000), "");
}
END_TEST

START_TEST(one_that_is_too_large_lets_smaller_ones_pass)
{
	struct account *a = full_mailbox("alice", 10000);

	refuse("alice", "LARGE1", 5000);
	refuse("alice", "SMALL1", 100);
	refuse("alice", "LARGE2", 5000);
	refuse("alice", "SMALL2", 100);
	a->numbers.used -= 200;
	ck_assert_str_eq(wait_for(WAITING_LOOK_MS), "SMALL1 SMALL2");
}
END_TEST

START_TEST(a_limit_of_messages_counts_too)
{
	struct account *a = full_mailbox("alice", 0);

	a->limits.messages = 10;
	a->numbers.messages = 7;
	a->numbers.tickets = a->numbers.promises = 1;
	refuse_many("alice", "ID", 5, 100);
	ck_assert_str_eq(wait_for(WAITING_LOOK_MS), "ID000001");
}
END_TEST

START_TEST(without_a_limit_all_are_released)
{
	account("alice");
	refuse_many("alice", "ID", 20, 100);
	wait_for(2 * WAITING_LOOK_MS);
	ck_assert_uint_eq(fake.releases, 20);
}
END_TEST

START_TEST(who_frees_room_is_served_at_once_where_quotad_is_told)
{
	struct account *a = full_mailbox("alice", 10000);

	refuse("alice", "ID0001", 100);
	wait_for(WAITING_LOOK_MS);
	a->numbers.used = 0;
	waiting_room(w, "alice");
	waiting_room(w, "nobody");
	waiting_room(w, NULL);
	ck_assert_str_eq(wait_for(1000), "ID0001");
}
END_TEST

/* --- how often -------------------------------------------------------------------- */

START_TEST(a_message_is_released_once_a_minute_at_most)
{
	struct account *a = full_mailbox("alice", 10000);

	a->numbers.used = 0;
	refuse("alice", "ID0001", 100);
	ck_assert_str_eq(wait_for(WAITING_LOOK_MS), "ID0001");
	for (int i = 0; i < 10; i++) {
		refuse("alice", "ID0001", 100);
		waiting_delivered(w, "alice", "ID0001");
		refuse("alice", "ID0001", 100);
		ck_assert_str_eq(wait_for(5000), "");
	}
	ck_assert_str_eq(wait_for(10000), "ID0001");
}
END_TEST

START_TEST(a_message_for_two_mailboxes_too)
{
	refuse("alice", "ID0001", 100);
	refuse("bob", "ID0001", 100);
	ck_assert_str_eq(wait_for(30000), "ID0001");
	waiting_delivered(w, "alice", "ID0001");
	refuse("bob", "ID0001", 100);
	ck_assert_str_eq(wait_for(25000), "");
	ck_assert_str_eq(wait_for(15000), "ID0001");
}
END_TEST

START_TEST(a_promise_that_nobody_uses_gives_the_room_to_the_next)
{
	struct account *a = full_mailbox("alice", 10000);

	a->numbers.used = 9900;
	refuse("alice", "GHOST1", 100);
	refuse("alice", "ID0001", 100);
	ck_assert_str_eq(wait_for(WAITING_LOOK_MS), "GHOST1");
	ck_assert_str_eq(wait_for(WAITING_PROMISE_MS - 10000), "");
	a->numbers.promised = 0; /* the ledger's own clock */
	waiting_room(w, "alice");
	ck_assert_str_eq(wait_for(20000), "ID0001");
	ck_assert_uint_eq(messages(), 1); /* the other comes by itself, if at all */
	ck_assert_str_eq(wait_for(WAITING_PROMISE_MS / 2), "");
}
END_TEST

/* Removed from the queue, say: they must not have the room one after another. */
START_TEST(where_one_did_not_come_no_room_is_kept_for_the_next)
{
	struct account *a = full_mailbox("alice", 10000);

	a->numbers.used = 9900;
	refuse_many("alice", "ID", WAITING_A_TURN + 4, 100);
	ck_assert_str_eq(wait_for(WAITING_PROMISE_MS), "ID000001");
	a->numbers.promised = a->numbers.promises = 0; /* the ledger's own clock */
	wait_for(3 * WAITING_LOOK_MS);
	ck_assert_uint_eq(fake.releases, WAITING_A_TURN + 4); /* each of them fits */
	ck_assert_uint_eq(fake.promises, 1);
	wait_for(WAITING_PROMISE_MS + WAITING_LOOK_MS);
	ck_assert_uint_eq(messages(), 0);
}
END_TEST

START_TEST(where_one_comes_again_room_is_kept_again)
{
	struct account *a = full_mailbox("alice", 10000);

	a->numbers.used = 9900;
	refuse_many("alice", "ID", 3, 100);
	wait_for(WAITING_PROMISE_MS);
	a->numbers.promised = a->numbers.promises = 0;
	ck_assert_str_eq(wait_for(2 * WAITING_LOOK_MS), "ID000002 ID000003");
	waiting_delivered(w, "alice", "ID000002");
	refuse("alice", "ID000003", 100);
	ck_assert_uint_eq(fake.promises, 1);
	ck_assert_str_eq(wait_for(WAITING_AGAIN_MS), "ID000003");
	ck_assert_uint_eq(fake.promises, 2);
}
END_TEST

START_TEST(for_what_can_t_be_released_no_room_is_kept)
{
	struct account *a = full_mailbox("alice", 10000);

	a->numbers.used = 0;
	refuse("alice", "ID0001", 100);
	refuse("alice", "ID0002", 100);
	fake.fails = 1;
	ck_assert_str_eq(wait_for(WAITING_LOOK_MS), "ID0001 ID0002");
	ck_assert_uint_eq(fake.promises, 2);
	ck_assert_uint_eq(a->numbers.promised, 0);
	fake.fails = 0;
	ck_assert_str_eq(wait_for(WAITING_AGAIN_MS), "ID0001 ID0002");
	ck_assert_uint_eq(a->numbers.promised, 200);
}
END_TEST

START_TEST(what_can_t_be_released_is_tried_three_times)
{
	full_mailbox("alice", 10000)->numbers.used = 0;
	refuse("alice", "ID0001", 100);
	fake.fails = 1;
	wait_for(10 * WAITING_AGAIN_MS);
	ck_assert_uint_eq(fake.releases, WAITING_TRIES);
	ck_assert_uint_eq(messages(), 0);
}
END_TEST

START_TEST(an_id_that_postfix_does_not_have_is_not_released)
{
	account("alice");
	refuse("alice", "1pXyZ-000abc-Qw", 100);
	refuse("alice", "short", 100);
	refuse("alice", "more_than_twenty_of_them", 100);
	ck_assert_str_eq(wait_for(30000), "");
	ck_assert_uint_eq(waiting_bytes(w, "alice"), 300);
}
END_TEST

/* --- who is believed -------------------------------------------------------------- */

START_TEST(forged_ids_of_a_user_are_not_believed)
{
	account("alice");
	waiting_expect(w, "alice", "MINE01", 100);
	waiting_expect(w, "bob", "BOBS01", 100);
	waiting_refused(w, "alice", "BOBS01,OTHER1", 100, 0);
	ck_assert_uint_eq(messages(), 0);
	waiting_refused(w, "alice", "OTHER1,MINE01,OTHER2", 100, 0);
	ck_assert_uint_eq(messages(), 1);
	ck_assert_str_eq(wait_for(30000), "MINE01");
}
END_TEST

START_TEST(a_trusted_asker_s_first_id_is_the_one_in_the_queue)
{
	account("alice");
	waiting_expect(w, "alice", "BEFORE", 100);
	refuse("alice", "AFTER1,BEFORE", 100);
	ck_assert_uint_eq(messages(), 1);
	ck_assert_str_eq(wait_for(WAITING_LOOK_MS), "AFTER1");
	waiting_delivered(w, "alice", "BEFORE,AFTER1");
	ck_assert_uint_eq(messages(), 0);
}
END_TEST

START_TEST(odd_lists_of_ids_do_no_harm)
{
	char longest[200];

	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	refuse("alice", "", 100);
	refuse("alice", ",,,", 100);
	refuse("alice", longest, 100);
	waiting_expect(w, "alice", "", 100);
	waiting_expect(w, "alice", longest, 100);
	waiting_delivered(w, "alice", longest);
	ck_assert_uint_eq(messages(), 0);
	refuse("alice", ",ID0001,,ID0001,", 100);
	ck_assert_uint_eq(messages(), 1);
}
END_TEST

/* --- what waits ------------------------------------------------------------------- */

START_TEST(what_was_refused_at_delivery_counts_and_nothing_else)
{
	waiting_expect(w, "alice", "ID0001", 1000);
	ck_assert_uint_eq(waiting_bytes(w, "alice"), 0);
	ck_assert(waiting_takes(w, "alice", 100, 100));
	refuse("alice", "ID0001", 70);
	refuse("alice", "ID0001", 80);
	ck_assert_uint_eq(waiting_bytes(w, "alice"), 80);
	ck_assert(waiting_takes(w, "alice", 20, 100));
	ck_assert(!waiting_takes(w, "alice", 21, 100));
	ck_assert(!waiting_takes(w, "alice", UINT64_MAX, 100));
	refuse("alice", "ID0002", UINT64_MAX);
	refuse("alice", "ID0003", UINT64_MAX);
	ck_assert(!waiting_takes(w, "alice", 1, 1 << 20));
	waiting_delivered(w, "alice", "ID0002");
	waiting_delivered(w, "alice", "ID0003");
	ck_assert_uint_eq(waiting_bytes(w, "alice"), 80);
	waiting_delivered(w, "alice", "ID0001");
	ck_assert_uint_eq(waiting_bytes(w, "alice"), 0);
	ck_assert(waiting_takes(w, "alice", 100, 100));
}
END_TEST

START_TEST(its_own_promise_is_in_nobody_s_way)
{
	full_mailbox("alice", 1000);
	fake.may_release = 0; /* then it may help the mail server's next try */
	refuse("alice", "AFTER1,BEFORE", 100);
	ck_assert_str_eq(fake.ended, "");
	fake.may_release = 1;
	refuse("alice", "AFTER1,BEFORE", 100);
	ck_assert_str_eq(fake.ended, "alice: AFTER1,BEFORE");
	waiting_refused(w, "alice", "FORGED", 100, 0);
	ck_assert_str_eq(fake.ended, "alice: AFTER1,BEFORE");
}
END_TEST

/* lda asks about a large message before it knows the size. */
START_TEST(a_size_that_the_delivery_does_not_know_is_what_was_said_before)
{
	waiting_expect(w, "alice", "ID0001", 200000);
	refuse("alice", "ID0001", 0);
	ck_assert_uint_eq(waiting_bytes(w, "alice"), 200000);
	refuse("alice", "AFTER1,ID0001", 0);
	ck_assert_uint_eq(waiting_bytes(w, "alice"), 200000);
	refuse("alice", "AFTER1,ID0001", 200100);
	ck_assert_uint_eq(waiting_bytes(w, "alice"), 200100);
	refuse("bob", "ID0002", 0);
	ck_assert_uint_eq(waiting_bytes(w, "bob"), WAITING_UNKNOWN);
}
END_TEST

START_TEST(who_waits_is_listed)
{
	struct waiting_mailbox m = {.name = ""};

	refuse("bob", "ID0001", 70);
	waiting_expect(w, "carl", "ID0002", 70);
	fake.now += 3000;
	refuse("alice", "ID0003", 100);
	refuse("bob", "ID0004", 30);
	waiting_tick(w, fake.now);
	ck_assert_int_eq(waiting_next(w, &m), 1);
	ck_assert_str_eq(m.name, "bob");
	ck_assert_uint_eq(m.messages, 2);
	ck_assert_uint_eq(m.bytes, 100);
	ck_assert_uint_eq(m.since_s, 3);
	ck_assert_int_eq(waiting_next(w, &m), 1);
	ck_assert_str_eq(m.name, "alice");
	ck_assert_int_eq(waiting_next(w, &m), 0);
	m = (struct waiting_mailbox){.number = 1, .name = "bob, who is gone"};
	ck_assert_int_eq(waiting_next(w, &m), 1);
	ck_assert_str_eq(m.name, "alice");
}
END_TEST

START_TEST(a_mailbox_has_a_bound_and_the_oldest_goes)
{
	account("alice");
	fake.may_release = 0;
	refuse_many("alice", "ID", WAITING_MAILBOX_MAX + 5, 1);
	ck_assert_uint_eq(messages(), WAITING_MAILBOX_MAX);
	ck_assert(!waiting_takes(w, "alice", 1, UINT64_MAX));
	fake.may_release = 1;
	wait_for(WAITING_LOOK_MS);
	ck_assert_int_eq(strncmp(fake.released, "ID000006 ID000007 ", 18), 0);
	for (int i = 0; i < 2 * WAITING_MAILBOX_MAX; i++) {
		char id[40];

		snprintf(id, sizeof id, "EX%06d", i);
		waiting_expect(w, "alice", id, 1);
	}
	waiting_refused(w, "alice", "EX000001", 1, 0);
	ck_assert_uint_eq(messages(), WAITING_MAILBOX_MAX);
	waiting_delivered(w, "alice", "EX000001");
	ck_assert_uint_eq(messages(), WAITING_MAILBOX_MAX);
}
END_TEST

START_TEST(all_have_a_bound_and_the_oldest_goes)
{
	char mailbox[40], id[40];

	fake.may_release = 0;
	for (int i = 0; i < WAITING_MAX + 1000; i++) {
		snprintf(mailbox, sizeof mailbox, "user%d", i % 2000);
		snprintf(id, sizeof id, "ID%06d", i);
		refuse(mailbox, id, 10);
	}
	ck_assert_uint_eq(messages(), WAITING_MAX);
	waiting_delivered(w, "user999", "ID000999");
	ck_assert_uint_eq(messages(), WAITING_MAX);
	waiting_delivered(w, "user1000", "ID001000");
	ck_assert_uint_eq(messages(), WAITING_MAX - 1);
}
END_TEST

START_TEST(what_was_not_heard_of_for_long_is_forgotten)
{
	struct account *a = full_mailbox("alice", 1000);

	waiting_expect(w, "alice", "ID0001", 100);
	refuse("alice", "ID0002", 100);
	fake.now += WAITING_EXPECT_MS;
	waiting_tick(w, fake.now);
	waiting_refused(w, "alice", "ID0001", 100, 0);
	ck_assert_uint_eq(messages(), 1);
	fake.now += WAITING_FORGET_MS - WAITING_EXPECT_MS;
	waiting_tick(w, fake.now);
	ck_assert_uint_eq(messages(), 0);
	ck_assert_uint_eq(a->numbers.promised, 0);
}
END_TEST

START_TEST(a_mailbox_that_is_gone_is_forgotten)
{
	account("alice")->verdict = VERDICT_NO_SUCH_USER;
	refuse_many("alice", "ID", 20, 100);
	waiting_expect(w, "alice", "ID0099", 100);
	ck_assert_str_eq(wait_for(WAITING_LOOK_MS), "");
	ck_assert_uint_eq(messages(), 0);
}
END_TEST

START_TEST(errors_and_suspension_change_nothing)
{
	struct account *a = account("alice");

	refuse("alice", "ID0001", 100);
	a->verdict = VERDICT_TROUBLE;
	ck_assert_str_eq(wait_for(20000), "");
	a->verdict = VERDICT_SUSPENDED;
	ck_assert_str_eq(wait_for(20000), "");
	a->verdict = VERDICT_DELIVERED;
	ck_assert_str_eq(wait_for(20000), "ID0001");
}
END_TEST

START_TEST(what_became_too_large_is_given_up)
{
	account("alice")->verdict = VERDICT_TOO_LARGE;
	refuse("alice", "ID0001", 100);
	ck_assert_str_eq(wait_for(20000), "");
	ck_assert_uint_eq(messages(), 0);
}
END_TEST

/* --- turns ------------------------------------------------------------------------ */

START_TEST(without_anybody_to_release_it_nothing_is_looked_at)
{
	account("alice");
	refuse("alice", "ID0001", 100);
	fake.may_release = 0;
	wait_for(60000);
	ck_assert_uint_eq(fake.looks, 0);
	fake.may_release = 1;
	ck_assert_str_eq(wait_for(1000), "ID0001");
}
END_TEST

START_TEST(one_with_many_messages_does_not_keep_others_waiting)
{
	account("alice");
	account("bob");
	refuse_many("alice", "AA", 1000, 100);
	refuse("bob", "BB0001", 100);
	fake.released[0] = '\0';
	fake.answers_later = 1;
	fake.now += WAITING_LOOK_MS;
	waiting_tick(w, fake.now);
	while (strstr(fake.released, "BB0001") == NULL) {
		answer_all();
		ck_assert_uint_le(fake.releases, WAITING_A_TURN + 1);
		waiting_tick(w, fake.now);
	}
}
END_TEST

START_TEST(few_are_looked_at_at_once_and_all_in_turn)
{
	char mailbox[40];

	for (int i = 0; i < 50; i++) {
		snprintf(mailbox, sizeof mailbox, "user%d", i);
		full_mailbox(mailbox, 100);
		refuse(mailbox, "ID0001", 100);
	}
	fake.answers_later = 1;
	fake.now += WAITING_LOOK_MS;
	for (int i = 0; i < 7; i++) {
		waiting_tick(w, fake.now);
		ck_assert_uint_le(fake.waiting, WAITING_LOOKS);
		answer_all();
	}
	ck_assert_uint_eq(fake.looks, 50);
	waiting_tick(w, fake.now);
	ck_assert_uint_eq(fake.looks, 50);
}
END_TEST

START_TEST(there_is_a_bound_on_looks_in_a_second)
{
	char mailbox[40];

	for (int i = 0; i < MAILBOXES; i++) {
		snprintf(mailbox, sizeof mailbox, "user%d", i);
		full_mailbox(mailbox, 100);
		refuse(mailbox, "ID0001", 100);
	}
	fake.now += WAITING_LOOK_MS;
	for (int i = 0; i < 1000; i++)
		waiting_tick(w, fake.now);
	ck_assert_uint_eq(fake.looks, WAITING_LOOKS_SECOND);
	wait_for(1000);
	ck_assert_uint_eq(fake.looks, MAILBOXES);
}
END_TEST

START_TEST(what_takes_long_to_look_at_is_looked_at_less_often)
{
	full_mailbox("alice", 100);
	refuse("alice", "ID0001", 100);
	fake.takes_ms = 2000;
	wait_for(400000);
	ck_assert_uint_le(fake.looks, 11);
	ck_assert_uint_ge(fake.looks, 5);
}
END_TEST

START_TEST(a_message_that_goes_while_it_is_asked_about_is_not_released)
{
	account("alice");
	refuse("alice", "ID0001", 100);
	fake.answers_later = 1;
	fake.now += WAITING_LOOK_MS;
	waiting_tick(w, fake.now);
	answer(fake.asked[--fake.waiting]); /* it would fit */
	ck_assert_uint_eq(fake.waiting, 1);
	waiting_delivered(w, "alice", "ID0001");
	answer_all();
	ck_assert_uint_eq(fake.releases, 0);
	ck_assert_int_eq(waiting_next(w, &(struct waiting_mailbox){.name = ""}), 0);
}
END_TEST

/* --- anything, in any order ------------------------------------------------------- */

static unsigned long seed = 1;

static unsigned
chance(unsigned n)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (unsigned)(seed >> 33) % n;
}

static void
do_anything(void)
{
	char mailbox[40], ids[80];
	struct account *a;

	snprintf(mailbox, sizeof mailbox, "user%u", chance(20));
	snprintf(ids, sizeof ids, "ID%04u,ID%04u", chance(200), chance(200));
	a = account(mailbox);
	switch (chance(8)) {
	case 0:
		waiting_expect(w, mailbox, ids + 7, chance(1000));
		break;
	case 1:
	case 2:
		waiting_refused(w, mailbox, ids, chance(1000), (int)chance(2));
		break;
	case 3:
		waiting_delivered(w, mailbox, ids);
		break;
	case 4:
		a->numbers.used = chance(10000);
		a->numbers.promised = 0;
		waiting_room(w, mailbox);
		break;
	case 5:
		a->verdict = chance(9) ? VERDICT_DELIVERED : (enum verdict)chance(6);
		a->limits.bytes = chance(3) ? 10000 : 0;
		break;
	case 6:
		fake.answers_later = (int)chance(2);
		fake.fails = chance(5) == 0;
		fake.now += chance(3000);
		if (chance(1000) == 0)
			fake.now += WAITING_FORGET_MS;
		answer_all();
		break;
	default:
		waiting_tick(w, fake.now);
	}
	if (strlen(fake.released) > sizeof fake.released / 2)
		fake.released[0] = '\0';
}

/* The sums are those of what is there. */
static void
check_sums(void)
{
	struct waiting_mailbox m = {.name = ""};
	struct waiting_totals t;
	uint64_t count = 0, bytes = 0, mailboxes = 0;

	for (; waiting_next(w, &m); mailboxes++) {
		count += m.messages;
		bytes += m.bytes;
		ck_assert_uint_eq(waiting_bytes(w, m.name), m.bytes);
	}
	waiting_totals(w, &t);
	ck_assert_uint_eq(t.messages, count);
	ck_assert_uint_eq(t.bytes, bytes);
	ck_assert_uint_eq(t.mailboxes, mailboxes);
}

START_TEST(whatever_happens_the_sums_are_right)
{
	for (int i = 0; i < 200000; i++) {
		do_anything();
		if (i % 100 == 0)
			check_sums();
	}
	ck_assert_uint_gt(fake.releases, 100);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		of_twenty_the_seven_oldest_that_fit_are_released,
		one_that_is_too_large_lets_smaller_ones_pass,
		a_limit_of_messages_counts_too,
		without_a_limit_all_are_released,
		who_frees_room_is_served_at_once_where_quotad_is_told,
		a_message_is_released_once_a_minute_at_most,
		a_message_for_two_mailboxes_too,
		a_promise_that_nobody_uses_gives_the_room_to_the_next,
		where_one_did_not_come_no_room_is_kept_for_the_next,
		where_one_comes_again_room_is_kept_again,
		for_what_can_t_be_released_no_room_is_kept,
		what_can_t_be_released_is_tried_three_times,
		an_id_that_postfix_does_not_have_is_not_released,
		forged_ids_of_a_user_are_not_believed,
		a_trusted_asker_s_first_id_is_the_one_in_the_queue,
		odd_lists_of_ids_do_no_harm,
		what_was_refused_at_delivery_counts_and_nothing_else,
		its_own_promise_is_in_nobody_s_way,
		a_size_that_the_delivery_does_not_know_is_what_was_said_before,
		who_waits_is_listed,
		a_mailbox_has_a_bound_and_the_oldest_goes,
		all_have_a_bound_and_the_oldest_goes,
		what_was_not_heard_of_for_long_is_forgotten,
		a_mailbox_that_is_gone_is_forgotten,
		errors_and_suspension_change_nothing,
		what_became_too_large_is_given_up,
		without_anybody_to_release_it_nothing_is_looked_at,
		one_with_many_messages_does_not_keep_others_waiting,
		few_are_looked_at_at_once_and_all_in_turn,
		there_is_a_bound_on_looks_in_a_second,
		what_takes_long_to_look_at_is_looked_at_less_often,
		a_message_that_goes_while_it_is_asked_about_is_not_released,
		whatever_happens_the_sums_are_right,
	};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown, .timeout = 60);
}
