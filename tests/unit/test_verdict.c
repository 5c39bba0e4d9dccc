/* The table of verdicts: what every MTA must be able to rely on. */
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "verdict.h"

START_TEST(no_other_exit_status_than_five)
{
	for (int v = 0; v < VERDICTS; v++) {
		int status = verdict_exit_status((enum verdict)v);

		ck_assert_msg(status == 0 || status == 67 || status == 69 ||
				      status == 75 || status == 77,
			"%s is %d", verdict_name((enum verdict)v), status);
	}
}
END_TEST

START_TEST(status_code_and_smtp_reply_agree)
{
	for (int v = 1; v < VERDICTS; v++) {
		const char *code = verdict_code((enum verdict)v);
		const char *smtp = verdict_smtp((enum verdict)v);
		int soft = verdict_exit_status((enum verdict)v) == 75;

		ck_assert_int_eq(code[0], soft ? '4' : '5');
		ck_assert_int_eq(smtp[0], code[0]);
		ck_assert_str_eq(smtp + 4, code);
	}
	ck_assert_int_eq(verdict_exit_status(VERDICT_DELIVERED), 0);
	ck_assert_str_eq(verdict_smtp(VERDICT_DELIVERED), "DUNNO");
}
END_TEST

START_TEST(each_verdict_says_whether_lda_takes_it_from_quotad)
{
	static const enum verdict quotads[] = {VERDICT_FULL_FOR_NOW, VERDICT_FULL,
		VERDICT_TOO_LARGE, VERDICT_NO_DISK, VERDICT_MISCONFIGURED};
	int taken = 0;

	for (int v = 0; v < VERDICTS; v++)
		ck_assert_msg(verdict_is_quotads((enum verdict)v) >= 0,
			"the row of %s does not say it", verdict_name((enum verdict)v));
	for (int v = 0; v < VERDICTS; v++)
		taken += verdict_is_quotads((enum verdict)v);
	ck_assert_int_eq(taken, 5);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(verdict_is_quotads(quotads[i]), 1);
}
END_TEST

START_TEST(what_quotad_may_not_decide_is_an_error)
{
	struct outcome o;

	for (int v = 0; v < VERDICTS; v++) {
		int taken = verdict_is_quotads((enum verdict)v);

		outcome_from_quotad(&o, (enum verdict)v, "because");
		ck_assert_int_eq((int)o.verdict, taken ? v : VERDICT_TROUBLE);
		ck_assert_str_eq(o.text, taken ? "because" : "quotad: because");
	}
}
END_TEST

START_TEST(names_read_back)
{
	enum verdict v;

	for (int i = 0; i < VERDICTS; i++) {
		ck_assert_int_eq(verdict_parse(verdict_name((enum verdict)i), &v), 0);
		ck_assert_int_eq(v, i);
	}
	ck_assert_int_eq(verdict_parse("nonsense", &v), -1);
}
END_TEST

START_TEST(a_line_is_code_text_and_one_line_break)
{
	char line[VERDICT_LINE_MAX + 1];
	struct outcome o;

	outcome_set(&o, VERDICT_FULL, NULL);
	ck_assert_uint_eq(outcome_line(&o, line), strlen(line));
	ck_assert_str_eq(line, "5.2.2 the mailbox is full\n");
	outcome_set(&o, VERDICT_FULL, "%s", "");
	outcome_line(&o, line);
	ck_assert_str_eq(line, "5.2.2 the mailbox is full\n");
}
END_TEST

START_TEST(a_reply_is_code_and_text_without_a_colon)
{
	static const struct {
		enum verdict verdict;
		const char *text, *reply;
	} cases[] = {
		{VERDICT_DELIVERED, "x", "DUNNO"},
		{VERDICT_FULL, "full", "552 5.2.2 full"},
		{VERDICT_FULL, "", "552 5.2.2 the mailbox is full"},
		{VERDICT_MOVED, "new address: a@[IPv6:::1]",
			"551 5.1.6 new address a@[IPv6:::1]"},
		{VERDICT_REFUSED, ":a:: b:", "554 5.7.1 :a b"},
		{VERDICT_TROUBLE, "/var/lib/x is gone",
			"451 4.3.0 error on the mail server"},
		{VERDICT_MISCONFIGURED, "line 7",
			"451 4.3.5 the mail server is not set up right"},
	};
	char reply[OUTCOME_REPLY_SIZE];
	struct outcome o;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		outcome_set(&o, cases[i].verdict, "%s", cases[i].text);
		outcome_reply(&o, reply);
		ck_assert_str_eq(reply, cases[i].reply);
	}
	outcome_set(&o, VERDICT_FULL, "%0500d", 1);
	outcome_reply(&o, reply);
	ck_assert_uint_eq(strlen(reply), 10 + VERDICT_LINE_MAX - 1);
}
END_TEST

START_TEST(soft_is_gentler_than_hard_and_ours_than_soft)
{
	for (int a = 0; a < VERDICTS; a++)
		for (int b = 0; b < VERDICTS; b++) {
			int gentler =
				verdict_is_gentler((enum verdict)a, (enum verdict)b);

			ck_assert(!gentler ||
				  !verdict_is_gentler((enum verdict)b, (enum verdict)a));
			ck_assert(a == b || gentler ||
				  verdict_is_gentler((enum verdict)b, (enum verdict)a));
			/* 2, 4, 5: the class of the code */
			if (verdict_code((enum verdict)a)[0] <
				verdict_code((enum verdict)b)[0])
				ck_assert(gentler);
		}
	ck_assert(verdict_is_gentler(VERDICT_TROUBLE, VERDICT_FULL_FOR_NOW));
	ck_assert(verdict_is_gentler(VERDICT_MISCONFIGURED, VERDICT_SUSPENDED));
}
END_TEST

START_TEST(nothing_is_said_of_a_delivery)
{
	char line[VERDICT_LINE_MAX + 1] = "x";
	struct outcome o;

	outcome_set(&o, VERDICT_DELIVERED, "anything");
	ck_assert_uint_eq(outcome_line(&o, line), 0);
	ck_assert_str_eq(line, "");
}
END_TEST

START_TEST(whatever_is_quoted_the_line_is_short_and_printable)
{
	char line[VERDICT_LINE_MAX + 1], text[2000];
	struct outcome o;
	size_t length;

	for (size_t i = 0; i < sizeof text - 1; i++)
		text[i] = (char)(1 + i % 255);
	text[sizeof text - 1] = '\0';
	outcome_set(&o, VERDICT_TROUBLE, "%s", text);
	length = outcome_line(&o, line);
	ck_assert_uint_le(length, VERDICT_LINE_MAX);
	ck_assert_uint_eq(length, strlen(line));
	ck_assert_int_eq(line[length - 1], '\n');
	for (size_t i = 0; i < length - 1; i++)
		ck_assert(line[i] >= ' ' && line[i] <= '~');
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {no_other_exit_status_than_five,
		status_code_and_smtp_reply_agree,
		each_verdict_says_whether_lda_takes_it_from_quotad,
		what_quotad_may_not_decide_is_an_error, names_read_back,
		a_line_is_code_text_and_one_line_break,
		a_reply_is_code_and_text_without_a_colon,
		soft_is_gentler_than_hard_and_ours_than_soft,
		nothing_is_said_of_a_delivery,
		whatever_is_quoted_the_line_is_short_and_printable};

	ADD_CASE(suite, tests);
}
