/* The thread that syncs, and what does its work where a sandbox refuses it. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store/syncer.h"
#include "suite.h"

#define PATIENCE_MS 20000

static char dir[] = "/tmp/brim-syncer.XXXXXX", link_name[64];

static void
setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(link_name, sizeof link_name, "%s/link", dir);
}

static void
teardown(void)
{
	unlink(link_name);
	rmdir(dir);
}

/* No link is synced: its error tells that there was a sync. */
static void
must_sync(struct syncer *s)
{
	const struct timespec step = {.tv_nsec = 10000000};
	int error = 0;

	ck_assert_int_eq(syncer_error(s), 0);
	ck_assert_int_eq(symlink("nowhere", link_name), 0);
	syncer_note(s);
	for (int waited = 0; error == 0 && waited < PATIENCE_MS; waited += 10) {
		error = syncer_error(s);
		nanosleep(&step, NULL);
	}
	ck_assert_int_eq(error, ELOOP);
}

START_TEST(what_was_noted_is_synced)
{
	struct reason why;
	struct syncer *s = syncer_start(dir, &why);

	ck_assert_ptr_nonnull(s);
	must_sync(s);
	syncer_stop(&s);
}
END_TEST

/* As engines did that did not know the call yet. */
START_TEST(without_a_thread_it_is_synced_all_the_same)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
	struct reason why;
	struct syncer *s;

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
	s = syncer_start(dir, &why);
	ck_assert_ptr_nonnull(s);
	must_sync(s);
	syncer_stop(&s);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		what_was_noted_is_synced, without_a_thread_it_is_synced_all_the_same};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown, .timeout = 60);
}
