/* The main of every unit test. */
#include "suite.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT                                                                          \
	30 /* seconds: none of the quick ones needs more, on a busy machine too          \
	    */

/* What nohup or a shell has set to be ignored would be so in the programs that are
 * tested, too. */
static void
reset_signals(void)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGCHLD};

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], SIG_DFL);
}

TCase *
add_case(Suite *suite, const TTest *const *tests, size_t count,
	const struct fixture *around)
{
	TCase *c = tcase_create("case");

	tcase_set_timeout(c, around->timeout > 0 ? around->timeout : TIMEOUT);
	tcase_add_checked_fixture(c, reset_signals, NULL);
	tcase_add_checked_fixture(c, around->setup, around->teardown);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(suite, c);
	return c;
}

static int
remove_entry(const char *path, const struct stat *st, int what, struct FTW *where)
{
	(void)st;
	(void)what;
	(void)where;
	return remove(path);
}

void
remove_tree(const char *path)
{
	nftw(path, remove_entry, 20, FTW_DEPTH | FTW_PHYS);
}

int __attribute__((weak)) run_command(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return -1;
}

int
main(int argc, char **argv)
{
	Suite *suite = suite_create(program_invocation_short_name);
	int failed, status = run_command(argc, argv);
	SRunner *runner;

	if (status >= 0)
		return status;
	add_tests(suite);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
