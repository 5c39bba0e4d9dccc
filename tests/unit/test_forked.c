/* Children that a scanner process can't end: how many there may be. */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "quotad/scanner/forked.h"
#include "suite.h"

#define ALICE 1001
#define BOB   1002

static struct reason why;
static int no_signal_ends_them;
static uint64_t disk;

int
kill(pid_t pid, int number)
{
	if (no_signal_ends_them && number == SIGKILL) {
		errno = EPERM;
		return -1;
	}
	return (int)syscall(SYS_kill, pid, number);
}

/* A process that is there, with a life that is over or not. */
static pid_t
note(uint64_t mailbox, uint64_t uid, int is_over)
{
	struct forked_child child = {.mailbox = mailbox,
		.uid = uid,
		.disk = disk,
		.over_ms = is_over ? 0 : clock_now_ms() + 3600 * 1000,
		.pid = fork()};

	if (child.pid == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_gt(child.pid, 0);
	forked_note(&child);
	return child.pid;
}

static void
end(pid_t pid)
{
	no_signal_ends_them = 0;
	kill(pid, SIGKILL);
	for (int i = 0; i < 1000 && kill(pid, 0) == 0; i++) {
		usleep(10000);
		forked_reap();
	}
	ck_assert_int_eq(kill(pid, 0), -1);
}

START_TEST(mailbox_with_a_child_at_work_gets_another)
{
	pid_t pid = note(1, ALICE, 0);

	ck_assert_int_eq(forked_may_begin(1, ALICE, 0, &why), 0);
	end(pid);
}
END_TEST

START_TEST(mailbox_with_a_stuck_child_gets_none_until_that_has_ended)
{
	pid_t pid = note(1, ALICE, 1);

	no_signal_ends_them = 1;
	ck_assert_int_eq(forked_may_begin(1, ALICE, 0, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "its file system does not answer"));
	ck_assert_int_eq(forked_may_begin(2, ALICE, 0, &why), 0);
	end(pid);
	ck_assert_int_eq(forked_may_begin(1, ALICE, 0, &why), 0);
}
END_TEST

/* As one at rest is where this process's clock runs faster than the kernel's. */
START_TEST(child_that_a_signal_ends_is_not_stuck)
{
	note(1, ALICE, 1);
	ck_assert_int_eq(forked_may_begin(1, ALICE, 0, &why), 0);
}
END_TEST

START_TEST(user_with_many_stuck_children_gets_none_and_others_do)
{
	pid_t pids[STUCK_OF_USER];

	no_signal_ends_them = 1;
	for (unsigned i = 0; i < STUCK_OF_USER; i++)
		pids[i] = note(i, ALICE, 1);
	ck_assert_int_eq(forked_may_begin(1000, ALICE, 0, &why), -1);
	ck_assert_int_eq(forked_may_begin(1001, BOB, 0, &why), 0);
	for (unsigned i = 0; i < STUCK_OF_USER; i++)
		end(pids[i]);
	ck_assert_int_eq(forked_may_begin(1000, ALICE, 0, &why), 0);
}
END_TEST

/* Each of them is another user's. */
START_TEST(file_system_with_many_stuck_children_gets_none_and_others_do)
{
	pid_t pids[STUCK_OF_USER];

	no_signal_ends_them = 1;
	for (unsigned i = 0; i < STUCK_OF_USER; i++) {
		disk = 7;
		pids[i] = note(i, ALICE + 10 + i, 1);
	}
	disk = 0;
	ck_assert_int_eq(forked_may_begin(1000, ALICE, 7, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "its server's"));
	ck_assert_int_eq(forked_may_begin(1001, ALICE, 8, &why), 0);
	ck_assert_int_eq(forked_may_begin(1002, ALICE, 0, &why), 0);
	for (unsigned i = 0; i < STUCK_OF_USER; i++)
		end(pids[i]);
	ck_assert_int_eq(forked_may_begin(1000, ALICE, 7, &why), 0);
}
END_TEST

START_TEST(table_that_is_full_takes_nobody)
{
	const struct forked_child child = {.over_ms = UINT64_MAX, .pid = 1};

	for (int i = 0; i < FORKED_MAX; i++) {
		ck_assert_int_eq(forked_may_begin(1, ALICE, 0, &why), 0);
		forked_note(&child);
	}
	ck_assert_int_eq(forked_may_begin(1, ALICE, 0, &why), -1);
	forked_forget_all();
	ck_assert_int_eq(forked_may_begin(1, ALICE, 0, &why), 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {mailbox_with_a_child_at_work_gets_another,
		mailbox_with_a_stuck_child_gets_none_until_that_has_ended,
		child_that_a_signal_ends_is_not_stuck,
		user_with_many_stuck_children_gets_none_and_others_do,
		file_system_with_many_stuck_children_gets_none_and_others_do,
		table_that_is_full_takes_nobody};

	ADD_CASE(suite, tests, .timeout = 60);
}
