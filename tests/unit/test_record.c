/* Records: one line, read and written back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "suite.h"

static int
parse(struct record *r, const char *line, int with_key, struct reason *why)
{
	return record_parse(r, line, strlen(line), with_key, why);
}

START_TEST(a_record_is_read_and_written_back)
{
	static const char line[] =
		"bob@example.org uid=5000 gid=5000 mail=/srv/a%20b/ x=";
	struct record r;
	char *text;

	ck_assert_int_eq(parse(&r, line, 1, NULL), 0);
	ck_assert_str_eq(r.key, "bob@example.org");
	ck_assert_str_eq(record_get(&r, "mail"), "/srv/a b/");
	ck_assert_str_eq(record_get(&r, "x"), "");
	ck_assert_ptr_null(record_get(&r, "quota"));
	text = record_format(&r);
	ck_assert_str_eq(text, line);
	free(text);
	record_clear(&r);
	ck_assert_uint_eq(r.count, 0);
}
END_TEST

START_TEST(every_byte_but_nul_survives)
{
	char value[256], *text;
	struct record r = {0}, back;

	for (int i = 1; i < 256; i++)
		value[i - 1] = (char)i;
	value[255] = '\0';
	ck_assert_int_eq(record_set_key(&r, value), 0);
	ck_assert_int_eq(record_set(&r, "v", value), 0);
	text = record_format(&r);
	for (const char *p = text; *p; p++)
		ck_assert(*p >= ' ' && *p <= '~');
	ck_assert_int_eq(parse(&back, text, 1, NULL), 0);
	ck_assert_str_eq(back.key, value);
	ck_assert_str_eq(record_get(&back, "v"), value);
	free(text);
	record_clear(&r);
	record_clear(&back);
}
END_TEST

START_TEST(what_is_no_record_is_refused_with_its_column)
{
	static const char *const lines[] = {"", " a", "a ", "a  b=1", "a b", "a B=1",
		"a b-c=1", "a =1", "a b=%", "a b=%4", "a b=%zz", "a b=%00", "a%00 b=1",
		"a b=1 b=2", "a b=1\tc=2", "a b=\x80", "a b=1\n"};
	struct reason why;
	struct record r;

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		why.text[0] = '\0';
		ck_assert_msg(parse(&r, lines[i], 1, &why) == -1, "\"%s\"", lines[i]);
		ck_assert_msg(why.text[0], "\"%s\" without a reason", lines[i]);
		ck_assert_uint_eq(r.count, 0);
		ck_assert_ptr_null(r.key);
	}
	parse(&r, "a b=1 c", 1, &why);
	ck_assert_ptr_nonnull(strstr(why.text, "column 7"));
}
END_TEST

START_TEST(a_line_is_no_longer_than_its_bound)
{
	char line[RECORD_LINE_MAX + 2];
	struct record r;

	memset(line, 'x', sizeof line);
	memcpy(line, "k v=", 4);
	ck_assert_int_eq(record_parse(&r, line, RECORD_LINE_MAX, 1, NULL), 0);
	record_clear(&r);
	ck_assert_int_eq(record_parse(&r, line, RECORD_LINE_MAX + 1, 1, NULL), -1);
}
END_TEST

START_TEST(fields_are_set_replaced_and_removed)
{
	struct record r = {0}, copy = {0};
	char name[16];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "f%d", i);
		ck_assert_int_eq(record_set_number(&r, name, (uint64_t)i), 0);
	}
	ck_assert_int_eq(record_set(&r, "f3", "three"), 0);
	ck_assert_int_eq(record_set(&r, "f0", NULL), 0);
	ck_assert_int_eq(record_set(&r, "none", NULL), 0);
	ck_assert_uint_eq(r.count, 19);
	ck_assert_str_eq(record_get(&r, "f3"), "three");
	ck_assert_str_eq(record_get(&r, "f19"), "19");
	ck_assert_int_eq(record_copy(&copy, &r), 0);
	ck_assert_str_eq(record_get(&copy, "f7"), "7");
	ck_assert_int_eq(record_set(&r, "no name", "x"), -1);
	record_clear(&r);
	record_clear(&copy);
}
END_TEST

START_TEST(a_number_is_a_number_absent_or_a_fault)
{
	struct record r;
	uint64_t n;

	ck_assert_int_eq(parse(&r, "a=12 b=x", 0, NULL), 0);
	ck_assert_int_eq(record_number(&r, "a", 7, &n), 0);
	ck_assert_uint_eq(n, 12);
	ck_assert_int_eq(record_number(&r, "c", 7, &n), 0);
	ck_assert_uint_eq(n, 7);
	ck_assert_int_eq(record_number(&r, "b", 7, &n), -1);
	record_clear(&r);
}
END_TEST

START_TEST(random_lines_do_no_harm)
{
	char line[120];
	struct record r;

	srand(1);
	for (int i = 0; i < 100000; i++) {
		size_t length = (size_t)rand() % sizeof line;

		for (size_t k = 0; k < length; k++)
			line[k] = "ab=%2 0\n\xff_."[rand() % 11];
		if (record_parse(&r, line, length, rand() % 2, NULL) == 0)
			record_clear(&r);
	}
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_record_is_read_and_written_back,
		every_byte_but_nul_survives, what_is_no_record_is_refused_with_its_column,
		a_line_is_no_longer_than_its_bound, fields_are_set_replaced_and_removed,
		a_number_is_a_number_absent_or_a_fault, random_lines_do_no_harm};

	ADD_CASE(suite, tests);
}
