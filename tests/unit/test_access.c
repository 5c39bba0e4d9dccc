/*
 * The answer at SMTP time, over a fake room and a fake table: which mailboxes are asked,
 * how, and in what order; which of their answers is told. The room answers at once or
 * when the test lets it.
 */
#include "quotad/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "suite.h"

static struct fake {
	int has_table, has_newer_table, answers_later;
	uint64_t now;
	uint64_t takes_ms; /* the room for one answer */
	struct room_question *waiting;
	enum ledger_kind kind;          /* of the last question, */
	uint64_t bytes;                 /* and its size */
	size_t found;                   /* targets, of all look-ups */
	char asked[4000];               /* all that were asked about */
	uint64_t waits;                 /* bytes, for any mailbox */
	size_t expected;                /* messages, of waiting_expect */
	uint64_t promises[ACCESS_MOST]; /* by their recipients' hashes */
	size_t promised, allowed;
	char ids[100]; /* of the last question; "" without any */
	int answers;
	struct outcome outcome;
} fake;

static struct conf conf = {.quotad_timeout = 10, .wait_max = 1000};
static const struct room room = {.conf = &conf};
static const struct access service = {.conf = &conf,
	.room = &room,
	.waiting = (struct waiting *)&fake,
	.clients = (struct clients *)&fake};
static const struct room_asker asker = {.trusted = 1};

/* --- the neighbours --------------------------------------------------------------- */

uint64_t
clock_now_ms(void)
{
	return fake.now;
}

struct users *
users_reload_table(struct users_reload *r)
{
	(void)r;
	return fake.has_table ? (struct users *)&fake : NULL;
}

int
users_reload_is_newest(const struct users_reload *r)
{
	(void)r;
	return !fake.has_newer_table;
}

/* What a mailbox says, by its name; "many*" and "far*" lead to none. */
static const struct answer {
	const char *name;
	enum verdict verdict;
} answers[] = {
	{"free", VERDICT_DELIVERED},
	{"full", VERDICT_FULL},
	{"later", VERDICT_FULL_FOR_NOW},
	{"wait-full", VERDICT_FULL},
	{"wait-later", VERDICT_FULL_FOR_NOW},
	{"wait-large", VERDICT_TOO_LARGE},
	{"wait-trouble", VERDICT_TROUBLE},
	{"suspended", VERDICT_SUSPENDED},
	{"disabled", VERDICT_DISABLED},
	{"moved", VERDICT_MOVED},
	{"large", VERDICT_TOO_LARGE},
	{"trouble", VERDICT_TROUBLE},
	{"twin", VERDICT_MISCONFIGURED},
	{"nobody", VERDICT_NO_SUCH_USER},
};

/* As the ledger does it where the mailbox has said yes. */
static void
keep_promise(struct room_question *q, const char *name)
{
	if (q->kind != LEDGER_PROMISE || strcmp(name, "free") != 0)
		return;
	q->promised = 1;
	fake.promises[fake.promised++] = q->promise->recipient;
}

static int has_mailbox = 1; /* so that an account is found */

static void
answer_now(struct room_question *q, const char *name)
{
	struct outcome o;

	fake.now += fake.takes_ms;
	q->account = NULL;
	q->smtp_full_waits = strncmp(name, "wait-", 5) == 0;
	outcome_set(&o, VERDICT_MISCONFIGURED, "it leads to no mailbox");
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		if (strcmp(answers[i].name, name) == 0) {
			outcome_set(&o, answers[i].verdict, NULL);
			if (o.verdict != VERDICT_NO_SUCH_USER)
				q->account = (struct account *)&has_mailbox;
		}
	keep_promise(q, name);
	q->answered(q, &o);
}

const char *
ledger_name(const struct account *a)
{
	ck_assert_ptr_eq(a, &has_mailbox);
	return "its name";
}

int
waiting_takes(const struct waiting *w, const char *mailbox, uint64_t bytes, uint64_t most)
{
	ck_assert_ptr_eq(w, &fake);
	ck_assert_str_eq(mailbox, "its name");
	return fake.waits + bytes <= most;
}

void
waiting_expect(struct waiting *w, const char *mailbox, const char *id, uint64_t bytes)
{
	ck_assert_ptr_eq(w, &fake);
	ck_assert_str_eq(mailbox, "its name");
	ck_assert_str_eq(id, "4xyz");
	ck_assert_uint_eq(bytes, 10);
	fake.expected++;
}

int
clients_may_promise(struct clients *c, uint64_t account, uint64_t now_ms)
{
	ck_assert_ptr_eq(c, &fake);
	ck_assert_uint_eq(account, 77);
	ck_assert_uint_eq(now_ms, fake.now);
	return fake.promised < fake.allowed;
}

static void
look_at_promise(const struct room_question *q)
{
	ck_assert_int_eq(q->promise != NULL, q->kind == LEDGER_PROMISE);
	strcpy(fake.ids, q->ids != NULL ? q->ids : "");
	if (q->promise == NULL)
		return;
	ck_assert_str_eq(q->promise->id, "4xyz");
	ck_assert_uint_eq(q->promise->client, 77);
	ck_assert_uint_eq(q->promise->ms, 5000);
}

static char waiting_name[100];

void
room_ask(const struct room *r, struct room_question *q, const struct room_asker *who)
{
	ck_assert_ptr_eq(r, &room);
	ck_assert_int_eq(who->trusted, 1);
	ck_assert_ptr_null(fake.waiting); /* one at a time */
	look_at_promise(q);
	fake.kind = q->kind;
	fake.bytes = q->bytes;
	snprintf(fake.asked + strlen(fake.asked), sizeof fake.asked - strlen(fake.asked),
		"%s%s", fake.asked[0] ? " " : "", q->recipient);
	if (!fake.answers_later) {
		answer_now(q, q->recipient);
		return;
	}
	fake.waiting = q;
	snprintf(waiting_name, sizeof waiting_name, "%s", q->recipient);
}

/* What is no mailbox: its targets after "many:", with commas between. */
int
targets_find_some(struct targets *t, size_t most, struct users *u, const struct conf *c,
	const char *address, struct outcome *o)
{
	char *copy = strdup(address), *rest = strchr(copy, ':'), *target;

	(void)u;
	ck_assert_ptr_eq(c, &conf);
	*t = (struct targets){.is_alias = rest != NULL};
	if (strcmp(address, "broken") == 0) {
		outcome_set(o, VERDICT_MISCONFIGURED, "a loop");
		free(copy);
		return -1;
	}
	rest = rest ? rest + 1 : copy;
	t->list = calloc(strlen(address) + 1, sizeof *t->list);
	while (t->count < most && (target = strsep(&rest, ",")) != NULL)
		t->list[t->count++] = (struct target){
			.kind = strcmp(target, "far") == 0      ? TARGET_ELSEWHERE
				: strcmp(target, "nobody") == 0 ? TARGET_NOBODY
								: TARGET_MAILBOX,
			.address = strdup(target)};
	t->is_cut = rest != NULL;
	fake.found += t->count;
	free(copy);
	return 0;
}

int
targets_find(struct targets *t, struct users *u, const struct conf *c,
	const char *address, struct outcome *o)
{
	return targets_find_some(t, TARGETS_MAX, u, c, address, o);
}

void
targets_clear(struct targets *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->list[i].address);
	free(t->list);
	*t = (struct targets){0};
}

/* --- asking ----------------------------------------------------------------------- */

static struct access_question question;
static const char *queue_id; /* of the message */

static void
setup(void)
{
	fake = (struct fake){.has_table = 1, .now = 1000, .allowed = 10};
	queue_id = NULL;
	question = (struct access_question){0};
}

/* As a protocol may: the question is over, and its memory used for something else. */
static void
answered(struct access_question *q, const struct outcome *o)
{
	ck_assert_uint_eq(q->promised, fake.promised);
	fake.answers++;
	fake.outcome = *o;
	access_finish(q);
	memset(q, 0xff, sizeof *q);
}

/* Asks of the recipients, a list with blanks between; what is said at once. */
static const char *
ask(const char *recipients, enum access_stage stage, uint64_t bytes)
{
	static char copy[8000];
	const char *list[2000];
	char *rest = copy;
	size_t count = 0;

	snprintf(copy, sizeof copy, "%s", recipients);
	while (rest != NULL && *rest != '\0')
		list[count++] = strsep(&rest, " ");
	question = (struct access_question){.stage = stage,
		.recipients = list,
		.count = count,
		.bytes = bytes,
		.queue_id = queue_id,
		.client = 77,
		.promise_ms = 5000,
		.answered = answered};
	fake.answers = 0;
	fake.asked[0] = '\0';
	access_ask(&service, &question, &asker);
	memset(copy, 'x', sizeof copy - 1); /* it was needed until now */
	memset(list, 0xff, sizeof list);
	ck_assert_int_le(fake.answers, 1);
	return fake.answers ? verdict_name(fake.outcome.verdict) : "";
}

/* Lets the room answer whatever it is asked, one after the other. */
static const char *
let_the_room_answer(void)
{
	while (fake.waiting != NULL) {
		struct room_question *q = fake.waiting;

		fake.waiting = NULL;
		answer_now(q, waiting_name);
	}
	ck_assert_int_eq(fake.answers, 1);
	return verdict_name(fake.outcome.verdict);
}

/* --- the tests -------------------------------------------------------------------- */

static const struct access_case {
	const char *recipients, *verdict, *asked;
} cases[] = {
	{"free", "delivered", "free"},
	{"full", "full", "full"},
	{"nobody", "no-such-user", "nobody"},
	{"far", "delivered", "far"},
	{"broken", "misconfigured", "broken"},
	/* an alias: up to the first yes, else the gentlest */
	{"many:full,free,later", "delivered", "many:full,free,later full free"},
	{"many:full,far,free", "delivered", "many:full,far,free full"},
	{"many:disabled,later,full", "full-for-now",
		"many:disabled,later,full disabled later full"},
	{"many:full,suspended", "suspended", "many:full,suspended full suspended"},
	{"many:later,trouble", "trouble", "many:later,trouble later trouble"},
	{"many:disabled,moved", "moved", "many:disabled,moved disabled moved"},
	{"many:nobody", "misconfigured", "many:nobody"},
	{"many:nobody,full", "misconfigured", "many:nobody,full full"},
	{"many:gone,full", "trouble", "many:gone,full gone full"},
	/* many recipients */
	{"full free", "delivered", "full free"},
	{"free full", "delivered", "free"},
	{"nobody disabled", "disabled", "nobody disabled"},
	{"nobody broken", "misconfigured", "nobody broken"},
	{"twin full", "misconfigured", "twin full"},
	{"many:full,disabled many:later,full free", "delivered",
		"many:full,disabled full disabled many:later,full later full free"},
	{"many:full,disabled full", "full", "many:full,disabled full disabled full"},
	{"", "delivered", ""},
};

START_TEST(only_if_all_would_refuse_is_it_refused_and_gently)
{
	const struct access_case *c = &cases[_i];

	fake.answers_later = 0;
	ck_assert_msg(strcmp(ask(c->recipients, ACCESS_MESSAGE, 10), c->verdict) == 0,
		"%s: %s", c->recipients, verdict_name(fake.outcome.verdict));
	ck_assert_str_eq(fake.asked, c->asked);
	fake.answers_later = 1;
	ask(c->recipients, ACCESS_MESSAGE, 10);
	ck_assert_str_eq(let_the_room_answer(), c->verdict);
	ck_assert_str_eq(fake.asked, c->asked);
}
END_TEST

START_TEST(a_size_that_is_only_announced_starts_nothing)
{
	static const struct {
		enum access_stage stage;
		uint64_t bytes, asked;
		enum ledger_kind kind;
	} sizes[] = {
		{ACCESS_RCPT, 0, 1, LEDGER_CHECK},
		{ACCESS_RCPT, 1, 1, LEDGER_CHECK},
		{ACCESS_RCPT, 65536, 65536, LEDGER_CHECK},
		{ACCESS_RCPT, 65537, 65537, LEDGER_ANNOUNCED},
		{ACCESS_RCPT, 1 << 30, 1 << 30, LEDGER_ANNOUNCED},
		{ACCESS_RCPT, UINT64_MAX, UINT64_MAX, LEDGER_ANNOUNCED},
		{ACCESS_DATA, 65536, 65536, LEDGER_CHECK},
		{ACCESS_DATA, 65537, 65537, LEDGER_ANNOUNCED},
		{ACCESS_MESSAGE, 65537, 65537, LEDGER_CHECK},
		{ACCESS_MESSAGE, 0, 1, LEDGER_CHECK},
	};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		ask("free", sizes[i].stage, sizes[i].bytes);
		ck_assert_int_eq(fake.kind, sizes[i].kind);
		ck_assert_uint_eq(fake.bytes, sizes[i].asked);
		ask("many:full,free", sizes[i].stage, sizes[i].bytes);
		ck_assert_int_eq(fake.kind, sizes[i].kind);
	}
}
END_TEST

START_TEST(who_only_wants_to_know_leaves_no_trace)
{
	const char *const recipient = "full";

	question = (struct access_question){.stage = ACCESS_MESSAGE,
		.recipients = &recipient,
		.count = 1,
		.bytes = 1,
		.leaves_no_trace = 1,
		.answered = answered};
	access_ask(&service, &question, &asker);
	ck_assert_int_eq(fake.kind, LEDGER_EXPLAIN);
	ck_assert_int_eq(fake.answers, 1);
}
END_TEST

START_TEST(without_a_table_nothing_is_refused)
{
	fake.has_table = 0;
	ck_assert_str_eq(ask("nobody", ACCESS_RCPT, 0), "trouble");
	ck_assert_str_eq(ask("many:full", ACCESS_RCPT, 0), "trouble");
}
END_TEST

START_TEST(what_an_older_table_says_is_no_refusal_for_good)
{
	fake.has_newer_table = 1;
	ck_assert_str_eq(ask("nobody", ACCESS_RCPT, 0), "trouble");
	ck_assert_str_eq(ask("disabled", ACCESS_RCPT, 0), "trouble");
	ck_assert_str_eq(ask("many:moved,disabled", ACCESS_RCPT, 0), "trouble");
	ck_assert_str_eq(ask("suspended", ACCESS_RCPT, 0), "suspended");
	ck_assert_str_eq(ask("full", ACCESS_RCPT, 0), "full");
	ck_assert_str_eq(ask("free", ACCESS_RCPT, 0), "delivered");
}
END_TEST

/* Whoever lists very slow mailboxes does not keep its question for ever. */
START_TEST(many_slow_targets_are_asked_so_long_and_no_longer)
{
	fake.takes_ms = 6000;
	ck_assert_str_eq(ask("many:full,full,full,full", ACCESS_RCPT, 0), "trouble");
	ck_assert_str_eq(fake.asked, "many:full,full,full,full full");
	fake.takes_ms = 30000;
	ck_assert_str_eq(ask("full", ACCESS_RCPT, 0), "full");
	ck_assert_str_eq(ask("full free", ACCESS_RCPT, 0), "trouble");
}
END_TEST

/* A stack that grew with each would not hold them. */
START_TEST(thousands_are_asked_one_after_the_other)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	for (int i = 0; i < 1000; i++)
		fputs("full ", to);
	fputs("free", to);
	fclose(to);
	ck_assert_str_eq(ask(text, ACCESS_MESSAGE, 1), "delivered");
	fake.answers_later = 1;
	ask(text, ACCESS_MESSAGE, 1);
	ck_assert_str_eq(let_the_room_answer(), "delivered");
	free(text);
}
END_TEST

/* Of a list that anybody may write to, with a thousand members, not each message costs a
 * thousand look-ups; and no member is asked twice. */
START_TEST(an_alias_of_many_is_looked_up_as_far_as_needed)
{
	char text[2000] = "many:";

	for (int i = 0; i < 24; i++)
		strcat(text, "full,");
	strcat(text, "free,disabled");
	for (int later = 0; later < 2; later++) {
		fake.answers_later = later;
		fake.found = 0;
		ask(text, ACCESS_MESSAGE, 1);
		if (later)
			let_the_room_answer();
		ck_assert_int_eq(fake.outcome.verdict, VERDICT_DELIVERED);
		ck_assert_uint_eq(fake.found, 20 + 26);
		ck_assert_uint_eq(strlen(fake.asked), strlen(text) + 25 * 5);
	}
	fake.answers_later = 0;
	fake.found = 0;
	memcpy(text, "many:free,", 10);
	ask(text, ACCESS_MESSAGE, 1);
	ck_assert_uint_eq(fake.found, 20);
}
END_TEST

START_TEST(who_is_gone_leaves_nothing_behind)
{
	fake.answers_later = 1;
	ask("many:full,free free", ACCESS_RCPT, 0);
	access_finish(&question);
	access_finish(&question);
	ck_assert_int_eq(fake.answers, 0);
}
END_TEST

/* --- mail that may wait ----------------------------------------------------------- */

START_TEST(with_smtp_full_wait_a_full_mailbox_takes_mail)
{
	ck_assert_str_eq(ask("wait-later", ACCESS_RCPT, 0), "delivered");
	ck_assert_str_eq(ask("wait-later", ACCESS_DATA, 1000), "delivered");
	ck_assert_str_eq(ask("wait-later", ACCESS_MESSAGE, 1000), "delivered");
	ck_assert_str_eq(ask("full", ACCESS_MESSAGE, 1000), "full");
	ck_assert_str_eq(ask("later", ACCESS_MESSAGE, 1000), "full-for-now");
	/* its delivery would end in a bounce */
	ck_assert_str_eq(ask("wait-full", ACCESS_RCPT, 0), "full");
	ck_assert_str_eq(ask("wait-full", ACCESS_MESSAGE, 10), "full");
}
END_TEST

START_TEST(more_than_wait_max_does_not_wait)
{
	ck_assert_str_eq(ask("wait-later", ACCESS_MESSAGE, 1001), "full-for-now");
	fake.waits = 990;
	ck_assert_str_eq(ask("wait-later", ACCESS_MESSAGE, 10), "delivered");
	ck_assert_str_eq(ask("wait-later", ACCESS_MESSAGE, 11), "full-for-now");
	fake.waits = 1000;
	ck_assert_str_eq(ask("wait-later", ACCESS_RCPT, 0), "full-for-now");
}
END_TEST

START_TEST(nothing_but_full_waits)
{
	ck_assert_str_eq(ask("wait-large", ACCESS_MESSAGE, 10), "too-large");
	ck_assert_str_eq(ask("wait-trouble", ACCESS_MESSAGE, 10), "trouble");
}
END_TEST

/* --- promises ----------------------------------------------------------------------- */

static const struct promise_case {
	const char *recipients, *verdict, *asked;
	size_t promised, expected;
} promise_cases[] = {
	{"free", "delivered", "free", 1, 1},
	{"full", "full", "full", 0, 0},
	{"far free", "delivered", "far free", 1, 1},
	/* all are asked */
	{"full free disabled free", "delivered", "full free disabled free", 2, 2},
	{"many:free,full,far,free free", "delivered",
		"many:free,full,far,free free full free free", 3, 3},
	{"free wait-later full", "delivered", "free wait-later full", 1, 2},
	{"broken free", "delivered", "broken free", 1, 1},
	{"nobody later", "full-for-now", "nobody later", 0, 0},
};

START_TEST(of_a_message_all_are_asked_and_each_yes_is_kept)
{
	const struct promise_case *c = &promise_cases[_i];

	for (int later = 0; later < 2; later++) {
		fake.answers_later = later;
		fake.promised = fake.expected = 0;
		queue_id = "4xyz";
		ask(c->recipients, ACCESS_MESSAGE, 10);
		if (later)
			let_the_room_answer();
		ck_assert_str_eq(verdict_name(fake.outcome.verdict), c->verdict);
		ck_assert_str_eq(fake.asked, c->asked);
		ck_assert_uint_eq(fake.promised, c->promised);
		ck_assert_uint_eq(fake.expected, c->expected);
		ck_assert_str_eq(fake.ids, "4xyz");
	}
}
END_TEST

/* The same recipient again is no other promise; by another one it is. */
START_TEST(a_promise_is_one_recipients_and_one_targets)
{
	queue_id = "4xyz";
	ask("free free", ACCESS_MESSAGE, 10);
	ck_assert_uint_eq(fake.promised, 2);
	ck_assert_uint_eq(fake.promises[0], fake.promises[1]);
	fake.promised = 0;
	ask("free many:free many2:free", ACCESS_MESSAGE, 10);
	ck_assert_uint_eq(fake.promised, 3);
	ck_assert_uint_ne(fake.promises[0], fake.promises[1]);
	ck_assert_uint_ne(fake.promises[0], fake.promises[2]);
	ck_assert_uint_ne(fake.promises[1], fake.promises[2]);
}
END_TEST

/* A message for very many must not keep everybody else waiting. */
START_TEST(of_very_many_mailboxes_not_all_are_asked)
{
	static char text[8000];

	queue_id = "4xyz";
	for (size_t i = 0; i < 1000; i++)
		strcat(text, i ? " free" : "free");
	ck_assert_str_eq(ask(text, ACCESS_MESSAGE, 10), "delivered");
	ck_assert_uint_eq(strlen(fake.asked), ACCESS_ALL * strlen(" free") - 1);
}
END_TEST

START_TEST(only_a_whole_message_of_a_queue_is_promised_anything)
{
	queue_id = "4xyz";
	ask("free", ACCESS_RCPT, 10);
	ck_assert_int_eq(fake.kind, LEDGER_CHECK);
	ask("free free", ACCESS_DATA, 10);
	ck_assert_int_eq(fake.kind, LEDGER_CHECK);
	ck_assert_str_eq(fake.asked, "free");
	ck_assert_str_eq(fake.ids, "");
	queue_id = NULL;
	ask("free", ACCESS_MESSAGE, 10);
	ck_assert_int_eq(fake.kind, LEDGER_CHECK);
	ck_assert_uint_eq(fake.promised + fake.expected, 0);
}
END_TEST

START_TEST(a_client_is_promised_what_it_may_and_the_rest_is_asked)
{
	fake.allowed = 2;
	queue_id = "4xyz";
	ck_assert_str_eq(
		ask("free many:free,free,full free", ACCESS_MESSAGE, 10), "delivered");
	ck_assert_uint_eq(fake.promised, 2);
	ck_assert_int_eq(fake.kind, LEDGER_CHECK);
	ck_assert_str_eq(fake.ids, "4xyz"); /* an own promise is not in its way */
	ck_assert_uint_eq(fake.expected, 4);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_promise_is_one_recipients_and_one_targets,
		of_very_many_mailboxes_not_all_are_asked,
		only_a_whole_message_of_a_queue_is_promised_anything,
		a_client_is_promised_what_it_may_and_the_rest_is_asked,
		a_size_that_is_only_announced_starts_nothing,
		who_only_wants_to_know_leaves_no_trace,
		without_a_table_nothing_is_refused,
		what_an_older_table_says_is_no_refusal_for_good,
		many_slow_targets_are_asked_so_long_and_no_longer,
		thousands_are_asked_one_after_the_other,
		an_alias_of_many_is_looked_up_as_far_as_needed,
		who_is_gone_leaves_nothing_behind,
		with_smtp_full_wait_a_full_mailbox_takes_mail,
		more_than_wait_max_does_not_wait, nothing_but_full_waits};
	TCase *c = ADD_CASE(suite, tests, .setup = setup);

	tcase_add_loop_test(c, of_a_message_all_are_asked_and_each_yes_is_kept, 0,
		(int)(sizeof promise_cases / sizeof *promise_cases));
	tcase_add_loop_test(c, only_if_all_would_refuse_is_it_refused_and_gently, 0,
		(int)(sizeof cases / sizeof *cases));
}
