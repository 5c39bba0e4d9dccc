/* Lists of blocked senders, and the file that is read again, under a fake clock. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "quotad/senders.h"
#include "sender_list.h"
#include "suite.h"

#define FILE_NAME "senders"

static struct senders *s;
static uint64_t now;
static char said[1024]; /* what was logged */

uint64_t
clock_now_ms(void)
{
	return now;
}

void
log_line(enum log_level level, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (level == LOG_LEVEL_ERROR)
		strncat(strcat(said, line), "\n", sizeof said - strlen(said) - 1);
}

/* In a file of another inode, so that each is another state. */
static void
write_list(const char *text)
{
	FILE *to = fopen(FILE_NAME ".new", "w");

	ck_assert_ptr_nonnull(to);
	ck_assert(fputs(text, to) >= 0 && fclose(to) == 0);
	ck_assert(chmod(FILE_NAME ".new", 0644) == 0);
	ck_assert(rename(FILE_NAME ".new", FILE_NAME) == 0);
}

static int
blocks(const char *sender)
{
	struct outcome o = {.verdict = VERDICT_DELIVERED};
	int refused = senders_refuse(s, sender, &o);

	ck_assert_int_eq(o.verdict, refused ? VERDICT_REFUSED : VERDICT_DELIVERED);
	return refused;
}

static void
setup(void)
{
	char directory[] = "/tmp/test_senders.XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert(chdir(directory) == 0);
	s = senders_new();
	now = 1000000;
	said[0] = '\0';
}

static void
teardown(void)
{
	char *directory = get_current_dir_name();

	senders_free(&s);
	ck_assert(chdir("/") == 0);
	remove_tree(directory);
	free(directory);
}

/* --- the list --------------------------------------------------------------------- */

static const char *
fault_of(const char *text)
{
	static struct reason why;
	struct sender_list *l;

	write_list(text);
	l = sender_list_read(FILE_NAME, &why);
	if (l)
		strcpy(why.text, "");
	sender_list_free(&l);
	return why.text;
}

static int
has(const char *text, const char *sender)
{
	struct reason why;
	struct sender_list *l;
	int found;

	write_list(text);
	l = sender_list_read(FILE_NAME, &why);
	ck_assert_msg(l != NULL, "%s: %s", text, why.text);
	found = sender_list_has(l, sender);
	sender_list_free(&l);
	return found;
}

START_TEST(an_address_a_domain_and_what_is_below_it_are_three_things)
{
	static const char list[] = "# who and why\n"
				   "\n"
				   "  spam@example.org\t# since May\r\n"
				   "a#b@example.org\n"
				   "@bulk.example\n"
				   ".below.example";
	static const struct {
		const char *sender;
		int has;
	} cases[] = {
		{"spam@example.org", 1},
		{"SPAM@Example.ORG", 1},
		{"\"spam\"@example.org", 1},
		{"spam@example.org.", 1},
		{"spam@sub.example.org", 0},
		{"other@example.org", 0},
		{"a#b@example.org", 1},
		{"anybody@bulk.example", 1},
		{"anybody@BULK.example.", 1},
		{"anybody@sub.bulk.example", 0},
		{"anybody@abulk.example", 0},
		{"x@below.example", 1},
		{"x@a.below.example", 1},
		{"x@a.b.below.example", 1},
		{"x@notbelow.example", 0},
		{"x@example", 0},
		{"spam", 0},
		{"bulk.example", 0},
		{"", 0},
		{"<>", 0},
		{"@", 0},
		{"x@", 0},
		{"x@.", 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(has(list, cases[i].sender) == cases[i].has, "%s",
			cases[i].sender);
}
END_TEST

START_TEST(both_forms_of_a_domain_are_one)
{
	ck_assert(has("@Müller.example\n", "x@xn--mller-kva.example"));
	ck_assert(has("@xn--mller-kva.example\n", "x@MÜLLER.example"));
	ck_assert(has(".Müller.example\n", "x@a.müller.example"));
	ck_assert(has("ÄNNE@example.org\n", "änne@example.org"));
}
END_TEST

START_TEST(no_name_is_long_enough_to_hide_its_domain)
{
	char sender[1024];

	memset(sender, 'x', sizeof sender);
	strcpy(sender + 900, "@bulk.example");
	ck_assert(has("@bulk.example\n", sender));
	ck_assert(has("@bulk.example\n", "a\001b@bulk.example"));
	memset(sender, 'x', sizeof sender);
	sender[0] = '@';
	sender[sizeof sender - 1] = '\0';
	ck_assert(!has("@bulk.example\n", sender));
}
END_TEST

START_TEST(a_line_that_names_the_null_sender_or_nobody_is_a_fault)
{
	static const struct {
		const char *text, *fault;
	} cases[] = {
		{"<>\n", "line 1: the null sender"},
		{"a@b\n\"\"\n", "line 2: the null sender"},
		{"\"\"@example.org\n", "nothing before its @"},
		{"@\n", "nothing behind its @"},
		{".\n", "nothing behind its @"},
		{"..example\n", "empty part"},
		{"@.\n", "empty part"},
		{"MAILER-DAEMON\n", "no @"},
		{"example.org\n", "@example.org for a domain"},
		{"*@example.org\n", "write @example.org"},
		{"*.example.org\n", "write .example.org"},
		{"<spam@example.org>\n", "\"<\" in it"},
		{"spam@example.org REJECT\n", "the domain has \" \" in it"},
		{"a@b,c\n", "the domain has \",\" in it"},
		{"a@b,c@d\n", "more than one @"},
		{"a@b.testc@d.test\n", "more than one @"},
		{"@a@b\n", "more than one @"},
		{"@example.org\n@exa mple\n", "line 2: "},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *fault = fault_of(cases[i].text);

		ck_assert_msg(strstr(fault, cases[i].fault) != NULL, "%s: %s",
			cases[i].text, fault);
	}
}
END_TEST

START_TEST(a_file_that_others_can_change_or_that_is_no_file_is_no_list)
{
	struct reason why;

	ck_assert_str_eq(fault_of("@a.example\n"), "");
	ck_assert(chmod(FILE_NAME, 0646) == 0);
	ck_assert_ptr_null(sender_list_read(FILE_NAME, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "chmod go-w"));
	ck_assert(unlink(FILE_NAME) == 0);
	ck_assert_ptr_null(sender_list_read(FILE_NAME, &why));
	ck_assert(mkdir(FILE_NAME, 0755) == 0);
	ck_assert_ptr_null(sender_list_read(FILE_NAME, &why));
	ck_assert(rmdir(FILE_NAME) == 0);
	ck_assert(mkfifo(FILE_NAME, 0644) == 0);
	ck_assert_ptr_null(sender_list_read(FILE_NAME, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "not a regular file"));
}
END_TEST

START_TEST(a_list_is_bounded)
{
	int fd;
	struct reason why;

	write_list("@a.example\n");
	fd = open(FILE_NAME, O_WRONLY);
	ck_assert(fd >= 0 && ftruncate(fd, 2 << 20) == 0 && close(fd) == 0);
	ck_assert_ptr_null(sender_list_read(FILE_NAME, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "larger than"));
	ck_assert(truncate(FILE_NAME, 100) == 0);
	ck_assert_ptr_null(sender_list_read(FILE_NAME, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "NUL"));
}
END_TEST

/* --- the file that changes -------------------------------------------------------- */

START_TEST(a_new_list_is_in_force_after_a_second)
{
	write_list("@a.example\n");
	senders_configure(s, FILE_NAME);
	ck_assert(blocks("x@a.example") && !blocks("x@b.example"));
	write_list("@b.example\n");
	ck_assert(blocks("x@a.example")); /* the file is not looked at each time */
	now += 1000;
	ck_assert(!blocks("x@a.example") && blocks("x@b.example"));
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(a_bad_or_missing_file_leaves_the_old_list_and_says_so_once)
{
	write_list("@a.example\n");
	senders_configure(s, FILE_NAME);
	write_list("@b.example\n<>\n");
	for (int i = 0; i < 5; i++) {
		now += 1000;
		ck_assert(blocks("x@a.example") && !blocks("x@b.example"));
	}
	ck_assert_str_eq(said,
		"blocked_senders: " FILE_NAME
		" line 2: the null sender can't be blocked: bounces and reports have it; "
		"the list that was read before stays\n");
	said[0] = '\0';
	ck_assert(unlink(FILE_NAME) == 0);
	for (int i = 0; i < 5; i++) {
		now += 1000;
		ck_assert(blocks("x@a.example"));
	}
	ck_assert_ptr_nonnull(strstr(said, "No such file"));
	ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
	write_list("@b.example\n");
	now += 1000;
	ck_assert(!blocks("x@a.example") && blocks("x@b.example"));
}
END_TEST

START_TEST(a_bad_file_at_the_start_blocks_nobody_until_it_is_repaired)
{
	write_list("@a.example\nexample.org\n");
	senders_configure(s, FILE_NAME);
	ck_assert(!blocks("x@a.example"));
	ck_assert_ptr_nonnull(strstr(said, "nobody is blocked"));
	write_list("@a.example\n");
	now += 1000;
	ck_assert(blocks("x@a.example"));
}
END_TEST

START_TEST(a_setting_that_is_taken_out_blocks_nobody)
{
	write_list("@a.example\n");
	senders_configure(s, FILE_NAME);
	senders_configure(s, FILE_NAME);
	ck_assert(blocks("x@a.example"));
	senders_configure(s, "");
	ck_assert(!blocks("x@a.example"));
	now += 5000;
	ck_assert(!blocks("x@a.example"));
	senders_configure(s, FILE_NAME);
	ck_assert(blocks("x@a.example"));
	senders_configure(s, "other"); /* which is not there */
	ck_assert(blocks("x@a.example"));
}
END_TEST

START_TEST(bounces_and_reports_are_never_refused)
{
	write_list(".example\n@a\nx@b\n");
	senders_configure(s, FILE_NAME);
	ck_assert(!blocks("") && !blocks("<>") && !blocks(NULL));
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		an_address_a_domain_and_what_is_below_it_are_three_things,
		both_forms_of_a_domain_are_one,
		no_name_is_long_enough_to_hide_its_domain,
		a_line_that_names_the_null_sender_or_nobody_is_a_fault,
		a_file_that_others_can_change_or_that_is_no_file_is_no_list,
		a_list_is_bounded,
		a_new_list_is_in_force_after_a_second,
		a_bad_or_missing_file_leaves_the_old_list_and_says_so_once,
		a_bad_file_at_the_start_blocks_nobody_until_it_is_repaired,
		a_setting_that_is_taken_out_blocks_nobody,
		bounces_and_reports_are_never_refused,
	};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
