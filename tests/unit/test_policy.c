/*
 * The policy protocol with a faked brain: what is a request, which question it makes, and
 * which action each outcome becomes; and the memory of recipients by instance.
 */
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "quotad/protocol/policy.h"
#include "quotad/protocol/policy_instances.h"
#include "quotad/protocol/policy_request.h"
#include "suite.h"

static struct fake {
	void *state;
	struct access_question *question; /* that waits for its answer */
	struct outcome outcome;
	int later, asked, answers, finished;
	enum access_stage stage;
	char recipients[2000]; /* of the last question, a blank after each */
	char sender[100], login[100];
	uint64_t bytes;
	char answer[1000];
	struct room_asker asker;
	char queue_id[100], said[1000]; /* the last log line */
	uint64_t client, promise_ms;
} fake;

static struct conf conf;
static struct policy service = {.conf = &conf, .clients = (const struct clients *)&fake};

static void
setup(void)
{
	memset(&fake, 0, sizeof fake);
	fake.asker.trusted = 1;
	memset(&conf, 0, sizeof conf);
	service.instances = policy_instances_new();
}

static void
teardown(void)
{
	policy_instances_free(&service.instances);
}

/* --- the neighbours --------------------------------------------------------------- */

void
request_set_state(struct request *r, void *state)
{
	(void)r;
	fake.state = state;
}

void *
request_state(const struct request *r)
{
	(void)r;
	return fake.state;
}

struct room_asker
request_asker(const struct request *r)
{
	(void)r;
	return fake.asker;
}

int
clients_identify(
	const struct clients *c, uid_t peer, const char *address, uint64_t *account)
{
	ck_assert_ptr_eq(c, &fake);
	*account = 77;
	return peer == 0 && address != NULL && strcmp(address, "192.0.2.1") == 0;
}

void
log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(fake.said, sizeof fake.said, format, args);
	va_end(args);
}

void
request_answer(struct request *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fake.answer, sizeof fake.answer, format, args);
	va_end(args);
	fake.answers++;
	policy_protocol.finish(r);
	fake.state = NULL;
}

void
access_ask(const struct access *access, struct access_question *q,
	const struct room_asker *asker)
{
	(void)access;
	ck_assert_int_eq(asker->trusted, 1);
	fake.asked++;
	fake.stage = q->stage;
	fake.bytes = q->bytes;
	fake.recipients[0] = '\0';
	for (size_t i = 0; i < q->count; i++)
		sprintf(fake.recipients + strlen(fake.recipients), "%s ",
			q->recipients[i]);
	strcpy(fake.sender, q->sender ? q->sender : "NULL");
	strcpy(fake.login, q->login ? q->login : "NULL");
	strcpy(fake.queue_id, q->queue_id ? q->queue_id : "NULL");
	fake.client = q->client;
	fake.promise_ms = q->promise_ms;
	q->promised = q->count;
	if (fake.later)
		fake.question = q;
	else
		q->answered(q, &fake.outcome);
}

void
access_finish(struct access_question *q)
{
	(void)q;
	fake.finished++;
}

/* --- what is a request ------------------------------------------------------------ */

static enum protocol_read
read_all(const char *bytes, size_t length, char **message, size_t *size)
{
	struct evbuffer *in = evbuffer_new();
	enum protocol_read result;

	ck_assert_int_eq(evbuffer_add(in, bytes, length), 0);
	result = policy_protocol.read(in, message, size);
	if (result == PROTOCOL_MESSAGE)
		ck_assert_uint_eq(evbuffer_get_length(in), length - *size);
	evbuffer_free(in);
	return result;
}

static enum protocol_read
kind_of(const char *bytes, size_t length)
{
	char *message = NULL;
	size_t size;
	enum protocol_read result = read_all(bytes, length, &message, &size);

	free(message);
	return result;
}

#define KIND(bytes) kind_of(bytes, sizeof(bytes) - 1)

START_TEST(a_request_ends_with_an_empty_line)
{
	ck_assert_int_eq(KIND("a=b\n\n"), PROTOCOL_MESSAGE);
	ck_assert_int_eq(KIND("a=\nb==c\n\nrest"), PROTOCOL_MESSAGE);
	ck_assert_int_eq(KIND("a=b\n\nnonsense\n\n"), PROTOCOL_MESSAGE);
	ck_assert_int_eq(KIND("a=b\n"), PROTOCOL_INCOMPLETE);
	ck_assert_int_eq(KIND("a"), PROTOCOL_INCOMPLETE);
	ck_assert_int_eq(KIND("a=b\r\n\r\n"), PROTOCOL_INCOMPLETE);
}
END_TEST

START_TEST(what_is_no_line_of_name_and_value_can_not_be_read)
{
	ck_assert_int_eq(KIND("\n"), PROTOCOL_NONSENSE);
	ck_assert_int_eq(KIND("\n\n"), PROTOCOL_NONSENSE);
	ck_assert_int_eq(KIND("\na=b\n\n"), PROTOCOL_NONSENSE);
	ck_assert_int_eq(KIND("abc\n\n"), PROTOCOL_NONSENSE);
	ck_assert_int_eq(KIND("a=b\nc\nd=e\n\n"), PROTOCOL_NONSENSE);
	ck_assert_int_eq(KIND("=b\n\n"), PROTOCOL_NONSENSE);
	ck_assert_int_eq(KIND("a=b\0c\n\n"), PROTOCOL_NONSENSE);
	ck_assert_int_eq(KIND("GET / HTTP/1.1\nHost: x\n\n"), PROTOCOL_NONSENSE);
}
END_TEST

START_TEST(a_request_is_bounded)
{
	char *bytes = malloc(POLICY_REQUEST_MAX + 1);

	memset(bytes, 'x', POLICY_REQUEST_MAX + 1);
	memcpy(bytes, "a=", 2);
	ck_assert_int_eq(kind_of(bytes, POLICY_REQUEST_MAX - 1), PROTOCOL_INCOMPLETE);
	ck_assert_int_eq(kind_of(bytes, POLICY_REQUEST_MAX), PROTOCOL_NONSENSE);
	memcpy(bytes + POLICY_REQUEST_MAX - 2, "\n\n", 2);
	ck_assert_int_eq(kind_of(bytes, POLICY_REQUEST_MAX), PROTOCOL_MESSAGE);
	memcpy(bytes + POLICY_REQUEST_MAX - 2, "x\n\n", 3);
	ck_assert_int_eq(kind_of(bytes, POLICY_REQUEST_MAX + 1), PROTOCOL_NONSENSE);
	free(bytes);
}
END_TEST

START_TEST(the_order_is_free_and_the_last_of_two_counts)
{
	char text[] = "size=5\nunknown=1\nrecipient=a@x.test\nsize=12\nsizes=7\n"
		      "sender=\nrecipient_count=x\nrecipient=b=c@x.test\n\n";
	struct policy_request q;

	policy_request_read(&q, text);
	ck_assert_uint_eq(q.bytes, 12);
	ck_assert_str_eq(q.recipient, "b=c@x.test");
	ck_assert_str_eq(q.sender, "");
	ck_assert_uint_eq(q.recipients, 0);
	ck_assert_ptr_null(q.login);
}
END_TEST

START_TEST(the_dot_of_an_absolute_domain_is_no_part_of_a_recipient)
{
	static const struct {
		const char *recipient, *taken;
	} cases[] = {
		{"a@x.test.", "a@x.test"},
		{"a.@x.test", "a.@x.test"},
		{"a@b@x.test.", "a@b@x.test"},
		{"a@x.test..", "a@x.test.."},
		{"a@.", "a@."},
		{"a.", "a."},
		{".", "."},
		{"", ""},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy_request q;
		char text[100];

		snprintf(text, sizeof text, "recipient=%s\nsender=b@x.test.\n\n",
			cases[i].recipient);
		policy_request_read(&q, text);
		ck_assert_str_eq(q.recipient, cases[i].taken);
		ck_assert_str_eq(q.sender, "b@x.test.");
	}
}
END_TEST

START_TEST(a_number_that_is_too_large_is_as_large_as_can_be_and_garbage_is_none)
{
	static const struct {
		const char *size;
		uint64_t bytes;
		int is_none;
	} cases[] = {
		{"0", 0, 0},
		{"", 0, 0},
		{"18446744073709551615", UINT64_MAX, 0},
		{"18446744073709551616", UINT64_MAX, 0},
		{"123456789012345678901234567890", UINT64_MAX, 0},
		{"x", 0, 1},
		{"-1", 0, 1},
		{"5k", 0, 1},
		{"0x5", 0, 1},
		{" 5", 0, 1},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy_request q;
		char text[100];

		snprintf(text, sizeof text, "size=%s\nrecipient=a@x.test\n\n",
			cases[i].size);
		policy_request_read(&q, text);
		ck_assert_uint_eq(q.bytes, cases[i].bytes);
		ck_assert_int_eq(q.no_number != NULL, cases[i].is_none);
	}
}
END_TEST

/* --- questions and answers -------------------------------------------------------- */

/* Performs a request of these lines; its answer. */
static const char *
perform(const char *text)
{
	char *message = NULL;
	size_t length;
	int answers = fake.answers;

	ck_assert_int_eq(
		read_all(text, strlen(text), &message, &length), PROTOCOL_MESSAGE);
	fake.answer[0] = '\0';
	policy_protocol.perform(&service, NULL, message, length);
	free(message);
	ck_assert_int_eq(fake.answers, answers + !fake.later);
	return fake.answer;
}

#define PASS      "action=DUNNO\n\n"
#define REQUEST   "request=smtpd_access_policy\n"
#define RCPT(who) REQUEST "protocol_state=RCPT\ninstance=i\nrecipient=" who "\n\n"
#define DATA(count)                                                                      \
	REQUEST "protocol_state=DATA\ninstance=i\nrecipient_count=" count "\n\n"
#define END(count)                                                                       \
	REQUEST "protocol_state=END-OF-MESSAGE\ninstance=i\nsize=9\nrecipient=\n"        \
		"recipient_count=" count "\n\n"

START_TEST(garbage_is_told_once)
{
	service.has_told_number = 0;
	perform(REQUEST "recipient=a@x.test\nsize=many\n\n");
	ck_assert_ptr_nonnull(strstr(fake.said, "size= is no number"));
	fake.said[0] = '\0';
	perform(REQUEST "recipient=a@x.test\nsize=many\n\n");
	ck_assert_str_eq(fake.said, "");
}
END_TEST

START_TEST(rcpt_data_and_end_of_message_are_asked)
{
	ck_assert_str_eq(
		perform(REQUEST "protocol_state=RCPT\nrecipient=a@x.test\n"
				"sender=s@y.test\nsasl_username=joe\nsize=70000\n\n"),
		PASS);
	ck_assert_int_eq(fake.stage, ACCESS_RCPT);
	ck_assert_str_eq(fake.recipients, "a@x.test ");
	ck_assert_str_eq(fake.sender, "s@y.test");
	ck_assert_str_eq(fake.login, "joe");
	ck_assert_uint_eq(fake.bytes, 70000);
	perform(REQUEST "protocol_state=DATA\nrecipient=a@x.test\n\n");
	ck_assert_int_eq(fake.stage, ACCESS_DATA);
	ck_assert_str_eq(fake.sender, "NULL");
	perform(REQUEST "protocol_state=END-OF-MESSAGE\nrecipient=a@x.test\n\n");
	ck_assert_int_eq(fake.stage, ACCESS_MESSAGE);
	perform("recipient=a@x.test\n\n"); /* a person's: that is RCPT */
	ck_assert_int_eq(fake.asked, 4);
	ck_assert_int_eq(fake.finished, 4);
}
END_TEST

START_TEST(all_else_is_passed_at_once)
{
	static const char *const texts[] = {
		REQUEST "protocol_state=CONNECT\n\n",
		REQUEST "protocol_state=EHLO\n\n",
		REQUEST "protocol_state=MAIL\nrecipient=a@x.test\n\n",
		REQUEST "protocol_state=VRFY\nrecipient=a@x.test\n\n",
		REQUEST "protocol_state=ETRN\n\n",
		REQUEST "protocol_state=rcpt\nrecipient=a@x.test\n\n",
		REQUEST "protocol_state=\nrecipient=a@x.test\n\n",
		REQUEST "protocol_state=RCPT\n\n",
		REQUEST "protocol_state=RCPT\nrecipient=\n\n",
		"request=junk_mail\nprotocol_state=RCPT\nrecipient=a@x.test\n\n",
	};

	fake.outcome.verdict = VERDICT_NO_SUCH_USER;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		ck_assert_str_eq(perform(texts[i]), PASS);
	ck_assert_int_eq(fake.asked, 0);
}
END_TEST

/* As where permit_sasl_authenticated stands before the policy service. */
START_TEST(of_who_has_logged_in_is_asked_without_known_recipients)
{
	static const char *const states[] = {"DATA", "END-OF-MESSAGE"};
	static const struct {
		const char *count, *login;
		int asked;
	} cases[] = {{"2", "joe", 1}, {"2", "", 0}, {"0", "joe", 0}, {"1", "joe", 0}};
	char text[500];

	outcome_set(&fake.outcome, VERDICT_FULL, NULL);
	for (size_t i = 0; i < 8; i++) {
		snprintf(text, sizeof text,
			REQUEST "protocol_state=%s\ninstance=i\nrecipient=\n"
				"recipient_count=%s\nsasl_username=%s\n\n",
			states[i % 2], cases[i / 2].count, cases[i / 2].login);
		fake.asked = 0;
		strcpy(fake.recipients, "");
		ck_assert_int_eq(strcmp(perform(text), PASS) != 0, cases[i / 2].asked);
		ck_assert_int_eq(fake.asked, cases[i / 2].asked);
		ck_assert_str_eq(fake.recipients, "");
	}
}
END_TEST

START_TEST(each_verdict_has_its_code)
{
	static const struct {
		enum verdict verdict;
		const char *start;
	} cases[] = {{VERDICT_NO_SUCH_USER, "action=550 5.1.1 "},
		{VERDICT_MOVED, "action=551 5.1.6 "},
		{VERDICT_DISABLED, "action=550 5.2.1 "},
		{VERDICT_SUSPENDED, "action=450 4.2.1 "},
		{VERDICT_FULL_FOR_NOW, "action=452 4.2.2 "},
		{VERDICT_FULL, "action=552 5.2.2 "},
		{VERDICT_TOO_LARGE, "action=552 5.2.3 "},
		{VERDICT_REFUSED, "action=554 5.7.1 "},
		{VERDICT_NO_DISK, "action=452 4.3.1 "},
		{VERDICT_TROUBLE, "action=451 4.3.0 "},
		{VERDICT_MISCONFIGURED, "action=451 4.3.5 "}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *answer;

		fake.outcome = (struct outcome){.verdict = cases[i].verdict};
		answer = perform(RCPT("a@x.test"));
		ck_assert_msg(
			strncmp(answer, cases[i].start, strlen(cases[i].start)) == 0,
			"%s", answer);
		ck_assert_str_eq(strstr(answer, "\n"), "\n\n");
		ck_assert_int_gt((int)strlen(answer), (int)strlen(cases[i].start) + 10);
	}
}
END_TEST

START_TEST(an_action_is_of_printable_ascii_without_a_colon_of_its_own)
{
	outcome_set(&fake.outcome, VERDICT_MOVED, "to: x@[IPv6:2001:db8::1]\n\u00fc:");
	ck_assert_str_eq(perform(RCPT("a@x.test")),
		"action=551 5.1.6 to x@[IPv6:2001:db8::1]???\n\n");
	outcome_set(&fake.outcome, VERDICT_MOVED, "to:: x:::");
	ck_assert_str_eq(perform(RCPT("a@x.test")), "action=551 5.1.6 to x\n\n");
}
END_TEST

START_TEST(an_error_of_ours_defers_or_passes_and_tells_no_stranger_why)
{
	outcome_set(&fake.outcome, VERDICT_MISCONFIGURED, "an alias leads to secret@x");
	ck_assert_str_eq(perform(RCPT("a@x.test")),
		"action=451 4.3.5 the mail server is not set up right\n\n");
	conf.policy_error_passes = 1;
	ck_assert_str_eq(perform(RCPT("a@x.test")), PASS);
	outcome_set(&fake.outcome, VERDICT_FULL, NULL); /* is none of ours */
	ck_assert_str_eq(
		perform(RCPT("a@x.test")), "action=552 5.2.2 the mailbox is full\n\n");
}
END_TEST

START_TEST(an_unknown_user_is_refused_or_left_to_postfix)
{
	outcome_set(&fake.outcome, VERDICT_NO_SUCH_USER, NULL);
	ck_assert_ptr_nonnull(strstr(perform(RCPT("a@x.test")), "550 5.1.1 "));
	conf.policy_unknown_passes = 1;
	ck_assert_str_eq(perform(RCPT("a@x.test")), PASS);
	outcome_set(&fake.outcome, VERDICT_FULL, NULL);
	ck_assert_str_eq(
		perform(RCPT("b@x.test")), "action=552 5.2.2 the mailbox is full\n\n");
}
END_TEST

START_TEST(what_can_not_be_read_gets_no_answer)
{
	policy_protocol.perform(&service, NULL, NULL, 0);
	ck_assert_int_eq(fake.answers, 1);
	ck_assert_str_eq(fake.answer, "");
}
END_TEST

START_TEST(an_answer_may_come_later)
{
	fake.later = 1;
	ck_assert_str_eq(perform(RCPT("a@x.test")), "");
	outcome_set(&fake.outcome, VERDICT_FULL, NULL);
	fake.question->answered(fake.question, &fake.outcome);
	ck_assert_str_eq(fake.answer, "action=552 5.2.2 the mailbox is full\n\n");
	ck_assert_int_eq(fake.finished, 1);
}
END_TEST

/* --- several recipients ----------------------------------------------------------- */

START_TEST(several_recipients_are_those_that_were_taken)
{
	perform(RCPT("a@x.test"));
	fake.outcome.verdict = VERDICT_FULL;
	perform(RCPT("full@x.test"));
	fake.outcome.verdict = VERDICT_DELIVERED;
	perform(RCPT("b@x.test"));
	perform(RCPT("a@x.test"));
	perform(DATA("2"));
	ck_assert_int_eq(fake.stage, ACCESS_DATA);
	ck_assert_str_eq(fake.recipients, "a@x.test b@x.test ");
	fake.outcome.verdict = VERDICT_FULL;
	ck_assert_str_eq(perform(END("2")), "action=552 5.2.2 the mailbox is full\n\n");
	ck_assert_str_eq(fake.recipients, "a@x.test b@x.test ");
	ck_assert_uint_eq(fake.bytes, 9);
	ck_assert_str_eq(perform(END("2")), PASS); /* it is over */
}
END_TEST

START_TEST(nothing_is_refused_where_a_recipient_is_unknown)
{
	perform(RCPT("a@x.test"));
	fake.outcome.verdict = VERDICT_FULL;
	ck_assert_str_eq(perform(DATA("2")), PASS);
	ck_assert_str_eq(
		perform(REQUEST "protocol_state=DATA\ninstance=other\n\n"), PASS);
	ck_assert_str_eq(perform(REQUEST "protocol_state=DATA\ninstance=\n\n"), PASS);
	ck_assert_str_eq(perform(REQUEST "protocol_state=DATA\n\n"), PASS);
	ck_assert_int_eq(fake.asked, 1);
}
END_TEST

START_TEST(one_that_an_error_let_pass_is_a_recipient)
{
	conf.policy_error_passes = 1;
	fake.outcome.verdict = VERDICT_TROUBLE;
	perform(RCPT("a@x.test"));
	fake.outcome.verdict = VERDICT_DELIVERED;
	perform(RCPT("b@x.test"));
	perform(END("2"));
	ck_assert_str_eq(fake.recipients, "a@x.test b@x.test ");
}
END_TEST

/* Postfix's tables may lead it to a mailbox with room; or it refused it itself. */
START_TEST(an_unknown_user_that_postfix_took_lets_the_message_pass)
{
	conf.policy_unknown_passes = 1;
	fake.outcome.verdict = VERDICT_NO_SUCH_USER;
	perform(RCPT("a@x.test"));
	fake.outcome.verdict = VERDICT_DELIVERED;
	perform(RCPT("b@x.test"));
	perform(RCPT("c@x.test"));
	fake.outcome.verdict = VERDICT_FULL;
	ck_assert_str_eq(perform(DATA("3")), PASS);
	ck_assert_str_eq(perform(DATA("2")), "action=552 5.2.2 the mailbox is full\n\n");
	ck_assert_str_eq(fake.recipients, "b@x.test c@x.test ");
}
END_TEST

/* --- promises --------------------------------------------------------------------- */

#define MESSAGE(id, client)                                                              \
	REQUEST "protocol_state=END-OF-MESSAGE\nsize=9\nrecipient=a@x.test\nqueue_"      \
		"id=" id "\nclient_address=" client "\n\n"

START_TEST(a_message_in_the_queue_is_promised_room)
{
	conf.promise_time = 600;
	ck_assert_str_eq(perform(MESSAGE("4bXy-Z0", "192.0.2.1")), PASS);
	ck_assert_str_eq(fake.queue_id, "4bXy-Z0");
	ck_assert_uint_eq(fake.client, 77);
	ck_assert_uint_eq(fake.promise_ms, 600000);
	ck_assert_str_eq(fake.said, "policy: message id=4bXy-Z0 client=192.0.2.1 "
				    "recipients=1 bytes=9 promised=1 action=DUNNO");
	fake.outcome.verdict = VERDICT_FULL_FOR_NOW;
	perform(MESSAGE("A", "192.0.2.1"));
	ck_assert_ptr_nonnull(strstr(fake.said, "action=452 4.2.2 the mailbox is full"));
}
END_TEST

START_TEST(nothing_else_is)
{
	static const char long_id[] = MESSAGE(
		"1234567890123456789012345678901234567890123456789012345678901234",
		"192.0.2.1");
	const char *const requests[] = {MESSAGE("", "192.0.2.1"), long_id,
		MESSAGE("NOQUEUE:", "192.0.2.1"), MESSAGE("a,b", "192.0.2.1"),
		MESSAGE("A", "unknown"), MESSAGE("A", ""), END("1"),
		REQUEST "protocol_state=RCPT\nqueue_id=A\nclient_address=192.0.2.1\n"
			"recipient=a@x.test\n\n",
		REQUEST "protocol_state=DATA\nqueue_id=A\nclient_address=192.0.2.1\n"
			"recipient=a@x.test\n\n"};

	conf.promise_time = 600;
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		ck_assert_str_eq(perform(requests[i]), PASS);
		if (fake.asked)
			ck_assert_str_eq(fake.queue_id, "NULL");
	}
	fake.asker.uid = 5;
	perform(MESSAGE("A", "192.0.2.1"));
	ck_assert_str_eq(fake.queue_id, "NULL");
	fake.asker = (struct room_asker){.trusted = 1, .nobody = 1};
	perform(MESSAGE("A", "192.0.2.1"));
	ck_assert_str_eq(fake.queue_id, "NULL");
	ck_assert_str_eq(fake.said, "");
}
END_TEST

START_TEST(all_known_recipients_of_a_message_are_named)
{
	perform(RCPT("a@x.test"));
	perform(RCPT("b@x.test"));
	ck_assert_str_eq(perform(REQUEST "protocol_state=END-OF-MESSAGE\ninstance=i\n"
					 "recipient=\nrecipient_count=2\nqueue_id=A\n"
					 "client_address=192.0.2.1\nsize=9\n\n"),
		PASS);
	ck_assert_str_eq(fake.recipients, "a@x.test b@x.test ");
	ck_assert_ptr_nonnull(strstr(fake.said, "recipients=2 bytes=9 promised=2"));
	ck_assert_uint_eq(fake.promise_ms, 0); /* promise_time = 0 */
}
END_TEST

static size_t
count_of(struct policy_instances *all, const char *instance, uint64_t now_ms)
{
	size_t count;

	policy_instances_find(all, instance, 0, &count, now_ms);
	return count;
}

/* Whether all recipients are known of a message that has so many, by Postfix's count. */
static int
knows_all(uint64_t of_message)
{
	size_t count;
	const char *all =
		policy_instances_find(service.instances, "i", of_message, &count, 1);

	ck_assert_int_eq(all != NULL, count > 0);
	return all != NULL;
}

static void
name(const char *recipient, int is_first)
{
	policy_instances_add(service.instances, "i", recipient, is_first, 1);
}

START_TEST(who_is_named_twice_is_known_twice_and_asked_once)
{
	name("a", 1);
	name("a", 0);
	ck_assert_int_eq(knows_all(2), 1);
	ck_assert_int_eq(knows_all(3), 0);
	ck_assert_uint_eq(count_of(service.instances, "i", 1), 1);
	name("b", 0);
	name("b", 0);
	ck_assert_int_eq(knows_all(4), 1);
	ck_assert_uint_eq(count_of(service.instances, "i", 1), 2);
}
END_TEST

START_TEST(who_is_asked_about_twice_is_not_named_twice)
{
	name("a", 1); /* the service is in two lists */
	name("a", 1);
	ck_assert_int_eq(knows_all(1), 1);
	ck_assert_int_eq(knows_all(2), 0);
	name("b", 0);
	name("b", 0);
	ck_assert_int_eq(knows_all(2), 1);
	ck_assert_int_eq(knows_all(3), 0);
	policy_instances_forget(service.instances, "i");
	name("b", 0); /* the first recipient is none of ours */
	name("b", 0);
	ck_assert_int_eq(knows_all(1), 1);
	ck_assert_int_eq(knows_all(2), 0);
}
END_TEST

START_TEST(a_message_of_one_recipient_that_is_named_twice_is_refused)
{
	outcome_set(&fake.outcome, VERDICT_DELIVERED, NULL);
	perform(REQUEST "protocol_state=RCPT\ninstance=i\nrecipient=a@x.test\n"
			"queue_id=\n\n");
	perform(REQUEST "protocol_state=RCPT\ninstance=i\nrecipient=a@x.test\n"
			"queue_id=A1\n\n");
	outcome_set(&fake.outcome, VERDICT_FULL, NULL);
	ck_assert_str_eq(perform(END("2")), "action=552 5.2.2 the mailbox is full\n\n");
	ck_assert_str_eq(fake.recipients, "a@x.test ");
}
END_TEST

START_TEST(an_instance_is_forgotten_after_its_time)
{
	struct policy_instances *all = service.instances;

	policy_instances_add(all, "old", "a", 0, 1);
	policy_instances_add(all, "new", "a", 0, 1);
	policy_instances_add(all, "new", "b", 0, 1 + POLICY_INSTANCE_MS);
	ck_assert_uint_eq(count_of(all, "old", 1 + POLICY_INSTANCE_MS), 1);
	ck_assert_uint_eq(count_of(all, "old", 2 + POLICY_INSTANCE_MS), 0);
	ck_assert_uint_eq(count_of(all, "new", 2 + POLICY_INSTANCE_MS), 2);
}
END_TEST

START_TEST(of_too_many_instances_the_oldest_goes)
{
	struct policy_instances *all = service.instances;
	char name[20];

	for (int i = 0; i <= POLICY_INSTANCES_MAX; i++) {
		snprintf(name, sizeof name, "i%d", i);
		policy_instances_add(all, name, "a", 0, 1);
	}
	ck_assert_uint_eq(count_of(all, "i0", 1), 0);
	ck_assert_uint_eq(count_of(all, "i1", 1), 1);
	ck_assert_uint_eq(count_of(all, name, 1), 1);
}
END_TEST

START_TEST(instances_are_bounded_in_bytes)
{
	struct policy_instances *all = service.instances;
	char name[20], recipient[600];

	for (int i = 0; i < 400; i++)
		for (int k = 0; k < 60; k++) {
			snprintf(name, sizeof name, "i%d", i);
			snprintf(recipient, sizeof recipient, "%0500d", k);
			policy_instances_add(all, name, recipient, 0, 1);
			ck_assert_uint_le(
				policy_instances_bytes(all), POLICY_INSTANCES_BYTES);
		}
	ck_assert_uint_eq(count_of(all, "i0", 1), 0);
	ck_assert_uint_eq(count_of(all, "i399", 1), 60);
	policy_instances_forget(all, "i399");
	ck_assert_uint_eq(count_of(all, "i399", 1), 0);
}
END_TEST

START_TEST(of_a_list_that_was_cut_nothing_is_known)
{
	struct policy_instances *all = service.instances;
	char recipient[600], name[POLICY_INSTANCE_NAME + 2];

	for (int i = 0; i < 200; i++) {
		snprintf(recipient, sizeof recipient, "%0500d", i);
		policy_instances_add(all, "many", recipient, 0, 1);
	}
	ck_assert_uint_eq(count_of(all, "many", 1), 0);
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	policy_instances_add(all, name, "a", 0, 1);
	ck_assert_uint_eq(count_of(all, name, 1), 0);
	ck_assert_uint_eq(count_of(all, name + 1, 1), 0);
	policy_instances_add(all, name + 1, "a", 0, 1);
	ck_assert_uint_eq(count_of(all, name + 1, 1), 1);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_message_in_the_queue_is_promised_room,
		nothing_else_is, all_known_recipients_of_a_message_are_named,
		a_request_ends_with_an_empty_line,
		what_is_no_line_of_name_and_value_can_not_be_read, a_request_is_bounded,
		the_order_is_free_and_the_last_of_two_counts,
		the_dot_of_an_absolute_domain_is_no_part_of_a_recipient,
		a_number_that_is_too_large_is_as_large_as_can_be_and_garbage_is_none,
		garbage_is_told_once, rcpt_data_and_end_of_message_are_asked,
		all_else_is_passed_at_once, each_verdict_has_its_code,
		of_who_has_logged_in_is_asked_without_known_recipients,
		an_action_is_of_printable_ascii_without_a_colon_of_its_own,
		an_error_of_ours_defers_or_passes_and_tells_no_stranger_why,
		an_unknown_user_is_refused_or_left_to_postfix,
		what_can_not_be_read_gets_no_answer, an_answer_may_come_later,
		several_recipients_are_those_that_were_taken,
		nothing_is_refused_where_a_recipient_is_unknown,
		one_that_an_error_let_pass_is_a_recipient,
		an_unknown_user_that_postfix_took_lets_the_message_pass,
		an_instance_is_forgotten_after_its_time,
		who_is_named_twice_is_known_twice_and_asked_once,
		who_is_asked_about_twice_is_not_named_twice,
		a_message_of_one_recipient_that_is_named_twice_is_refused,
		of_too_many_instances_the_oldest_goes, instances_are_bounded_in_bytes,
		of_a_list_that_was_cut_nothing_is_known};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
