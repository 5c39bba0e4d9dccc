/* What is shown of any bytes, to mail servers and to people. */
#include <string.h>

#include "printable.h"
#include "reason.h"
#include "suite.h"
#include "verdict.h"

static const struct {
	const char *text, *ascii, *utf8;
} texts[] = {
	{"a b~%", "a b~%", "a b~%"},
	{"m\u00fcller@b\u00fccher.de", "m??ller@b??cher.de",
		"m\u00fcller@b\u00fccher.de"},
	{"\u0418\u0432\u0430\u043d", "????????", "\u0418\u0432\u0430\u043d"},
	{"\u65e5\U0001f600", "???????", "\u65e5\U0001f600"},
	{"a\tb\n\x1b[2J\x7f", "a?b??[2J?", "a?b??[2J?"},
	{"\xc2\x85\xc2\x9bm\u00a0", "????m??", "????m??"},          /* controls of C1 */
	{"\u061c\u200e\u202e\u2066", "???????????", "???????????"}, /* direction */
	{"x\u200by\u00adz\u2028\ufeff", "x???y??z??????", "x???y??z??????"},
	{"\ue000\ufffe\U0001ffff\U0010fffd", "??????????????", "??????????????"},
	{"\xff\xc3", "??", "??"},                   /* no UTF-8 */
	{"\xc0\xaf\xed\xa0\x80", "?????", "?????"}, /* not the shortest, a surrogate */
	{"\u00fc\xc3", "???", "\u00fc?"},           /* one that was cut off */
};

static const size_t count = sizeof texts / sizeof *texts;

static void
check_all(int utf8)
{
	for (size_t i = 0; i < count; i++) {
		const char *expected = utf8 ? texts[i].utf8 : texts[i].ascii;
		struct reason why;
		struct outcome o;

		reason_set(&why, "%s", texts[i].text);
		ck_assert_str_eq(why.text, expected);
		outcome_set(&o, VERDICT_MISCONFIGURED, "%s", texts[i].text);
		ck_assert_str_eq(o.text, expected);
	}
}

START_TEST(only_ascii_is_shown_until_a_program_writes_for_people)
{
	check_all(0);
}
END_TEST

START_TEST(people_see_the_utf8_that_they_wrote)
{
	printable_keep_utf8();
	check_all(1);
}
END_TEST

START_TEST(what_a_mail_server_gets_is_ascii_whoever_writes_it)
{
	char line[VERDICT_LINE_MAX + 1], reply[OUTCOME_REPLY_SIZE];
	struct outcome o;

	printable_keep_utf8();
	for (size_t i = 0; i < count; i++) {
		outcome_set(&o, VERDICT_MOVED, "%s", texts[i].text);
		outcome_line(&o, line);
		ck_assert_str_eq(strtok(line + strlen("5.1.6 "), "\n"), texts[i].ascii);
		outcome_reply(&o, reply);
		ck_assert_str_eq(reply + strlen("551 5.1.6 "), texts[i].ascii);
	}
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		only_ascii_is_shown_until_a_program_writes_for_people,
		people_see_the_utf8_that_they_wrote,
		what_a_mail_server_gets_is_ascii_whoever_writes_it};

	ADD_CASE(suite, tests);
}
