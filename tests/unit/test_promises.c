/*
 * Promises: room for messages that were accepted. The ledger with a fake clock, store and
 * scanner; then with quotad's own store, whose daemon is killed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "ledger_fakes.h"
#include "quotad/daemon/keeping.h"
#include "quotad/daemon/server.h"
#include "quotad/ledger/ledger.h"
#include "suite.h"

#define HEADERS     4096 /* quotad(8) */
#define OF_ACCOUNT  1000
#define OF_ALL      100000
#define MINUTES(n)  ((uint64_t)(n)*60 * 1000)
#define ALICE       1 /* recipients */
#define POSTMASTER  2
#define CONNECTIONS 8

static struct fake {
	struct ledger *ledger;
	struct account *account;
	struct account *counted, *probed; /* under way */
	uint64_t now;
	struct ledger_answer last;
	uint64_t last_ticket;
	char text[200];
	int answers, counts;
	int fails; /* the store */
	int saved, removed;
	int made, used, over, lost, rooms, any_room;
	struct account *room_of;
	char id[LEDGER_ID_MAX + 1]; /* of the last event */
	uint64_t client;
	/* what is in the mailbox */
	uint64_t bytes, messages, stamp;
	struct ledger_place place; /* of the mailbox that is asked about */
	const char *gone;          /* no mailbox of that name is in the table */
} fake;

static struct ledger_connection connections[CONNECTIONS];
static struct ledger_limits limits;

/* --- the neighbours --------------------------------------------------------------- */

static void
take_answer(void *arg, void *cookie, const struct ledger_answer *answer)
{
	(void)arg;
	(void)cookie;
	fake.last = *answer;
	if (answer->ticket)
		fake.last_ticket = answer->ticket;
	snprintf(fake.text, sizeof fake.text, "%s", answer->text ? answer->text : "");
	fake.answers++;
}

static void
begin_count(void *arg, struct account *a, int thorough)
{
	(void)arg;
	(void)thorough;
	fake.counted = a;
	fake.counts++;
}

static void
begin_probe(void *arg, struct account *a)
{
	(void)arg;
	fake.probed = a;
}

static int
save_ticket(void *arg, struct account *a, const struct ledger_ticket *t)
{
	(void)arg;
	(void)a;
	(void)t;
	return fake.fails ? -1 : 0;
}

static int
look_up(void *arg, const struct account *a, struct ledger_place *place,
	struct ledger_limits *its)
{
	(void)arg;
	if (fake.gone && strcmp(fake.gone, ledger_name(a)) == 0)
		return -1;
	*place = fake.place;
	*its = limits;
	return a == fake.account ? 0 : -1;
}

static int
is_removed(void *arg, const struct account *a)
{
	(void)arg;
	return fake.gone && strcmp(fake.gone, ledger_name(a)) == 0;
}

static int
save_promise(void *arg, struct account *a, const struct ledger_kept_promise *p)
{
	(void)arg;
	(void)a;
	(void)p;
	fake.saved++;
	return fake.fails ? -1 : 0;
}

static void
remove_promise(void *arg, struct account *a, const struct ledger_promise *p)
{
	(void)arg;
	(void)a;
	(void)p;
	fake.removed++;
}

static void
note_promise(void *arg, struct account *a, const struct ledger_promise *p,
	enum ledger_promise_event event)
{
	int *const counters[] = {
		[LEDGER_PROMISE_MADE] = &fake.made,
		[LEDGER_PROMISE_USED] = &fake.used,
		[LEDGER_PROMISE_OVER] = &fake.over,
		[LEDGER_PROMISE_GONE] = &fake.lost,
	};

	(void)arg;
	(void)a;
	++*counters[event];
	snprintf(fake.id, sizeof fake.id, "%s", p->id);
	fake.client = p->client;
}

static void
note_room(void *arg, struct account *a)
{
	(void)arg;
	fake.rooms += a != NULL;
	fake.any_room += a == NULL;
	fake.room_of = a;
}

static const struct ledger_calls calls = {
	.answer = take_answer,
	.count = begin_count,
	.probe = begin_probe,
	.save_account = fake_save_account,
	.save_ticket = save_ticket,
	.remove_ticket = fake_remove_ticket,
	.corrected = fake_corrected,
	.look_up = look_up,
	.is_removed = is_removed,
	.remove_account = fake_remove_account,
	.save_promise = save_promise,
	.remove_promise = remove_promise,
	.promise = note_promise,
	.room = note_room,
};

static const struct ledger_rules rules = {300000, 7500, 80, 0};

static void
setup(void)
{
	memset(&fake, 0, sizeof fake);
	for (int i = 0; i < CONNECTIONS; i++)
		ledger_connect(&connections[i], (uint64_t)i + 1);
	limits = (struct ledger_limits){.bytes = 20000, .over_quota = 0};
	fake.now = 1000000;
	fake.stamp = 1;
	fake.ledger = ledger_new(&calls, NULL, &rules, fake.now);
	fake.account = ledger_account(fake.ledger, "alice@example.org");
}

static void
teardown(void)
{
	ledger_free(&fake.ledger);
}

/* --- doing things ----------------------------------------------------------------- */

/* All that the scanner and the connections have to say, until the question is answered.
 */
static enum verdict
ask(struct ledger_request r)
{
	int before = fake.answers;

	r.account = fake.account;
	r.limits = limits;
	r.place = fake.place;
	if (!r.connection)
		r.connection = &connections[0];
	ledger_ask(fake.ledger, &r);
	for (int i = 0; i < 20 && fake.answers == before; i++) {
		struct account *counted = fake.counted, *probed = fake.probed;
		const struct ledger_count c = {.exact = 1,
			.bytes = fake.bytes,
			.messages = fake.messages,
			.stamp = fake.stamp};

		fake.counted = fake.probed = NULL;
		if (counted)
			ledger_counted(fake.ledger, counted, &c);
		if (probed)
			ledger_probed(fake.ledger, probed, fake.stamp, 0);
		ledger_settle(fake.ledger, NULL, NULL);
	}
	ck_assert_int_eq(fake.answers, before + 1);
	return fake.last.verdict;
}

static enum verdict
promise(const char *id, uint64_t recipient, uint64_t bytes)
{
	const struct ledger_promise p = {
		.id = id, .recipient = recipient, .client = 77, .ms = MINUTES(10)};

	return ask((struct ledger_request){
		.kind = LEDGER_PROMISE, .bytes = bytes, .promise = &p});
}

static enum verdict
reserve(const char *name, const char *ids, uint64_t bytes)
{
	return ask((struct ledger_request){
		.kind = LEDGER_RESERVE, .bytes = bytes, .name = name, .ids = ids});
}

static struct ledger_numbers
numbers(void)
{
	struct ledger_numbers n;

	ledger_numbers(fake.ledger, fake.account, &n);
	return n;
}

static void
pass_time(uint64_t ms)
{
	fake.now += ms;
	ledger_tick(fake.ledger, fake.now);
}

static void
add(void *arg, const struct ledger_kept_promise *p)
{
	if (p->ticket == 0)
		*(uint64_t *)arg += p->bytes;
}

/* The sums are those of the promises that there are. */
static void
expect_promises(uint64_t number, uint64_t bytes)
{
	uint64_t sum = 0;

	ledger_show_promises(fake.account, add, &sum);
	ck_assert_uint_eq(numbers().promises, number);
	ck_assert_uint_eq(numbers().promised, bytes);
	ck_assert_uint_eq(sum, bytes);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->promises, number);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->promised_bytes, bytes);
}

#define YES  VERDICT_DELIVERED
#define SOFT VERDICT_FULL_FOR_NOW
#define EXPECT(verdict, question)                                                        \
	ck_assert_str_eq(verdict_name(question), verdict_name(verdict))

/* --- room ------------------------------------------------------------------------- */

START_TEST(a_promise_keeps_its_room_and_the_headers)
{
	EXPECT(YES, promise("A1", ALICE, 10000));
	ck_assert_int_eq(fake.last.promised, 1);
	expect_promises(1, 10000 + HEADERS);
	EXPECT(SOFT, reserve("1.other", NULL, 10000));
	EXPECT(SOFT, promise("B2", ALICE, 5905));
	EXPECT(YES, promise("B2", ALICE, 5904));
	expect_promises(2, 20000);
	ck_assert_int_eq(fake.made, 2);
	ck_assert_int_eq(fake.saved, 2);
}
END_TEST

START_TEST(the_delivery_has_the_room_of_its_promise)
{
	promise("A1", ALICE, 10000);
	EXPECT(YES, reserve("1.a", "Z9,A1", 10000 + HEADERS));
	ck_assert_int_eq(fake.last.promised, 1);
	expect_promises(0, 0);
	ck_assert_uint_eq(numbers().reserved, 10000 + HEADERS);
	ck_assert_int_eq(fake.used, 1);
	ck_assert_int_eq(fake.removed, 0);
	ck_assert_str_eq(fake.id, "A1");
	ck_assert_uint_eq(fake.client, 77);
}
END_TEST

START_TEST(who_made_a_promise_may_end_it)
{
	struct ledger_promise wanted = {.id = "A1", .recipient = ALICE};

	promise("A1", ALICE, 10000);
	promise("A1", ALICE + 1, 1000);
	ledger_end_promise(fake.ledger, fake.account, &wanted);
	ledger_end_promise(fake.ledger, fake.account, &wanted);
	expect_promises(1, 1000 + HEADERS);
	EXPECT(YES, promise("A2", ALICE, 1000));
	EXPECT(YES, reserve("1.a", "A2", 1000));
	wanted.id = "A2"; /* the ticket has its room */
	ledger_end_promise(fake.ledger, fake.account, &wanted);
	ledger_end_promise_of(fake.ledger, fake.account, "A2,B2");
	ck_assert_uint_eq(numbers().reserved, 1000);
	ck_assert_int_eq(fake.removed, 1);
	ledger_end_promise_of(fake.ledger, fake.account, "A2,A1");
	expect_promises(0, 0);
}
END_TEST

/* What the headers left of the room is everybody's again. */
START_TEST(a_smaller_message_gives_the_rest_back)
{
	promise("A1", ALICE, 10000);
	EXPECT(YES, reserve("1.a", "A1", 10000));
	EXPECT(YES, reserve("1.b", NULL, 10000));
}
END_TEST

START_TEST(a_promise_is_used_once)
{
	promise("A1", ALICE, 8000);
	EXPECT(YES, reserve("1.a", "A1", 8000));
	EXPECT(YES, reserve("1.b", "A1", 8000));
	ck_assert_int_eq(fake.last.promised, 0);
	EXPECT(SOFT, reserve("1.c", "A1", 8000));
	ck_assert_int_eq(fake.used, 1);
}
END_TEST

START_TEST(each_recipient_of_a_message_has_a_promise)
{
	promise("A1", ALICE, 5000);
	promise("A1", POSTMASTER, 5000);
	promise("B2", ALICE, 1);
	expect_promises(3, 10001 + 2 * HEADERS + 1807);
	EXPECT(YES, reserve("1.a", "A1", 5000));
	expect_promises(2, 5001 + HEADERS + 1807);
	EXPECT(YES, reserve("1.b", "A1", 5000));
	expect_promises(1, 1 + 1807);
	ck_assert_int_eq(fake.last.promised, 1);
}
END_TEST

/* Ids are whole: neither a part of one nor a longer one is the same. */
START_TEST(no_other_id_uses_a_promise)
{
	static const char *const ids[] = {"A", "A11", "a1", "B2,A", "A11,B2", ",", ""};

	promise("A1", ALICE, 10000);
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
		EXPECT(SOFT, reserve("1.b", ids[i], 6000));
	EXPECT(SOFT, reserve("1.b", NULL, 6000));
	expect_promises(1, 10000 + HEADERS);
}
END_TEST

START_TEST(the_same_question_again_is_no_second_charge)
{
	promise("A1", ALICE, 5000);
	pass_time(MINUTES(8));
	EXPECT(YES, promise("A1", ALICE, 5000));
	ck_assert_int_eq(fake.last.promised, 1);
	expect_promises(1, 5000 + HEADERS);
	pass_time(MINUTES(8));
	expect_promises(1, 5000 + HEADERS);
	EXPECT(YES, promise("A1", ALICE, 100));
	expect_promises(1, 5000 + HEADERS);
	EXPECT(YES, promise("A1", ALICE, 15000));
	expect_promises(1, 15000 + HEADERS);
	EXPECT(YES, promise("A1", ALICE, 18000));
	expect_promises(1, 20000);
	EXPECT(VERDICT_FULL, promise("A1", ALICE, 20001));
	expect_promises(1, 20000);
	ck_assert_int_eq(fake.made, 1);
}
END_TEST

START_TEST(a_larger_message_needs_the_difference)
{
	promise("A1", ALICE, 1000);
	promise("B2", ALICE, 1000);
	EXPECT(SOFT, reserve("1.a", "A1", 20000 - 1000 - HEADERS + 1));
	expect_promises(2, 2000 + 2 * HEADERS);
	EXPECT(YES, reserve("1.a", "A1", 20000 - 1000 - HEADERS));
	expect_promises(1, 1000 + HEADERS);
}
END_TEST

START_TEST(where_the_message_alone_fits_it_is_no_false_full)
{
	EXPECT(YES, promise("A1", ALICE, 20000));
	expect_promises(1, 20000);
	EXPECT(YES, reserve("1.a", "A1", 20000));
}
END_TEST

START_TEST(the_number_of_messages_is_kept_too)
{
	limits = (struct ledger_limits){.messages = 2, .over_quota = 0};
	EXPECT(YES, promise("A1", ALICE, UINT64_MAX));
	EXPECT(YES, promise("B2", ALICE, UINT64_MAX));
	EXPECT(SOFT, promise("C3", ALICE, 1));
	EXPECT(SOFT, reserve("1.c", NULL, 1));
	EXPECT(YES, reserve("1.b", "B2", 1));
	EXPECT(YES, reserve("1.a", "A1", 1));
	EXPECT(SOFT, reserve("1.c", "A1", 1));
	expect_promises(0, 0);
}
END_TEST

START_TEST(a_check_has_its_own_promise_not_in_its_way_and_leaves_it)
{
	promise("A1", ALICE, 15904);
	EXPECT(YES, ask((struct ledger_request){
			    .kind = LEDGER_CHECK, .bytes = 20000, .ids = "A1"}));
	EXPECT(SOFT, ask((struct ledger_request){.kind = LEDGER_CHECK, .bytes = 1}));
	expect_promises(1, 20000);
}
END_TEST

/* At RCPT, and where a person asks: a claimed size keeps no room. */
START_TEST(nothing_but_a_promise_promises)
{
	static const enum ledger_kind kinds[] = {
		LEDGER_CHECK, LEDGER_ANNOUNCED, LEDGER_EXPLAIN, LEDGER_GET, LEDGER_SEND};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		EXPECT(YES, ask((struct ledger_request){
				    .kind = kinds[i], .bytes = 5000, .ids = "A1"}));
	expect_promises(0, 0);
}
END_TEST

START_TEST(a_mailbox_without_limits_needs_no_promise)
{
	limits = (struct ledger_limits){.bytes = 0};
	EXPECT(YES, promise("A1", ALICE, 10000));
	ck_assert_int_eq(fake.last.promised, 0);
	expect_promises(0, 0);
	ck_assert_int_eq(fake.saved, 0);
}
END_TEST

/* --- refusals --------------------------------------------------------------------- */

/* over_quota is "bounce": what is full for good is so at once. */
START_TEST(a_refusal_for_promises_is_soft_and_starts_nothing)
{
	promise("A1", ALICE, 15000);
	EXPECT(SOFT, ask((struct ledger_request){.kind = LEDGER_CHECK, .bytes = 5000}));
	ck_assert_str_eq(
		fake.text, "the mailbox is full with messages that are on their way");
	EXPECT(SOFT, promise("B2", ALICE, 5000));
	EXPECT(SOFT, reserve("1.a", NULL, 5000));
	ck_assert_uint_eq(numbers().full_for, 0);
	EXPECT(VERDICT_FULL, promise("B2", ALICE, 20001));
	ck_assert_uint_ne(numbers().full_for, 0);
}
END_TEST

/* The number was too high: the mailbox was emptied since. */
START_TEST(a_refusal_for_promises_rests_on_a_count)
{
	fake.bytes = 9000;
	fake.messages = 1;
	promise("A1", ALICE, 5000);
	fake.bytes = fake.messages = 0;
	fake.stamp = 2;
	EXPECT(YES, reserve("1.a", NULL, 5000));
}
END_TEST

START_TEST(what_other_programs_have_filled_is_not_kept)
{
	promise("A1", ALICE, 14000);
	fake.bytes = 19000;
	fake.messages = 1;
	fake.stamp = 2;
	EXPECT(VERDICT_FULL, reserve("1.a", "A1", 17000));
	expect_promises(1, 14000 + HEADERS);
	fake.bytes = 0;
	fake.stamp = 3;
	EXPECT(YES, reserve("1.a", "A1", 17000));
}
END_TEST

/* --- bounds ----------------------------------------------------------------------- */

START_TEST(an_account_has_a_thousand_promises_and_no_more)
{
	char id[16];

	limits.bytes = 1000 * 1000 * 1000;
	for (int i = 0; i < OF_ACCOUNT; i++) {
		snprintf(id, sizeof id, "%d", i);
		EXPECT(YES, promise(id, ALICE, 1));
		ck_assert_int_eq(fake.last.promised, 1);
	}
	EXPECT(YES, promise("more", ALICE, 1));
	ck_assert_int_eq(fake.last.promised, 0);
	EXPECT(YES, promise("0", ALICE, 2));
	ck_assert_int_eq(fake.last.promised, 1);
	ck_assert_uint_eq(numbers().promises, OF_ACCOUNT);
	EXPECT(YES, reserve("1.a", "7", 1));
	EXPECT(YES, promise("more", ALICE, 1));
	ck_assert_int_eq(fake.last.promised, 1);
}
END_TEST

static void
load(const char *mailbox, int count, uint64_t until)
{
	char id[16];
	const struct ledger_kept_promise p = {
		.promise = {id, ALICE, 7, MINUTES(10)}, .bytes = 10, .until = until};

	for (int i = 0; i < count; i++) {
		snprintf(id, sizeof id, "%d", i);
		ck_assert_int_eq(ledger_load_promise(fake.ledger,
					 ledger_account(fake.ledger, mailbox), &p),
			0);
	}
}

START_TEST(all_have_a_hundred_thousand_and_no_more)
{
	char mailbox[16];

	for (int i = 0; i < OF_ALL / OF_ACCOUNT; i++) {
		snprintf(mailbox, sizeof mailbox, "user%d", i);
		load(mailbox, OF_ACCOUNT, UINT64_MAX);
	}
	EXPECT(YES, promise("A1", ALICE, 1));
	ck_assert_int_eq(fake.last.promised, 0);
	pass_time(MINUTES(10));
	EXPECT(YES, promise("A1", ALICE, 1));
	ck_assert_int_eq(fake.last.promised, 1);
	ck_assert_int_eq(fake.over, OF_ALL);
	expect_promises(1, 1 + HEADERS);
}
END_TEST

START_TEST(a_store_that_fails_promises_nothing_and_loses_nothing)
{
	promise("A1", ALICE, 1000);
	fake.fails = 1;
	EXPECT(YES, promise("B2", ALICE, 1000));
	ck_assert_int_eq(fake.last.promised, 0);
	EXPECT(YES, promise("A1", ALICE, 2000));
	ck_assert_int_eq(fake.last.promised, 1);
	EXPECT(VERDICT_TROUBLE, reserve("1.a", "A1", 1000));
	expect_promises(1, 1000 + HEADERS);
}
END_TEST

/* --- its end ---------------------------------------------------------------------- */

START_TEST(a_promise_lasts_as_long_as_was_said)
{
	promise("A1", ALICE, 10000);
	pass_time(MINUTES(10) - 1);
	expect_promises(1, 10000 + HEADERS);
	ck_assert_int_eq(fake.rooms, 1); /* by its first count */
	pass_time(100);
	expect_promises(0, 0);
	ck_assert_int_eq(fake.over, 1);
	ck_assert_int_eq(fake.rooms, 2);
	ck_assert_ptr_eq(fake.room_of, fake.account);
	EXPECT(YES, reserve("1.b", NULL, 10000));
}
END_TEST

/* The host slept, or the daemon stood still: no second is passed over. */
START_TEST(a_jump_of_the_clock_ends_what_is_over_and_no_more)
{
	const struct ledger_promise day = {
		.id = "B2", .recipient = ALICE, .ms = MINUTES(24 * 60)};

	promise("A1", ALICE, 1000);
	ask((struct ledger_request){
		.kind = LEDGER_PROMISE, .bytes = 1000, .promise = &day});
	for (int i = 0; i < 100; i++) {
		char id[16];

		pass_time(1000);
		snprintf(id, sizeof id, "%d", i);
		promise(id, ALICE, 1);
	}
	ledger_tick(fake.ledger, 1); /* never back */
	pass_time(MINUTES(11));
	ck_assert_uint_eq(numbers().promises, 1);
	pass_time(MINUTES(23 * 60));
	ck_assert_uint_eq(numbers().promises, 1);
	pass_time(MINUTES(60));
	expect_promises(0, 0);
}
END_TEST

START_TEST(no_count_ends_a_promise)
{
	promise("A1", ALICE, 10000);
	for (int i = 0; i < 3; i++)
		EXPECT(YES, ask((struct ledger_request){.kind = LEDGER_RECOUNT}));
	ck_assert_int_gt(fake.counts, 2);
	expect_promises(1, 10000 + HEADERS);
}
END_TEST

/* An lda that asks again on a later connection has its ticket already. */
START_TEST(a_ticket_that_is_taken_over_uses_no_second_promise)
{
	promise("A1", ALICE, 1000);
	promise("A1", POSTMASTER, 1000);
	EXPECT(YES, reserve("1.a", "A1", 1000));
	EXPECT(YES, ask((struct ledger_request){.kind = LEDGER_RESERVE,
			    .bytes = 1000,
			    .name = "1.a",
			    .ids = "A1",
			    .connection = &connections[1]}));
	ck_assert_int_eq(fake.last.promised, 0);
	ck_assert_uint_eq(numbers().tickets, 1);
	expect_promises(1, 1000 + HEADERS);
}
END_TEST

/* --- deliveries that fail --------------------------------------------------------- */

/* The MTA tries again, and what was said at SMTP time still holds. */
static void
expect_it_is_there_again(void)
{
	struct account *a;

	expect_promises(1, 12000);
	EXPECT(SOFT, reserve("1.other", NULL, 12000));
	EXPECT(YES, reserve("1.again", "A1", 12000));
	ck_assert_int_eq(fake.last.promised, 1);
	ck_assert_int_eq(
		ledger_commit(fake.ledger, &connections[0], fake.last.ticket, &a), 0);
	expect_promises(0, 0);
	ck_assert_uint_eq(numbers().used, 12000);
}

START_TEST(a_cancelled_delivery_gives_the_promise_back)
{
	promise("A1", ALICE, 10000);
	EXPECT(YES, reserve("1.a", "A1", 12000));
	expect_promises(0, 0);
	EXPECT(SOFT, promise("A1", ALICE, 10000)); /* no second one meanwhile */
	ck_assert_int_eq(
		ledger_cancel(fake.ledger, &connections[0], fake.last_ticket), 0);
	expect_it_is_there_again();
}
END_TEST

START_TEST(a_delivery_that_was_killed_gives_it_back_when_nothing_is_there)
{
	promise("A1", ALICE, 10000);
	reserve("1.a", "A1", 12000);
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ledger_connect(&connections[0], 100);
	pass_time(MINUTES(1));
	for (int i = 0; i < 10 && numbers().tickets > 0; i++) {
		ask((struct ledger_request){.kind = LEDGER_RECOUNT});
		pass_time(1000);
	}
	expect_it_is_there_again();
}
END_TEST

/* Its lda may be alive, and have the room: the message is not full, but tried again. */
START_TEST(a_delivery_that_was_cut_off_is_waited_for)
{
	promise("A1", ALICE, 10000);
	promise("B2", ALICE, 5000);
	reserve("1.a", "A1", 10000);
	ledger_disconnected(fake.ledger, &connections[0], 0);
	ledger_connect(&connections[0], 100);
	EXPECT(VERDICT_TROUBLE, reserve("1.b", "A1", 10000));
	EXPECT(SOFT, reserve("1.c", "Z9", 10000));
	EXPECT(YES, reserve("1.d", "B2", 5000));
}
END_TEST

START_TEST(what_is_over_is_not_given_back)
{
	promise("A1", ALICE, 10000);
	reserve("1.a", "A1", 12000);
	pass_time(MINUTES(10));
	ledger_cancel(fake.ledger, &connections[0], fake.last_ticket);
	expect_promises(0, 0);
	ck_assert_int_eq(fake.removed, 1);
}
END_TEST

/* --- whose it is ------------------------------------------------------------------ */

START_TEST(forged_ids_use_promises_of_the_own_mailbox_alone)
{
	struct account *alice = fake.account;

	promise("A1", ALICE, 10000);
	fake.account = ledger_account(fake.ledger, "mallory@example.org");
	EXPECT(YES, reserve("1.m", "A1", 1000));
	ck_assert_int_eq(fake.last.promised, 0);
	fake.account = alice;
	expect_promises(1, 10000 + HEADERS);
}
END_TEST

START_TEST(a_promise_stays_with_its_mailbox_that_moves)
{
	fake.place = (struct ledger_place){.path = 11, .owner = 1};
	promise("A1", ALICE, 10000);
	fake.place.path = 12;
	ledger_table_changed(fake.ledger);
	EXPECT(SOFT, reserve("1.b", NULL, 6000));
	EXPECT(YES, reserve("1.a", "A1", 10000));
	ck_assert_int_eq(fake.last.promised, 1);
	ck_assert_int_eq(fake.any_room, 1);
}
END_TEST

/* The limit was lowered: what no longer fits is refused as ever, and nothing wraps. */
START_TEST(a_lower_limit_holds_for_promises_too)
{
	promise("A1", ALICE, 10000);
	promise("B2", ALICE, 1);
	limits.bytes = 9000;
	EXPECT(VERDICT_FULL, reserve("1.a", "A1", 10000));
	EXPECT(SOFT, promise("A1", ALICE, 9000));
	EXPECT(YES, reserve("1.b", "A1", 1000));
	expect_promises(1, 1 + HEADERS);
}
END_TEST

START_TEST(a_mailbox_that_is_removed_has_no_promises)
{
	promise("A1", ALICE, 10000);
	promise("B2", ALICE, 1000);
	ledger_forget(fake.ledger, &connections[0]);
	fake.gone = "alice@example.org";
	ledger_table_changed(fake.ledger);
	for (int i = 0; i < 100; i++)
		pass_time(100);
	ck_assert_ptr_null(ledger_find(fake.ledger, "alice@example.org"));
	ck_assert_int_eq(fake.lost, 2);
	ck_assert_int_eq(fake.over, 0);
	ck_assert_int_eq(fake.removed, 2);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->promises, 0);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->promised_bytes, 0);
}
END_TEST

/* --- the start -------------------------------------------------------------------- */

START_TEST(a_start_neither_shortens_nor_prolongs_a_promise)
{
	static const struct {
		uint64_t until, ms; /* left of it */
	} cases[] = {{1000000 + 5000, 5000}, {1000000 + MINUTES(11), MINUTES(10)},
		{UINT64_MAX, MINUTES(10)}, {17, 0}, {0, 0}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		teardown();
		setup();
		load("alice@example.org", 1, cases[i].until);
		expect_promises(1, 10);
		if (cases[i].ms > 0) {
			pass_time(cases[i].ms - 1);
			expect_promises(1, 10);
		}
		pass_time(100);
		expect_promises(0, 0);
	}
}
END_TEST

START_TEST(a_promise_that_was_loaded_is_kept_and_used)
{
	load("alice@example.org", 2, UINT64_MAX);
	load("alice@example.org", 2, UINT64_MAX); /* of those ids and recipients */
	expect_promises(2, 20);
	ck_assert_int_eq(fake.made, 2);
	ck_assert_uint_eq(fake.client, 7);
	EXPECT(YES, reserve("1.a", "0", 10));
	ck_assert_int_eq(fake.last.promised, 1);
	expect_promises(1, 10);
}
END_TEST

/* --- all at once ------------------------------------------------------------------ */

static unsigned long long seed = 1;

static unsigned
roll(unsigned n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % n;
}

static uint64_t open_tickets[CONNECTIONS], bytes_of[CONNECTIONS];

static void
end_ticket(int i)
{
	struct account *a;

	if (open_tickets[i] == 0)
		return;
	if (roll(2)) {
		ck_assert_int_eq(
			ledger_commit(fake.ledger, &connections[i], open_tickets[i], &a),
			0);
		fake.bytes += bytes_of[i];
		fake.messages++;
		fake.stamp++;
	} else {
		ck_assert_int_eq(
			ledger_cancel(fake.ledger, &connections[i], open_tickets[i]), 0);
	}
	open_tickets[i] = 0;
}

static void
begin_ticket(int i, const char *id)
{
	static int number;
	char name[16];

	end_ticket(i);
	snprintf(name, sizeof name, "%d.x", number++);
	bytes_of[i] = 1 + roll(6000);
	if (ask((struct ledger_request){.kind = LEDGER_RESERVE,
		    .bytes = bytes_of[i],
		    .name = name,
		    .ids = roll(4) ? id : NULL,
		    .connection = &connections[i]}) == YES)
		open_tickets[i] = fake.last.ticket;
}

/* One step of many: what is charged is never more than the limit, and the sums are right.
 */
static void
do_anything(void)
{
	int i = (int)roll(CONNECTIONS);
	char id[16];
	uint64_t sum = 0;

	snprintf(id, sizeof id, "%u", roll(20));
	switch (roll(8)) {
	case 0:
	case 1:
		promise(id, roll(2), 1 + roll(6000));
		break;
	case 2:
	case 3:
		begin_ticket(i, id);
		break;
	case 4:
		end_ticket(i);
		break;
	case 5:
		pass_time(roll(90000));
		break;
	case 6:
		fake.bytes -= fake.bytes ? roll((unsigned)fake.bytes + 1) : 0;
		fake.stamp++;
		break;
	default:
		fake.fails = roll(10) == 0;
	}
	ledger_show_promises(fake.account, add, &sum);
	ck_assert_uint_eq(numbers().promised, sum);
	ck_assert_uint_le(
		numbers().used + numbers().reserved + numbers().promised, limits.bytes);
	ck_assert_uint_le(fake.bytes, numbers().used);
}

START_TEST(whatever_happens_no_more_is_promised_than_there_is)
{
	for (int i = 0; i < 20000; i++)
		do_anything();
	pass_time(MINUTES(11));
	expect_promises(0, 0);
	ck_assert_int_eq(fake.made, fake.used + fake.over);
	ck_assert_int_gt(fake.used, 100);
	ck_assert_int_gt(fake.over, 100);
}
END_TEST

/* --- quotad's store --------------------------------------------------------------- */

static struct server server;
static char root[] = "/tmp/promises.XXXXXX", run_dir[80];

static const struct ledger_calls kept_calls = {
	.answer = take_answer,
	.count = begin_count,
	.probe = begin_probe,
	.save_account = keeping_save_account,
	.save_ticket = keeping_save_ticket,
	.remove_ticket = keeping_remove_ticket,
	.corrected = fake_corrected,
	.look_up = look_up,
	.is_removed = is_removed,
	.remove_account = keeping_remove_account,
	.save_promise = keeping_save_promise,
	.remove_promise = keeping_remove_promise,
};

static void
open_store(void)
{
	struct reason why = {""};

	for (int i = 0; i < CONNECTIONS; i++)
		ledger_connect(&connections[i], (uint64_t)i + 1);
	memset(&server, 0, sizeof server);
	fake = (struct fake){.stamp = 1};
	limits = (struct ledger_limits){.bytes = 50000, .over_quota = 0};
	server.conf.usage_dir = root;
	server.conf.deadline = 300;
	fake.ledger = server.ledger =
		ledger_new(&kept_calls, &server, &rules, clock_now_ms());
	ck_assert_msg(keeping_open(&server, run_dir, &why) == 0, "%s", why.text);
	fake.account = ledger_account(fake.ledger, "alice@example.org");
}

static void
make_directories(void)
{
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(run_dir, sizeof run_dir, "%s/run", root);
	ck_assert_int_eq(mkdir(run_dir, 0700), 0);
}

static void
remove_directories(void)
{
	usage_close(&server.usage);
	ledger_free(&server.ledger);
	remove_tree(root);
}

/* A quotad that promises, uses one, lets one be renewed, and is killed. */
static void
promise_and_die(void)
{
	open_store();
	promise("A1", ALICE, 1000);
	promise("A1", POSTMASTER, 1000);
	promise("B2", ALICE, 2000);
	promise("C3", ALICE, 500);
	promise("C3", ALICE, 700);
	reserve("1.b", "B2", 2000);
	if (usage_commit(server.usage) == 0)
		kill(getpid(), SIGKILL);
	_exit(1);
}

static void
close_store(void)
{
	usage_close(&server.usage);
	ledger_free(&server.ledger);
}

START_TEST(a_daemon_that_is_killed_loses_no_promise)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		promise_and_die();
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	open_store();
	expect_promises(3, 1000 + 1000 + 700 + 3 * HEADERS);
	ck_assert_uint_eq(numbers().reserved, 2000);
	EXPECT(YES, reserve("1.a", "A1", 1000));
	ck_assert_int_eq(fake.last.promised, 1);
	EXPECT(YES, reserve("1.c", "C3", 700));
	close_store();
	open_store();
	expect_promises(1, 1000 + HEADERS);
	EXPECT(YES, reserve("1.d", "A1", 1000));
	ck_assert_int_eq(fake.last.promised, 1);
	close_store();
	open_store();
	expect_promises(0, 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_promise_keeps_its_room_and_the_headers,
		the_delivery_has_the_room_of_its_promise,
		a_smaller_message_gives_the_rest_back, a_promise_is_used_once,
		who_made_a_promise_may_end_it, each_recipient_of_a_message_has_a_promise,
		no_other_id_uses_a_promise, the_same_question_again_is_no_second_charge,
		a_larger_message_needs_the_difference,
		where_the_message_alone_fits_it_is_no_false_full,
		the_number_of_messages_is_kept_too,
		a_check_has_its_own_promise_not_in_its_way_and_leaves_it,
		nothing_but_a_promise_promises, a_mailbox_without_limits_needs_no_promise,
		a_refusal_for_promises_is_soft_and_starts_nothing,
		a_refusal_for_promises_rests_on_a_count,
		what_other_programs_have_filled_is_not_kept,
		an_account_has_a_thousand_promises_and_no_more,
		all_have_a_hundred_thousand_and_no_more,
		a_store_that_fails_promises_nothing_and_loses_nothing,
		a_promise_lasts_as_long_as_was_said,
		a_jump_of_the_clock_ends_what_is_over_and_no_more,
		no_count_ends_a_promise,
		a_ticket_that_is_taken_over_uses_no_second_promise,
		a_cancelled_delivery_gives_the_promise_back,
		a_delivery_that_was_killed_gives_it_back_when_nothing_is_there,
		a_delivery_that_was_cut_off_is_waited_for, what_is_over_is_not_given_back,
		forged_ids_use_promises_of_the_own_mailbox_alone,
		a_promise_stays_with_its_mailbox_that_moves,
		a_lower_limit_holds_for_promises_too,
		a_mailbox_that_is_removed_has_no_promises,
		a_start_neither_shortens_nor_prolongs_a_promise,
		a_promise_that_was_loaded_is_kept_and_used,
		whatever_happens_no_more_is_promised_than_there_is};
	const TTest *const kept[] = {a_daemon_that_is_killed_loses_no_promise};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown, .timeout = 120);
	ADD_CASE(suite, kept, .setup = make_directories, .teardown = remove_directories,
		.timeout = 120);
}
