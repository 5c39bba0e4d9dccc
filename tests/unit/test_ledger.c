/* The ledger with a fake clock, store, scanner and sessions: each rule alone. All of them
 * at once are in test_ledger_storm.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf.h"
#include "ledger_fakes.h"
#include "quotad/ledger/ledger.h"
#include "suite.h"

#define DEADLINE_MS 300000
#define ANSWER_MS   7500
#define NAMES_KEPT  4000 /* quotad(8) */

static struct fake {
	struct ledger *ledger;
	struct account *account;
	uint64_t now;
	struct ledger_answer last;
	char text[200];
	int answers, counts, probes, saves, tickets_saved, tickets_removed, corrected;
	int counting, probing, thorough, save_fails;
	uint64_t charged;              /* in all, when the last ticket was removed */
	uint64_t sure, by_name, wrong; /* in the counts that end */
} fake;

static struct ledger_connection connections[16];
static struct ledger_limits limits = {.bytes = 1000, .over_quota = 3 * 86400};

static void
take_answer(void *arg, void *cookie, const struct ledger_answer *answer)
{
	(void)arg;
	(void)cookie;
	fake.last = *answer;
	snprintf(fake.text, sizeof fake.text, "%s", answer->text ? answer->text : "");
	fake.answers++;
}

static void
begin_count(void *arg, struct account *a, int thorough)
{
	(void)arg;
	(void)a;
	ck_assert_msg(!fake.counting, "two counts of one mailbox at a time");
	fake.counting = 1;
	fake.thorough = thorough;
	fake.counts++;
}

static void
begin_probe(void *arg, struct account *a)
{
	(void)arg;
	(void)a;
	fake.probing = 1;
	fake.probes++;
}

static int
save_account(void *arg, struct account *a)
{
	(void)arg;
	(void)a;
	fake.saves++;
	return fake.save_fails ? -1 : 0;
}

static int
save_ticket(void *arg, struct account *a, const struct ledger_ticket *t)
{
	(void)arg;
	(void)a;
	(void)t;
	fake.tickets_saved++;
	return fake.save_fails ? -1 : 0;
}

static void
remove_ticket(void *arg, struct account *a, const char *name)
{
	struct ledger_numbers n;

	(void)arg;
	(void)name;
	ledger_numbers(fake.ledger, a, &n);
	fake.charged = n.used + n.reserved;
	fake.tickets_removed++;
}

static void
corrected(void *arg, struct account *a, uint64_t was, uint64_t now)
{
	(void)arg;
	(void)a;
	ck_assert_uint_ne(was, now);
	fake.corrected++;
}

static const struct ledger_calls calls = {
	.answer = take_answer,
	.count = begin_count,
	.probe = begin_probe,
	.save_account = save_account,
	.save_ticket = save_ticket,
	.remove_ticket = remove_ticket,
	.corrected = corrected,
	.look_up = fake_look_up,
	.is_removed = fake_is_removed,
};

static const struct ledger_rules rules = {DEADLINE_MS, ANSWER_MS, 80, 0};

static void
setup(void)
{
	memset(&fake, 0, sizeof fake);
	for (int i = 0; i < 16; i++)
		ledger_connect(&connections[i], (uint64_t)i + 1);
	limits = (struct ledger_limits){.bytes = 1000, .over_quota = 3 * 86400};
	fake.now = 1000000;
	fake.ledger = ledger_new(&calls, NULL, &rules, fake.now);
	fake.account = ledger_account(fake.ledger, "alice@example.org");
}

static void
teardown(void)
{
	ledger_free(&fake.ledger);
}

/* --- doing things --- */

static void
ask(enum ledger_kind kind, int connection, uint64_t bytes, const char *name)
{
	struct ledger_request r = {kind, fake.account, &connections[connection], limits,
		bytes, name, {0, 0}, 0, 0, 0, NULL, NULL, NULL};

	ledger_ask(fake.ledger, &r);
}

static void
count_seeing(int exact, uint64_t bytes, uint64_t messages, uint64_t stamp,
	const char *const *seen, size_t n)
{
	struct ledger_count c = {.exact = exact,
		.bytes = bytes,
		.messages = messages,
		.stamp = stamp,
		.seen = seen,
		.seen_count = n,
		.sure_bytes = fake.sure,
		.by_name = fake.by_name,
		.wrong = fake.wrong};

	ck_assert_msg(fake.counting, "no count was wanted");
	fake.counting = 0;
	ledger_counted(fake.ledger, fake.account, &c);
}

static void
count_ends(int exact, uint64_t bytes, uint64_t messages, uint64_t stamp)
{
	count_seeing(exact, bytes, messages, stamp, NULL, 0);
}

static void
probe_ends(uint64_t stamp)
{
	ck_assert_msg(fake.probing, "no probe was wanted");
	fake.probing = 0;
	ledger_probed(fake.ledger, fake.account, stamp, 0);
}

static void
settle(void)
{
	ledger_settle(fake.ledger, NULL, NULL);
}

static void
pass_time(uint64_t ms)
{
	fake.now += ms;
	ledger_tick(fake.ledger, fake.now);
}

static struct ledger_numbers
numbers(void)
{
	struct ledger_numbers n;

	ledger_numbers(fake.ledger, fake.account, &n);
	return n;
}

/* A known mailbox with so much in it, stamp 1. */
static void
know(uint64_t used)
{
	ask(LEDGER_GET, 15, 0, NULL);
	count_ends(1, used, used ? 1 : 0, 1);
	ck_assert_int_eq(fake.answers, 1);
	fake.answers = fake.counts = fake.probes = 0;
}

static uint64_t
reserve(int connection, uint64_t bytes, const char *name)
{
	int before = fake.answers;

	ask(LEDGER_RESERVE, connection, bytes, name);
	ck_assert_int_eq(fake.answers, before + 1);
	ck_assert_int_eq(fake.last.verdict, VERDICT_DELIVERED);
	return fake.last.ticket;
}

/* What a RESERVE ends in for which a probe says "unmoved" and all input is read. */
static enum verdict
refusal(int connection, uint64_t bytes)
{
	int before = fake.answers;

	ask(LEDGER_RESERVE, connection, bytes, "refused");
	for (int i = 0; i < 10 && fake.answers == before; i++) {
		if (fake.counting)
			count_ends(1, numbers().used, 1, 1);
		if (fake.probing)
			probe_ends(1);
		settle();
	}
	ck_assert_int_eq(fake.answers, before + 1);
	return fake.last.verdict;
}

static void
expect(enum verdict v)
{
	ck_assert_int_eq(fake.answers, 1);
	ck_assert_str_eq(verdict_name(fake.last.verdict), verdict_name(v));
	fake.answers = 0;
}

/* --- the rules --- */

START_TEST(a_number_without_a_count_is_not_used)
{
	ask(LEDGER_RESERVE, 0, 1, "a");
	ck_assert_int_eq(fake.answers, 0);
	count_ends(1, 0, 0, 1);
	expect(VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_mailbox_without_a_limit_waits_for_nothing)
{
	limits.bytes = 0;
	reserve(0, 1ULL << 60, "a");
	ck_assert_uint_eq(numbers().reserved, 1ULL << 60);
}
END_TEST

START_TEST(an_unknown_mailbox_that_cannot_be_counted_exactly_gets_nothing)
{
	ask(LEDGER_RESERVE, 0, 1, "a");
	count_ends(0, 0, 0, 1);
	expect(VERDICT_TROUBLE);
}
END_TEST

START_TEST(a_ticket_is_charged_before_its_message_is_there)
{
	know(0);
	reserve(0, 600, "a");
	ck_assert_uint_eq(numbers().reserved, 600);
	ck_assert_int_eq(fake.tickets_saved, 1);
	ck_assert_int_eq(refusal(1, 500), VERDICT_FULL_FOR_NOW);
}
END_TEST

START_TEST(the_last_byte_fits_and_one_more_does_not)
{
	know(0);
	ask(LEDGER_RESERVE, 0, 1000, "a");
	probe_ends(1);
	expect(VERDICT_DELIVERED);
	ck_assert_int_eq(refusal(1, 1), VERDICT_FULL_FOR_NOW);
}
END_TEST

START_TEST(the_number_of_messages_is_a_limit_too)
{
	limits.bytes = 0;
	limits.messages = 2;
	know(10);
	ask(LEDGER_RESERVE, 0, 5, "a");
	probe_ends(1);
	expect(VERDICT_DELIVERED);
	ck_assert_int_eq(refusal(1, 5), VERDICT_FULL_FOR_NOW);
}
END_TEST

START_TEST(a_commit_makes_it_used)
{
	struct account *a;

	know(0);
	ck_assert_int_eq(
		ledger_commit(fake.ledger, &connections[0], reserve(0, 300, "a"), &a), 0);
	ck_assert_ptr_eq(a, fake.account);
	ck_assert_uint_eq(numbers().used, 300);
	ck_assert_uint_eq(numbers().reserved, 0);
	ck_assert_int_eq(fake.tickets_removed, 1);
}
END_TEST

START_TEST(a_commit_counts_once)
{
	struct account *a;
	uint64_t ticket;

	know(0);
	ticket = reserve(0, 300, "a");
	ck_assert_int_eq(ledger_commit(fake.ledger, &connections[0], ticket, &a), 0);
	ck_assert_int_eq(ledger_commit(fake.ledger, &connections[0], ticket, &a), -1);
	ck_assert_uint_eq(numbers().used, 300);
}
END_TEST

START_TEST(what_a_ticket_held_is_charged_at_every_moment)
{
	const char *seen[] = {"b"};
	struct account *a;

	know(0);
	ledger_commit(fake.ledger, &connections[0], reserve(0, 300, "a"), &a);
	ck_assert_uint_eq(fake.charged, 300);
	reserve(0, 200, "b");
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ledger_recount(fake.ledger, fake.account, 0);
	count_seeing(1, 500, 2, 2, seen, 1);
	ck_assert_uint_eq(fake.charged, 500);
}
END_TEST

START_TEST(another_connection_gets_no_hold_of_a_ticket)
{
	struct account *a;
	uint64_t ticket;

	know(0);
	ticket = reserve(0, 300, "a");
	ck_assert_int_eq(ledger_commit(fake.ledger, &connections[1], ticket, &a), -1);
	ck_assert_int_eq(ledger_cancel(fake.ledger, &connections[1], ticket), -1);
	ck_assert_uint_eq(numbers().reserved, 300);
}
END_TEST

START_TEST(cancel_gives_the_room_back)
{
	know(0);
	ck_assert_int_eq(
		ledger_cancel(fake.ledger, &connections[0], reserve(0, 300, "a")), 0);
	ck_assert_uint_eq(numbers().reserved, 0);
}
END_TEST

START_TEST(an_orphan_stays_charged_until_a_count)
{
	know(0);
	reserve(0, 300, "a");
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ck_assert_uint_eq(numbers().reserved, 300);
	ledger_recount(fake.ledger, fake.account, 0);
	count_ends(1, 0, 0, 1);
	ck_assert_uint_eq(numbers().reserved, 0);
	ck_assert_uint_eq(numbers().used, 0);
}
END_TEST

START_TEST(an_orphan_that_a_count_saw_is_in_the_total)
{
	const char *seen[] = {"a"};

	know(0);
	reserve(0, 300, "a");
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ledger_recount(fake.ledger, fake.account, 0);
	count_seeing(1, 300, 1, 2, seen, 1);
	ck_assert_uint_eq(numbers().reserved, 0);
	ck_assert_uint_eq(numbers().used, 300);
	ck_assert_int_eq(fake.corrected, 0);
}
END_TEST

START_TEST(an_orphan_is_not_ended_by_a_count_that_began_before_its_lda_ended)
{
	know(0);
	reserve(0, 300, "a");
	ledger_recount(fake.ledger, fake.account, 0);
	ledger_disconnected(fake.ledger, &connections[0], 1);
	count_ends(1, 0, 0, 1);
	ck_assert_uint_eq(numbers().reserved, 300);
}
END_TEST

START_TEST(an_orphan_whose_lda_may_live_waits_for_the_deadline)
{
	know(0);
	reserve(0, 300, "a");
	ledger_disconnected(fake.ledger, &connections[0], 0);
	ledger_recount(fake.ledger, fake.account, 0);
	count_ends(1, 0, 0, 1);
	ck_assert_uint_eq(numbers().reserved, 300);
	pass_time(DEADLINE_MS);
	count_ends(1, 0, 0, 1); /* begun by the tick */
	ck_assert_uint_eq(numbers().reserved, 0);
}
END_TEST

START_TEST(a_longer_deadline_holds_for_orphans_that_are_there)
{
	struct ledger_rules longer = {2 * DEADLINE_MS, ANSWER_MS, 80, 0};

	know(0);
	reserve(0, 300, "a");
	ledger_disconnected(fake.ledger, &connections[0], 0);
	ledger_set_rules(fake.ledger, &longer);
	pass_time(DEADLINE_MS + 1000);
	ck_assert_int_eq(fake.counting, 0);
	pass_time(DEADLINE_MS);
	ck_assert_int_eq(fake.counting, 1);
}
END_TEST

START_TEST(a_lowered_deadline_holds_for_no_lda_that_began_before)
{
	struct ledger_rules shorter = {1000, ANSWER_MS, 80, 0};

	know(0);
	reserve(0, 300, "a");
	reserve(1, 300, "b");
	ledger_disconnected(fake.ledger, &connections[0], 0);
	ledger_set_rules(fake.ledger, &shorter);
	pass_time(DEADLINE_MS / 2);
	ledger_disconnected(fake.ledger, &connections[1], 0);
	pass_time(DEADLINE_MS / 2 - 1000);
	ck_assert_int_eq(fake.counting, 0);
	pass_time(1000);
	count_ends(1, 0, 0, 1);
	ck_assert_uint_eq(numbers().reserved, 0);
	/* By then all ldas are of the new one. */
	reserve(2, 300, "c");
	ledger_disconnected(fake.ledger, &connections[2], 0);
	pass_time(1000);
	pass_time(10000);
	ck_assert_int_eq(fake.counting, 1);
}
END_TEST

START_TEST(a_deadline_lowered_before_a_restart_holds_for_no_lda_that_began_before)
{
	const struct ledger_ticket kept = {
		.name = "a", .bytes = 700, .state = LEDGER_UNSURE};
	struct ledger_rules shorter = {1000, ANSWER_MS, 80, 0};

	ledger_set_rules(fake.ledger, &shorter);
	ledger_load_ticket(fake.ledger, fake.account, &kept);
	ledger_expect_ldas(fake.ledger, 2 * DEADLINE_MS);
	know(0);
	pass_time(2 * DEADLINE_MS - 1000);
	ck_assert_int_eq(fake.counting, 0);
	pass_time(1000);
	ck_assert_int_eq(fake.counting, 1);
}
END_TEST

START_TEST(a_later_connection_takes_its_ticket_over_with_no_second_charge)
{
	struct account *a;
	uint64_t first, second;

	know(0);
	first = reserve(0, 600, "a");
	second = reserve(1, 600, "a");
	ck_assert_uint_eq(numbers().reserved, 600);
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->orphans, 0);
	ck_assert_int_eq(ledger_commit(fake.ledger, &connections[0], first, &a), -1);
	ck_assert_int_eq(ledger_commit(fake.ledger, &connections[1], second, &a), 0);
	ck_assert_uint_eq(numbers().used, 600);
}
END_TEST

START_TEST(an_earlier_connection_does_not_take_a_ticket_back)
{
	know(0);
	reserve(1, 600, "a");
	ask(LEDGER_RESERVE, 0, 600, "a");
	ck_assert_int_eq(fake.last.verdict, VERDICT_TROUBLE);
	ledger_disconnected(fake.ledger, &connections[1], 1);
	ask(LEDGER_RESERVE, 0, 600, "a");
	ck_assert_int_eq(fake.last.verdict, VERDICT_TROUBLE);
}
END_TEST

START_TEST(a_second_ticket_of_a_name_is_refused_with_the_reason)
{
	know(0);
	reserve(1, 300, "a");
	fake.answers = 0;
	for (int connection = 0; connection < 2; connection++) {
		ask(LEDGER_RESERVE, connection, 300, "a");
		expect(VERDICT_TROUBLE);
		ck_assert_str_eq(fake.text,
			"this or a later connection has a ticket of that name");
	}
	ask(LEDGER_RESERVE, 2, 301, "a");
	expect(VERDICT_TROUBLE);
	ck_assert_str_eq(fake.text, "a ticket of that name has another number of bytes");
	ck_assert_uint_eq(numbers().reserved, 300);
}
END_TEST

START_TEST(a_ticket_that_was_taken_over_is_not_ended_by_the_running_count)
{
	know(0);
	reserve(0, 600, "a");
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ledger_recount(fake.ledger, fake.account, 0);
	reserve(1, 600, "a");
	ledger_disconnected(fake.ledger, &connections[1], 1);
	count_ends(1, 0, 0, 1);
	ck_assert_uint_eq(numbers().reserved, 600);
}
END_TEST

START_TEST(what_a_count_saw_of_an_open_ticket_is_still_the_tickets)
{
	const char *seen[] = {"a"};

	know(0);
	reserve(0, 300, "a");
	ledger_recount(fake.ledger, fake.account, 0);
	count_seeing(1, 300, 1, 2, seen, 1);
	ck_assert_uint_eq(numbers().used, 0);
	ck_assert_uint_eq(numbers().reserved, 300);
}
END_TEST

/* Any program of the user's may write a file of that name, or promise room under the name
 * of a message that is there. */
START_TEST(a_file_that_is_not_what_its_ticket_promised_makes_no_room)
{
	const char *seen[] = {"a"};
	uint64_t ticket;

	know(500);
	ticket = reserve(0, 300, "a");
	ledger_recount(fake.ledger, fake.account, 0);
	count_seeing(1, 501, 2, 2, seen, 1); /* it has one byte */
	ledger_recount(fake.ledger, fake.account, 0);
	count_ends(0, 100, 1, 3);
	ck_assert_uint_ge(numbers().used + numbers().reserved, 501);
	ledger_cancel(fake.ledger, &connections[0], ticket);
	ck_assert_uint_ge(numbers().used, 501);
	ck_assert_uint_ge(numbers().messages, 2);
}
END_TEST

START_TEST(a_message_that_was_seen_and_removed_again_keeps_no_mail_out)
{
	const char *seen[] = {"a"};
	uint64_t ticket;

	know(500);
	ticket = reserve(0, 300, "a");
	ledger_recount(fake.ledger, fake.account, 0);
	count_seeing(1, 800, 2, 2, seen, 1);
	ledger_cancel(fake.ledger, &connections[0], ticket);
	fake.answers = 0;
	ask(LEDGER_RESERVE, 0, 450, "b");
	count_ends(1, 500, 1, 3);
	expect(VERDICT_DELIVERED);
}
END_TEST

START_TEST(what_an_earlier_count_saw_of_a_ticket_is_the_ticket_s_no_more)
{
	const char *seen[] = {"a"};
	uint64_t ticket;

	know(0);
	ticket = reserve(0, 300, "a");
	ledger_recount(fake.ledger, fake.account, 0);
	count_seeing(1, 300, 1, 2, seen, 1);
	ledger_recount(fake.ledger, fake.account, 0);
	count_ends(1, 0, 0, 3); /* its lda has removed it, and will cancel */
	ledger_cancel(fake.ledger, &connections[0], ticket);
	ck_assert_uint_eq(numbers().used, 0);
}
END_TEST

START_TEST(a_ticket_of_an_earlier_daemon_makes_no_room_either)
{
	const struct ledger_numbers n = {.used = 200, .known = 1, .stamp = 1};
	const struct ledger_ticket kept = {
		.name = "a", .bytes = 300, .state = LEDGER_UNSURE};

	/* 500 are there, and 300 of them were taken off for it */
	ledger_load(fake.ledger, fake.account, &n);
	ck_assert_int_eq(ledger_load_ticket(fake.ledger, fake.account, &kept), 0);
	ledger_cancel(fake.ledger, &connections[0], reserve(0, 300, "a"));
	ck_assert_uint_eq(numbers().used, 500);
}
END_TEST

START_TEST(what_was_committed_during_a_count_and_not_seen_is_added)
{
	struct account *a;
	uint64_t ticket;

	know(0);
	ticket = reserve(0, 300, "a");
	ledger_recount(fake.ledger, fake.account, 0);
	ledger_commit(fake.ledger, &connections[0], ticket, &a);
	count_ends(1, 100, 1, 2);
	ck_assert_uint_eq(numbers().used, 400);
}
END_TEST

START_TEST(what_was_committed_during_a_count_and_seen_is_not_added)
{
	const char *seen[] = {"a"};
	struct account *a;
	uint64_t ticket;

	know(0);
	ticket = reserve(0, 300, "a");
	ledger_recount(fake.ledger, fake.account, 0);
	ledger_commit(fake.ledger, &connections[0], ticket, &a);
	count_seeing(1, 400, 2, 2, seen, 1);
	ck_assert_uint_eq(numbers().used, 400);
}
END_TEST

START_TEST(an_inexact_count_only_raises)
{
	know(500);
	reserve(0, 100, "a");
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ledger_recount(fake.ledger, fake.account, 0);
	count_ends(0, 100, 1, 2);
	ck_assert_uint_eq(numbers().used, 500);
	ck_assert_uint_eq(numbers().reserved, 100);
	ledger_recount(fake.ledger, fake.account, 0);
	count_ends(0, 700, 1, 2);
	ck_assert_uint_eq(numbers().used, 700);
}
END_TEST

static char names[200];

static void
add_name(void *arg, const char *name)
{
	(void)arg;
	strcat(strcat(names, name), " ");
}

START_TEST(a_count_looks_for_tickets_begun_and_committed_meanwhile)
{
	struct account *a;
	uint64_t ticket;

	know(0);
	names[0] = '\0';
	ticket = reserve(0, 10, "before");
	ledger_recount(fake.ledger, fake.account, 0);
	reserve(0, 10, "meanwhile");
	ledger_commit(fake.ledger, &connections[0], ticket, &a);
	ledger_count_names(fake.ledger, fake.account, add_name, NULL);
	ck_assert_str_eq(names, "meanwhile before ");
	fake.counting = 1;
	count_ends(1, 0, 0, 2);
	ck_assert_uint_eq(numbers().used, 10);
}
END_TEST

/* Stores so many messages while a count runs. */
static void
commit_many(int n, uint64_t bytes)
{
	struct account *a;
	char name[16];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "m%d", i);
		ledger_commit(fake.ledger, &connections[0], reserve(0, bytes, name), &a);
	}
}

static void
add_count(void *arg, const char *name)
{
	(void)name;
	++*(int *)arg;
}

static int
names_to_look_for(void)
{
	int n = 0;

	ledger_count_names(fake.ledger, fake.account, add_count, &n);
	return n;
}

START_TEST(so_many_names_are_kept_for_a_running_count_and_no_more)
{
	limits.bytes = 0;
	know(0);
	ledger_recount(fake.ledger, fake.account, 0);
	commit_many(NAMES_KEPT, 1);
	ck_assert_int_eq(names_to_look_for(), NAMES_KEPT);
	count_ends(1, 0, 0, 2);
	ck_assert_int_eq(numbers().last.exact, 1);
	ck_assert_int_eq(names_to_look_for(), 0);
	ledger_recount(fake.ledger, fake.account, 0);
	commit_many(NAMES_KEPT + 1, 1);
	ck_assert_int_eq(names_to_look_for(), NAMES_KEPT);
	count_ends(1, 0, 0, 2);
	ck_assert_int_eq(numbers().last.exact, 0);
}
END_TEST

/* It can't tell whether the total has the message whose name was not kept. */
START_TEST(a_count_with_names_left_out_only_raises_and_ends_no_orphan)
{
	limits.bytes = 0;
	know(0);
	reserve(1, 100, "orphan");
	ledger_disconnected(fake.ledger, &connections[1], 1);
	ledger_recount(fake.ledger, fake.account, 0);
	commit_many(NAMES_KEPT + 10, 1);
	count_ends(1, 0, 0, 2); /* what was stored was deleted again */
	ck_assert_uint_eq(numbers().used, NAMES_KEPT + 10);
	ck_assert_uint_eq(numbers().messages, NAMES_KEPT + 10);
	ck_assert_uint_eq(numbers().reserved, 100);
	ledger_recount(fake.ledger, fake.account, 0);
	commit_many(NAMES_KEPT + 10, 1);
	count_ends(1, 50000, 1000, 2); /* 50,000 that nobody knew of */
	ck_assert_uint_eq(numbers().used, 50000 + NAMES_KEPT + 10);
	ledger_recount(fake.ledger, fake.account, 0);
	count_ends(1, 50000 + NAMES_KEPT + 10, 1, 3);
	ck_assert_uint_eq(numbers().used, 50000 + NAMES_KEPT + 10);
	ck_assert_uint_eq(numbers().reserved, 0);
}
END_TEST

START_TEST(a_count_with_names_left_out_is_no_reason_to_say_full)
{
	limits.bytes = 0;
	know(0);
	ledger_recount(fake.ledger, fake.account, 0);
	commit_many(NAMES_KEPT + 600, 1);
	count_ends(1, NAMES_KEPT + 600, NAMES_KEPT + 600, 2);
	limits.bytes = NAMES_KEPT + 1000; /* the number may have 600 twice */
	fake.answers = 0;
	ask(LEDGER_RESERVE, 1, 300, "a");
	for (int i = 0; i < 3; i++)
		count_ends(0, NAMES_KEPT + 600, NAMES_KEPT + 600, 2);
	expect(VERDICT_TROUBLE);
	ask(LEDGER_RESERVE, 1, 300, "a");
	count_ends(1, NAMES_KEPT + 600, NAMES_KEPT + 600, 2);
	expect(VERDICT_DELIVERED);
}
END_TEST

/* A set by hash: comparing each with each would take 20 seconds. */
START_TEST(sixty_thousand_names_are_matched_at_once)
{
	enum { NAMES = 60000 };
	static char text[NAMES][16];
	static const char *seen[NAMES];
	clock_t before;

	limits.bytes = 0;
	know(0);
	for (int i = 0; i < NAMES; i++) {
		snprintf(text[i], sizeof text[i], "m%d", NAMES - i - 1);
		seen[i] = text[i];
	}
	ledger_recount(fake.ledger, fake.account, 0);
	commit_many(NAMES, 0);
	before = clock();
	count_seeing(1, 0, NAMES, 2, seen, NAMES);
	ck_assert_int_lt(clock() - before, CLOCKS_PER_SEC / 2);
}
END_TEST

START_TEST(a_full_mailbox_that_did_not_move_costs_a_look_not_a_count)
{
	know(1000);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(refusal(i, 10), VERDICT_FULL_FOR_NOW);
	ck_assert_int_eq(fake.counts, 0);
	ck_assert_int_eq(fake.probes, 5);
}
END_TEST

START_TEST(a_full_mailbox_from_which_mail_was_removed_takes_the_message)
{
	know(1000);
	ask(LEDGER_RESERVE, 0, 10, "a");
	probe_ends(2);
	ck_assert_int_eq(fake.answers, 0);
	count_ends(1, 100, 1, 2);
	expect(VERDICT_DELIVERED);
}
END_TEST

static int owners;

static void
note_owner(void *arg, struct ledger_connection *c)
{
	(void)arg;
	ck_assert_ptr_eq(c, &connections[0]);
	owners++;
}

static int
is_not_read(void *arg, struct ledger_connection *c)
{
	(void)arg;
	(void)c;
	return 0;
}

START_TEST(a_refusal_waits_until_the_owners_were_read)
{
	know(0);
	ask(LEDGER_RESERVE, 0, 1000, "a");
	probe_ends(1);
	expect(VERDICT_DELIVERED);
	ask(LEDGER_RESERVE, 1, 10, "b");
	probe_ends(1);
	ck_assert_int_eq(ledger_wants_settling(fake.ledger), 1);
	ledger_each_owner(fake.ledger, note_owner, NULL);
	ck_assert_int_eq(owners, 1);
	ledger_settle(fake.ledger, is_not_read, NULL);
	ck_assert_int_eq(fake.answers, 0);
	ck_assert_int_eq(ledger_wants_settling(fake.ledger), 1);
	ledger_cancel(fake.ledger, &connections[0], 2); /* no such ticket */
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ledger_settle(fake.ledger, is_not_read, NULL); /* it owns none any more */
	ck_assert_int_eq(fake.answers, 0); /* an ended orphan calls for a count */
	count_ends(1, 0, 0, 1);
	ck_assert_int_eq(fake.answers, 1);
	ck_assert_int_eq(fake.last.verdict, VERDICT_DELIVERED);
}
END_TEST

START_TEST(numbers_wait_until_the_owners_were_read)
{
	struct account *a;

	know(0);
	reserve(0, 100, "a");
	fake.answers = 0;
	ask(LEDGER_GET, 1, 0, NULL);
	probe_ends(1);
	ledger_settle(fake.ledger, is_not_read, NULL);
	ck_assert_int_eq(fake.answers, 0);
	ledger_commit(fake.ledger, &connections[0], fake.last.ticket, &a);
	settle();
	expect(VERDICT_DELIVERED);
	ck_assert_uint_eq(numbers().used, 100);
}
END_TEST

START_TEST(a_commit_takes_the_count_away_from_a_refusal)
{
	struct account *a;

	know(900);
	ask(LEDGER_RESERVE, 0, 50, "a");
	probe_ends(1);
	ledger_commit(fake.ledger, &connections[0], fake.last.ticket, &a);
	fake.answers = 0;
	ask(LEDGER_RESERVE, 1, 60, "b");
	ck_assert_int_eq(fake.answers, 0);
	ck_assert_int_eq(fake.counting, 1);
	count_ends(1, 950, 2, 2);
	probe_ends(2);
	settle();
	expect(VERDICT_FULL_FOR_NOW);
}
END_TEST

START_TEST(an_orphan_that_may_live_is_no_reason_to_say_full)
{
	know(500);
	reserve(0, 200, "a");
	ledger_disconnected(fake.ledger, &connections[0], 0);
	ck_assert_int_eq(refusal(1, 400), VERDICT_TROUBLE);
	ck_assert_uint_eq(numbers().full_for, 0);
}
END_TEST

START_TEST(open_tickets_alone_never_make_it_bounce)
{
	limits.over_quota = 0;
	know(500);
	reserve(0, 200, "a");
	ck_assert_int_eq(refusal(1, 400), VERDICT_FULL_FOR_NOW);
	ck_assert_uint_eq(numbers().full_for, 0);
	ck_assert_int_eq(refusal(1, 501), VERDICT_FULL);
}
END_TEST

START_TEST(no_exact_count_never_makes_it_bounce)
{
	limits.over_quota = 0;
	know(1000);
	fake.sure = 1000;
	ask(LEDGER_RESERVE, 0, 10, "a");
	probe_ends(2);
	for (int i = 0; i < 3; i++)
		count_ends(0, 1000, 1, 3);
	expect(VERDICT_FULL_FOR_NOW);
	ck_assert_uint_eq(numbers().full_for, 0);
}
END_TEST

/* Whatever the number was before, and whatever the passes added up. */
START_TEST(without_an_exact_count_only_what_was_surely_there_makes_it_full)
{
	const char *seen[] = {"b"};

	know(100);
	reserve(1, 5, "b");
	fake.answers = 0;
	for (int i = 0; i < 2; i++) {
		fake.sure = i ? 110 : 109; /* with b's file */
		ask(LEDGER_RESERVE, 0, 891, "a");
		if (fake.probing)
			probe_ends(2);
		for (int tries = 0; tries < 3; tries++)
			count_seeing(0, 1000, 2, 3, seen, 1);
		expect(i ? VERDICT_FULL_FOR_NOW : VERDICT_TROUBLE);
	}
}
END_TEST

START_TEST(a_number_that_was_never_exact_is_full_only_with_what_was_surely_there)
{
	for (int i = 0; i < 2; i++) {
		fake.sure = i ? 1000 : 999;
		fake.by_name = 1;
		ask(LEDGER_RESERVE, 0, 1, "a");
		ck_assert_int_eq(fake.thorough, 0);
		count_ends(0, 2000, 2, 1);
		fake.by_name = 0;
		if (i) {
			ck_assert_int_eq(fake.thorough, 1);
			count_ends(0, 2000, 2, 1);
		}
		expect(i ? VERDICT_FULL_FOR_NOW : VERDICT_TROUBLE);
	}
}
END_TEST

/* --- names and files --- */

START_TEST(a_refusal_that_rests_on_names_asks_the_files)
{
	fake.by_name = 1;
	know(1000);
	ask(LEDGER_RESERVE, 0, 10, "a");
	ck_assert_int_eq(fake.answers, 0);
	ck_assert_int_eq(fake.thorough, 1);
	fake.by_name = 0;
	fake.wrong = 1;
	count_ends(1, 100, 1, 1);
	expect(VERDICT_DELIVERED);
}
END_TEST

START_TEST(files_that_bear_the_names_out_refuse)
{
	fake.by_name = 1;
	know(1000);
	ask(LEDGER_RESERVE, 0, 10, "a");
	fake.by_name = 0;
	count_ends(1, 1000, 1, 1);
	probe_ends(1);
	settle();
	expect(VERDICT_FULL_FOR_NOW);
	/* and for the next the same count serves */
	ask(LEDGER_RESERVE, 0, 10, "b");
	probe_ends(1);
	settle();
	expect(VERDICT_FULL_FOR_NOW);
	ck_assert_int_eq(fake.counts, 1);
	ck_assert_int_eq(numbers().wrong_names, 0);
}
END_TEST

START_TEST(a_mailbox_that_moved_is_counted_by_names_first)
{
	know(1000);
	ask(LEDGER_RESERVE, 0, 10, "a");
	probe_ends(2);
	ck_assert_int_eq(fake.thorough, 0);
	fake.by_name = 1;
	count_ends(1, 1000, 1, 2);
	ck_assert_int_eq(fake.thorough, 1);
	fake.by_name = 0;
	count_ends(1, 900, 1, 2);
	expect(VERDICT_DELIVERED);
}
END_TEST

static void
recount_and_expect_files(int asked)
{
	ask(LEDGER_RECOUNT, 0, 0, NULL);
	ck_assert_int_eq(fake.counting, 1);
	ck_assert_int_eq(fake.thorough, asked);
	count_ends(1, 1000, 1, 1);
	expect(VERDICT_DELIVERED);
}

START_TEST(names_once_wrong_are_not_believed_until_a_slow_round_finds_them_right)
{
	know(10);
	recount_and_expect_files(0);
	ledger_recount(fake.ledger, fake.account, 1);
	fake.wrong = 1;
	count_ends(1, 1000, 1, 1);
	ck_assert_int_eq(numbers().wrong_names, 1);
	recount_and_expect_files(1);
	fake.wrong = 0; /* the user repairs them, to write others tomorrow */
	recount_and_expect_files(1);
	ck_assert_int_eq(numbers().wrong_names, 1);
	ledger_recount(fake.ledger, fake.account, 1);
	count_ends(0, 1000, 1, 1);
	ck_assert_int_eq(numbers().wrong_names, 1);
	ledger_recount(fake.ledger, fake.account, 1);
	count_ends(1, 1000, 1, 1);
	ck_assert_int_eq(numbers().wrong_names, 0);
	recount_and_expect_files(0);
}
END_TEST

START_TEST(wrong_names_survive_a_restart)
{
	struct ledger_numbers n;

	ledger_recount(fake.ledger, fake.account, 1);
	fake.wrong = 1;
	count_ends(1, 1000, 1, 1);
	n = numbers();
	teardown();
	setup();
	ledger_load(fake.ledger, fake.account, &n);
	recount_and_expect_files(1);
}
END_TEST

/* --- and the rest --- */

START_TEST(above_recheck_above_the_mailbox_is_looked_at_first)
{
	know(0);
	reserve(0, 800, "a");
	ck_assert_int_eq(fake.counts, 0);
	fake.answers = 0;
	ask(LEDGER_RESERVE, 0, 1, "b");
	ck_assert_int_eq(fake.answers, 0);
	probe_ends(2);
	ck_assert_int_eq(fake.answers, 0);
	count_ends(1, 900, 1, 2);
	ck_assert_int_eq(fake.answers, 0); /* 900 + 800 + 1: no room */
}
END_TEST

START_TEST(below_recheck_above_the_look_is_behind_the_deliverys_back)
{
	know(0);
	pass_time(15 * 60 * 1000);
	reserve(0, 10, "a");
	ck_assert_int_eq(fake.probing, 1);
	probe_ends(2);
	ck_assert_int_eq(fake.counting, 1);
	count_ends(1, 10, 1, 2);
	reserve(0, 10, "b");
	ck_assert_int_eq(fake.probing, 0);
}
END_TEST

START_TEST(a_count_that_takes_too_long_is_try_again_and_its_result_is_kept)
{
	know(1000);
	ask(LEDGER_RESERVE, 0, 10, "a");
	probe_ends(2);
	pass_time(ANSWER_MS);
	expect(VERDICT_TROUBLE);
	count_ends(1, 500, 1, 2);
	ck_assert_uint_eq(numbers().used, 500);
}
END_TEST

START_TEST(a_person_waits_six_times_as_long_and_is_told_so)
{
	static const enum ledger_kind kinds[] = {
		LEDGER_GET, LEDGER_RECOUNT, LEDGER_EXPLAIN};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		ask(kinds[i], 0, 10, NULL);
		pass_time(6 * ANSWER_MS - 100);
		ck_assert_int_eq(fake.answers, 0);
		pass_time(100);
		expect(VERDICT_TROUBLE);
		ck_assert_str_eq(fake.text, "counting the mailbox takes longer than six "
					    "times quotad_timeout");
	}
	ask(LEDGER_RESERVE, 0, 10, "a");
	pass_time(ANSWER_MS);
	expect(VERDICT_TROUBLE);
	ck_assert_str_eq(
		fake.text, "counting the mailbox takes longer than quotad_timeout");
}
END_TEST

START_TEST(a_mailbox_that_cannot_be_read_is_try_again)
{
	struct ledger_count failed = {.failed = 1, .text = "permission denied"};

	ask(LEDGER_RESERVE, 0, 10, "a");
	fake.counting = 0;
	ledger_counted(fake.ledger, fake.account, &failed);
	expect(VERDICT_TROUBLE);
	ck_assert_str_eq(fake.text, "permission denied");
}
END_TEST

START_TEST(after_a_lost_store_nothing_is_promised_until_the_deadline_and_a_count)
{
	ledger_hold(fake.ledger);
	ask(LEDGER_RESERVE, 0, 10, "a");
	expect(VERDICT_TROUBLE);
	ask(LEDGER_GET, 0, 0, NULL);
	count_ends(1, 0, 0, 1);
	expect(VERDICT_DELIVERED);
	pass_time(DEADLINE_MS);
	ask(LEDGER_RESERVE, 0, 10, "a");
	ck_assert_int_eq(fake.answers, 0); /* the count began too early */
	count_ends(1, 0, 0, 1);
	expect(VERDICT_DELIVERED);
}
END_TEST

START_TEST(tickets_of_an_earlier_daemon_are_orphans)
{
	const struct ledger_ticket kept = {
		.name = "a", .bytes = 700, .state = LEDGER_UNSURE};

	ck_assert_int_eq(ledger_load_ticket(fake.ledger, fake.account, &kept), 0);
	know(0);
	ck_assert_uint_eq(numbers().reserved, 700);
	ck_assert_int_eq(refusal(0, 400), VERDICT_TROUBLE);
	reserve(1, 700, "a");
	ck_assert_uint_eq(numbers().reserved, 700);
}
END_TEST

START_TEST(tickets_of_another_boot_end_with_the_first_count)
{
	const struct ledger_ticket kept = {
		.name = "a", .bytes = 700, .state = LEDGER_ENDED};

	ledger_load_ticket(fake.ledger, fake.account, &kept);
	know(0);
	ck_assert_uint_eq(numbers().reserved, 0);
}
END_TEST

START_TEST(full_is_soft_until_over_quota_has_passed_and_hard_then)
{
	know(1000);
	ck_assert_int_eq(refusal(0, 10), VERDICT_FULL_FOR_NOW);
	pass_time(3ULL * 86400 * 1000 - 1000);
	ck_assert_int_eq(refusal(0, 10), VERDICT_FULL_FOR_NOW);
	pass_time(1000);
	ck_assert_int_eq(refusal(0, 10), VERDICT_FULL);
}
END_TEST

START_TEST(why_it_was_counted_and_what_that_corrected_is_kept)
{
	ck_assert_int_eq(numbers().last.why, LEDGER_NEVER);
	know(500);
	ck_assert_int_eq(numbers().last.why, LEDGER_FIRST);
	ck_assert_uint_eq(numbers().last.was, 500); /* none that was wrong */
	pass_time(7000);
	ck_assert_uint_eq(numbers().last.ago_ms, 7000);
	ledger_recount(fake.ledger, fake.account, 1);
	ck_assert_int_eq(numbers().counting, 1);
	count_ends(1, 300, 1, 2);
	ck_assert_int_eq(numbers().counting, 0);
	ck_assert_int_eq(numbers().last.why, LEDGER_ROUND);
	ck_assert_int_eq(numbers().last.exact, 1);
	ck_assert_uint_eq(numbers().last.was, 500);
	ck_assert_uint_eq(numbers().last.found, 300);
	ck_assert_uint_eq(numbers().last.ago_ms, 0);
	ask(LEDGER_RECOUNT, 0, 0, NULL);
	count_ends(0, 400, 1, 3);
	ck_assert_int_eq(numbers().last.why, LEDGER_ASKED);
	ck_assert_int_eq(numbers().last.exact, 0);
	ck_assert_uint_eq(numbers().last.was, 300);
	ck_assert_uint_eq(numbers().last.found, 400);
}
END_TEST

START_TEST(a_count_for_a_refusal_says_so)
{
	know(900);
	pass_time(11ULL * 60 * 1000);
	ask(LEDGER_RESERVE, 0, 200, "a");
	count_ends(1, 100, 1, 2);
	ck_assert_int_eq(numbers().last.why, LEDGER_REFUSAL);
}
END_TEST

START_TEST(an_explanation_hears_no_and_leaves_no_trace)
{
	uint64_t refused;

	know(1000);
	refused = ledger_totals(fake.ledger)->refused;
	ask(LEDGER_EXPLAIN, 0, 1, NULL);
	probe_ends(1);
	settle();
	expect(VERDICT_FULL_FOR_NOW);
	ck_assert_uint_eq(numbers().full_for, 0);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->refused, refused);
	refusal(0, 10);
	fake.answers = 0;
	pass_time(3ULL * 86400 * 1000);
	ask(LEDGER_EXPLAIN, 0, 1, NULL);
	count_ends(1, 1000, 1, 1);
	probe_ends(1);
	settle();
	expect(VERDICT_FULL);
	ck_assert_uint_eq(numbers().full_smallest, 10);
}
END_TEST

/* Whoever announces the largest size a full mailbox may not take must not start the time
 * after which its mail bounces. */
START_TEST(an_announced_size_is_refused_as_a_message_and_leaves_no_trace)
{
	uint64_t refused;

	know(1000);
	refused = ledger_totals(fake.ledger)->refused;
	ask(LEDGER_ANNOUNCED, 0, 0, NULL); /* a message has a byte at least */
	probe_ends(1);
	settle();
	expect(VERDICT_FULL_FOR_NOW);
	ck_assert_uint_eq(numbers().full_for, 0);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->refused, refused + 1);
	ask(LEDGER_ANNOUNCED, 0, 501, NULL);
	pass_time(ANSWER_MS);
	expect(VERDICT_TROUBLE); /* with a delivery's patience */
}
END_TEST

START_TEST(whoever_may_send_is_told_at_once)
{
	know(500);
	limits.bytes = 100; /* the mailbox's limit is another matter */
	ask(LEDGER_SEND, 0, 1000, NULL);
	expect(VERDICT_DELIVERED);
	limits.bytes = 0;
	reserve(0, 600, "a"); /* on its way, and not there */
	fake.answers = 0;
	ask(LEDGER_SEND, 0, 500, NULL);
	probe_ends(1); /* as near as that */
	expect(VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_mailbox_that_can_not_be_looked_at_keeps_nobody_from_sending_below_the_limit)
{
	know(900);
	ask(LEDGER_SEND, 0, 1000, NULL);
	pass_time(ANSWER_MS);
	expect(VERDICT_DELIVERED);
	ask(LEDGER_SEND, 0, 800, NULL);
	pass_time(ANSWER_MS);
	expect(VERDICT_TROUBLE);
}
END_TEST

START_TEST(nobody_is_kept_from_sending_by_a_number_that_was_not_counted_by_files)
{
	uint64_t refused;

	know(0); /* in a look at names */
	refused = ledger_totals(fake.ledger)->refused;
	fake.by_name = 5;
	ask(LEDGER_RECOUNT, 0, 0, NULL);
	count_ends(1, 900, 5, 1);
	fake.answers = 0;
	ask(LEDGER_SEND, 0, 500, NULL);
	ck_assert_int_eq(fake.answers, 0);
	ck_assert(fake.counting && fake.thorough);
	fake.by_name = 0;
	count_ends(1, 900, 5, 1);
	ck_assert_int_eq(numbers().last.why, LEDGER_REFUSAL);
	probe_ends(1);
	settle();
	expect(VERDICT_FULL);
	ck_assert_uint_eq(numbers().full_for, 0);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->refused, refused);
}
END_TEST

START_TEST(whoever_has_deleted_mail_sends_at_once)
{
	know(900);
	ask(LEDGER_SEND, 0, 500, NULL);
	probe_ends(1);
	settle();
	expect(VERDICT_FULL);
	ask(LEDGER_SEND, 0, 500, NULL);
	probe_ends(2); /* changed */
	count_ends(1, 400, 1, 2);
	expect(VERDICT_DELIVERED);
}
END_TEST

START_TEST(what_can_not_be_counted_keeps_nobody_from_sending_for_good)
{
	know(900);
	ask(LEDGER_SEND, 0, 500, NULL);
	probe_ends(2);
	for (int i = 0; i < 3; i++)
		count_ends(0, 900, 1, 2);
	expect(VERDICT_TROUBLE);
}
END_TEST

static void
note_ticket(void *arg, const struct ledger_ticket *t)
{
	struct ledger_ticket *last = arg;

	*last = *t;
}

START_TEST(a_ticket_is_shown_with_its_age_and_state)
{
	struct ledger_ticket t = {0};

	know(0);
	reserve(0, 600, "a");
	pass_time(5000);
	ledger_show_tickets(fake.ledger, fake.account, note_ticket, &t);
	ck_assert_str_eq(t.name, "a");
	ck_assert_uint_eq(t.bytes, 600);
	ck_assert_uint_eq(t.age_ms, 5000);
	ck_assert_int_eq(t.state, LEDGER_OPEN);
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ledger_show_tickets(fake.ledger, fake.account, note_ticket, &t);
	ck_assert_int_eq(t.state, LEDGER_ENDED);
}
END_TEST

START_TEST(defer_is_never_hard)
{
	limits.over_quota = CONF_DEFER;
	know(1000);
	refusal(0, 10);
	pass_time(400ULL * 86400 * 1000);
	ck_assert_int_eq(refusal(0, 10), VERDICT_FULL_FOR_NOW);
}
END_TEST

START_TEST(full_since_ends_when_used_falls)
{
	know(1000);
	refusal(0, 10);
	ledger_recount(fake.ledger, fake.account, 0);
	count_ends(1, 999, 1, 2);
	ck_assert_uint_eq(numbers().full_for, 0);
}
END_TEST

START_TEST(full_since_ends_when_the_limit_rises)
{
	know(1000);
	refusal(0, 10);
	ck_assert_uint_eq(numbers().full_for, 1);
	limits.bytes = 1005;
	pass_time(5000);
	refusal(0, 10);
	ck_assert_uint_eq(numbers().full_for, 1);
}
END_TEST

START_TEST(full_since_ends_with_a_message_as_large_as_the_smallest_refused)
{
	struct account *a;

	know(900);
	refusal(0, 200);
	ask(LEDGER_RESERVE, 0, 50, "small");
	probe_ends(1);
	ledger_commit(fake.ledger, &connections[0], fake.last.ticket, &a);
	ck_assert_uint_eq(numbers().full_for, 1);
	limits.bytes = 2000;
	ledger_commit(fake.ledger, &connections[0], reserve(0, 200, "large"), &a);
	ck_assert_uint_eq(numbers().full_for, 0);
}
END_TEST

START_TEST(a_query_does_not_make_a_mailbox_full)
{
	know(1000);
	ask(LEDGER_GET, 0, 0, NULL);
	probe_ends(1);
	ck_assert_uint_eq(numbers().full_for, 0);
	fake.answers = 0;
	ask(LEDGER_CHECK, 0, 0, NULL);
	probe_ends(1);
	settle();
	expect(VERDICT_FULL_FOR_NOW);
	ck_assert_uint_eq(numbers().full_for, 1);
}
END_TEST

START_TEST(a_get_is_answered_after_a_look)
{
	know(500);
	ask(LEDGER_GET, 0, 0, NULL);
	ck_assert_int_eq(fake.answers, 0);
	probe_ends(1);
	expect(VERDICT_DELIVERED);
	ck_assert_int_eq(fake.counts, 0);
}
END_TEST

START_TEST(a_get_tells_what_is_left_after_mail_was_deleted)
{
	know(500);
	ask(LEDGER_GET, 0, 0, NULL);
	probe_ends(2);
	ck_assert_int_eq(fake.answers, 0);
	count_ends(1, 100, 1, 2);
	if (fake.counting) /* where the look had one begun by itself, it was too early */
		count_ends(1, 100, 1, 2);
	expect(VERDICT_DELIVERED);
	ck_assert_uint_eq(numbers().used, 100);
}
END_TEST

START_TEST(a_look_that_began_before_the_get_does_not_serve_it)
{
	know(500);
	ask(LEDGER_GET, 0, 0, NULL);
	ask(LEDGER_GET, 1, 0, NULL);
	probe_ends(1);
	ck_assert_int_eq(fake.answers, 1);
	ck_assert_int_eq(fake.probes, 2);
	probe_ends(1);
	ck_assert_int_eq(fake.answers, 2);
}
END_TEST

/* The last of a thousand in a moment has still a look of its own. */
static void
get_a_thousand_times(void)
{
	for (int i = 0; i < 1000; i++) {
		ask(LEDGER_GET, 0, 0, NULL);
		ck_assert_int_eq(fake.answers, 0);
		probe_ends(1);
		expect(VERDICT_DELIVERED);
	}
}

START_TEST(a_look_of_the_last_moment_serves_where_thousands_ask)
{
	know(500);
	pass_time(500);
	get_a_thousand_times();
	ask(LEDGER_GET, 0, 0, NULL);
	expect(VERDICT_DELIVERED);
	ck_assert_int_eq(fake.probes, 1000);
	pass_time(250);
	ask(LEDGER_GET, 0, 0, NULL);
	ck_assert_int_eq(fake.answers, 0);
	probe_ends(1);
	expect(VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_look_that_found_another_mailbox_serves_no_other_get)
{
	know(500);
	pass_time(500);
	get_a_thousand_times();
	ask(LEDGER_CHECK, 1, 450, NULL); /* near the limit: it wants a look, too */
	probe_ends(2);
	ask(LEDGER_GET, 0, 0, NULL);
	ck_assert_int_eq(fake.answers, 0);
}
END_TEST

START_TEST(a_get_waits_a_second_for_a_look_and_no_longer)
{
	know(500);
	ask(LEDGER_GET, 0, 0, NULL);
	pass_time(900);
	ck_assert_int_eq(fake.answers, 0);
	pass_time(100);
	expect(VERDICT_DELIVERED);
	probe_ends(2); /* it goes on, and its result is kept */
	ask(LEDGER_GET, 0, 0, NULL);
	if (fake.probing)
		probe_ends(2);
	pass_time(1000);
	expect(VERDICT_DELIVERED);
	ck_assert_uint_eq(numbers().used, 500);
	count_ends(1, 100, 1, 2);
	ck_assert_uint_eq(numbers().used, 100);
	ck_assert_int_eq(fake.answers, 0);
}
END_TEST

START_TEST(a_get_of_an_unknown_number_waits_for_the_count)
{
	ask(LEDGER_GET, 0, 0, NULL);
	pass_time(5 * ANSWER_MS);
	ck_assert_int_eq(fake.answers, 0);
	count_ends(1, 100, 1, 2);
	expect(VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_get_tells_its_number_though_the_mailbox_cannot_be_looked_at)
{
	know(500);
	ask(LEDGER_GET, 0, 0, NULL);
	fake.probing = 0;
	ledger_probed(fake.ledger, fake.account, 0, 1);
	expect(VERDICT_DELIVERED);
	ck_assert_uint_eq(numbers().used, 500);
}
END_TEST

static void
count_fails(void)
{
	struct ledger_count failed = {.failed = 1, .text = "permission denied"};

	ck_assert_int_eq(fake.counting, 1);
	fake.counting = 0;
	ledger_counted(fake.ledger, fake.account, &failed);
}

START_TEST(a_mailbox_that_moved_and_cannot_be_counted_has_no_number)
{
	know(500);
	ask(LEDGER_GET, 0, 0, NULL);
	probe_ends(2);
	count_fails();
	expect(VERDICT_TROUBLE);
	ask(LEDGER_RESERVE, 1, 10, "a");
	count_fails();
	expect(VERDICT_TROUBLE);
}
END_TEST

/* Else its user makes it so, and fills it beside a low number. */
START_TEST(a_mailbox_that_cannot_be_looked_at_for_long_has_no_number)
{
	know(100);
	for (int i = 0; i < 2; i++) {
		pass_time(16 * 60 * 1000);
		reserve(0, 1, i ? "b" : "a");
		fake.answers = fake.probing = 0;
		ledger_probed(fake.ledger, fake.account, 0, 1);
		if (i == 0)
			count_ends(1, 100, 1, 2);
	}
	count_fails();
	ask(LEDGER_RESERVE, 1, 10, "c");
	count_fails();
	expect(VERDICT_TROUBLE);
}
END_TEST

START_TEST(full_since_survives_a_restart)
{
	struct ledger_numbers n = {.used = 1000,
		.messages = 1,
		.known = 1,
		.stamp = 1,
		.full_for = 3 * 86400,
		.full_used = 1000,
		.full_bytes = 1000,
		.full_smallest = 10};

	ledger_load(fake.ledger, fake.account, &n);
	ck_assert_int_eq(refusal(0, 10), VERDICT_FULL);
}
END_TEST

START_TEST(a_recount_says_what_it_was)
{
	know(700);
	ask(LEDGER_RECOUNT, 0, 0, NULL);
	count_ends(1, 300, 1, 2);
	expect(VERDICT_DELIVERED);
	ck_assert_uint_eq(fake.last.was, 700);
	ck_assert_int_eq(fake.corrected, 1);
}
END_TEST

START_TEST(a_recount_begins_after_it_was_asked_for)
{
	know(700);
	ledger_recount(fake.ledger, fake.account, 0);
	ask(LEDGER_RECOUNT, 0, 0, NULL);
	count_ends(1, 700, 1, 2);
	ck_assert_int_eq(fake.answers, 0);
	count_ends(1, 300, 1, 3);
	expect(VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_store_that_cannot_promise_grants_nothing)
{
	know(0);
	fake.save_fails = 1;
	ask(LEDGER_RESERVE, 0, 10, "a");
	expect(VERDICT_TROUBLE);
	ck_assert_uint_eq(numbers().reserved, 0);
}
END_TEST

START_TEST(nobody_is_answered_whose_connection_is_gone)
{
	ask(LEDGER_RESERVE, 0, 10, "a");
	ask(LEDGER_RESERVE, 1, 10, "b");
	ledger_forget(fake.ledger, &connections[0]);
	ledger_disconnected(fake.ledger, &connections[0], 1);
	count_ends(1, 0, 0, 1);
	expect(VERDICT_DELIVERED);
	ck_assert_uint_eq(numbers().tickets, 1);
}
END_TEST

/* While a count hangs many may ask; what they cost must not grow with how many there are.
 */
START_TEST(a_connection_that_goes_costs_what_it_asked_alone)
{
	enum { CONNECTIONS = 4000, EACH = 64 };
	static struct ledger_connection many[CONNECTIONS];
	clock_t before;

	for (int i = 0; i < CONNECTIONS; i++) {
		struct ledger_request r = {.kind = LEDGER_CHECK,
			.account = fake.account,
			.connection = &many[i],
			.limits = limits,
			.bytes = 1};

		ledger_connect(&many[i], (uint64_t)i + 100);
		for (int j = 0; j < EACH; j++)
			ledger_ask(fake.ledger, &r);
	}
	ck_assert_uint_eq(
		ledger_totals(fake.ledger)->waiting, (uint64_t)CONNECTIONS * EACH);
	before = clock();
	for (int i = CONNECTIONS; i-- > 0;)
		ledger_forget(fake.ledger, &many[i]);
	ck_assert_int_lt(clock() - before, CLOCKS_PER_SEC / 2);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->waiting, 0);
	count_ends(1, 0, 0, 1);
	ck_assert_int_eq(fake.answers, 0);
}
END_TEST

/* A person who asked first is not in the way of deliveries whose time is up. */
START_TEST(deliveries_time_out_behind_a_person_who_waits_on)
{
	ask(LEDGER_GET, 0, 0, NULL);
	ask(LEDGER_CHECK, 1, 1, NULL);
	pass_time(ANSWER_MS - 100);
	ask(LEDGER_CHECK, 2, 1, NULL);
	pass_time(100);
	expect(VERDICT_TROUBLE);
	count_ends(1, 0, 0, 1);
	ck_assert_int_eq(fake.answers, 2);
}
END_TEST

START_TEST(sums_stop_at_the_ends)
{
	know(UINT64_MAX);
	ck_assert_int_eq(refusal(0, UINT64_MAX), VERDICT_FULL_FOR_NOW);
	ck_assert_uint_eq(numbers().used, UINT64_MAX);
}
END_TEST

START_TEST(a_ticket_without_end_hides_no_other)
{
	uint64_t endless;

	limits.bytes = 0;
	know(0);
	endless = reserve(0, UINT64_MAX, "a");
	reserve(0, 500, "b");
	ledger_cancel(fake.ledger, &connections[0], endless);
	ck_assert_uint_eq(numbers().reserved, 500);
}
END_TEST

START_TEST(a_thorough_count_follows_a_running_one)
{
	know(0);
	ledger_recount(fake.ledger, fake.account, 0);
	ledger_recount(fake.ledger, fake.account, 1);
	count_ends(1, 0, 0, 1);
	ck_assert_int_eq(fake.counting, 1);
	ck_assert_int_eq(fake.thorough, 1);
}
END_TEST

static int
count_one(void)
{
	return fake.counts;
}

static void
add_one(void *arg, struct account *a)
{
	(void)a;
	++*(int *)arg;
}

START_TEST(a_hundred_thousand_accounts_are_found)
{
	char name[32];
	int n = 0;

	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof name, "u%d@example.org", i);
		ck_assert_ptr_nonnull(ledger_account(fake.ledger, name));
	}
	ledger_each(fake.ledger, add_one, &n);
	ck_assert_int_eq(n, 100001);
	ck_assert_ptr_nonnull(ledger_find(fake.ledger, "u99999@example.org"));
	ck_assert_ptr_null(ledger_find(fake.ledger, "nobody@example.org"));
	ck_assert_int_eq(count_one(), 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_number_without_a_count_is_not_used,
		a_mailbox_without_a_limit_waits_for_nothing,
		an_unknown_mailbox_that_cannot_be_counted_exactly_gets_nothing,
		a_ticket_is_charged_before_its_message_is_there,
		the_last_byte_fits_and_one_more_does_not,
		the_number_of_messages_is_a_limit_too, a_commit_makes_it_used,
		a_commit_counts_once, what_a_ticket_held_is_charged_at_every_moment,
		another_connection_gets_no_hold_of_a_ticket, cancel_gives_the_room_back,
		an_orphan_stays_charged_until_a_count,
		an_orphan_that_a_count_saw_is_in_the_total,
		an_orphan_is_not_ended_by_a_count_that_began_before_its_lda_ended,
		an_orphan_whose_lda_may_live_waits_for_the_deadline,
		a_longer_deadline_holds_for_orphans_that_are_there,
		a_lowered_deadline_holds_for_no_lda_that_began_before,
		a_deadline_lowered_before_a_restart_holds_for_no_lda_that_began_before,
		a_later_connection_takes_its_ticket_over_with_no_second_charge,
		an_earlier_connection_does_not_take_a_ticket_back,
		a_second_ticket_of_a_name_is_refused_with_the_reason,
		a_ticket_that_was_taken_over_is_not_ended_by_the_running_count,
		what_a_count_saw_of_an_open_ticket_is_still_the_tickets,
		a_file_that_is_not_what_its_ticket_promised_makes_no_room,
		a_message_that_was_seen_and_removed_again_keeps_no_mail_out,
		what_an_earlier_count_saw_of_a_ticket_is_the_ticket_s_no_more,
		a_ticket_of_an_earlier_daemon_makes_no_room_either,
		what_was_committed_during_a_count_and_not_seen_is_added,
		what_was_committed_during_a_count_and_seen_is_not_added,
		an_inexact_count_only_raises,
		without_an_exact_count_only_what_was_surely_there_makes_it_full,
		a_number_that_was_never_exact_is_full_only_with_what_was_surely_there,
		a_refusal_that_rests_on_names_asks_the_files,
		files_that_bear_the_names_out_refuse,
		a_mailbox_that_moved_is_counted_by_names_first,
		names_once_wrong_are_not_believed_until_a_slow_round_finds_them_right,
		wrong_names_survive_a_restart,
		a_count_looks_for_tickets_begun_and_committed_meanwhile,
		so_many_names_are_kept_for_a_running_count_and_no_more,
		a_count_with_names_left_out_only_raises_and_ends_no_orphan,
		a_count_with_names_left_out_is_no_reason_to_say_full,
		sixty_thousand_names_are_matched_at_once,
		a_full_mailbox_that_did_not_move_costs_a_look_not_a_count,
		a_full_mailbox_from_which_mail_was_removed_takes_the_message,
		a_refusal_waits_until_the_owners_were_read,
		numbers_wait_until_the_owners_were_read,
		a_commit_takes_the_count_away_from_a_refusal,
		an_orphan_that_may_live_is_no_reason_to_say_full,
		open_tickets_alone_never_make_it_bounce,
		no_exact_count_never_makes_it_bounce,
		above_recheck_above_the_mailbox_is_looked_at_first,
		below_recheck_above_the_look_is_behind_the_deliverys_back,
		a_count_that_takes_too_long_is_try_again_and_its_result_is_kept,
		a_person_waits_six_times_as_long_and_is_told_so,
		a_mailbox_that_cannot_be_read_is_try_again,
		after_a_lost_store_nothing_is_promised_until_the_deadline_and_a_count,
		tickets_of_an_earlier_daemon_are_orphans,
		tickets_of_another_boot_end_with_the_first_count,
		full_is_soft_until_over_quota_has_passed_and_hard_then,
		defer_is_never_hard, why_it_was_counted_and_what_that_corrected_is_kept,
		a_count_for_a_refusal_says_so,
		an_explanation_hears_no_and_leaves_no_trace,
		an_announced_size_is_refused_as_a_message_and_leaves_no_trace,
		whoever_may_send_is_told_at_once,
		a_mailbox_that_can_not_be_looked_at_keeps_nobody_from_sending_below_the_limit,
		nobody_is_kept_from_sending_by_a_number_that_was_not_counted_by_files,
		whoever_has_deleted_mail_sends_at_once,
		what_can_not_be_counted_keeps_nobody_from_sending_for_good,
		a_ticket_is_shown_with_its_age_and_state, full_since_ends_when_used_falls,
		full_since_ends_when_the_limit_rises,
		full_since_ends_with_a_message_as_large_as_the_smallest_refused,
		a_query_does_not_make_a_mailbox_full, a_get_is_answered_after_a_look,
		a_get_tells_what_is_left_after_mail_was_deleted,
		a_look_that_began_before_the_get_does_not_serve_it,
		a_look_of_the_last_moment_serves_where_thousands_ask,
		a_look_that_found_another_mailbox_serves_no_other_get,
		a_get_waits_a_second_for_a_look_and_no_longer,
		a_get_of_an_unknown_number_waits_for_the_count,
		a_get_tells_its_number_though_the_mailbox_cannot_be_looked_at,
		a_mailbox_that_moved_and_cannot_be_counted_has_no_number,
		a_mailbox_that_cannot_be_looked_at_for_long_has_no_number,
		full_since_survives_a_restart, a_recount_says_what_it_was,
		a_recount_begins_after_it_was_asked_for,
		a_store_that_cannot_promise_grants_nothing,
		nobody_is_answered_whose_connection_is_gone,
		a_connection_that_goes_costs_what_it_asked_alone,
		deliveries_time_out_behind_a_person_who_waits_on, sums_stop_at_the_ends,
		a_ticket_without_end_hides_no_other,
		a_thorough_count_follows_a_running_one,
		a_hundred_thousand_accounts_are_found};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
