/* Maildirs that had mail and are missing, as they are where a file system is not mounted:
 * what the ledger says and keeps of them, with a fake clock, store and scanner. */
#include <stdio.h>
#include <string.h>

#include "ledger_fakes.h"
#include "quotad/ledger/ledger.h"
#include "suite.h"

#define LIMIT 1000
#define HERE  77 /* the directory that the path leads to */

enum { A = 1, B }; /* places */

static struct fake {
	struct ledger *ledger;
	uint64_t now, limit;
	struct ledger_place place; /* of alice, by the table; path 0: not in it */
	int counting, probing, answers;
	enum verdict verdict;
	char text[200];
	uint64_t ticket;
	struct ledger_numbers saved, saved_bob;
	uint64_t generation, removed_in; /* of the table; of the place A */
	uint64_t kept[3];                /* by place: mail_in, as the store has it */
} fake;

static struct ledger_connection connections[2];

/* --- the neighbours --------------------------------------------------------------- */

static void
take_answer(void *arg, void *cookie, const struct ledger_answer *answer)
{
	(void)arg;
	(void)cookie;
	fake.verdict = answer->verdict;
	fake.ticket = answer->ticket;
	snprintf(fake.text, sizeof fake.text, "%s", answer->text ? answer->text : "");
	fake.answers++;
}

static void
begin_count(void *arg, struct account *a, int thorough)
{
	(void)arg;
	(void)a;
	(void)thorough;
	ck_assert_int_eq(fake.counting++, 0);
}

static void
begin_probe(void *arg, struct account *a)
{
	(void)arg;
	(void)a;
	fake.probing = 1;
}

static int
save_account(void *arg, struct account *a)
{
	(void)arg;
	ledger_numbers(
		fake.ledger, a, ledger_name(a)[0] == 'a' ? &fake.saved : &fake.saved_bob);
	return 0;
}

static int
look_up(void *arg, const struct account *a, struct ledger_place *place,
	struct ledger_limits *limits)
{
	(void)arg;
	if (ledger_name(a)[0] != 'a')
		return -1;
	*place = fake.place;
	*limits = (struct ledger_limits){.bytes = fake.limit};
	return place->path ? 0 : -1;
}

static int
is_removed(void *arg, const struct account *a)
{
	(void)arg;
	return ledger_name(a)[0] == 'a' && fake.place.path == 0;
}

static void
remove_account(void *arg, struct account *a)
{
	(void)arg;
	(void)a;
	fake.saved = (struct ledger_numbers){0};
}

static uint64_t
generation(void *arg)
{
	(void)arg;
	return fake.generation;
}

static uint64_t
removed_in(void *arg, uint64_t path)
{
	(void)arg;
	return path == A ? fake.removed_in : 0;
}

static void
save_place(void *arg, uint64_t path, uint64_t mail_in)
{
	(void)arg;
	fake.kept[path] = mail_in;
}

static const struct ledger_calls calls = {
	.answer = take_answer,
	.count = begin_count,
	.probe = begin_probe,
	.save_account = save_account,
	.save_ticket = fake_save_ticket,
	.remove_ticket = fake_remove_ticket,
	.corrected = fake_corrected,
	.look_up = look_up,
	.is_removed = is_removed,
	.remove_account = remove_account,
	.generation = generation,
	.removed_in = removed_in,
	.save_place = save_place,
};

static const struct ledger_rules rules = {300000, 7500, 80, 1};

/* --- doing things ----------------------------------------------------------------- */

static void
open_ledger(void)
{
	fake.ledger = ledger_new(&calls, NULL, &rules, fake.now);
	for (int i = 0; i < 2; i++)
		ledger_connect(&connections[i], (uint64_t)i + 1);
}

static void
setup(void)
{
	memset(&fake, 0, sizeof fake);
	fake.now = 1000000;
	fake.limit = LIMIT;
	fake.generation = 1;
	fake.place = (struct ledger_place){.path = A, .owner = 1001};
	open_ledger();
}

static void
teardown(void)
{
	ledger_free(&fake.ledger);
}

static struct account *
alice(void)
{
	return ledger_account(fake.ledger, "alice");
}

/* quotad is started again, in another boot or in this one, with what it kept. */
static void
restart(int boot, int kept_by_an_older_version)
{
	struct ledger_numbers kept = fake.saved;

	ledger_free(&fake.ledger);
	fake.counting = fake.probing = fake.answers = 0;
	open_ledger();
	if (boot) {
		kept.known = 0;
		kept.directory = 0;
	}
	if (kept_by_an_older_version)
		kept.had_mail = 0;
	kept.missing = 0; /* is not kept */
	ledger_load(fake.ledger, alice(), &kept);
}

static void
ask(struct ledger_request r)
{
	static int names;
	char name[16];

	snprintf(name, sizeof name, "m%d", names++);
	r.account = alice();
	r.connection = &connections[0];
	r.limits.bytes = fake.limit;
	r.place = fake.place;
	r.name = r.kind == LEDGER_RESERVE ? name : NULL;
	fake.answers = 0;
	ledger_ask(fake.ledger, &r);
}

/* What the count that is wanted finds; bytes above 0 are one message. */
static void
count_finds(uint64_t directory, int missing, uint64_t bytes)
{
	const struct ledger_count c = {.exact = 1,
		.directory = directory,
		.missing = missing,
		.bytes = bytes,
		.messages = bytes > 0,
		.stamp = directory + (uint64_t)missing + bytes};

	ck_assert_msg(fake.counting == 1, "no count was wanted");
	fake.counting = 0;
	ledger_counted(fake.ledger, alice(), &c);
}

static void
count_of_round(uint64_t directory, int missing, uint64_t bytes)
{
	ledger_recount(fake.ledger, alice(), 1);
	count_finds(directory, missing, bytes);
}

static struct ledger_numbers
numbers(void)
{
	struct ledger_numbers n;

	ledger_numbers(fake.ledger, alice(), &n);
	return n;
}

/* A lda finds the Maildir missing, and asks before it makes one. */
static enum verdict
check_missing(void)
{
	ask((struct ledger_request){.kind = LEDGER_CHECK, .bytes = 10, .is_missing = 1});
	if (fake.answers == 0)
		count_finds(0, 1, 0);
	ck_assert_int_eq(fake.answers, 1);
	return fake.verdict;
}

static void
expect_unmounted(void)
{
	ck_assert_int_eq((int)check_missing(), VERDICT_TROUBLE);
	ck_assert_ptr_nonnull(strstr(fake.text, "is its file system mounted?"));
	ck_assert_int_eq(numbers().missing, 1);
}

/* Mail is there and has been counted. */
static void
know_mail(void)
{
	ask((struct ledger_request){.kind = LEDGER_GET});
	count_finds(HERE, 0, 300);
	ck_assert_int_eq((int)fake.verdict, VERDICT_DELIVERED);
}

/* --- the rule --------------------------------------------------------------------- */

START_TEST(a_maildir_that_was_never_seen_may_be_made)
{
	fake.limit = _i ? LIMIT : 0;
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
	ck_assert_int_eq(numbers().missing, 0);
}
END_TEST

START_TEST(one_that_had_mail_may_not)
{
	know_mail();
	fake.limit = _i ? LIMIT : 0;
	expect_unmounted();
	expect_unmounted();
}
END_TEST

START_TEST(one_that_was_emptied_may)
{
	know_mail();
	count_of_round(HERE, 0, 0);
	ck_assert_int_eq(numbers().had_mail, 0);
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
}
END_TEST

START_TEST(a_delivery_is_mail_without_a_count)
{
	struct account *a;

	fake.limit = 0;
	ask((struct ledger_request){
		.kind = LEDGER_RESERVE, .bytes = 10, .directory = HERE});
	ck_assert_int_eq((int)fake.verdict, VERDICT_DELIVERED);
	ck_assert_int_eq(ledger_commit(fake.ledger, &connections[0], fake.ticket, &a), 0);
	ck_assert_int_eq(fake.saved.had_mail, 1);
	expect_unmounted();
}
END_TEST

/* --- counts ----------------------------------------------------------------------- */

START_TEST(a_count_that_finds_it_missing_is_no_number)
{
	know_mail();
	count_of_round(0, 1, 0);
	ck_assert_int_eq(numbers().known, 0);
	ck_assert_int_eq(numbers().had_mail, 1);
	ck_assert_int_eq(numbers().missing, 1);
	ck_assert_uint_eq(numbers().used, 300);
	expect_unmounted();
}
END_TEST

/* The Maildir is there, without its new/; whatever else is there. */
START_TEST(nor_is_one_that_finds_new_missing)
{
	know_mail();
	count_of_round(HERE, 1, 50);
	ck_assert_int_eq(numbers().known, 0);
	ck_assert_uint_eq(numbers().used, 300);
	expect_unmounted();
}
END_TEST

START_TEST(an_inexact_count_that_finds_nothing_keeps_the_knowledge)
{
	const struct ledger_count c = {.directory = HERE};

	know_mail();
	ledger_recount(fake.ledger, alice(), 1);
	fake.counting = 0;
	ledger_counted(fake.ledger, alice(), &c);
	ck_assert_int_eq(numbers().had_mail, 1);
}
END_TEST

START_TEST(an_inexact_count_that_finds_mail_knows_of_it)
{
	const struct ledger_count c = {.directory = HERE, .bytes = 5, .messages = 1};

	ledger_recount(fake.ledger, alice(), 1);
	fake.counting = 0;
	ledger_counted(fake.ledger, alice(), &c);
	expect_unmounted();
}
END_TEST

START_TEST(a_person_is_told_why_there_is_no_number)
{
	static const enum ledger_kind kinds[] = {LEDGER_GET, LEDGER_RECOUNT};

	know_mail();
	count_of_round(0, 1, 0);
	ask((struct ledger_request){.kind = kinds[_i]});
	count_finds(0, 1, 0);
	ck_assert_int_eq((int)fake.verdict, VERDICT_TROUBLE);
	ck_assert_ptr_nonnull(strstr(fake.text, "is its file system mounted?"));
	ck_assert_int_eq(numbers().had_mail, 1);
}
END_TEST

/* Whoever has not looked, such as the MTA at SMTP time, or an lda of before. */
START_TEST(a_question_of_somebody_who_has_not_looked_counts_first)
{
	know_mail();
	fake.limit = _i ? LIMIT : 0;
	count_of_round(0, 1, 0);
	ask((struct ledger_request){.kind = LEDGER_CHECK, .bytes = 10});
	count_finds(0, 1, 0);
	ck_assert_int_eq((int)fake.verdict, VERDICT_TROUBLE);
	ask((struct ledger_request){.kind = LEDGER_CHECK, .bytes = 10});
	count_finds(HERE, 0, 300);
	ck_assert_int_eq((int)fake.verdict, VERDICT_DELIVERED);
	ck_assert_int_eq(numbers().missing, 0);
}
END_TEST

/* A delivery has made the mailbox after the count had looked. */
START_TEST(a_count_that_began_before_the_first_delivery_finds_nothing_missing)
{
	struct account *a;

	fake.limit = 0;
	ledger_recount(fake.ledger, alice(), 1);
	ask((struct ledger_request){
		.kind = LEDGER_RESERVE, .bytes = 10, .directory = HERE});
	ck_assert_int_eq(ledger_commit(fake.ledger, &connections[0], fake.ticket, &a), 0);
	count_finds(0, 1, 0);
	ck_assert_int_eq(numbers().missing, 0);
	ck_assert_int_eq(numbers().had_mail, 1);
}
END_TEST

/* --- its end ---------------------------------------------------------------------- */

START_TEST(once_it_is_back_mail_is_taken)
{
	know_mail();
	expect_unmounted();
	fake.limit = _i ? LIMIT : 0;
	ask((struct ledger_request){
		.kind = LEDGER_RESERVE, .bytes = 10, .directory = HERE});
	if (fake.counting)
		count_finds(HERE, 0, 300);
	ck_assert_int_eq((int)fake.verdict, VERDICT_DELIVERED);
	ck_assert_int_eq(numbers().missing, 0);
}
END_TEST

/* The number of before is worth nothing: who knows what was done meanwhile. */
START_TEST(once_it_is_back_it_is_counted_before_its_limit_is_believed)
{
	know_mail();
	count_of_round(0, 1, 0);
	ask((struct ledger_request){
		.kind = LEDGER_RESERVE, .bytes = 10, .directory = HERE});
	ck_assert_int_eq(fake.answers, 0);
	count_finds(HERE, 0, LIMIT - 5);
	ck_assert_int_eq(fake.answers, 0); /* a refusal rests on more than that */
}
END_TEST

START_TEST(who_says_that_it_is_meant_is_believed)
{
	know_mail();
	fake.limit = _i ? LIMIT : 0;
	count_of_round(0, 1, 0);
	ask((struct ledger_request){.kind = LEDGER_RECOUNT, .is_meant = 1});
	count_finds(0, 1, 0);
	ck_assert_int_eq((int)fake.verdict, VERDICT_DELIVERED);
	ck_assert_uint_eq(numbers().used, 0);
	ck_assert_int_eq(fake.saved.had_mail, 0);
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
}
END_TEST

START_TEST(what_is_there_after_all_is_counted)
{
	know_mail();
	ask((struct ledger_request){.kind = LEDGER_RECOUNT, .is_meant = 1});
	count_finds(HERE, 0, 200);
	ck_assert_uint_eq(numbers().used, 200);
	expect_unmounted();
}
END_TEST

/* --- what it is bound to ---------------------------------------------------------- */

START_TEST(another_place_has_no_history)
{
	know_mail();
	fake.place.path = B;
	ledger_table_changed(fake.ledger);
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
}
END_TEST

START_TEST(another_owner_and_other_rules_leave_the_knowledge)
{
	const struct ledger_rules others = {300000, 7500, 80, 2};

	know_mail();
	if (_i)
		fake.place.owner = 1002;
	else
		ledger_set_rules(fake.ledger, &others);
	ledger_table_changed(fake.ledger);
	ck_assert_int_eq((int)check_missing(), VERDICT_TROUBLE);
	ck_assert_int_eq(fake.saved.had_mail, 1);
}
END_TEST

START_TEST(another_name_for_the_place_has_its_knowledge)
{
	struct account *bob = ledger_account(fake.ledger, "bob");

	know_mail();
	fake.place.path = B;
	ledger_table_changed(fake.ledger);
	ledger_bind(fake.ledger, bob, (struct ledger_place){.path = A, .owner = 1001});
	ck_assert_int_eq(fake.saved_bob.had_mail, 1);
	ck_assert_int_eq(numbers().had_mail, 0);
}
END_TEST

/* The table is another, and has alice there, or nowhere. */
static void
take_table(uint64_t path)
{
	fake.generation++;
	fake.place.path = path;
	ledger_table_changed(fake.ledger);
	for (int i = 0; i < 3; i++)
		ledger_tick(fake.ledger, fake.now += 200);
}

static void
remove_alice(void)
{
	fake.removed_in = fake.generation + 1;
	take_table(0);
}

/* Under one name or another, or with another path in between; alice's account is
 * forgotten while she is not in the table. */
START_TEST(a_place_that_is_given_up_and_taken_again_keeps_its_knowledge)
{
	fake.limit = _i & 1 ? LIMIT : 0;
	know_mail();
	if (_i & 4)
		count_of_round(0, 1, 0);
	take_table(_i & 2 ? B : 0);
	if (_i & 2)
		ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
	ck_assert_uint_ne(fake.kept[A], 0);
	take_table(A);
	expect_unmounted();
	ck_assert_uint_eq(fake.kept[A], 0); /* it is the account's again */
	ck_assert_int_eq(fake.saved.had_mail, 1);
}
END_TEST

START_TEST(so_it_does_over_a_restart)
{
	uint64_t kept;

	know_mail();
	take_table(0);
	kept = fake.kept[A];
	restart(1, 0);
	fake.place.path = B;
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
	ck_assert_int_eq(ledger_load_place(fake.ledger, A, kept), 0);
	take_table(A);
	expect_unmounted();
}
END_TEST

START_TEST(one_that_was_removed_and_added_again_may_be_made)
{
	know_mail();
	if (_i) /* a delivery to it is under way */
		ask((struct ledger_request){
			.kind = LEDGER_RESERVE, .bytes = 10, .directory = HERE});
	remove_alice();
	take_table(A);
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
}
END_TEST

/* quotad was down, or another change followed at once. */
START_TEST(that_it_was_removed_may_be_heard_late)
{
	know_mail();
	fake.removed_in = fake.generation + 1;
	fake.generation += 2;
	if (_i)
		restart(1, 0);
	ledger_table_changed(fake.ledger);
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
	ck_assert_int_eq(numbers().had_mail, 0);
}
END_TEST

START_TEST(what_came_after_the_removal_is_known)
{
	fake.removed_in = fake.generation;
	know_mail();
	take_table(A);
	expect_unmounted();
	take_table(0);
	take_table(A);
	expect_unmounted();
}
END_TEST

/* One that was taken before the removal may be stored after it. */
START_TEST(a_delivery_to_one_that_is_removed_is_no_knowledge)
{
	struct account *a;

	ask((struct ledger_request){.kind = LEDGER_GET});
	count_finds(HERE, 0, 0);
	ask((struct ledger_request){
		.kind = LEDGER_RESERVE, .bytes = 10, .directory = HERE});
	remove_alice();
	ck_assert_int_eq(ledger_commit(fake.ledger, &connections[0], fake.ticket, &a), 0);
	take_table(0);
	take_table(A);
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
}
END_TEST

/* --- deliveries that were cut off ------------------------------------------------- */

static struct ledger_ticket kept_ticket;

static void
keep_ticket(void *arg, const struct ledger_ticket *t)
{
	(void)arg;
	kept_ticket = *t;
}

/* The mailbox's first message may be there, and nobody has told. */
START_TEST(the_first_message_whose_commit_was_not_read_may_be_there)
{
	fake.limit = _i & 1 ? LIMIT : 0;
	ask((struct ledger_request){.kind = LEDGER_GET});
	count_finds(HERE, 0, 0);
	ask((struct ledger_request){
		.kind = LEDGER_RESERVE, .bytes = 10, .directory = HERE});
	ledger_show_tickets(fake.ledger, alice(), keep_ticket, NULL);
	if (_i & 2) {
		kept_ticket.name = "m";
		kept_ticket.state = _i & 4 ? LEDGER_ENDED : LEDGER_UNSURE;
		restart(_i & 4, 0);
		ck_assert_int_eq(
			ledger_load_ticket(fake.ledger, alice(), &kept_ticket), 0);
	} else {
		ledger_disconnected(fake.ledger, &connections[0], _i & 4);
	}
	count_of_round(0, 1, 0);
	expect_unmounted();
	take_table(B);
	take_table(A);
	expect_unmounted();
}
END_TEST

START_TEST(unless_a_count_finds_nothing_or_that_is_meant)
{
	ask((struct ledger_request){
		.kind = LEDGER_RESERVE, .bytes = 10, .directory = HERE});
	if (fake.counting)
		count_finds(HERE, 0, 0);
	ledger_disconnected(fake.ledger, &connections[0], _i < 2);
	switch (_i) {
	case 0:
		count_of_round(HERE, 0, 0);
		break;
	case 1:
	case 2:
		ask((struct ledger_request){.kind = LEDGER_RECOUNT, .is_meant = 1});
		count_finds(0, 1, 0);
		break;
	default:
		remove_alice();
		take_table(A);
	}
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
}
END_TEST

/* An older lda, which reserves before it makes the Maildir. */
START_TEST(what_was_promised_for_a_maildir_that_was_missing_is_no_mail)
{
	fake.limit = 0;
	ask((struct ledger_request){
		.kind = LEDGER_RESERVE, .bytes = 10, .is_missing = 1});
	ledger_disconnected(fake.ledger, &connections[0], 1);
	ck_assert_int_eq((int)check_missing(), VERDICT_DELIVERED);
}
END_TEST

START_TEST(mail_in_folders_that_do_not_count_is_mail)
{
	const struct ledger_count c = {
		.exact = 1, .directory = HERE, .ignored = 1, .stamp = 5};

	ledger_recount(fake.ledger, alice(), 1);
	fake.counting = 0;
	ledger_counted(fake.ledger, alice(), &c);
	ck_assert_uint_eq(numbers().messages, 0);
	expect_unmounted();
}
END_TEST

START_TEST(the_knowledge_is_there_after_a_restart_and_a_boot)
{
	fake.limit = _i & 1 ? LIMIT : 0;
	know_mail();
	if (_i & 2)
		count_of_round(0, 1, 0);
	restart(_i & 4, 0);
	expect_unmounted();
	restart(1, 0);
	count_of_round(0, 1, 0);
	restart(1, 0);
	expect_unmounted();
}
END_TEST

START_TEST(messages_that_an_older_version_counted_are_mail)
{
	know_mail();
	restart(1, 1);
	expect_unmounted();
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		one_that_was_emptied_may,
		a_delivery_is_mail_without_a_count,
		a_count_that_finds_it_missing_is_no_number,
		nor_is_one_that_finds_new_missing,
		an_inexact_count_that_finds_nothing_keeps_the_knowledge,
		an_inexact_count_that_finds_mail_knows_of_it,
		a_count_that_began_before_the_first_delivery_finds_nothing_missing,
		once_it_is_back_it_is_counted_before_its_limit_is_believed,
		what_is_there_after_all_is_counted,
		another_place_has_no_history,
		so_it_does_over_a_restart,
		what_came_after_the_removal_is_known,
		a_delivery_to_one_that_is_removed_is_no_knowledge,
		what_was_promised_for_a_maildir_that_was_missing_is_no_mail,
		mail_in_folders_that_do_not_count_is_mail,
		another_name_for_the_place_has_its_knowledge,
		messages_that_an_older_version_counted_are_mail,
	};
	TCase *c = ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);

	tcase_add_loop_test(c, a_maildir_that_was_never_seen_may_be_made, 0, 2);
	tcase_add_loop_test(c, one_that_had_mail_may_not, 0, 2);
	tcase_add_loop_test(c, a_person_is_told_why_there_is_no_number, 0, 2);
	tcase_add_loop_test(
		c, a_question_of_somebody_who_has_not_looked_counts_first, 0, 2);
	tcase_add_loop_test(c, once_it_is_back_mail_is_taken, 0, 2);
	tcase_add_loop_test(c, who_says_that_it_is_meant_is_believed, 0, 2);
	tcase_add_loop_test(c, another_owner_and_other_rules_leave_the_knowledge, 0, 2);
	tcase_add_loop_test(
		c, a_place_that_is_given_up_and_taken_again_keeps_its_knowledge, 0, 8);
	tcase_add_loop_test(c, that_it_was_removed_may_be_heard_late, 0, 2);
	tcase_add_loop_test(
		c, the_first_message_whose_commit_was_not_read_may_be_there, 0, 8);
	tcase_add_loop_test(c, unless_a_count_finds_nothing_or_that_is_meant, 0, 4);
	tcase_add_loop_test(c, one_that_was_removed_and_added_again_may_be_made, 0, 2);
	tcase_add_loop_test(c, the_knowledge_is_there_after_a_restart_and_a_boot, 0, 8);
}
