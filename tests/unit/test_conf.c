/* Settings: read whole or not at all, and every fault with its place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "suite.h"

static char file[64];

static int
load(const char *text, struct conf *c, struct reason *why)
{
	FILE *to;
	int fd, result;

	strcpy(file, "/tmp/brim-conf.XXXXXX");
	fd = mkstemp(file);
	ck_assert_int_ge(fd, 0);
	to = fdopen(fd, "w");
	fputs(text, to);
	fclose(to);
	result = conf_load(c, file, why);
	unlink(file);
	return result;
}

START_TEST(an_empty_file_is_the_defaults)
{
	struct conf c;

	ck_assert_int_eq(load("# nothing\n\n; nor here\n", &c, NULL), 0);
	ck_assert_str_eq(c.socket, "/run/brim/quotad.sock");
	ck_assert_str_eq(c.recipient_delimiter, "+");
	ck_assert_uint_eq(c.over_quota, 3 * 86400);
	ck_assert_uint_eq(c.deadline, 300);
	ck_assert_uint_eq(c.quotad_timeout, 10);
	ck_assert_uint_eq(c.recheck_above, 80);
	ck_assert_uint_eq(c.quotad_down_delivers, 0);
	ck_assert_uint_eq(c.users_mode, 0644);
	conf_free(&c);
}
END_TEST

START_TEST(values_are_taken_with_blanks_and_comments_around)
{
	struct conf c;

	ck_assert_int_eq(load("  quota = 1.5G   ; for all\n\tover_quota=defer\n"
			      "quotad_down = deliver\nlocal_domains = a.org, b.org\n",
				 &c, NULL),
		0);
	ck_assert_uint_eq(c.quota, 3ULL << 29);
	ck_assert_uint_eq(c.over_quota, CONF_DEFER);
	ck_assert_uint_eq(c.quotad_down_delivers, 1);
	ck_assert_str_eq(c.local_domains, "a.org, b.org");
	conf_free(&c);
}
END_TEST

START_TEST(every_fault_names_file_line_and_setting)
{
	static const struct {
		const char *text, *words;
	} faults[] = {
		{"\nquota = 100\n", "line 2: quota"},
		{"qouta = 1G\n", "line 1: there is no setting \"qouta\""},
		{"deadline = 1s\n", "line 1: deadline"},
		{"deadline = 1d\n", "between 2s and 15m"},
		{"quotad_down = bounce\n", "quotad_down"},
		{"over_quota = never\n", "over_quota"},
		{"users_mode = 0666\n", "users_mode"},
		{"users_mode = rw\n", "octal"},
		{"socket = quotad.sock\n", "absolute"},
		{"usage_dir = /var/../etc\n", "absolute"},
		{"log = printer\n", "log"},
		{"recheck_above = 101\n", "recheck_above"},
		{"min_uid = 0\n", "min_uid"},
		{"[mail]\nquota = 1G\n", "line 1: sections"},
		{"quota = 1G\n  [mail]\n", "line 2: sections"},
		{"# fine\njust words\n", "line 2: not"},
	};
	struct reason why;
	struct conf c;

	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		ck_assert_msg(load(faults[i].text, &c, &why) == -1, "%s", faults[i].text);
		ck_assert_msg(strstr(why.text, faults[i].words), "%s: %s", faults[i].text,
			why.text);
		ck_assert_msg(strstr(why.text, file), "%s", why.text);
		ck_assert_ptr_null(c.socket);
	}
}
END_TEST

START_TEST(a_line_that_would_be_cut_is_refused)
{
	char text[400] = "trusted_users = ";
	struct reason why;
	struct conf c;

	memset(text + 16, 'x', 250);
	strcpy(text + 266, "\n");
	ck_assert_int_eq(load(text, &c, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "longer"));
}
END_TEST

START_TEST(a_file_that_is_named_must_be_there)
{
	struct reason why;
	struct conf c;

	ck_assert_int_eq(conf_load(&c, "/nowhere/brim.conf", &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "/nowhere/brim.conf"));
	ck_assert_int_eq(conf_load(&c, "/", &why), -1);
}
END_TEST

START_TEST(what_is_printed_reads_back)
{
	struct conf c, back;
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	ck_assert_int_eq(load("quota = 2G\nover_quota = bounce\ndeadline = "
			      "2m\nusers_mode = 0640\n",
				 &c, NULL),
		0);
	ck_assert_int_eq(conf_print(&c, to), 0);
	fclose(to);
	ck_assert_int_eq(load(text, &back, NULL), 0);
	ck_assert_uint_eq(back.quota, c.quota);
	ck_assert_uint_eq(back.over_quota, 0);
	ck_assert_uint_eq(back.deadline, 120);
	ck_assert_uint_eq(back.users_mode, 0640);
	ck_assert_ptr_nonnull(strstr(text, "#socket = /run/brim/quotad.sock"));
	free(text);
	conf_free(&c);
	conf_free(&back);
}
END_TEST

START_TEST(a_list_is_words_with_blanks_or_commas)
{
	ck_assert(conf_list_has("a.org, b.org c.org", "B.org"));
	ck_assert(conf_list_has("a", "a"));
	ck_assert(!conf_list_has("a.org", "a"));
	ck_assert(!conf_list_has("", "a"));
	ck_assert(!conf_list_has(" , ", ""));
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {an_empty_file_is_the_defaults,
		values_are_taken_with_blanks_and_comments_around,
		every_fault_names_file_line_and_setting,
		a_line_that_would_be_cut_is_refused, a_file_that_is_named_must_be_there,
		what_is_printed_reads_back, a_list_is_words_with_blanks_or_commas};

	ADD_CASE(suite, tests);
}
