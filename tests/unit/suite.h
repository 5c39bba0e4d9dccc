/*
 * What every unit test shares: one main (suite.c), which runs the tests of one file as a
 * suite of that file's name, each in a process of its own. A file of tests puts them in:
 *
 *	void
 *	add_tests(Suite *suite)
 *	{
 *		const TTest *const tests[] = {a_promise, another_promise};
 *
 *		ADD_CASE(suite, tests, .setup = setup, .timeout = 120);
 *	}
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>
#include <stddef.h>

/* What goes around each test of a case, in the test's own process; all may be left out.
 */
struct fixture {
	void (*setup)(void), (*teardown)(void);
	double timeout; /* seconds for one test; 0: a number that suits most */
};

/* Each file of tests has one: it is called before any test runs. */
void add_tests(Suite *suite);

/* A file of tests whose own program it runs may have one: the exit status for the
 * arguments that it was given, or -1 where they are none of its own. */
int run_command(int argc, char **argv);

/* Adds a case of so many tests; more may be added to what it returns. */
TCase *add_case(Suite *suite, const TTest *const *tests, size_t count,
	const struct fixture *around);

/* Removes a folder with all that is in it; a link in it, not what it leads to. */
void remove_tree(const char *path);

#define ADD_CASE(suite, tests, ...)                                                      \
	add_case(suite, tests, sizeof(tests) / sizeof *(tests),                          \
		&(const struct fixture){__VA_ARGS__})

#endif
