/* Names of messages: unique when made, and read without trust. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "maildir.h"
#include "suite.h"

static const char *host = "mail.example.org";

/* The host's name is the test's to choose. */
int
uname(struct utsname *u)
{
	memset(u, 0, sizeof *u);
	strncpy(u->nodename, host, sizeof u->nodename - 1);
	return 0;
}

START_TEST(a_name_tells_its_size)
{
	char name[MAILDIR_NAME_SIZE];
	uint64_t bytes;

	host = "mail.example.org";
	ck_assert_int_eq(maildir_make_name(name, 4096), 0);
	ck_assert_int_eq(maildir_size(name, &bytes), 1);
	ck_assert_uint_eq(bytes, 4096);
	ck_assert_ptr_nonnull(strstr(name, ".mail.example.org,S=4096"));
}
END_TEST

START_TEST(names_made_in_a_row_differ)
{
	char a[MAILDIR_NAME_SIZE], b[MAILDIR_NAME_SIZE];

	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(maildir_make_name(a, 1), 0);
		ck_assert_int_eq(maildir_make_name(b, 1), 0);
		ck_assert_str_ne(a, b);
	}
}
END_TEST

START_TEST(an_odd_host_makes_a_safe_name)
{
	static const char *const hosts[] = {"../../etc", "a:2,S", "a b\n", "100%", "",
		"0123456789012345678901234567890123456789012345678901234567890123",
		"////////////////////////////////////////////////////////////////"};
	char name[MAILDIR_NAME_SIZE];
	uint64_t bytes;

	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		host = hosts[i];
		ck_assert_int_eq(maildir_make_name(name, UINT64_MAX), 0);
		ck_assert(strpbrk(name, "/: \n%") == NULL);
		ck_assert_uint_lt(strlen(name), MAILDIR_NAME_SIZE);
		ck_assert_int_eq(maildir_size(name, &bytes), 1);
		ck_assert_uint_eq(bytes, UINT64_MAX);
	}
}
END_TEST

static const struct {
	const char *name;
	int told;
	uint64_t bytes;
} sizes[] = {
	{"1.M2P3.host,S=1000", 1, 1000},
	{"1.M2P3.host,S=1000,W=1030:2,S", 1, 1000},
	{"1.M2P3.host,W=1030,S=1000:2,", 1, 1000},
	{"1.host,S=0", 1, 0},
	{"1.host,S=18446744073709551615", 1, UINT64_MAX},
	{"1.host,S=18446744073709551616", 0, 0},
	{"1.host,S=", 0, 0},
	{"1.host,S=-1", 0, 0},
	{"1.host,S= 1", 0, 0},
	{"1.host,S=12x", 0, 0},
	{"1.host,S=12.5", 0, 0},
	{"1.host,S=x,S=12", 1, 12},
	{"1.host:2,S=12", 0, 0},
	{"1.host:2,S", 0, 0},
	{"S=12", 0, 0},
	{"", 0, 0},
};

START_TEST(a_size_is_believed_in_its_place_alone)
{
	uint64_t bytes = 77;

	ck_assert_int_eq(maildir_size(sizes[_i].name, &bytes), sizes[_i].told);
	ck_assert_uint_eq(bytes, sizes[_i].told ? sizes[_i].bytes : 77);
}
END_TEST

START_TEST(a_name_in_tmp_is_known_again)
{
	static const char *const hosts[] = {"mail.example.org", "a:2,S", "1.M2P3", ""};
	char name[MAILDIR_NAME_SIZE];

	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		host = hosts[i];
		ck_assert_int_eq(maildir_make_name(name, 0), 0);
		ck_assert_int_eq(maildir_is_unfinished(name), 1);
		host = "another";
		ck_assert_int_eq(maildir_is_unfinished(name), 1);
		ck_assert_int_eq(maildir_is_own(name, 0), 0);
		ck_assert_int_eq(maildir_make_name(name, 10), 0);
		ck_assert_int_eq(maildir_is_unfinished(name), 0);
	}
}
END_TEST

static const char *const not_ours[] = {"", ".", "..", "1.M2P3R0123456789abcdef.host,S=00",
	"1.M2P3R0123456789abcdef.host,S=0:2,", "1.M2P3R0123456789abcdef.host,S=0,W=1",
	"1.M2P3R0123456789abcdef.ho:st,S=0", "1.M2P3R0123456789abcdef.host,x,S=0",
	"1.M2P3R0123456789abcdef.,S=0", "1.M2P3R0123456789abcdef.host",
	"1.M2P3R0123456789abcde.host,S=0", "1.M2P3R0123456789abcdef0.host,S=0",
	"1.M2P3R0123456789ABCDEF.host,S=0", "1.M2P3R.host,S=0", "1.M2P3.host,S=0",
	"1.MP3R0123456789abcdef.host,S=0", "1.2P3R0123456789abcdef.host,S=0",
	".M2P3R0123456789abcdef.host,S=0", "x1.M2P3R0123456789abcdef.host,S=0",
	"1.M-2P3R0123456789abcdef.host,S=0", "1.host,S=0", "1", "1.M",
	"1.M2P3R0123456789abcdef"};

START_TEST(no_other_name_is_taken_for_one_in_tmp)
{
	host = "host";
	ck_assert_int_eq(maildir_is_unfinished("1.M2P3R0123456789abcdef.host,S=0"), 1);
	for (size_t i = 0; i < sizeof not_ours / sizeof *not_ours; i++)
		ck_assert_msg(!maildir_is_unfinished(not_ours[i]), "%s", not_ours[i]);
}
END_TEST

START_TEST(flags_are_no_part_of_the_unique_name)
{
	ck_assert_uint_eq(maildir_unique_length("1.host,S=3:2,RS"), strlen("1.host,S=3"));
	ck_assert_uint_eq(maildir_unique_length("1.host"), strlen("1.host"));
	ck_assert_uint_eq(maildir_unique_length(":2,"), 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_name_tells_its_size, names_made_in_a_row_differ,
		an_odd_host_makes_a_safe_name, flags_are_no_part_of_the_unique_name,
		a_name_in_tmp_is_known_again, no_other_name_is_taken_for_one_in_tmp};
	TCase *c = ADD_CASE(suite, tests);

	tcase_add_loop_test(c, a_size_is_believed_in_its_place_alone, 0,
		(int)(sizeof sizes / sizeof *sizes));
}
