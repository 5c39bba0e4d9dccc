/* Who may send, and to whom: access over a table of its own, with a fake room. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "quotad/access.h"
#include "suite.h"

static char folder[64], table[128];
static struct conf conf;
static struct users *users;
static struct reason why;

/* --- the room, the table in use, and who is blocked ------------------------------- */

static struct fake {
	struct outcome answer; /* to LEDGER_SEND */
	char mailbox[ADDRESS_MAX + 1];
	uint64_t bytes;
	int sends, others; /* questions */
	struct room_question *waits;
	int is_later;
	const char *blocked;
} fake;

void
room_ask(const struct room *room, struct room_question *q, const struct room_asker *asker)
{
	static const struct outcome yes = {.verdict = VERDICT_DELIVERED};

	(void)room;
	(void)asker;
	if (q->kind != LEDGER_SEND) {
		fake.others++;
		q->answered(q, &yes);
		return;
	}
	fake.sends++;
	strcpy(fake.mailbox, q->recipient);
	fake.bytes = q->bytes;
	fake.waits = q;
	if (!fake.is_later)
		q->answered(q, &fake.answer);
}

struct users *
users_reload_table(struct users_reload *r)
{
	(void)r;
	return users;
}

int
users_reload_is_newest(const struct users_reload *r)
{
	(void)r;
	return 1;
}

int
senders_refuse(struct senders *s, const char *sender, struct outcome *o)
{
	(void)s;
	if (sender == NULL || fake.blocked == NULL || strcmp(sender, fake.blocked) != 0)
		return 0;
	outcome_set(o, VERDICT_REFUSED, NULL);
	return 1;
}

/* --- the table -------------------------------------------------------------------- */

static void
make_table(void)
{
	static const char *const lines[] = {
		"alice@example.org uid=1001 gid=1001 mail=/m/alice/ send_quota=1000 "
		"login=al",
		"bob@example.org uid=1002 gid=1002 mail=/m/bob/",
		"me@example.org alias=alice@example.org",
		"both@example.org alias=alice@example.org,bob@example.org",
		"away@example.org alias=alice@example.org,alice@elsewhere.test",
		"@example.net alias=@example.org",
		"@caught.test catchall=alice@example.org",
	};
	struct change *c = change_begin(&conf, CHANGE_NEW_TABLE, NULL, &why);

	ck_assert_msg(c != NULL, "%s", why.text);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct record r;

		ck_assert_int_eq(
			record_parse(&r, lines[i], strlen(lines[i]), 1, &why), 0);
		ck_assert_msg(change_put(c, &r, &why) == CHANGE_OK, "%s", why.text);
		record_clear(&r);
	}
	ck_assert_msg(change_commit(&c, NULL, &why) == CHANGE_OK, "%s", why.text);
	users = users_open(table, &why);
	ck_assert_msg(users != NULL, "%s", why.text);
}

static void
setup(void)
{
	char file[160];
	FILE *f;

	strcpy(folder, access("/dev/shm", W_OK) ? "/tmp/brim-send-XXXXXX"
						: "/dev/shm/brim-send-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(table, sizeof table, "%s/users.db", folder);
	snprintf(file, sizeof file, "%s/brim.conf", folder);
	f = fopen(file, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "users_db = %s\nlocal_domains = here.test\n", table);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_msg(conf_load(&conf, file, &why) == 0, "%s", why.text);
	make_table();
	fake = (struct fake){.answer = {.verdict = VERDICT_FULL}};
}

static void
teardown(void)
{
	users_close(&users);
	conf_free(&conf);
	remove_tree(folder);
}

/* --- asking ----------------------------------------------------------------------- */

static struct outcome got;
static int answers;

static void
take(struct access_question *q, const struct outcome *o)
{
	(void)q;
	got = *o;
	answers++;
}

static struct access_question question;

static void
ask(const char *sender, const char *login, const char *const *recipients, size_t count)
{
	static const struct room room = {&conf, NULL, NULL};
	static const struct access all = {
		.conf = &conf, .room = &room, .senders = (struct senders *)&fake};
	static const struct room_asker asker = {.trusted = 1};

	answers = 0;
	question = (struct access_question){.recipients = recipients,
		.count = count,
		.sender = sender,
		.login = login,
		.answered = take};
	access_ask(&all, &question, &asker);
}

static enum verdict
answer_to(const char *login, const char *recipient)
{
	ask(NULL, login, &recipient, 1);
	ck_assert_int_eq(answers, 1);
	access_finish(&question);
	return got.verdict;
}

START_TEST(of_several_recipients_who_are_not_known_the_sender_alone_is_judged)
{
	static const struct {
		const char *login;
		enum verdict own, answer;
	} cases[] = {{"al", VERDICT_FULL, VERDICT_FULL},
		{"al", VERDICT_DELIVERED, VERDICT_DELIVERED},
		{"bob@example.org", VERDICT_FULL, VERDICT_DELIVERED},
		{NULL, VERDICT_FULL, VERDICT_DELIVERED}};

	fake.blocked = "alice@example.org"; /* they may all be elsewhere */
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fake.answer.verdict = cases[i].own;
		ask("alice@example.org", cases[i].login, NULL, 0);
		ck_assert_int_eq(answers, 1);
		ck_assert_int_eq(got.verdict, cases[i].answer);
		access_finish(&question);
	}
}
END_TEST

START_TEST(a_user_who_is_too_full_is_told_what_to_do)
{
	ck_assert_int_eq(answer_to("AL", "x@elsewhere.test"), VERDICT_FULL);
	ck_assert_str_eq(fake.mailbox, "alice@example.org");
	ck_assert_uint_eq(fake.bytes, 1000);
	ck_assert_str_eq(got.text, "your mailbox is over its limit for sending; delete "
				   "mail or empty the trash, then send again");
	ck_assert_int_eq(answer_to("alice@example.org", "bob@example.org"), VERDICT_FULL);
	ck_assert_int_eq(
		answer_to("alice@example.net", "nobody@example.org"), VERDICT_FULL);
	ck_assert_int_eq(fake.others, 0);
}
END_TEST

START_TEST(whoever_has_room_no_limit_or_no_mailbox_may_send)
{
	fake.answer.verdict = VERDICT_DELIVERED;
	ck_assert_int_eq(answer_to("al", "bob@example.org"), VERDICT_DELIVERED);
	ck_assert_int_eq(fake.sends, 1);
	fake.answer.verdict = VERDICT_FULL;
	ck_assert_int_eq(answer_to("bob@example.org", "x@y.test"), VERDICT_DELIVERED);
	ck_assert_int_eq(answer_to("stranger", "x@y.test"), VERDICT_DELIVERED);
	ck_assert_int_eq(answer_to("me@example.org", "x@y.test"), VERDICT_DELIVERED);
	ck_assert_int_eq(answer_to("x@caught.test", "x@y.test"), VERDICT_DELIVERED);
	ck_assert_int_eq(answer_to("", "x@y.test"), VERDICT_DELIVERED);
	ck_assert_int_eq(answer_to(NULL, "x@y.test"), VERDICT_DELIVERED);
	ck_assert_int_eq(fake.sends, 1);
}
END_TEST

START_TEST(mail_to_postmaster_and_to_the_own_mailbox_passes)
{
	static const struct {
		const char *recipient;
		enum verdict verdict;
	} cases[] = {
		{"postmaster", VERDICT_DELIVERED},
		{"Postmaster@Example.ORG", VERDICT_DELIVERED},
		{"postmaster@example.net", VERDICT_DELIVERED},
		{"postmaster@here.test", VERDICT_DELIVERED},
		{"postmaster@localhost", VERDICT_DELIVERED},
		{"postmaster@elsewhere.test", VERDICT_FULL},
		{"postmaster+x@elsewhere.test", VERDICT_FULL},
		{"notpostmaster@example.org", VERDICT_FULL},
		{"alice@example.org", VERDICT_DELIVERED},
		{"ALICE+x@example.net", VERDICT_DELIVERED},
		{"me@example.org", VERDICT_DELIVERED},
		{"anybody@caught.test", VERDICT_DELIVERED},
		{"both@example.org", VERDICT_FULL},
		{"away@example.org", VERDICT_FULL},
		{"bob@example.org", VERDICT_FULL},
		{"alice@elsewhere.test", VERDICT_FULL},
		{"@", VERDICT_FULL},
		{"", VERDICT_FULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(answer_to("al", cases[i].recipient) == cases[i].verdict,
			"%s", cases[i].recipient);
}
END_TEST

START_TEST(one_recipient_to_whom_mail_passes_lets_the_message_through)
{
	static const char *const recipients[] = {
		"x@elsewhere.test", "bob@example.org", "postmaster"};

	ask(NULL, "al", recipients, 3);
	ck_assert_int_eq(got.verdict, VERDICT_DELIVERED);
	access_finish(&question);
	ask(NULL, "al", recipients, 2);
	ck_assert_int_eq(got.verdict, VERDICT_FULL);
	access_finish(&question);
}
END_TEST

START_TEST(an_error_of_ours_is_no_refusal)
{
	static const enum verdict errors[] = {VERDICT_TROUBLE, VERDICT_MISCONFIGURED};

	for (size_t i = 0; i < 2; i++) {
		fake.answer.verdict = errors[i];
		ck_assert_int_eq(answer_to("al", "x@y.test"), errors[i]);
	}
	fake.answer.verdict = VERDICT_NO_SUCH_USER; /* removed meanwhile */
	ck_assert_int_eq(answer_to("al", "x@y.test"), VERDICT_DELIVERED);
}
END_TEST

START_TEST(the_answer_may_come_later)
{
	static const char *const recipient = "bob@example.org";
	static const struct outcome yes = {.verdict = VERDICT_DELIVERED};

	fake.is_later = 1;
	ask(NULL, "al", &recipient, 1);
	ck_assert_int_eq(answers, 0);
	fake.waits->answered(fake.waits, &fake.answer);
	ck_assert(answers == 1 && got.verdict == VERDICT_FULL);
	access_finish(&question);
	ask(NULL, "al", &recipient, 1);
	fake.waits->answered(fake.waits, &yes);
	ck_assert(answers == 1 && got.verdict == VERDICT_DELIVERED && fake.others == 1);
	access_finish(&question);
}
END_TEST

START_TEST(mail_of_a_blocked_sender_is_refused_for_recipients_of_ours)
{
	static const struct {
		const char *recipient;
		enum verdict verdict;
	} cases[] = {
		{"bob@example.org", VERDICT_REFUSED},
		{"nobody@example.org", VERDICT_REFUSED},
		{"root", VERDICT_REFUSED},
		{"root@here.test", VERDICT_REFUSED},
		{"x@example.net", VERDICT_REFUSED},
		{"away@example.org", VERDICT_REFUSED},
		{"x@elsewhere.test", VERDICT_DELIVERED},
	};

	fake.blocked = "spam@bad.test";
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *recipients[] = {cases[i].recipient, "x@elsewhere.test"};

		ask(fake.blocked, NULL, recipients, 1);
		ck_assert_msg(got.verdict == cases[i].verdict, "%s", cases[i].recipient);
		access_finish(&question);
		ask(fake.blocked, NULL, recipients, 2);
		ck_assert_int_eq(got.verdict, VERDICT_DELIVERED);
		access_finish(&question);
		ask("good@bad.test", NULL, recipients, 1);
		ck_assert_int_ne(got.verdict, VERDICT_REFUSED);
		access_finish(&question);
	}
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		a_user_who_is_too_full_is_told_what_to_do,
		whoever_has_room_no_limit_or_no_mailbox_may_send,
		mail_to_postmaster_and_to_the_own_mailbox_passes,
		one_recipient_to_whom_mail_passes_lets_the_message_through,
		of_several_recipients_who_are_not_known_the_sender_alone_is_judged,
		an_error_of_ours_is_no_refusal,
		the_answer_may_come_later,
		mail_of_a_blocked_sender_is_refused_for_recipients_of_ours,
	};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
