/*
 * The usage store with a ledger of the test's own and a fake calendar: what it keeps,
 * what kills, full disks and damage do to it, and when it says that tickets may be lost.
 */
#include <db.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "quotad/store/usage.h"
#include "quotad/store/usage_record.h"
#include "suite.h"

#define ACCOUNTS 100001
#define BOOT     "11111111-aaaa-4bbb-8ccc-000000000001"
#define BOOT_2   "22222222-aaaa-4bbb-8ccc-000000000002"

struct ticket {
	struct ticket *next;
	uint64_t bytes;
	int ended;
	char name[256];
};

struct account {
	int there;
	char name[24], why[24];
	struct usage_numbers numbers;
	struct ticket *tickets;
};

static struct account accounts[ACCOUNTS];
static time_t calendar = 1790000000;
static char root[64], dir[80], run_dir[80];
static struct usage *usage;
static enum usage_start start;
static struct reason why;
static uint64_t now_ms;

/* --- calendar and ledger
 * -------------------------------------------------------------------- */

time_t
time(time_t *t)
{
	if (t)
		*t = calendar;
	return calendar;
}

/* Accounts are called user0, user1 and so on. */
static struct account *
account(int n)
{
	struct account *a = &accounts[n];

	a->there = 1;
	snprintf(a->name, sizeof a->name, "user%d", n);
	return a;
}

static struct account *
account_of(const char *mailbox)
{
	return account(atoi(mailbox + 4));
}

static int
load_account(void *arg, const char *mailbox, const struct usage_numbers *n)
{
	struct account *a = account_of(mailbox);

	(void)arg;
	a->numbers = *n;
	if (n->counted_why) {
		snprintf(a->why, sizeof a->why, "%s", n->counted_why);
		a->numbers.counted_why = a->why;
	}
	return 0;
}

static void
add_ticket(struct account *a, const char *name, uint64_t bytes, int ended)
{
	struct ticket *t = calloc(1, sizeof *t);

	t->bytes = bytes;
	t->ended = ended;
	strcpy(t->name, name);
	t->next = a->tickets;
	a->tickets = t;
}

static int
load_ticket(
	void *arg, const char *mailbox, const char *name, const struct usage_ticket *t)
{
	(void)arg;
	add_ticket(account_of(mailbox), name, t->bytes, t->ended);
	return 0;
}

static uint64_t place_path, place_mail_in;

static int
load_place(void *arg, uint64_t path, uint64_t mail_in)
{
	(void)arg;
	place_path = path;
	place_mail_in = mail_in;
	return 0;
}

static struct usage_promise promise;
static char promise_of[100], promise_id[100];

static int
load_promise(void *arg, const char *mailbox, const struct usage_promise *p)
{
	(void)arg;
	snprintf(promise_of, sizeof promise_of, "%s", mailbox);
	snprintf(promise_id, sizeof promise_id, "%s", p->id);
	promise = *p;
	return 0;
}

static int
save_plain_ticket(struct usage *u, const char *mailbox, const char *name, uint64_t bytes)
{
	const struct usage_ticket t = {.bytes = bytes};

	return usage_save_ticket(u, mailbox, name, &t);
}

static void
save_all(void *arg, struct usage *u)
{
	(void)arg;
	for (int i = 0; i < ACCOUNTS; i++) {
		const struct account *a = &accounts[i];

		if (!a->there)
			continue;
		usage_save_account(u, a->name, &a->numbers);
		for (const struct ticket *t = a->tickets; t; t = t->next)
			save_plain_ticket(u, a->name, t->name, t->bytes);
	}
}

static const struct usage_calls calls = {
	.load_account = load_account,
	.load_ticket = load_ticket,
	.load_promise = load_promise,
	.load_place = load_place,
	.save_all = save_all,
};

static void
forget_all(void)
{
	for (int i = 0; i < ACCOUNTS; i++)
		for (struct ticket *t = accounts[i].tickets, *next; t; t = next) {
			next = t->next;
			free(t);
		}
	memset(accounts, 0, sizeof accounts);
}

static const struct ticket *
ticket(const struct account *a, const char *name)
{
	for (const struct ticket *t = a->tickets; t; t = t->next)
		if (strcmp(t->name, name) == 0)
			return t;
	return NULL;
}

/* --- helpers ---------------------------------------------------------------------- */

static const char *
in_dir(const char *name)
{
	static char path[512];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static int
has_marker(const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", run_dir, name);
	return access(path, F_OK) == 0;
}

static void
setup(void)
{
	strcpy(root, "/tmp/brim-usage.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(dir, sizeof dir, "%s/usage", root);
	snprintf(run_dir, sizeof run_dir, "%s/run", root);
	mkdir(run_dir, 0755);
	alarm(280);
}

static void
teardown(void)
{
	usage_close(&usage);
	forget_all();
	remove_tree(root);
}

/* The directory on a small file system of its own, in a mount namespace of its own. */
static void
setup_small_disk(void)
{
	setup();
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	mkdir(dir, 0700);
	ck_assert_int_eq(mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=0700"), 0);
}

static void
teardown_small_disk(void)
{
	usage_close(&usage);
	umount2(dir, MNT_DETACH);
	teardown();
}

static void
open_in(const char *boot)
{
	usage = usage_open(dir, run_dir, boot, &calls, NULL, &start, &why);
	ck_assert_msg(usage != NULL, "%s", why.text);
}

static void
open_again(const char *boot)
{
	usage_close(&usage);
	forget_all();
	open_in(boot);
}

/* As after a kill: nothing that usage_close does happens. */
static void
run_and_die(void (*what)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		what();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

static int
save_numbers(const struct account *a)
{
	return usage_save_account(usage, a->name, &a->numbers);
}

static void
save(int n, uint64_t used)
{
	struct account *a = account(n);

	a->numbers.used = used;
	a->numbers.known = 1;
	ck_assert_int_eq(save_numbers(a), 0);
}

static void
save_ticket(int n, const char *name, uint64_t bytes)
{
	struct account *a = account(n);

	add_ticket(a, name, bytes, 0);
	ck_assert_int_eq(save_plain_ticket(usage, a->name, name, bytes), 0);
}

static void
save_some(void)
{
	open_in(BOOT);
	for (int i = 0; i < 500; i++)
		save(i, (uint64_t)i * 10);
	save_ticket(7, "1.a.host,S=5", 5);
	ck_assert_int_eq(usage_commit(usage), 0);
}

static void
save_some_and_close(void)
{
	save_some();
	usage_close(&usage);
}

static void
expect_some(void)
{
	for (int i = 0; i < 500; i++) {
		ck_assert_uint_eq(accounts[i].numbers.used, (uint64_t)i * 10);
		ck_assert_int_eq(accounts[i].numbers.known, 1);
	}
	ck_assert_ptr_nonnull(ticket(&accounts[7], "1.a.host,S=5"));
}

/* A thing in DIR whose name begins so: how many. */
static int
count_names(const char *prefix)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	int n = 0;

	while ((e = readdir(d)))
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
			n++;
	closedir(d);
	return n;
}

/* --- what is kept ----------------------------------------------------------------- */

START_TEST(what_was_saved_is_loaded_again)
{
	const struct usage_numbers all = {.used = UINT64_MAX,
		.messages = 5,
		.stamp = UINT64_MAX - 1,
		.known = 1,
		.wrong_names = 1,
		.had_mail = 1,
		.mail_in = 9,
		.full_for = 1000,
		.full_used = 1,
		.full_bytes = 2,
		.full_messages = 3,
		.full_smallest = 4,
		.counted_why = "round",
		.counted_was = 7,
		.counted_found = 8};
	const char *counted_why;

	open_in(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	ck_assert_int_eq(usage_on_disk(usage), 1);
	account(1)->numbers = all;
	save_numbers(account(1));
	save_numbers(account(2));
	save_ticket(1, "1.a b\377%.host,S=5", 5);
	save_ticket(1, "2.b.host,S=6", 6);
	usage_remove_ticket(usage, account(1)->name, "2.b.host,S=6");
	usage_remove_ticket(usage, account(1)->name, "never");
	ck_assert_int_eq(usage_save_place(usage, UINT64_MAX - 2, 6), 0);
	ck_assert_int_eq(usage_save_place(usage, 17, 6), 0);
	ck_assert_int_eq(usage_save_place(usage, 17, 0), 0);
	ck_assert_int_eq(usage_commit(usage), 0);
	open_again(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	ck_assert_uint_eq(place_path, UINT64_MAX - 2);
	ck_assert_uint_eq(place_mail_in, 6);
	/* the count's age has grown by what the test has taken */
	ck_assert_uint_lt(accounts[1].numbers.counted_ago_ms, 60000);
	accounts[1].numbers.counted_ago_ms = 0;
	counted_why = accounts[1].numbers.counted_why;
	ck_assert_pstr_eq(counted_why, "round");
	accounts[1].numbers.counted_why = all.counted_why;
	ck_assert_mem_eq(&accounts[1].numbers, &all, sizeof all);
	ck_assert_ptr_null(accounts[2].numbers.counted_why);
	ck_assert_int_eq(accounts[2].there, 1);
	ck_assert_int_eq(accounts[2].numbers.known, 0);
	ck_assert_uint_eq(ticket(&accounts[1], "1.a b\377%.host,S=5")->bytes, 5);
	ck_assert_int_eq(ticket(&accounts[1], "1.a b\377%.host,S=5")->ended, 0);
	ck_assert_ptr_null(ticket(&accounts[1], "2.b.host,S=6"));
	ck_assert_int_eq(accounts[3].there, 0);
}
END_TEST

/* Its time is of the boot's clock: nobody sets that, and another boot's says nothing. */
START_TEST(a_promise_is_kept_with_its_end_which_another_boot_does_not_know)
{
	const struct usage_promise p = {.id = "4Xyz-9",
		.recipient = 0xfedcba9876543210,
		.client = 7,
		.bytes = 5000,
		.ms = 600000,
		.until = 123456};
	const struct usage_promise other = {.id = "4Xyz-9", .recipient = 1, .bytes = 1};

	open_in(BOOT);
	ck_assert_int_eq(usage_save_promise(usage, "user1", &p), 0);
	ck_assert_int_eq(usage_save_promise(usage, "user1", &other), 0);
	usage_remove_promise(usage, "user1", "4Xyz-9", 1);
	usage_remove_promise(usage, "user1", "never", 1);
	ck_assert_int_eq(usage_commit(usage), 0);
	calendar += 1000000;
	open_again(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	ck_assert_str_eq(promise_of, "user1");
	ck_assert_str_eq(promise_id, "4Xyz-9");
	ck_assert_uint_eq(promise.recipient, p.recipient);
	ck_assert_uint_eq(promise.client, 7);
	ck_assert_uint_eq(promise.bytes, 5000);
	ck_assert_uint_eq(promise.ms, 600000);
	ck_assert_uint_eq(promise.until, 123456);
	open_again(BOOT_2);
	ck_assert_uint_eq(promise.until, UINT64_MAX);
}
END_TEST

/* One that reads no promise must not set the store aside for it. */
START_TEST(an_earlier_version_reads_a_promise_as_a_ticket)
{
	const struct usage_promise p = {.id = "4Xyz", .recipient = 2, .bytes = 5000};
	char key[USAGE_RECORD_KEY_SIZE], value[USAGE_RECORD_VALUE_SIZE + 1];
	char ticket[USAGE_RECORD_KEY_SIZE];
	size_t size = usage_record_promise_key(key, "user1", p.id, p.recipient);

	value[usage_record_promise(value, BOOT, &p)] = '\0';
	ck_assert_uint_eq(
		usage_record_key(ticket, "user1", ":4Xyz:0000000000000002"), size);
	ck_assert_mem_eq(key, ticket, size);
	ck_assert_str_eq(value, "bytes=5000 boot=" BOOT);
}
END_TEST

START_TEST(a_heartbeat_is_read_back_and_is_no_damage)
{
	open_in(BOOT);
	ck_assert_int_eq(usage_put_heartbeat(usage, 7), 0);
	ck_assert_int_eq(usage_commit(usage), 0);
	ck_assert_int_eq(usage_check_heartbeat(usage, 7), 0);
	ck_assert_int_eq(usage_check_heartbeat(usage, 8), -1);
	open_again(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	ck_assert_int_eq(usage_on_disk(usage), 1);
	ck_assert_int_eq(usage_check_heartbeat(usage, 7), 0);
}
END_TEST

static void
save_without_commit(void)
{
	open_in(BOOT);
	save(1, 10);
	ck_assert_int_eq(usage_commit(usage), 0);
	save(1, 20);
}

START_TEST(pass_without_its_end_leaves_nothing)
{
	run_and_die(save_without_commit);
	open_in(BOOT);
	ck_assert_uint_eq(accounts[1].numbers.used, 10);
}
END_TEST

START_TEST(what_does_not_fit_a_key_is_refused)
{
	char name[300];

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	open_in(BOOT);
	ck_assert_int_eq(save_plain_ticket(usage, account(1)->name, name, 1), -1);
	usage_remove_ticket(usage, account(1)->name, name);
	ck_assert_int_eq(usage_commit(usage), 0);
	ck_assert_int_eq(usage_on_disk(usage), 1);
}
END_TEST

START_TEST(another_boot_knows_no_number_and_ends_the_tickets)
{
	save_some();
	account(1)->numbers.full_for = 50;
	save_numbers(account(1));
	usage_commit(usage);
	open_again(BOOT_2);
	ck_assert_int_eq(start, USAGE_SOUND);
	ck_assert_uint_eq(accounts[1].numbers.used, 10);
	ck_assert_int_eq(accounts[1].numbers.known, 0);
	ck_assert_uint_eq(accounts[1].numbers.full_for, 50);
	ck_assert_int_eq(ticket(&accounts[7], "1.a.host,S=5")->ended, 1);
}
END_TEST

START_TEST(gap_counts_for_full_since_but_a_day_at_most)
{
	static const struct {
		time_t gap;
		uint64_t full_for;
	} cases[] = {{60, 160}, {86400, 86500}, {10 * 86400, 86500}, {-3600, 100}};
	const time_t then = calendar;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		calendar = then;
		open_in(BOOT);
		account(1)->numbers.full_for = 100;
		save_numbers(account(1));
		account(2)->numbers.used = 1;
		save_numbers(account(2));
		calendar = then + cases[i].gap;
		open_again(BOOT);
		ck_assert_uint_eq(accounts[1].numbers.full_for, cases[i].full_for);
		ck_assert_uint_eq(accounts[2].numbers.full_for, 0);
		usage_close(&usage);
		forget_all();
	}
}
END_TEST

/* Writes accounts and tickets, and tells TO what was committed, until it is killed. */
static void
write_until_killed(int to, unsigned int from)
{
	char name[64];

	open_in(BOOT);
	for (unsigned int i = from;; i++) {
		save((int)(i % 1000), i);
		snprintf(name, sizeof name, "%u.a.host,S=%u", i, i);
		add_ticket(account(1), name, i, 0);
		save_plain_ticket(usage, account(1)->name, name, i);
		if (i > 3) {
			snprintf(name, sizeof name, "%u.a.host,S=%u", i - 3, i - 3);
			usage_remove_ticket(usage, account(1)->name, name);
		}
		if (usage_commit(usage))
			_exit(1);
		if (write(to, &i, sizeof i) != sizeof i)
			_exit(1);
		usage_tick(usage, i);
	}
}

/* Lets a writer run for a while; returns the last number that it had committed. */
static unsigned int
kill_a_writer(unsigned int from)
{
	unsigned int last = from - 1, n;
	int ends[2], status;
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	if (child == 0)
		write_until_killed(ends[1], from);
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &last, sizeof last), sizeof last);
	for (int left = rand() % 3000; left > 0; left--)
		ck_assert_int_eq(read(ends[0], &last, sizeof last), sizeof last);
	kill(child, SIGKILL);
	while (read(ends[0], &n, sizeof n) == sizeof n)
		last = n;
	close(ends[0]);
	waitpid(child, &status, 0);
	ck_assert_int_eq(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, 1);
	return last;
}

START_TEST(killed_writer_loses_nothing_that_was_committed)
{
	unsigned int last = 0;
	char name[64];

	for (int round = 0; round < 30; round++) {
		last = kill_a_writer(last + 1);
		open_in(BOOT);
		ck_assert_int_eq(start, USAGE_SOUND);
		ck_assert_uint_ge(accounts[last % 1000].numbers.used, last);
		for (unsigned int i = last > 2 ? last - 2 : 1; i <= last; i++) {
			snprintf(name, sizeof name, "%u.a.host,S=%u", i, i);
			/* the one commit after the last that was told may have removed it
			 */
			if (i > last - 2 || accounts[1].tickets == NULL)
				ck_assert_ptr_nonnull(ticket(&accounts[1], name));
		}
		usage_close(&usage);
		forget_all();
	}
	printf("30 kills, %u commits\n", last);
}
END_TEST

/* --- a full disk ------------------------------------------------------------------ */

static void
fill_disk(void)
{
	static char block[4096];
	int fd = open(in_dir("ballast"), O_WRONLY | O_CREAT | O_APPEND, 0600);

	while (write(fd, block, sizeof block) > 0)
		;
	close(fd);
}

static void
free_disk(void)
{
	unlink(in_dir("ballast"));
}

static void
save_until_lost(void)
{
	for (int i = 1000; i < 60000 && usage_on_disk(usage); i++) {
		save(i, 1);
		ck_assert_int_eq(usage_commit(usage), 0);
		usage_tick(usage, now_ms);
	}
	ck_assert_int_eq(usage_on_disk(usage), 0);
}

START_TEST(full_disk_goes_on_in_memory_and_comes_back)
{
	save_some();
	usage_tick(usage, now_ms = 1000);
	fill_disk();
	save_until_lost();
	ck_assert_int_eq(has_marker("quotad.memory"), 1);
	save_ticket(8, "2.b.host,S=6", 6);
	save(8, 80);
	ck_assert_int_eq(usage_commit(usage), 0);
	usage_tick(usage, now_ms += 31000);
	ck_assert_int_eq(usage_on_disk(usage), 0);
	free_disk();
	usage_tick(usage, now_ms += 1000);
	ck_assert_int_eq(usage_on_disk(usage), 0);
	usage_tick(usage, now_ms += 30000);
	ck_assert_int_eq(usage_on_disk(usage), 1);
	ck_assert_int_eq(has_marker("quotad.memory"), 0);
	open_again(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	expect_some();
	ck_assert_ptr_nonnull(ticket(&accounts[8], "2.b.host,S=6"));
	ck_assert_uint_eq(accounts[1000].numbers.used, 1);
}
END_TEST

START_TEST(close_in_memory_comes_back_if_it_can)
{
	save_some();
	fill_disk();
	save_until_lost();
	free_disk();
	open_again(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	ck_assert_int_eq(usage_on_disk(usage), 1);
	expect_some();
}
END_TEST

START_TEST(daemon_that_ended_in_memory_makes_the_next_unsure)
{
	save_some();
	fill_disk();
	save_until_lost();
	open_again(BOOT);
	ck_assert_int_eq(start, USAGE_UNSURE);
	free_disk();
	open_again(BOOT);
	ck_assert_int_eq(start, USAGE_UNSURE);
	open_again(BOOT_2);
	ck_assert_int_eq(start, USAGE_SOUND);
}
END_TEST

START_TEST(start_on_a_full_disk_runs_in_memory)
{
	fill_disk();
	open_in(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	ck_assert_int_eq(usage_on_disk(usage), 0);
	ck_assert_int_eq(has_marker("quotad.memory"), 1);
	save(1, 10);
	ck_assert_int_eq(usage_commit(usage), 0);
	free_disk();
	usage_tick(usage, 30000);
	ck_assert_int_eq(usage_on_disk(usage), 1);
	open_again(BOOT);
	ck_assert_uint_eq(accounts[1].numbers.used, 10);
}
END_TEST

START_TEST(without_store_and_marker_nothing_is_promised)
{
	struct account *a = account(5);

	save_some();
	fill_disk();
	ck_assert_int_eq(mount("tmpfs", run_dir, "tmpfs", MS_RDONLY, "size=4k"), 0);
	usage_close(&usage);
	umount2(run_dir, MNT_DETACH);
	free_disk();
	forget_all();
	remove_tree(in_dir("usage"));
	/* the run directory goes read-only while the daemon runs */
	ck_assert_int_eq(mount(run_dir, run_dir, NULL, MS_BIND, NULL), 0);
	open_in(BOOT_2);
	ck_assert_int_eq(
		mount(NULL, run_dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
	fill_disk();
	for (int i = 0; i < 60000 && usage_on_disk(usage); i++) {
		save_numbers(account(i));
		usage_commit(usage);
	}
	ck_assert_int_eq(usage_on_disk(usage), 0);
	ck_assert_int_eq(usage_commit(usage), -1);
	ck_assert_int_eq(save_numbers(a), -1);
	ck_assert_int_eq(save_plain_ticket(usage, a->name, "1.a", 1), -1);
	ck_assert_int_eq(mount(NULL, run_dir, NULL, MS_BIND | MS_REMOUNT, NULL), 0);
	ck_assert_int_eq(usage_commit(usage), 0);
	ck_assert_int_eq(has_marker("quotad.memory"), 1);
	umount2(run_dir, MNT_DETACH);
}
END_TEST

/* --- a store that can't be used --------------------------------------------------- */

static void
overwrite(const char *name, off_t from, size_t length, int with)
{
	char *bytes = malloc(length);
	int fd = open(in_dir(name), O_WRONLY);

	ck_assert_int_ge(fd, 0);
	memset(bytes, with, length);
	for (size_t i = 0; with < 0 && i < length; i++)
		bytes[i] = (char)rand();
	ck_assert_int_eq(pwrite(fd, bytes, length, from), (ssize_t)length);
	close(fd);
	free(bytes);
}

static void
spoil_first_page(void)
{
	overwrite("usage/usage.db", 0, 4096, -1);
}

static void
spoil_pages(void)
{
	overwrite("usage/usage.db", 4096, 3 * 4096, -1);
}

static void
zero_pages(void)
{
	overwrite("usage/usage.db", 4096, 3 * 4096, 0);
}

static void
empty_table(void)
{
	ck_assert_int_eq(truncate(in_dir("usage/usage.db"), 0), 0);
}

static void
cut_table(void)
{
	ck_assert_int_eq(truncate(in_dir("usage/usage.db"), 5000), 0);
}

static void
spoil_log(void)
{
	overwrite("usage/log.0000000001", 0, 4096, -1);
}

static void
put_a_file_there(void)
{
	remove_tree(in_dir("usage"));
	close(open(in_dir("usage"), O_WRONLY | O_CREAT, 0600));
}

static void (*const damages[])(void) = {spoil_first_page, spoil_pages, zero_pages,
	empty_table, cut_table, spoil_log, put_a_file_there};

START_TEST(damaged_store_is_set_aside)
{
	run_and_die(save_some_and_close);
	damages[_i]();
	open_in(BOOT);
	ck_assert_int_eq(start, USAGE_UNSURE);
	ck_assert_int_eq(usage_on_disk(usage), 1);
	ck_assert_int_eq(count_names("usage.bad-"), 1);
	save(1, 12345);
	ck_assert_int_eq(usage_commit(usage), 0);
	open_again(BOOT);
	ck_assert_uint_eq(accounts[1].numbers.used, 12345);
}
END_TEST

START_TEST(damaged_store_of_another_boot_is_no_reason_to_wait)
{
	run_and_die(save_some_and_close);
	damages[_i]();
	open_in(BOOT_2);
	ck_assert_int_eq(start, USAGE_SOUND);
}
END_TEST

static const struct {
	const char *key;
	size_t size;
	const char *value;
} odd_entries[] = {
	{"auser1", 6, "used=abc"},
	{"auser1", 6, "not a record"},
	{"auser1", 6, "used=1 full_for=-1"},
	{"auser1\0x", 8, "used=1"},
	{"tuser1", 6, "bytes=1"},
	{"tuser1\0", 7, "bytes=1"},
	{"tuser1\0f", 8, "boot=x"},
	{"tuser1\0:", 8, "bytes=1 boot=x"},
	{"tuser1\0:A", 9, "bytes=1 boot=x"},
	{"tuser1\0::0000000000000001", 25, "bytes=1 boot=x"},
	{"tuser1\0:A:000000000000001", 25, "bytes=1 boot=x"},
	{"tuser1\0:A:000000000000000g", 26, "bytes=1 boot=x"},
	{"tuser1\0:A:0000000000000001", 26, "boot=x"},
	{"tuser1\0:A:0000000000000001", 26, "bytes=1 until=x boot=x"},
	{"tuser1\0f", 8, "bytes=x"},
	{"a", 1, "used=1"},
	{"zuser1", 6, "used=1"},
};

START_TEST(entry_that_makes_no_sense_sets_the_store_aside)
{
	DBT key = {.data = (void *)odd_entries[_i].key,
		.size = (u_int32_t)odd_entries[_i].size};
	DBT value = {.data = (void *)odd_entries[_i].value,
		.size = (u_int32_t)strlen(odd_entries[_i].value)};
	DB *db;

	run_and_die(save_some_and_close);
	ck_assert_int_eq(db_create(&db, NULL, 0), 0);
	ck_assert_int_eq(
		db->open(db, NULL, in_dir("usage/usage.db"), NULL, DB_BTREE, 0, 0), 0);
	ck_assert_int_eq(db->put(db, NULL, &key, &value, 0), 0);
	ck_assert_int_eq(db->close(db, 0), 0);
	open_in(BOOT);
	ck_assert_int_eq(start, USAGE_UNSURE);
	ck_assert_int_eq(count_names("usage.bad-"), 1);
}
END_TEST

START_TEST(no_more_than_two_are_kept_aside)
{
	for (int i = 0; i < 5; i++) {
		calendar++;
		run_and_die(save_some_and_close);
		empty_table();
		open_in(BOOT);
		usage_close(&usage);
	}
	ck_assert_int_eq(count_names("usage.bad-"), 2);
}
END_TEST

START_TEST(other_files_in_the_directory_do_no_harm)
{
	mkdir(dir, 0700);
	close(open(in_dir("log.0000000001"), O_WRONLY | O_CREAT, 0600));
	close(open(in_dir("__db.001"), O_WRONLY | O_CREAT, 0600));
	mkdir(in_dir("usage.db"), 0700);
	save_some();
	open_again(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	expect_some();
}
END_TEST

START_TEST(store_that_vanished_in_the_same_boot_is_unsure)
{
	run_and_die(save_some_and_close);
	remove_tree(dir);
	open_in(BOOT);
	ck_assert_int_eq(start, USAGE_UNSURE);
	ck_assert_int_eq(usage_on_disk(usage), 1);
	ck_assert_int_eq(has_marker("quotad.memory"), 1);
}
END_TEST

START_TEST(first_start_of_a_boot_is_sound_without_a_store)
{
	run_and_die(save_some_and_close);
	remove_tree(dir);
	open_in(BOOT_2);
	ck_assert_int_eq(start, USAGE_SOUND);
	ck_assert_int_eq(has_marker("quotad.memory"), 0);
}
END_TEST

static void
open_and_save(void)
{
	open_in(BOOT);
	save(1, 10);
	usage_commit(usage);
}

START_TEST(unsure_start_stays_unsure_over_kills)
{
	run_and_die(save_some_and_close);
	remove_tree(dir);
	run_and_die(open_and_save);
	open_in(BOOT);
	ck_assert_int_eq(start, USAGE_UNSURE);
	ck_assert_int_eq(accounts[1].numbers.known, 0);
}
END_TEST

static void
write_marker(const char *name, const char *text)
{
	char path[512];
	int fd;

	snprintf(path, sizeof path, "%s/%s", run_dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

START_TEST(unsure_ends_with_its_time)
{
	run_and_die(save_some_and_close);
	write_marker("quotad.memory", "boot=" BOOT " until=1\n");
	open_in(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	expect_some();
}
END_TEST

static const char whole_marker[] = "boot=" BOOT;
static const char *const odd_markers[] = {"", "\n", "garbage", "boot=" BOOT " until=x\n",
	"until=99999999999\n", whole_marker};

START_TEST(marker_that_cannot_be_read_holds)
{
	run_and_die(save_some_and_close);
	write_marker("quotad.memory", odd_markers[_i]);
	open_in(BOOT);
	ck_assert_int_eq(start, USAGE_UNSURE);
	ck_assert_int_eq(accounts[7].numbers.known, 0);
	ck_assert_ptr_nonnull(ticket(&accounts[7], "1.a.host,S=5"));
}
END_TEST

START_TEST(marker_of_another_boot_does_not_hold)
{
	run_and_die(save_some_and_close);
	write_marker("quotad.memory", "boot=" BOOT_2 "\n");
	open_in(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
}
END_TEST

/* --- the child that tries the store ----------------------------------------------- */

static unsigned *seconds_left; /* of the child, in memory that is shared */

static int
never_end(void *arg, const char *mailbox, const struct usage_numbers *n)
{
	(void)arg;
	(void)mailbox;
	(void)n;
	*seconds_left = alarm(60);
	pause();
	return -1;
}

static void
open_for_ever(void)
{
	struct usage_calls slow = calls;

	slow.load_account = never_end;

	usage = usage_open(dir, run_dir, BOOT, &slow, NULL, &start, &why);
}

/* For at most five seconds. */
static void
wait_until(int (*is_so)(void))
{
	const struct timespec a_moment = {.tv_nsec = 10000000};

	for (int i = 0; i < 500 && !is_so(); i++)
		nanosleep(&a_moment, NULL);
}

static int
child_tries(void)
{
	return *(volatile unsigned *)seconds_left != 0;
}

static int
opens(void)
{
	usage = usage_open(dir, run_dir, BOOT, &calls, NULL, &start, &why);
	return usage != NULL;
}

START_TEST(child_that_tries_the_store_ends_with_its_parent_or_in_ten_seconds)
{
	pid_t daemon;

	run_and_die(save_some_and_close);
	seconds_left = mmap(NULL, sizeof *seconds_left, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(seconds_left, MAP_FAILED);
	daemon = fork();
	if (daemon == 0) {
		open_for_ever();
		_exit(0);
	}
	wait_until(child_tries);
	ck_assert_int_eq(kill(daemon, SIGKILL), 0);
	ck_assert_int_eq(waitpid(daemon, NULL, 0), daemon);
	wait_until(opens);
	ck_assert_msg(usage != NULL, "%s", why.text);
	expect_some();
	ck_assert_uint_ge(*seconds_left, 1);
	ck_assert_uint_le(*seconds_left, 10);
}
END_TEST

/* --- whose directory it is -------------------------------------------------------- */

static void
expect_refusal(const char *because)
{
	usage = usage_open(dir, run_dir, BOOT, &calls, NULL, &start, &why);
	ck_assert_ptr_null(usage);
	ck_assert_msg(strstr(why.text, because) != NULL, "%s", why.text);
}

START_TEST(two_daemons_on_one_store_are_refused)
{
	struct usage *first;

	save_some();
	first = usage;
	expect_refusal("another quotad");
	usage = first;
	save(1, 99);
	ck_assert_int_eq(usage_commit(usage), 0);
	open_again(BOOT);
	ck_assert_uint_eq(accounts[1].numbers.used, 99);
}
END_TEST

START_TEST(directory_of_another_user_is_refused)
{
	mkdir(dir, 0700);
	ck_assert_int_eq(chown(dir, 1234, 1234), 0);
	expect_refusal("belongs to uid 1234");
	ck_assert_int_eq(chown(dir, 0, 0), 0);
	ck_assert_int_eq(chmod(dir, 0750), 0);
	expect_refusal("open to others");
	ck_assert_int_eq(chmod(dir, 0700), 0);
	snprintf(run_dir, sizeof run_dir, "%s/none", root);
	expect_refusal("none");
}
END_TEST

START_TEST(run_directory_that_others_may_write_to_is_refused)
{
	mkdir(dir, 0700);
	ck_assert_int_eq(chown(run_dir, 1234, 1234), 0);
	expect_refusal("run belongs to uid 1234: chown 0 ");
	ck_assert_int_eq(chown(run_dir, 0, 0), 0);
	ck_assert_int_eq(chmod(run_dir, 0775), 0);
	expect_refusal("run (mode 0775): chmod go-w ");
	ck_assert_int_eq(chmod(run_dir, 0757), 0);
	expect_refusal("run (mode 0757): chmod go-w ");
	ck_assert_int_eq(chmod(run_dir, 0755), 0);
	open_in(BOOT);
}
END_TEST

START_TEST(lock_that_is_no_file_is_refused)
{
	mkdir(dir, 0700);
	mkdir(in_dir("lock"), 0700);
	expect_refusal("lock");
}
END_TEST

START_TEST(directory_that_cannot_be_made_is_refused)
{
	snprintf(dir, sizeof dir, "%s/none/usage", root);
	expect_refusal("can't be made");
}
END_TEST

static void
put_config(const char *path, uid_t owner)
{
	FILE *f = fopen(path, "w");

	fprintf(f, "set_lg_dir %s/elsewhere\nset_no_such_thing 1\n", root);
	fclose(f);
	ck_assert_int_eq(chown(path, owner, owner), 0);
}

START_TEST(db_config_that_is_not_roots_is_refused)
{
	save_some_and_close();
	put_config(in_dir("usage/DB_CONFIG"), 1234);
	expect_refusal("DB_CONFIG");
	unlink(in_dir("usage/DB_CONFIG"));
	put_config(in_dir("DB_CONFIG"), 1234);
	expect_refusal("DB_CONFIG");
}
END_TEST

START_TEST(no_db_config_is_ever_read)
{
	char here[128];

	mkdir(dir, 0700);
	mkdir(in_dir("usage"), 0700);
	put_config(in_dir("usage/DB_CONFIG"), 0);
	put_config(in_dir("DB_CONFIG"), 0);
	snprintf(here, sizeof here, "%s/DB_CONFIG", root);
	put_config(here, 1234);
	ck_assert_int_eq(chdir(root), 0);
	setenv("DB_HOME", root, 1);
	save_some();
	snprintf(here, sizeof here, "%s/elsewhere", root);
	ck_assert_int_ne(access(here, F_OK), 0);
	open_again(BOOT);
	ck_assert_int_eq(start, USAGE_SOUND);
	expect_some();
}
END_TEST

/* --- speed ------------------------------------------------------------------------ */

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The same puts in passes of 16, and how long the worst of them took. */
static void
time_puts(const char *what, int from_random)
{
	double began = seconds(), ticked = began, worst = 0, pass;

	for (int i = 0; i < 100000; i += 16) {
		pass = seconds();
		for (int j = i; j < i + 16; j++)
			save(from_random ? rand() % 100000 : j % 100000, (uint64_t)j);
		ck_assert_int_eq(usage_commit(usage), 0);
		if (pass - ticked >= 1)
			usage_tick(usage, (uint64_t)((ticked = pass) * 1e3));
		pass = seconds() - pass;
		worst = pass > worst ? pass : worst;
	}
	printf("%s: %.0f saves a second, worst pass %.1f ms\n", what,
		100000 / (seconds() - began), worst * 1e3);
}

START_TEST(hundred_thousand_accounts_are_written_and_loaded)
{
	double began;

	open_in(BOOT);
	time_puts("new accounts", 0);
	time_puts("accounts at random", 1);
	began = seconds();
	open_again(BOOT);
	printf("closed, opened and loaded in %.0f ms\n", (seconds() - began) * 1e3);
	ck_assert_int_eq(accounts[99999].there, 1);
	ck_assert_int_eq(accounts[99999].numbers.known, 1);
}
END_TEST

static void
add_kept(Suite *suite)
{
	const TTest *const tests[] = {what_was_saved_is_loaded_again,
		a_promise_is_kept_with_its_end_which_another_boot_does_not_know,
		an_earlier_version_reads_a_promise_as_a_ticket,
		a_heartbeat_is_read_back_and_is_no_damage,
		pass_without_its_end_leaves_nothing, what_does_not_fit_a_key_is_refused,
		another_boot_knows_no_number_and_ends_the_tickets,
		gap_counts_for_full_since_but_a_day_at_most,
		killed_writer_loses_nothing_that_was_committed,
		hundred_thousand_accounts_are_written_and_loaded};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown, .timeout = 300);
}

static void
add_full_disk(Suite *suite)
{
	const TTest *const tests[] = {full_disk_goes_on_in_memory_and_comes_back,
		close_in_memory_comes_back_if_it_can,
		daemon_that_ended_in_memory_makes_the_next_unsure,
		start_on_a_full_disk_runs_in_memory,
		without_store_and_marker_nothing_is_promised};

	ADD_CASE(suite, tests, .setup = setup_small_disk, .teardown = teardown_small_disk,
		.timeout = 300);
}

static void
add_damage(Suite *suite)
{
	const int n = (int)(sizeof damages / sizeof damages[0]);
	const TTest *const tests[] = {no_more_than_two_are_kept_aside,
		other_files_in_the_directory_do_no_harm,
		store_that_vanished_in_the_same_boot_is_unsure,
		first_start_of_a_boot_is_sound_without_a_store,
		unsure_start_stays_unsure_over_kills, unsure_ends_with_its_time,
		marker_of_another_boot_does_not_hold};
	TCase *c = ADD_CASE(
		suite, tests, .setup = setup, .teardown = teardown, .timeout = 300);

	tcase_add_loop_test(c, damaged_store_is_set_aside, 0, n);
	tcase_add_loop_test(c, damaged_store_of_another_boot_is_no_reason_to_wait, 0, n);
	tcase_add_loop_test(c, entry_that_makes_no_sense_sets_the_store_aside, 0,
		(int)(sizeof odd_entries / sizeof odd_entries[0]));
	tcase_add_loop_test(c, marker_that_cannot_be_read_holds, 0,
		(int)(sizeof odd_markers / sizeof odd_markers[0]));
}

static void
add_owner(Suite *suite)
{
	const TTest *const tests[] = {two_daemons_on_one_store_are_refused,
		child_that_tries_the_store_ends_with_its_parent_or_in_ten_seconds,
		directory_of_another_user_is_refused,
		run_directory_that_others_may_write_to_is_refused,
		lock_that_is_no_file_is_refused, directory_that_cannot_be_made_is_refused,
		db_config_that_is_not_roots_is_refused, no_db_config_is_ever_read};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown, .timeout = 300);
}

void
add_tests(Suite *suite)
{
	add_kept(suite);
	add_full_disk(suite);
	add_damage(suite);
	add_owner(suite);
}
