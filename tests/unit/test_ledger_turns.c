/* Many mailboxes with orphans: they take turns at being counted; one that can't be
 * counted holds nobody up, and its orphans are bounded. */
#include <stdio.h>
#include <string.h>

#include "ledger_fakes.h"
#include "quotad/ledger/ledger.h"
#include "suite.h"

enum { ACCOUNTS = 300, MINUTE = 60000, ORPHANS_MAX = 1000, AT_ONCE = 8 };

/* Account 0 is the victim's. */
static struct fake {
	struct ledger *ledger;
	struct account *accounts[ACCOUNTS];
	enum { COUNTABLE, UNCOUNTABLE, INEXACT, HANGING } kinds[ACCOUNTS];
	struct account *begun[ACCOUNTS]; /* counts under way */
	int begun_count, counts[ACCOUNTS];
	uint64_t now, next_number;
	int answers;
	struct ledger_answer last;
} fake;

static int
index_of(const struct account *a)
{
	int i = 0;

	while (fake.accounts[i] != a)
		i++;
	return i;
}

static void
take_answer(void *arg, void *cookie, const struct ledger_answer *answer)
{
	(void)arg;
	(void)cookie;
	fake.last = *answer;
	fake.answers++;
}

static void
begin_count(void *arg, struct account *a, int thorough)
{
	(void)arg;
	(void)thorough;
	fake.begun[fake.begun_count++] = a;
	fake.counts[index_of(a)]++;
}

static void
begin_probe(void *arg, struct account *a)
{
	(void)arg;
	(void)a;
}

static const struct ledger_calls calls = {
	.answer = take_answer,
	.count = begin_count,
	.probe = begin_probe,
	.save_account = fake_save_account,
	.save_ticket = fake_save_ticket,
	.remove_ticket = fake_remove_ticket,
	.corrected = fake_corrected,
	.look_up = fake_look_up,
	.is_removed = fake_is_removed,
};

static void
setup(void)
{
	static const struct ledger_rules rules = {300000, 7500, 80, 0};
	char name[16];

	memset(&fake, 0, sizeof fake);
	fake.now = 1000000;
	fake.ledger = ledger_new(&calls, NULL, &rules, fake.now);
	for (int i = 0; i < ACCOUNTS; i++) {
		snprintf(name, sizeof name, "u%d", i);
		fake.accounts[i] = ledger_account(fake.ledger, name);
	}
}

static void
teardown(void)
{
	ledger_free(&fake.ledger);
}

/* --- doing things --- */

/* Ends the counts that are under way, as their mailboxes are. */
static void
end_counts(void)
{
	struct account *begun[ACCOUNTS];
	int n = fake.begun_count;

	memcpy(begun, fake.begun, sizeof begun);
	fake.begun_count = 0;
	for (int i = 0; i < n; i++) {
		int kind = (int)fake.kinds[index_of(begun[i])];
		struct ledger_count c = {.exact = kind == COUNTABLE,
			.failed = kind == UNCOUNTABLE,
			.text = "more than 10000 folders"};

		if (kind == HANGING)
			fake.begun[fake.begun_count++] = begun[i];
		else
			ledger_counted(fake.ledger, begun[i], &c);
	}
}

static void
pass_time(uint64_t ms)
{
	for (uint64_t end = fake.now + ms; fake.now < end;) {
		fake.now += 100;
		ledger_tick(fake.ledger, fake.now);
		end_counts();
	}
}

/* What a delivery gets that goes away then. */
static enum verdict
cut_off(int account, const char *name)
{
	struct ledger_connection c;
	struct ledger_request r = {.kind = LEDGER_RESERVE,
		.account = fake.accounts[account],
		.connection = &c,
		.bytes = 1,
		.name = name};
	int before = fake.answers;

	ledger_connect(&c, ++fake.next_number);
	ledger_ask(fake.ledger, &r);
	if (fake.answers == before)
		end_counts();
	ck_assert_int_eq(fake.answers, before + 1);
	ledger_forget(fake.ledger, &c);
	ledger_disconnected(fake.ledger, &c, 1);
	return fake.last.verdict;
}

static void
make_orphans(int account, int n)
{
	char name[16];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "m%d", i);
		ck_assert_int_eq(cut_off(account, name), VERDICT_DELIVERED);
	}
}

static uint64_t
orphans(int account)
{
	struct ledger_numbers n;

	ledger_numbers(fake.ledger, fake.accounts[account], &n);
	return n.orphans;
}

/* --- turns --- */

START_TEST(orphans_that_cannot_be_counted_hold_up_nobody_s)
{
	for (int i = 1; i < ACCOUNTS; i++) {
		fake.kinds[i] = i % 2 ? UNCOUNTABLE : INEXACT;
		make_orphans(i, 3);
	}
	pass_time(MINUTE);
	make_orphans(0, 200);
	pass_time(1000);
	ck_assert_uint_eq(orphans(0), 0);
	ck_assert_int_eq(fake.counts[0], 1);
	ck_assert_uint_eq(orphans(1), 3);
}
END_TEST

START_TEST(an_account_has_one_turn_however_many_orphans_it_has)
{
	make_orphans(1, 200);
	for (int i = 2; i < AT_ONCE; i++)
		make_orphans(i, 1);
	make_orphans(0, 1);
	fake.now += 100;
	ledger_tick(fake.ledger, fake.now);
	ck_assert_int_eq(fake.begun_count, AT_ONCE);
	ck_assert_int_eq(fake.counts[0], 1);
}
END_TEST

START_TEST(so_many_counts_of_orphans_run_at_once)
{
	for (int i = 0; i < ACCOUNTS; i++)
		make_orphans(i, 1);
	for (int ticks = 0; ticks < 20; ticks++) {
		fake.now += 100;
		ledger_tick(fake.ledger, fake.now);
		ck_assert_int_eq(fake.begun_count, AT_ONCE);
	}
}
END_TEST

/* Each of them may hold its place for minutes before it has failed. */
START_TEST(counts_that_fail_late_leave_half_of_the_places_to_others)
{
	for (int i = 1; i <= 20; i++) {
		fake.kinds[i] = UNCOUNTABLE;
		make_orphans(i, 1);
	}
	pass_time(MINUTE);
	for (int i = 1; i <= 20; i++)
		fake.kinds[i] = HANGING;
	pass_time(15 * MINUTE);
	ck_assert_int_eq(fake.begun_count, AT_ONCE / 2);
	make_orphans(0, 1);
	pass_time(1000);
	ck_assert_uint_eq(orphans(0), 0);
}
END_TEST

START_TEST(a_count_that_fails_is_repeated_ever_more_seldom_but_for_ever)
{
	int hour, day;

	fake.kinds[1] = UNCOUNTABLE;
	make_orphans(1, 1);
	pass_time(60 * MINUTE);
	hour = fake.counts[1];
	ck_assert_int_ge(hour, 4);
	ck_assert_int_le(hour, 10);
	pass_time((uint64_t)23 * 60 * MINUTE);
	day = fake.counts[1];
	ck_assert_int_ge(day, 23 * 4);
	ck_assert_int_le(day, 24 * 4 + 10);
	fake.kinds[1] = COUNTABLE;
	pass_time(15 * MINUTE + 100);
	ck_assert_uint_eq(orphans(1), 0);
	make_orphans(1, 1);
	pass_time(11000);
	ck_assert_uint_eq(orphans(1), 0);
}
END_TEST

START_TEST(an_account_whose_orphans_are_gone_has_no_turn)
{
	struct ledger_connection c;
	struct ledger_request r = {.kind = LEDGER_RESERVE,
		.account = fake.accounts[0],
		.connection = &c,
		.bytes = 1,
		.name = "m0"};
	struct account *a;

	make_orphans(0, 1);
	ledger_connect(&c, ++fake.next_number);
	ledger_ask(fake.ledger, &r); /* takes it over */
	ck_assert_int_eq(fake.last.verdict, VERDICT_DELIVERED);
	pass_time(MINUTE);
	ck_assert_int_eq(fake.counts[0], 0);
	ck_assert_int_eq(ledger_commit(fake.ledger, &c, fake.last.ticket, &a), 0);
	pass_time(MINUTE);
	ck_assert_int_eq(fake.counts[0], 0);
}
END_TEST

/* --- bounds --- */

START_TEST(an_account_has_so_many_orphans_and_no_more)
{
	fake.kinds[0] = UNCOUNTABLE;
	make_orphans(0, ORPHANS_MAX);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(cut_off(0, "one more"), VERDICT_TROUBLE);
	ck_assert_int_eq(fake.counts[0], 1);
	ck_assert_uint_eq(orphans(0), ORPHANS_MAX);
	ck_assert_int_eq(cut_off(0, "m7"), VERDICT_DELIVERED); /* it has that one */
	ck_assert_uint_eq(orphans(0), ORPHANS_MAX);
	fake.kinds[0] = COUNTABLE;
	fake.now += 10000;
	ledger_clock(fake.ledger, fake.now);
	ck_assert_int_eq(cut_off(0, "one more"), VERDICT_DELIVERED);
	ck_assert_uint_eq(orphans(0), 1);
}
END_TEST

START_TEST(a_delivery_waits_for_the_count_that_ends_too_many_orphans)
{
	static const char *const names[] = {"", "one more", "another", "a third"};

	for (int round = 1; round <= 3; round++) {
		make_orphans(0, ORPHANS_MAX - (round > 1));
		ck_assert_int_eq(cut_off(0, names[round]), VERDICT_DELIVERED);
		ck_assert_int_eq(fake.counts[0], round);
		ck_assert_uint_eq(orphans(0), 1);
	}
}
END_TEST

START_TEST(who_asks_may_have_a_lower_limit)
{
	struct ledger_connection c;
	struct ledger_request r = {.kind = LEDGER_RESERVE,
		.account = fake.accounts[0],
		.connection = &c,
		.limits = {.orphans = 5},
		.bytes = 1,
		.name = "one more"};

	fake.kinds[0] = UNCOUNTABLE;
	make_orphans(0, 4);
	ledger_connect(&c, ++fake.next_number);
	ledger_ask(fake.ledger, &r);
	ck_assert_int_eq(fake.last.verdict, VERDICT_DELIVERED);
	ledger_disconnected(fake.ledger, &c, 1);
	ledger_connect(&c, ++fake.next_number);
	r.name = "and one more";
	ledger_ask(fake.ledger, &r);
	end_counts();
	ck_assert_int_eq(fake.last.verdict, VERDICT_TROUBLE);
	ck_assert_uint_eq(orphans(0), 5);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {orphans_that_cannot_be_counted_hold_up_nobody_s,
		an_account_has_one_turn_however_many_orphans_it_has,
		so_many_counts_of_orphans_run_at_once,
		counts_that_fail_late_leave_half_of_the_places_to_others,
		a_count_that_fails_is_repeated_ever_more_seldom_but_for_ever,
		an_account_whose_orphans_are_gone_has_no_turn,
		an_account_has_so_many_orphans_and_no_more,
		a_delivery_waits_for_the_count_that_ends_too_many_orphans,
		who_asks_may_have_a_lower_limit};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
