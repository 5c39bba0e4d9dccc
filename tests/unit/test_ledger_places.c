/* Changes of the user table and of the rules of counting under a living ledger, with a
 * table of a few mailboxes, a fake clock, store and scanner. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quotad/ledger/ledger.h"
#include "suite.h"

#define KEYS        4
#define STORED_MAX  32
#define DEADLINE_MS 300000

enum { P, Q, R, S };  /* keys */
enum { A = 1, B, C }; /* places */

static struct fake {
	struct ledger *ledger;
	struct account *accounts[KEYS];
	uint64_t now;
	struct {
		struct ledger_place place; /* path 0: the key is not in the table */
		uint64_t bytes;
		uint64_t found, open; /* directories: by counts, and by ldas */
	} table[KEYS];
	int counting[KEYS], probing[KEYS], counts;
	struct ledger_answer last;
	char text[200];
	int answers;
	int has_table; /* so that what is not in it is removed */
	struct stored {
		char name[80]; /* "key/file" */
		uint64_t bytes, path;
	} stored[STORED_MAX];
	int stored_count;
	struct ledger_numbers saved[KEYS];
} fake;

static struct ledger_connection connections[8];

/* --- the neighbours --------------------------------------------------------------- */

static int
key_of(const struct account *a)
{
	return ledger_name(a)[0] - 'P';
}

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
	(void)thorough;
	ck_assert_int_eq(fake.counting[key_of(a)]++, 0);
	fake.counts++;
}

static void
begin_probe(void *arg, struct account *a)
{
	(void)arg;
	fake.probing[key_of(a)] = 1;
}

static int
save_account(void *arg, struct account *a)
{
	(void)arg;
	ledger_numbers(fake.ledger, a, &fake.saved[key_of(a)]);
	return 0;
}

static int
save_ticket(void *arg, struct account *a, const struct ledger_ticket *t)
{
	struct stored *s = &fake.stored[fake.stored_count++];

	(void)arg;
	ck_assert_int_le(fake.stored_count, STORED_MAX);
	snprintf(s->name, sizeof s->name, "%s/%s", ledger_name(a), t->name);
	s->bytes = t->bytes;
	s->path = t->path;
	return 0;
}

static void
remove_ticket(void *arg, struct account *a, const char *name)
{
	char whole[80];
	int i;

	(void)arg;
	snprintf(whole, sizeof whole, "%s/%s", ledger_name(a), name);
	for (i = 0; i < fake.stored_count; i++)
		if (strcmp(fake.stored[i].name, whole) == 0)
			break;
	ck_assert_int_lt(i, fake.stored_count);
	fake.stored[i] = fake.stored[--fake.stored_count];
}

static void
corrected(void *arg, struct account *a, uint64_t was, uint64_t now)
{
	(void)arg;
	ck_abort_msg("%s was corrected from %ju to %ju", ledger_name(a), (uintmax_t)was,
		(uintmax_t)now);
}

static int
look_up(void *arg, const struct account *a, struct ledger_place *place,
	struct ledger_limits *limits)
{
	int key = key_of(a);

	(void)arg;
	*place = fake.table[key].place;
	*limits = (struct ledger_limits){.bytes = fake.table[key].bytes};
	return place->path ? 0 : -1;
}

static int
is_removed(void *arg, const struct account *a)
{
	(void)arg;
	return fake.has_table && fake.table[key_of(a)].place.path == 0;
}

static void
remove_account(void *arg, struct account *a)
{
	(void)arg;
	fake.accounts[key_of(a)] = NULL;
	fake.saved[key_of(a)] = (struct ledger_numbers){0};
}

static const struct ledger_calls calls = {
	.answer = take_answer,
	.count = begin_count,
	.probe = begin_probe,
	.save_account = save_account,
	.save_ticket = save_ticket,
	.remove_ticket = remove_ticket,
	.corrected = corrected,
	.look_up = look_up,
	.is_removed = is_removed,
	.remove_account = remove_account,
};

static const struct ledger_rules rules = {DEADLINE_MS, 7500, 80, 1};

/* --- doing things ----------------------------------------------------------------- */

static void
open_ledger(void)
{
	char name[2] = "P";

	fake.ledger = ledger_new(&calls, NULL, &rules, fake.now);
	for (int i = 0; i < KEYS; i++, name[0]++)
		fake.accounts[i] = ledger_account(fake.ledger, name);
	for (int i = 0; i < 8; i++)
		ledger_connect(&connections[i], (uint64_t)i + 1);
}

/* P is at A with a limit of 1000 bytes. */
static void
setup(void)
{
	memset(&fake, 0, sizeof fake);
	fake.now = 1000000;
	for (int i = 0; i < KEYS; i++)
		fake.table[i].bytes = 1000;
	fake.table[P].place.path = A;
	open_ledger();
}

static void
teardown(void)
{
	ledger_free(&fake.ledger);
}

/* What was stored is loaded, as after a kill in the same boot. */
static void
restart(void)
{
	struct ledger_numbers saved[KEYS];
	struct stored stored[STORED_MAX];
	int count = fake.stored_count;

	memcpy(saved, fake.saved, sizeof saved);
	memcpy(stored, fake.stored, sizeof stored);
	ledger_free(&fake.ledger);
	memset(fake.counting, 0, sizeof fake.counting);
	memset(fake.probing, 0, sizeof fake.probing);
	open_ledger();
	for (int i = 0; i < KEYS; i++)
		ledger_load(fake.ledger, fake.accounts[i], &saved[i]);
	for (int i = 0; i < count; i++) {
		const struct ledger_ticket t = {.name = stored[i].name + 2,
			.bytes = stored[i].bytes,
			.path = stored[i].path,
			.state = LEDGER_UNSURE};

		ledger_load_ticket(
			fake.ledger, fake.accounts[stored[i].name[0] - 'P'], &t);
	}
}

static void
change_table(int key, uint64_t path)
{
	fake.table[key].place.path = path;
	ledger_table_changed(fake.ledger);
}

static void
ask(enum ledger_kind kind, int key, int connection, uint64_t bytes, const char *name)
{
	const struct ledger_request r = {
		.kind = kind,
		.account = fake.accounts[key],
		.connection = &connections[connection],
		.limits = {.bytes = fake.table[key].bytes},
		.bytes = bytes,
		.name = name,
		.place = fake.table[key].place,
		.directory = fake.table[key].open,
	};

	fake.answers = 0;
	ledger_ask(fake.ledger, &r);
}

static void
count_ends(int key, int exact, uint64_t bytes)
{
	const struct ledger_count c = {.exact = exact,
		.bytes = bytes,
		.messages = bytes ? 1 : 0,
		.stamp = 1,
		.directory = fake.table[key].found};

	ck_assert_msg(fake.counting[key], "no count was wanted");
	fake.counting[key] = 0;
	ledger_counted(fake.ledger, fake.accounts[key], &c);
}

static struct ledger_numbers
numbers(int key)
{
	struct ledger_numbers n;

	ledger_numbers(fake.ledger, fake.accounts[key], &n);
	return n;
}

/* The answer to a RESERVE where counts find so many bytes and probes no change. */
static enum verdict
reserve(int key, int connection, uint64_t bytes, const char *name, uint64_t found)
{
	ask(LEDGER_RESERVE, key, connection, bytes, name);
	for (int i = 0; i < 10 && !fake.answers; i++) {
		if (fake.counting[key])
			count_ends(key, 1, found);
		if (fake.probing[key]) {
			fake.probing[key] = 0;
			ledger_probed(fake.ledger, fake.accounts[key], 1, 0);
		}
		ledger_settle(fake.ledger, NULL, NULL);
	}
	ck_assert_int_eq(fake.answers, 1);
	return fake.last.verdict;
}

static void
know(int key, uint64_t used)
{
	ask(LEDGER_GET, key, 7, 0, NULL);
	count_ends(key, 1, used);
	ck_assert_int_eq(fake.answers, 1);
}

/* --- the number ------------------------------------------------------------------- */

START_TEST(another_place_makes_the_number_unknown)
{
	know(P, 100);
	change_table(P, B);
	ask(LEDGER_RESERVE, P, 0, 500, "a");
	ck_assert_int_eq(fake.answers, 0);
	count_ends(P, 1, 900);
	ck_assert_int_eq(fake.answers, 0); /* a refusal needs more */
	ck_assert_uint_eq(numbers(P).used, 900);
}
END_TEST

START_TEST(nothing_is_told_of_another_place)
{
	know(P, 700);
	change_table(P, B);
	ledger_bind(fake.ledger, fake.accounts[P], (struct ledger_place){B, 0});
	ck_assert_int_eq(numbers(P).known, 0);
	ck_assert_uint_eq(numbers(P).used, 0);
	ck_assert_uint_eq(numbers(P).last.found, 0);
	/* Not even where it can't be counted exactly. */
	ask(LEDGER_GET, P, 0, 0, NULL);
	count_ends(P, 0, 5);
	ck_assert_int_eq(fake.answers, 1);
	ck_assert_uint_eq(numbers(P).used, 5);
}
END_TEST

START_TEST(other_rules_make_the_number_unknown)
{
	struct ledger_rules other = rules;

	know(P, 100);
	other.counting = 2;
	ledger_set_rules(fake.ledger, &other);
	ck_assert_int_eq(numbers(P).known, 0);
	ck_assert_int_ne(reserve(P, 0, 500, "a", 900), VERDICT_DELIVERED);
	ck_assert_uint_eq(numbers(P).used, 900);
}
END_TEST

START_TEST(other_limits_and_the_same_rules_cost_no_count)
{
	const struct ledger_rules other = {
		.deadline_ms = 1, .answer_ms = 1, .recheck_per_cent = 90, .counting = 1};

	know(P, 100);
	fake.counts = 0;
	fake.table[P].bytes = 500;
	ledger_table_changed(fake.ledger);
	ledger_set_rules(fake.ledger, &other);
	ck_assert_int_eq(reserve(P, 0, 100, "a", 0), VERDICT_DELIVERED);
	ck_assert_int_eq(fake.counts, 0);
}
END_TEST

START_TEST(a_count_begun_at_another_place_is_dropped)
{
	ask(LEDGER_GET, P, 0, 0, NULL);
	change_table(P, B);
	ask(LEDGER_RESERVE, P, 1, 600, "a");
	count_ends(P, 1, 0); /* of A */
	ck_assert_uint_eq(numbers(P).used, 0);
	ck_assert_int_eq(numbers(P).known, 0);
	count_ends(P, 1, 900); /* of B */
	ck_assert_int_eq(numbers(P).known, 1);
	ck_assert_uint_eq(numbers(P).used, 900);
	ck_assert_uint_eq(numbers(P).tickets, 0);
}
END_TEST

/* What another mailbox took there meanwhile is in no such count. */
START_TEST(a_count_begun_before_a_change_and_back_is_dropped)
{
	ask(LEDGER_GET, P, 0, 0, NULL);
	change_table(P, B);
	ledger_bind(fake.ledger, fake.accounts[P], (struct ledger_place){B, 0});
	change_table(P, A);
	ask(LEDGER_RESERVE, P, 1, 600, "a");
	count_ends(P, 1, 0); /* begun before */
	ck_assert_int_eq(numbers(P).known, 0);
	count_ends(P, 1, 900);
	ck_assert_int_eq(numbers(P).known, 1);
	ck_assert_uint_eq(numbers(P).used, 900);
	ck_assert_uint_eq(numbers(P).tickets, 0);
}
END_TEST

START_TEST(a_count_begun_by_other_rules_is_dropped)
{
	struct ledger_rules other = rules;

	ask(LEDGER_RESERVE, P, 0, 600, "a");
	other.counting = 2;
	ledger_set_rules(fake.ledger, &other);
	count_ends(P, 1, 0);
	ck_assert_int_eq(fake.answers, 0);
	ck_assert_int_eq(numbers(P).known, 0);
	count_ends(P, 1, 900);
	ck_assert_uint_eq(numbers(P).used, 900);
	ck_assert_uint_eq(numbers(P).tickets, 0);
}
END_TEST

START_TEST(a_place_that_another_key_had_meanwhile_is_counted)
{
	know(P, 100);
	change_table(P, B);
	change_table(Q, A);
	know(Q, 100);
	ck_assert_int_eq(reserve(Q, 0, 650, "a", 100), VERDICT_DELIVERED);
	ledger_commit(fake.ledger, &connections[0], fake.last.ticket,
		&(struct account *){NULL});
	change_table(Q, 0);
	change_table(P, A);
	ck_assert_int_ne(reserve(P, 1, 500, "b", 750), VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_path_that_another_owner_had_meanwhile_is_counted)
{
	know(P, 100);
	change_table(P, 0);
	change_table(Q, A);
	fake.table[Q].place.owner = 1;
	know(Q, 750);
	change_table(Q, 0);
	change_table(P, A);
	ck_assert_int_ne(reserve(P, 1, 500, "b", 750), VERDICT_DELIVERED);
}
END_TEST

START_TEST(another_owner_makes_the_number_unknown)
{
	know(P, 100);
	fake.table[P].place.owner = 1;
	ck_assert_int_ne(reserve(P, 1, 500, "b", 750), VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_count_is_dropped_also_where_all_is_as_before_at_its_end)
{
	struct ledger_rules other = rules;

	other.counting = 2;
	ask(LEDGER_GET, P, 0, 0, NULL);
	ledger_set_rules(fake.ledger, &other);
	ask(LEDGER_GET, P, 1, 0, NULL);
	ledger_set_rules(fake.ledger, &rules);
	count_ends(P, 1, 0);
	ck_assert_int_eq(numbers(P).known, 0);
	change_table(P, B);
	ask(LEDGER_GET, P, 2, 0, NULL);
	change_table(P, A);
	ask(LEDGER_GET, P, 3, 0, NULL);
	count_ends(P, 1, 0);
	ck_assert_int_eq(numbers(P).known, 0);
	count_ends(P, 1, 900);
	ck_assert_uint_eq(numbers(P).used, 900);
}
END_TEST

START_TEST(a_question_that_waits_meets_the_limit_of_now)
{
	ask(LEDGER_RESERVE, P, 0, 600, "a");
	fake.table[P].bytes = 500;
	ledger_table_changed(fake.ledger);
	count_ends(P, 1, 0);
	ck_assert_uint_eq(numbers(P).tickets, 0);
}
END_TEST

START_TEST(a_question_that_waits_for_a_mailbox_that_is_removed_is_not_granted)
{
	ask(LEDGER_RESERVE, P, 0, 600, "a");
	change_table(P, 0);
	count_ends(P, 1, 0);
	ck_assert_int_eq(fake.answers, 1);
	ck_assert_int_eq(fake.last.verdict, VERDICT_TROUBLE);
	ck_assert_uint_eq(numbers(P).tickets, 0);
}
END_TEST

START_TEST(two_mailboxes_at_one_place_are_one_too_many)
{
	know(P, 100);
	change_table(Q, A);
	ck_assert_int_eq(reserve(Q, 0, 100, "a", 100), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(reserve(P, 0, 100, "b", 100), VERDICT_DELIVERED);
	change_table(P, 0);
	ck_assert_int_eq(reserve(Q, 1, 100, "c", 100), VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_restart_knows_which_place_was_counted)
{
	know(P, 100);
	restart();
	ck_assert_int_eq(numbers(P).known, 1);
	fake.counts = 0;
	ck_assert_int_eq(reserve(P, 0, 100, "a", 0), VERDICT_DELIVERED);
	ck_assert_int_eq(fake.counts, 0);
	restart();
	change_table(P, B);
	ck_assert_int_ne(reserve(P, 0, 500, "b", 900), VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_number_of_an_earlier_version_is_unknown)
{
	know(P, 100);
	fake.saved[P].place.path = fake.saved[P].rules = 0;
	restart();
	ck_assert_int_ne(reserve(P, 0, 500, "a", 900), VERDICT_DELIVERED);
}
END_TEST

/* --- tickets ---------------------------------------------------------------------- */

/* lda0 holds room in P, P is renamed Q, Q's count knows nothing of lda0's message. */
START_TEST(a_renamed_mailbox_is_charged_what_its_old_name_promised)
{
	uint64_t ticket;

	know(P, 0);
	ck_assert_int_eq(reserve(P, 0, 700, "a", 0), VERDICT_DELIVERED);
	ticket = fake.last.ticket;
	change_table(P, 0);
	change_table(Q, A);
	ck_assert_int_eq(reserve(Q, 1, 700, "b", 0), VERDICT_FULL_FOR_NOW);
	ck_assert_uint_eq(numbers(Q).reserved, 700);
	ck_assert_int_eq(ledger_commit(fake.ledger, &connections[0], ticket,
				 &(struct account *){NULL}),
		0);
	ck_assert_int_eq(numbers(Q).used, 700);
	ck_assert_int_eq(reserve(Q, 1, 700, "b", 700), VERDICT_FULL);
	ck_assert_uint_eq(numbers(Q).used, 700);
	ck_assert_int_eq(numbers(Q).known, 1);
	ck_assert_uint_eq(numbers(Q).reserved + numbers(P).reserved, 0);
	ck_assert_int_eq(fake.stored_count, 0);
	ck_assert_int_eq(reserve(Q, 1, 200, "c", 700), VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_mailbox_that_moves_keeps_what_it_promised)
{
	know(P, 0);
	ck_assert_int_eq(reserve(P, 0, 700, "a", 0), VERDICT_DELIVERED);
	change_table(P, B);
	ck_assert_int_eq(reserve(P, 1, 700, "b", 0), VERDICT_TROUBLE);
	ledger_cancel(fake.ledger, &connections[0], 1);
	ck_assert_int_eq(reserve(P, 1, 700, "b", 0), VERDICT_DELIVERED);
}
END_TEST

START_TEST(two_that_change_places_are_both_charged)
{
	change_table(Q, B);
	know(P, 0);
	know(Q, 0);
	ck_assert_int_eq(reserve(P, 0, 700, "a", 0), VERDICT_DELIVERED);
	change_table(P, B);
	change_table(Q, A);
	ck_assert_int_eq(reserve(Q, 1, 700, "b", 0), VERDICT_FULL_FOR_NOW);
	ck_assert_int_eq(reserve(P, 1, 700, "b", 0), VERDICT_TROUBLE);
	ledger_cancel(fake.ledger, &connections[0], 1);
	ck_assert_int_eq(reserve(Q, 1, 700, "b", 0), VERDICT_DELIVERED);
	ck_assert_int_eq(reserve(P, 2, 700, "c", 0), VERDICT_DELIVERED);
	ck_assert_int_eq(fake.stored_count, 2);
}
END_TEST

START_TEST(what_was_cut_off_ends_in_each_account_by_its_own_count)
{
	static const char *const seen[] = {"a"};
	const struct ledger_count c = {.exact = 1,
		.bytes = 700,
		.messages = 1,
		.stamp = 1,
		.seen = seen,
		.seen_count = 1};

	know(P, 0);
	ck_assert_int_eq(reserve(P, 0, 700, "a", 0), VERDICT_DELIVERED);
	change_table(P, B);
	change_table(Q, A);
	ledger_bind(fake.ledger, fake.accounts[P], (struct ledger_place){B, 0});
	ledger_bind(fake.ledger, fake.accounts[Q], (struct ledger_place){A, 0});
	ledger_disconnected(fake.ledger, &connections[0], 0);
	ledger_recount(fake.ledger, fake.accounts[Q], 0);
	fake.counting[Q] = 0;
	ledger_counted(fake.ledger, fake.accounts[Q], &c); /* there it is */
	ck_assert_uint_eq(numbers(Q).used, 700);
	ck_assert_uint_eq(numbers(Q).tickets, 0);
	ck_assert_uint_eq(numbers(P).tickets, 1);
	ledger_recount(fake.ledger, fake.accounts[P], 0);
	count_ends(P, 1, 0);
	ck_assert_uint_eq(numbers(P).tickets, 1); /* its lda may be alive */
	fake.now += DEADLINE_MS;
	ledger_tick(fake.ledger, fake.now);
	ledger_recount(fake.ledger, fake.accounts[P], 0);
	count_ends(P, 1, 0);
	ck_assert_uint_eq(numbers(P).tickets, 0);
	ck_assert_int_eq(fake.stored_count, 0);
}
END_TEST

START_TEST(a_take_over_is_of_all_that_is_charged)
{
	uint64_t ticket;

	know(P, 0);
	ck_assert_int_eq(reserve(P, 0, 700, "a", 0), VERDICT_DELIVERED);
	change_table(P, 0);
	change_table(Q, A);
	ck_assert_int_eq(reserve(Q, 1, 700, "b", 0), VERDICT_FULL_FOR_NOW);
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ck_assert_int_eq(reserve(Q, 2, 700, "a", 0), VERDICT_DELIVERED);
	ticket = fake.last.ticket;
	ck_assert_uint_eq(connections[2].tickets, 1);
	fake.now += 20000;
	ledger_tick(fake.ledger, fake.now);
	ck_assert_uint_eq(numbers(P).tickets, 1); /* no orphan of P's either */
	ck_assert_int_eq(ledger_cancel(fake.ledger, &connections[2], ticket), 0);
	ck_assert_uint_eq(numbers(P).tickets + numbers(Q).tickets, 0);
}
END_TEST

START_TEST(a_rename_while_quotad_was_away_is_charged_too)
{
	know(P, 0);
	ck_assert_int_eq(reserve(P, 0, 700, "a", 0), VERDICT_DELIVERED);
	restart();
	change_table(P, 0);
	change_table(Q, A);
	ck_assert_int_eq(reserve(Q, 1, 700, "b", 0), VERDICT_TROUBLE);
	/* And after one more restart. */
	restart();
	ck_assert_int_eq(reserve(Q, 1, 700, "b", 0), VERDICT_TROUBLE);
	fake.now += DEADLINE_MS;
	ledger_tick(fake.ledger, fake.now);
	ck_assert_int_eq(reserve(Q, 1, 700, "b", 0), VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_grant_to_the_old_name_after_the_change_is_none)
{
	know(P, 0);
	ask(LEDGER_RECOUNT, P, 6, 0, NULL);
	count_ends(P, 0, 0);
	fake.now += 1000000; /* the count does not serve any more */
	ledger_tick(fake.ledger, fake.now);
	ask(LEDGER_RESERVE, P, 0, 900, "a");
	ck_assert_int_eq(fake.answers, 0);
	change_table(P, 0);
	change_table(Q, A);
	ask(LEDGER_GET, Q, 1, 0, NULL);
	fake.probing[P] = 0;
	fake.answers = 0;
	ledger_probed(fake.ledger, fake.accounts[P], 1, 0);
	if (fake.counting[P])
		count_ends(P, 1, 0);
	ck_assert_int_eq(fake.answers, 1);
	ck_assert_int_eq(fake.last.verdict, VERDICT_TROUBLE);
	ck_assert_uint_eq(numbers(P).tickets, 0);
}
END_TEST

/* --- what is removed -------------------------------------------------------------- */

static void
pass_time(uint64_t ms)
{
	fake.now += ms;
	ledger_tick(fake.ledger, fake.now);
}

START_TEST(a_removed_mailbox_is_forgotten)
{
	fake.has_table = 1;
	know(P, 100);
	pass_time(200);
	ck_assert_ptr_nonnull(fake.accounts[P]);
	change_table(P, 0);
	pass_time(200);
	ck_assert_ptr_null(fake.accounts[P]);
	ck_assert_ptr_null(ledger_find(fake.ledger, "P"));
}
END_TEST

START_TEST(a_removed_mailbox_is_kept_while_room_is_held_in_it)
{
	know(P, 100);
	ck_assert_int_eq(reserve(P, 0, 100, "a", 100), VERDICT_DELIVERED);
	ck_assert_int_eq(reserve(P, 1, 100, "b", 100), VERDICT_DELIVERED);
	fake.has_table = 1;
	change_table(P, 0);
	pass_time(200);
	ck_assert_ptr_nonnull(fake.accounts[P]);
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ledger_disconnected(fake.ledger, &connections[1], 0);
	pass_time(200);
	ck_assert_ptr_nonnull(fake.accounts[P]);
	if (fake.counting[P])
		count_ends(P, 0, 0);
	pass_time(DEADLINE_MS);
	if (fake.counting[P])
		count_ends(P, 0, 0);
	pass_time(200);
	ck_assert_ptr_null(fake.accounts[P]);
	ck_assert_int_eq(fake.stored_count, 0);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->tickets, 0);
	ck_assert_uint_eq(ledger_totals(fake.ledger)->orphans, 0);
}
END_TEST

START_TEST(a_removed_mailbox_is_kept_while_it_is_counted_or_asked_about)
{
	fake.has_table = 1;
	ask(LEDGER_GET, P, 0, 0, NULL);
	change_table(P, 0);
	pass_time(200);
	ck_assert_ptr_nonnull(fake.accounts[P]);
	count_ends(P, 1, 0);
	pass_time(200);
	ck_assert_ptr_null(fake.accounts[P]);
}
END_TEST

START_TEST(what_comes_back_in_time_is_kept)
{
	know(P, 100);
	ck_assert_int_eq(reserve(P, 0, 100, "a", 100), VERDICT_DELIVERED);
	fake.has_table = 1;
	change_table(P, 0);
	pass_time(200);
	change_table(P, A);
	pass_time(200);
	ledger_cancel(fake.ledger, &connections[0], fake.last.ticket);
	pass_time(200);
	pass_time(200);
	ck_assert_ptr_nonnull(fake.accounts[P]);
	ck_assert_uint_eq(numbers(P).used, 100);
}
END_TEST

/* --- directories ------------------------------------------------------------------ */

START_TEST(a_grant_is_of_the_directory_that_lda_has_open)
{
	fake.table[P].found = fake.table[P].open = 11;
	ck_assert_int_eq(reserve(P, 0, 100, "a", 300), VERDICT_DELIVERED);
	fake.table[P].open = 12;
	fake.counts = 0;
	ck_assert_int_eq(reserve(P, 1, 100, "b", 300), VERDICT_TROUBLE);
	ck_assert_int_eq(fake.counts, 1);
	fake.table[P].open = 11;
	ck_assert_int_eq(reserve(P, 2, 100, "c", 300), VERDICT_DELIVERED);
	ck_assert_int_eq(fake.counts, 1);
}
END_TEST

START_TEST(the_second_in_a_directory_is_one_too_many)
{
	fake.table[Q].place.path = B;
	fake.table[P].found = fake.table[P].open = 11;
	fake.table[Q].found = fake.table[Q].open = 11;
	ck_assert_int_eq(reserve(P, 0, 100, "a", 0), VERDICT_DELIVERED);
	ask(LEDGER_RESERVE, Q, 1, 100, "b");
	count_ends(Q, 1, 0);
	ck_assert_msg(fake.counting[P], "the first is looked at");
	count_ends(P, 1, 0);
	count_ends(Q, 1, 0);
	ck_assert_int_eq(fake.answers, 1);
	ck_assert_int_eq(fake.last.verdict, VERDICT_MISCONFIGURED);
}
END_TEST

START_TEST(a_directory_that_has_left_the_first_is_the_seconds)
{
	fake.table[Q].place.path = B;
	fake.table[P].found = fake.table[P].open = 11;
	ck_assert_int_eq(reserve(P, 0, 300, "a", 0), VERDICT_DELIVERED);
	fake.table[P].found = 0;
	fake.table[Q].found = fake.table[Q].open = 11;
	ask(LEDGER_RESERVE, Q, 1, 100, "b");
	count_ends(Q, 1, 0);
	count_ends(P, 1, 0);
	count_ends(Q, 1, 0);
	ck_assert_msg(!fake.answers, "a count that only binds is no number");
	ck_assert_uint_eq(numbers(Q).reserved, 300);
	count_ends(Q, 1, 0);
	ck_assert_int_eq(fake.last.verdict, VERDICT_DELIVERED);
	ck_assert_uint_eq(numbers(Q).reserved, 400);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {another_place_makes_the_number_unknown,
		nothing_is_told_of_another_place, other_rules_make_the_number_unknown,
		other_limits_and_the_same_rules_cost_no_count,
		a_count_begun_at_another_place_is_dropped,
		a_count_begun_before_a_change_and_back_is_dropped,
		a_count_begun_by_other_rules_is_dropped,
		a_place_that_another_key_had_meanwhile_is_counted,
		a_path_that_another_owner_had_meanwhile_is_counted,
		another_owner_makes_the_number_unknown,
		a_count_is_dropped_also_where_all_is_as_before_at_its_end,
		a_question_that_waits_meets_the_limit_of_now,
		a_question_that_waits_for_a_mailbox_that_is_removed_is_not_granted,
		two_mailboxes_at_one_place_are_one_too_many,
		a_restart_knows_which_place_was_counted,
		a_number_of_an_earlier_version_is_unknown,
		a_renamed_mailbox_is_charged_what_its_old_name_promised,
		a_mailbox_that_moves_keeps_what_it_promised,
		two_that_change_places_are_both_charged,
		what_was_cut_off_ends_in_each_account_by_its_own_count,
		a_take_over_is_of_all_that_is_charged,
		a_rename_while_quotad_was_away_is_charged_too,
		a_grant_to_the_old_name_after_the_change_is_none,
		a_removed_mailbox_is_forgotten,
		a_removed_mailbox_is_kept_while_room_is_held_in_it,
		a_removed_mailbox_is_kept_while_it_is_counted_or_asked_about,
		a_grant_is_of_the_directory_that_lda_has_open,
		the_second_in_a_directory_is_one_too_many,
		a_directory_that_has_left_the_first_is_the_seconds,
		what_comes_back_in_time_is_kept};
	TCase *c = ADD_CASE(suite, tests);

	tcase_add_checked_fixture(c, setup, teardown);
}
