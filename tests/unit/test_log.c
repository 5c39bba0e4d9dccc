/*
 * The log's lines in a file of the test's own; the seconds go by when the test says so.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "suite.h"

static int before;
static FILE *file;

static void
setup(void)
{
	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	before = dup(STDERR_FILENO);
	ck_assert_int_eq(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	log_open_stderr("test");
}

static void
teardown(void)
{
	dup2(before, STDERR_FILENO);
	fclose(file);
}

/* How many lines with that text have been logged so far. */
static int
logged(const char *text)
{
	char line[3000];
	int found = 0;

	rewind(file);
	while (fgets(line, sizeof line, file) != NULL)
		found += strstr(line, text) != NULL;
	return found;
}

static void
log_many(int times)
{
	for (int i = 0; i < times; i++)
		log_warning("corrected mailbox=%d", i);
}

START_TEST(lines_of_a_kind_are_bounded_in_a_second)
{
	log_bound_rate(10);
	for (int second = 1; second <= 3; second++) {
		log_many(65);
		ck_assert_int_eq(logged("warning: corrected mailbox="), 10 * second);
		log_next_second();
		ck_assert_int_eq(logged("warning: lines left out, count=55 "
					"like=\"corrected mailbox=%d\""),
			second);
	}
}
END_TEST

START_TEST(one_kind_leaves_another_alone)
{
	log_bound_rate(10);
	log_many(65);
	log_error("the disk is full");
	ck_assert_int_eq(logged("the disk is full"), 1);
}
END_TEST

START_TEST(what_was_all_logged_is_not_told_of)
{
	log_bound_rate(10);
	log_many(10);
	log_next_second();
	log_next_second();
	ck_assert_int_eq(logged(""), 10);
}
END_TEST

START_TEST(without_a_bound_every_line_is_logged)
{
	log_many(65);
	log_next_second();
	ck_assert_int_eq(logged(""), 65);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {lines_of_a_kind_are_bounded_in_a_second,
		one_kind_leaves_another_alone, what_was_all_logged_is_not_told_of,
		without_a_bound_every_line_is_logged};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
