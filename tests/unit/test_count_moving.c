/*
 * Counts of a Maildir while its client moves messages between folders as fast as it can:
 * an exact one is right, and none takes for ever. Where there are no watches, what is
 * surely there is never more than there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "count.h"
#include "suite.h"

#define MESSAGES 3000
#define SIZE     7
#define USER     54321 /* whose watches are used up */

static const char *const folders[] = {"", ".Sent/", "Archive/2024/"};
static char root[64], box[96];
static struct count_result result;
static struct reason why;
static pid_t client;

static void
write_path(char path[256], int folder, int message, int flags)
{
	static const char *const all[] = {"", "S", "RS", "FRS"};

	snprintf(path, 256, "%s%scur/%d.x,S=%d:2,%s", box, folders[folder], message, SIZE,
		all[flags]);
}

static void
make_folder(const char *name)
{
	static const char *const parts[] = {"", "new", "cur", "tmp"};
	char path[256];

	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s%s%s", box, name, parts[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
}

static void
setup(void)
{
	char path[256];

	strcpy(root, "/dev/shm/brim-moving.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(box, sizeof box, "%s/Maildir/", root);
	make_folder("");
	snprintf(path, sizeof path, "%sArchive", box);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	for (size_t i = 1; i < 3; i++)
		make_folder(folders[i]);
	for (int i = 0; i < MESSAGES; i++) {
		write_path(path, 0, i, 0);
		ck_assert_int_eq(mknod(path, S_IFREG | 0600, 0), 0);
		ck_assert_int_eq(truncate(path, SIZE), 0);
	}
}

/* As a user whose watches are all used up: there is a limit for each. */
static void
setup_without_watches(void)
{
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(USER), 0);
	while (inotify_init1(IN_CLOEXEC) >= 0)
		;
	ck_assert_int_eq(errno, EMFILE);
	setup();
}

static void
teardown(void)
{
	if (client > 0) {
		kill(client, SIGKILL);
		waitpid(client, NULL, 0);
	}
	remove_tree(root);
	/* else no sanitizer can look for leaks */
	ck_assert_int_eq(seteuid(getuid()), 0);
	prctl(PR_SET_DUMPABLE, 1);
}

/* One message of MESSAGES after the other, or the same ones all the time. */
static void
move_for_ever(int messages, unsigned int pause_us)
{
	static int where[MESSAGES], flags[MESSAGES];
	unsigned int seed = 1;
	char from[256], to[256];

	for (;;) {
		int n = rand_r(&seed) % messages;

		write_path(from, where[n], n, flags[n]);
		where[n] = rand_r(&seed) % 3;
		flags[n] = rand_r(&seed) % 4;
		write_path(to, where[n], n, flags[n]);
		rename(from, to);
		if (pause_us)
			usleep(pause_us);
	}
}

static void
start_client(int messages, unsigned int pause_us)
{
	client = fork();
	ck_assert_int_ge(client, 0);
	if (client == 0) {
		alarm(3000);
		move_for_ever(messages, pause_us);
	}
}

static const struct {
	int messages;
	unsigned int pause_us;
} clients[] = {{MESSAGES, 500}, {MESSAGES, 0}, {1, 0}, {2, 20}};

static int
count(int by_files)
{
	struct name_set *seen = NULL;
	uint64_t begun = clock_now_ms();

	ck_assert_msg(count_mailbox(box, NULL, by_files, &result, &seen, &why) == 0, "%s",
		why.text);
	name_set_free(&seen);
	/* two passes may wait a second each for a quiet moment, and a slow machine for
	 * more */
	ck_assert_uint_lt(clock_now_ms() - begun, 60000);
	ck_assert_uint_le(result.sure_messages, MESSAGES);
	ck_assert_uint_le(result.sure_bytes, MESSAGES * SIZE);
	return result.exact;
}

START_TEST(exact_count_is_right_while_messages_move)
{
	const char *moves = getenv("MOVES");
	int exact = 0, rounds = moves ? atoi(moves) : 40;

	start_client(clients[_i].messages, clients[_i].pause_us);
	for (int i = 0; i < rounds; i++) {
		if (!count(i & 1))
			continue;
		exact++;
		ck_assert_uint_eq(result.messages, MESSAGES);
		ck_assert_uint_eq(result.bytes, MESSAGES * SIZE);
		ck_assert_uint_eq(result.wrong, 0);
	}
	printf("%d messages moved every %u us: %d of %d counts exact\n",
		clients[_i].messages, clients[_i].pause_us, exact, rounds);
	if (clients[_i].pause_us) /* a slow machine finds no moment in which none moves */
		ck_assert_int_gt(exact, 0);
}
END_TEST

/* One message goes into a folder that was not there before, and back. */
static void
make_and_remove_for_ever(void)
{
	char from[256], folder[256], cur[256], to[256];

	for (unsigned n = 0;; n++) {
		write_path(from, 0, (int)(n % MESSAGES), 0);
		snprintf(folder, sizeof folder, "%sArchive/%u", box, n);
		snprintf(cur, sizeof cur, "%sArchive/%u/cur", box, n);
		snprintf(to, sizeof to, "%sArchive/%u/cur/1.x,S=%d", box, n, SIZE);
		mkdir(folder, 0700);
		mkdir(cur, 0700);
		rename(from, to);
		usleep(n % 3000);
		rename(to, from);
		rmdir(cur);
		rmdir(folder);
		usleep(n % 7000);
	}
}

START_TEST(exact_count_is_right_while_folders_come_and_go_in_folders)
{
	char path[256];
	int exact = 0;

	/* so that it takes a while from the list to the watches */
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof path, "%sEmpty.%d", box, i);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	client = fork();
	ck_assert_int_ge(client, 0);
	if (client == 0) {
		alarm(300);
		make_and_remove_for_ever();
	}
	for (int i = 0; i < 100; i++) {
		exact += count(0);
		if (result.exact)
			ck_assert_uint_eq(result.messages, MESSAGES);
	}
	printf("folders come and go: %d of 100 counts exact\n", exact);
}
END_TEST

START_TEST(without_watches_only_what_two_passes_saw_is_sure)
{
	int inexact = 0;

	start_client(MESSAGES, 20);
	for (int i = 0; i < 40; i++)
		if (!count(i & 1)) {
			inexact++;
			ck_assert_uint_gt(result.sure_messages, MESSAGES / 2);
		} else {
			ck_assert_uint_eq(result.messages, MESSAGES);
		}
	ck_assert_int_gt(inexact, 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const without[] = {without_watches_only_what_two_passes_saw_is_sure};
	TCase *c = tcase_create("moving");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 3000);
	tcase_add_loop_test(c, exact_count_is_right_while_messages_move, 0,
		(int)(sizeof clients / sizeof clients[0]));
	tcase_add_test(c, exact_count_is_right_while_folders_come_and_go_in_folders);
	suite_add_tcase(suite, c);
	ADD_CASE(suite, without, .setup = setup_without_watches, .teardown = teardown,
		.timeout = 120);
}
