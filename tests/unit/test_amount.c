/* Sizes, times and counts, at their ends above all. */
#include <string.h>

#include "amount.h"
#include "suite.h"

#define K (1ULL << 10)

static const struct size_case {
	const char *text;
	int result;
	uint64_t bytes;
} sizes[] = {
	{"0", 0, 0},
	{"0B", 0, 0},
	{"1B", 0, 1},
	{"512K", 0, 512 * K},
	{"512k", 0, 512 * K},
	{"1.5G", 0, 3 * K *K *K / 2},
	{"0.1K", 0, 102},
	{"0.999999999K", 0, 1023},
	{"16383P", 0, 16383ULL << 50},
	{"18446744073709551615B", 0, UINT64_MAX},
	{"0.0K", 0, 0},
	{"0.000000001G", 0, 1},
	{"0.0000001K", -1, 0},
	{"0.0009K", -1, 0},
	{"0.000000001M", -1, 0},
	{"", -1, 0},
	{"1", -1, 0},
	{"1073741824", -1, 0},
	{"K", -1, 0},
	{".5K", -1, 0},
	{"1.K", -1, 0},
	{"1.5B", -1, 0},
	{"1.5", -1, 0},
	{"1.0000000001K", -1, 0},
	{"-1K", -1, 0},
	{"+1K", -1, 0},
	{" 1K", -1, 0},
	{"1K ", -1, 0},
	{"1 K", -1, 0},
	{"1KB", -1, 0},
	{"1GiB", -1, 0},
	{"1e9", -1, 0},
	{"NaN", -1, 0},
	{"0x10K", -1, 0},
	{"16384P", -1, 0},
	{"18446744073709551616B", -1, 0},
	{"99999999999999999999G", -1, 0},
};

START_TEST(a_size_is_read_whole_or_refused)
{
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct reason why = {""};
		uint64_t bytes = 0;

		ck_assert_msg(amount_size(sizes[i].text, &bytes, &why) == sizes[i].result,
			"\"%s\"", sizes[i].text);
		if (sizes[i].result == 0)
			ck_assert_msg(bytes == sizes[i].bytes, "\"%s\" is %llu",
				sizes[i].text, (unsigned long long)bytes);
		else
			ck_assert_msg(
				why.text[0], "\"%s\" without a reason", sizes[i].text);
	}
}
END_TEST

START_TEST(a_bare_number_is_told_what_it_may_mean)
{
	struct reason why;
	uint64_t bytes;

	ck_assert_int_eq(amount_size("100", &bytes, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "100M"));
}
END_TEST

START_TEST(a_time_has_a_unit_and_a_bound)
{
	uint64_t s;

	ck_assert_int_eq(amount_time("3d", &s, NULL), 0);
	ck_assert_uint_eq(s, 3 * 86400);
	ck_assert_int_eq(amount_time("90s", &s, NULL), 0);
	ck_assert_uint_eq(s, 90);
	ck_assert_int_eq(amount_time("2w", &s, NULL), 0);
	ck_assert_uint_eq(s, 14 * 86400);
	ck_assert_int_eq(amount_time("0", &s, NULL), 0);
	ck_assert_uint_eq(s, 0);
	ck_assert_int_eq(amount_time("3", &s, NULL), -1);
	ck_assert_int_eq(amount_time("3dd", &s, NULL), -1);
	ck_assert_int_eq(amount_time("521w", &s, NULL), 0);
	ck_assert_int_eq(amount_time("522w", &s, NULL), -1);
	ck_assert_int_eq(amount_time("18446744073709551615d", &s, NULL), -1);
}
END_TEST

START_TEST(a_count_is_digits_alone)
{
	uint64_t n;

	ck_assert_int_eq(amount_count("18446744073709551615", &n, NULL), 0);
	ck_assert_uint_eq(n, UINT64_MAX);
	ck_assert_int_eq(amount_count("18446744073709551616", &n, NULL), -1);
	ck_assert_int_eq(amount_count("", &n, NULL), -1);
	ck_assert_int_eq(amount_count("1 ", &n, NULL), -1);
	ck_assert_int_eq(amount_count("-1", &n, NULL), -1);
}
END_TEST

START_TEST(a_count_that_is_written_reads_back)
{
	static const uint64_t counts[] = {
		0, 1, 9, 10, 99, 100, 4096, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
	char text[AMOUNT_SIZE];
	uint64_t n;

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		ck_assert_ptr_eq(amount_put(text, counts[i]), text + strlen(text));
		ck_assert_int_eq(amount_count(text, &n, NULL), 0);
		ck_assert_uint_eq(n, counts[i]);
		ck_assert(strcmp(text, "0") == 0 || text[0] != '0');
	}
}
END_TEST

START_TEST(what_is_shown_for_people_is_rounded_down)
{
	char buf[AMOUNT_SIZE];

	ck_assert_str_eq(amount_show(0, buf), "0B");
	ck_assert_str_eq(amount_show(1023, buf), "1023B");
	ck_assert_str_eq(amount_show(1024, buf), "1K");
	ck_assert_str_eq(amount_show(1536, buf), "1.5K");
	ck_assert_str_eq(amount_show(10 * K * K - 1, buf), "9.99M");
	ck_assert_str_eq(amount_show(99 * K * K + K * K / 2, buf), "99.5M");
	ck_assert_str_eq(amount_show(999 * K * K + K * K / 2, buf), "999M");
	ck_assert_str_eq(amount_show(UINT64_MAX, buf), "16383P");
}
END_TEST

START_TEST(what_is_shown_exactly_reads_back)
{
	static const uint64_t bytes[] = {
		1, 1023, 1024, 1025, 3 * K * K, UINT64_MAX, 1ULL << 63};
	char buf[AMOUNT_SIZE];
	uint64_t n;

	for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
		ck_assert_int_eq(amount_size(amount_exact(bytes[i], buf), &n, NULL), 0);
		ck_assert_uint_eq(n, bytes[i]);
	}
	for (uint64_t s = 1; s < 40 * 86400; s = s * 3 + 1) {
		ck_assert_int_eq(amount_time(amount_show_time(s, buf), &n, NULL), 0);
		ck_assert_uint_eq(n, s);
	}
	ck_assert_str_eq(amount_show_time(3 * 86400, buf), "3d");
}
END_TEST

START_TEST(sums_stop_at_the_ends)
{
	ck_assert_uint_eq(amount_add(UINT64_MAX, 1), UINT64_MAX);
	ck_assert_uint_eq(amount_add(2, 3), 5);
	ck_assert_uint_eq(amount_subtract(2, 3), 0);
	ck_assert_uint_eq(amount_subtract(3, 2), 1);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_size_is_read_whole_or_refused,
		a_bare_number_is_told_what_it_may_mean, a_time_has_a_unit_and_a_bound,
		a_count_is_digits_alone, a_count_that_is_written_reads_back,
		what_is_shown_for_people_is_rounded_down,
		what_is_shown_exactly_reads_back, sums_stop_at_the_ends};

	ADD_CASE(suite, tests);
}
