/* Closing what was inherited, where close_range is refused: a filter of system calls does
 * what an old sandbox does. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptors.h"
#include "suite.h"

#define HIGH 900

/* Every test is a process of its own. */
static void
refuse_close_range(int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
	ck_assert_int_eq(close_range(3, ~0U, 0), -1);
}

static int
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void
closes_all_but_one(void)
{
	const int kept = 20;

	ck_assert_int_eq(dup2(0, HIGH), HIGH);
	for (int fd = 10; fd < 30; fd++)
		ck_assert_int_eq(dup2(0, fd), fd);
	ck_assert_int_eq(descriptors_close(3, (unsigned)kept - 1), 0);
	ck_assert_int_eq(descriptors_close((unsigned)kept + 1, ~0U), 0);
	for (int fd = 3; fd <= HIGH; fd++)
		ck_assert_msg(is_open(fd) == (fd == kept), "%d", fd);
	ck_assert(is_open(0) && is_open(1) && is_open(2));
}

START_TEST(by_one_call_where_that_is_known)
{
	closes_all_but_one();
}
END_TEST

START_TEST(by_what_proc_lists_where_close_range_is_not_permitted)
{
	refuse_close_range(EPERM);
	closes_all_but_one();
}
END_TEST

START_TEST(by_what_proc_lists_where_close_range_is_unknown)
{
	refuse_close_range(ENOSYS);
	closes_all_but_one();
}
END_TEST

START_TEST(by_number_where_proc_is_not_mounted)
{
	const struct rlimit low = {HIGH + 1, HIGH + 1};

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(umount2("/proc", MNT_DETACH), 0);
	refuse_close_range(EPERM);
	closes_all_but_one();
	/* for LeakSanitizer, at the end */
	ck_assert_int_eq(mount("proc", "/proc", "proc", 0, NULL), 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {by_one_call_where_that_is_known,
		by_what_proc_lists_where_close_range_is_not_permitted,
		by_what_proc_lists_where_close_range_is_unknown,
		by_number_where_proc_is_not_mounted};

	ADD_CASE(suite, tests, .timeout = 60);
}
