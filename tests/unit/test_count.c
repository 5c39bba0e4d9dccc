/*
 * Counts of real Maildirs: what counts and what does not, and that an exact count is
 * right whatever happens meanwhile.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "count.h"
#include "folders.h"
#include "foreign.h"
#include "siphash.h"
#include "suite.h"

static char root[64];
static char box[96];
static struct count_result result;
static struct name_set *seen;
static struct reason why;

/* Whether the file system is FUSE's, of a program that is not known to keep times, and
 * its directories keep no time. */
static int is_fuse, is_unknown, is_timeless;

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

int
foreign_has(int dir)
{
	(void)dir;
	return is_fuse;
}

int
foreign_is_users(int dir)
{
	(void)dir;
	return 0;
}

int
foreign_keeps_times(int dir)
{
	(void)dir;
	return !is_fuse || !is_unknown;
}

int
fstat(int fd, struct stat *st)
{
	int done = REAL(fstat)(fd, st);

	if (is_timeless && S_ISDIR(st->st_mode))
		st->st_ctim = (struct timespec){.tv_sec = 1};
	return done;
}

static void
make_dir(const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s%s", box, name);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void
put_text(const char *name, const char *text, size_t length)
{
	char path[512];
	int fd;

	snprintf(path, sizeof path, "%s%s", box, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, length), (ssize_t)length);
	close(fd);
}

static void
put(const char *name)
{
	put_text(name, "", 0);
}

static void
rename_message(const char *from, const char *to)
{
	char old[512], new[512];

	snprintf(old, sizeof old, "%s%s", box, from);
	snprintf(new, sizeof new, "%s%s", box, to);
	ck_assert_int_eq(rename(old, new), 0);
}

static void
remove_message(const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s%s", box, name);
	ck_assert_int_eq(remove(path), 0);
}

static void
setup_in(const char *dir)
{
	snprintf(root, sizeof root, "%s/brim-count.XXXXXX", dir);
	ck_assert_ptr_nonnull(mkdtemp(root));
	ck_assert_int_lt(snprintf(box, sizeof box, "%s/Maildir/", root), (int)sizeof box);
	make_dir("");
	make_dir("new");
	make_dir("cur");
	make_dir("tmp");
	alarm(60);
}

static void
setup(void)
{
	setup_in("/tmp");
}

/* Many files at once would take a disk's time. */
static void
setup_in_memory(void)
{
	setup_in("/dev/shm");
}

static void
teardown(void)
{
	name_set_free(&seen);
	remove_tree(root);
}

static int
count(const char *ignore, int thorough)
{
	name_set_free(&seen);
	return count_mailbox(box, ignore, thorough, &result, &seen, &why);
}

static void
expect(uint64_t messages, uint64_t bytes)
{
	ck_assert_msg(count(NULL, 0) == 0, "%s", why.text);
	ck_assert_int_eq(result.exact, 1);
	ck_assert_uint_eq(result.messages, messages);
	ck_assert_uint_eq(result.bytes, bytes);
}

START_TEST(sizes_in_names_add_up)
{
	put("new/1.a.host,S=100");
	put("cur/2.b.host,S=20:2,S");
	put("cur/3.c.host,S=3,W=4:2,");
	put("tmp/4.d.host,S=5000");
	expect(3, 123);
}
END_TEST

START_TEST(file_size_counts_where_the_name_tells_none)
{
	put_text("new/1.a.host", "12345", 5);
	put_text("cur/2.b.host,S=x:2,", "123", 3);
	put("cur/3.c.host:2,S,S=999");
	expect(3, 8);
}
END_TEST

START_TEST(parts_of_a_folder_add_up_to_its_count)
{
	struct count_part new, cur;
	struct folders f;

	put("new/1.a.host,S=100");
	put("cur/1.a.host,S=100:2,S");
	put_text("cur/2.b.host,S=20:2,S", "\x1f\x8b", 2);
	put_text("cur/3.c.host:2,S", "12345", 5);
	put_text("cur/4.d.host,S=1:2,", "12345", 5);
	ck_assert_int_eq(folders_look(&f, box, NULL, &why), 0);
	ck_assert_int_eq(count_parts(f.dir, ".", &new, &cur, &why), 0);
	expect(5, 226);
	ck_assert_uint_eq(new.bytes + cur.bytes, 226);
	ck_assert_uint_eq(new.messages, 1);
	ck_assert_uint_eq(cur.messages, 4);
	ck_assert_uint_eq(cur.again, 1);
	ck_assert_uint_eq(cur.named, 3);
	ck_assert_uint_eq(cur.named_bytes, 121);
	ck_assert_uint_eq(cur.larger, 1);
	ck_assert_uint_eq(cur.excess, 4);
	ck_assert_uint_eq(cur.smaller, 1);
	ck_assert_uint_eq(cur.shortfall, 100);
	ck_assert_int_gt(cur.changed.tv_sec, 0);
	ck_assert_int_eq(count_parts(f.dir, ".Sent", &new, &cur, &why), 0);
	ck_assert_int_eq(new.missing &&cur.missing, 1);
	folders_clear(&f);
}
END_TEST

START_TEST(sum_stops_at_the_end_of_numbers)
{
	put("new/1.a.host,S=18446744073709551615");
	put("new/2.b.host,S=18446744073709551615");
	put("new/3.c.host,S=18446744073709551616");
	expect(3, UINT64_MAX);
}
END_TEST

START_TEST(every_entry_counts_whatever_its_name)
{
	put("new/1.a.host,S=100");
	put("cur/1.a.host,S=100:2,S");
	put("cur/1.a.host,S=100:2,RS");
	expect(3, 300);
}
END_TEST

START_TEST(copies_in_other_folders_count)
{
	static const char *const names[] = {".Sent", ".Other", ".Third"};
	char path[64];

	put("new/1.a.host,S=100");
	for (int i = 0; i < 3; i++) {
		make_dir(names[i]);
		snprintf(path, sizeof path, "%s/cur", names[i]);
		make_dir(path);
		snprintf(path, sizeof path, "%s/cur/1.a.host,S=100:2,R", names[i]);
		put(path);
	}
	expect(4, 400);
	ck_assert(name_set_has(seen, "1.a.host,S=100"));
}
END_TEST

START_TEST(folders_count_but_those_ignored)
{
	static const char *const names[] = {".Sent", ".Trash", ".Junk", ".Trash.Old"};
	char path[64];

	for (int i = 0; i < 4; i++) {
		make_dir(names[i]);
		snprintf(path, sizeof path, "%s/new", names[i]);
		make_dir(path);
		snprintf(path, sizeof path, "%s/new/%d.x,S=%d", names[i], i, 1 << i);
		put(path);
	}
	expect(4, 15);
	ck_assert_int_eq(count("Trash .Junk", 0), 0);
	ck_assert_uint_eq(result.bytes, 9);
}
END_TEST

START_TEST(missing_mailbox_is_an_exact_count_of_nothing)
{
	uint64_t empty, missing;

	ck_assert_int_eq(count_stamp(box, NULL, &empty, &why), 0);
	remove_tree(box);
	expect(0, 0);
	ck_assert_int_eq(count_stamp(box, NULL, &missing, &why), 0);
	ck_assert_uint_eq(missing, result.stamp);
	ck_assert_uint_ne(missing, empty);
}
END_TEST

START_TEST(missing_parts_hold_nothing)
{
	make_dir(".Empty");
	put("new/1.a,S=5");
	remove_message("cur");
	expect(1, 5);
	remove_message("new/1.a,S=5");
	remove_message("new");
	expect(0, 0);
}
END_TEST

START_TEST(what_is_no_regular_file_does_not_count)
{
	char path[128];

	put_text("outside", "12345", 5);
	snprintf(path, sizeof path, "%snew/link", box);
	ck_assert_int_eq(symlink("../outside", path), 0);
	snprintf(path, sizeof path, "%snew/fifo", box);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	snprintf(path, sizeof path, "%snew/device", box);
	ck_assert_int_eq(mknod(path, S_IFCHR | 0600, makedev(1, 5)), 0);
	make_dir("new/directory,S=7");
	snprintf(path, sizeof path, "%scur/fifo,S=7", box);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	put("new/.hidden,S=9");
	expect(0, 0);
	ck_assert_int_eq(count(NULL, 1), 0);
	ck_assert_uint_eq(result.messages, 0);
}
END_TEST

START_TEST(links_in_place_of_directories_are_not_followed)
{
	char path[128], target[128];

	make_dir(".Real");
	make_dir(".Real/new");
	put(".Real/new/1.a,S=5");
	snprintf(path, sizeof path, "%s.Link", box);
	ck_assert_int_eq(symlink(".Real", path), 0);
	remove_message("cur");
	snprintf(path, sizeof path, "%scur", box);
	ck_assert_int_eq(symlink(".Real/new", path), 0);
	expect(1, 5);

	snprintf(path, sizeof path, "%s/other", root);
	snprintf(target, sizeof target, "%s/Maildir", root);
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(lchown(path, 1234, 1234), 0);
	strcat(path, "/");
	ck_assert_int_eq(count_mailbox(path, NULL, 0, &result, &seen, &why), -1);
}
END_TEST

START_TEST(mailbox_that_is_no_maildir_fails_with_a_reason)
{
	box[strlen(box) - 1] = '\0';
	ck_assert_int_eq(count(NULL, 0), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "only Maildirs"));
}
END_TEST

/* Files whose names say anything at all, and what they count with. */
static const struct {
	const char *name, *text;
	size_t length;
	uint64_t by_name, by_file;
	int wrong;
} lies[] = {
	{"1.a,S=4", "four", 4, 4, 4, 0},
	{"1.a,S=1", "four", 4, 1, 4, 1},
	{"1.a,S=0", "four", 4, 0, 4, 1},
	{"1.a,S=91000", "short", 5, 91000, 5, 1},
	{"1.a,S=91000", "", 0, 91000, 0, 1},
	{"1.a,S=18446744073709551615", "four", 4, UINT64_MAX, 4, 1},
	{"1.a,S=18446744073709551616", "four", 4, 4, 4, 0},
	{"1.a,S=-5", "four", 4, 4, 4, 0},
	{"1.a,W=9", "four", 4, 4, 4, 0},
	{"1.a,W=9,S=7", "four", 4, 7, 4, 1},
	{"1.a,S=7,S=1", "four", 4, 7, 4, 1},
	{"1.a,S=1,S=7", "four", 4, 1, 4, 1},
	{"1.a,S=,S=1", "four", 4, 1, 4, 1},
	{"1.a:2,S,S=1", "four", 4, 4, 4, 0},
	/* known compressions and encryption: larger than the file is believed */
	{"1.a,S=70", "\x1f\x8bxxxxxx", 8, 70, 70, 0},
	{"1.a,S=70", "BZh9xxxx", 8, 70, 70, 0},
	{"1.a,S=70", "\xfd\x37\x7aXZ\0xx", 8, 70, 70, 0},
	{"1.a,S=70", "\x5d\0\0\x80xxxx", 8, 70, 70, 0},
	{"1.a,S=70", "\x28\xb5\x2f\xfdxxxx", 8, 70, 70, 0},
	{"1.a,S=70", "\x04\x22\x4d\x18xxxx", 8, 70, 70, 0},
	{"1.a,S=70", "Dovecot-LZ4\r\x2a\x9b\xc5xxxx", 19, 70, 70, 0},
	{"1.a,S=70", "CRYPTED\x03\x07\x02xxxx", 14, 70, 70, 0},
	{"1.a,S=70", "\x1f", 1, 70, 1, 1},
	{"1.a,S=70", "CRYPTED\x03", 8, 70, 8, 1},
	{"1.a,S=70", "x\x1f\x8b", 3, 70, 3, 1},
	/* smaller than the file is not, whatever it begins with */
	{"1.a,S=1", "\x1f\x8bxxxxxx", 8, 1, 8, 1},
	{"1.a,S=1", "\x28\xb5\x2f\xfdxxxx", 8, 1, 8, 1},
	{"1.a,S=1", "CRYPTED\x03\x07\x02xxxx", 14, 1, 14, 1},
};

START_TEST(name_is_believed_only_as_far_as_its_file_bears_it_out)
{
	char path[128];

	snprintf(path, sizeof path, "cur/%s", lies[_i].name);
	put_text(path, lies[_i].text, lies[_i].length);
	expect(1, lies[_i].by_name);
	ck_assert_uint_eq(result.wrong, 0);
	ck_assert_int_eq(count(NULL, 1), 0);
	ck_assert_int_eq(result.exact, 1);
	ck_assert_uint_eq(result.bytes, lies[_i].by_file);
	ck_assert_uint_eq(result.wrong, (uint64_t)lies[_i].wrong);
	ck_assert_uint_eq(result.by_name, 0);
}
END_TEST

START_TEST(sparse_and_linked_files_count_with_all_their_bytes)
{
	char path[128], other[128];

	snprintf(path, sizeof path, "%scur/1.a,S=1", box);
	snprintf(other, sizeof other, "%scur/2.b,S=1", box);
	put("cur/1.a,S=1");
	ck_assert_int_eq(truncate(path, 1000000), 0);
	ck_assert_int_eq(link(path, other), 0);
	expect(2, 2);
	ck_assert_uint_eq(result.by_name, 2);
	ck_assert_int_eq(count(NULL, 1), 0);
	ck_assert_uint_eq(result.bytes, 2000000);
	ck_assert_uint_eq(result.wrong, 2);
}
END_TEST

/* What its owner lets nobody read counts with the larger number, and holds nobody up. */
START_TEST(file_under_a_lease_is_not_waited_for)
{
	char path[128];
	int fd;

	signal(SIGIO, SIG_IGN);
	put_text("cur/1.a,S=70", "short", 5);
	snprintf(path, sizeof path, "%scur/1.a,S=70", box);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	alarm(5);
	ck_assert_int_eq(count(NULL, 1), 0);
	ck_assert_uint_eq(result.bytes, 70);
	close(fd);
}
END_TEST

START_TEST(too_many_folders_fail_rather_than_hide)
{
	char name[32];

	for (int i = 0; i < FOLDERS_MAX; i++) {
		snprintf(name, sizeof name, ".f%d", i);
		make_dir(name);
	}
	expect(0, 0);
	make_dir(".one-more");
	ck_assert_int_eq(count(NULL, 0), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "folders"));
}
END_TEST

START_TEST(probe_agrees_with_the_count_until_something_changes)
{
	uint64_t stamp;

	make_dir(".Sent");
	make_dir(".Sent/new");
	put("new/1.a,S=5");
	expect(1, 5);
	ck_assert_int_eq(count_stamp(box, NULL, &stamp, &why), 0);
	ck_assert_uint_eq(stamp, result.stamp);
	expect(1, 5);
	ck_assert_uint_eq(stamp, result.stamp);
}
END_TEST

static void
flag_it(void)
{
	rename_message("cur/1.a,S=5", "cur/1.a,S=5:2,S");
}

static void
deliver_one(void)
{
	put("new/2.b,S=5");
}

static void
remove_it(void)
{
	remove_message("cur/1.a,S=5");
}

static void
make_folder(void)
{
	make_dir(".Other");
}

static void
remove_folder(void)
{
	remove_message(".Sent/new");
	remove_message(".Sent");
}

static void
move_to_folder(void)
{
	rename_message("cur/1.a,S=5", ".Sent/new/1.a,S=5");
}

static void
make_cur_of_folder(void)
{
	make_dir(".Sent/cur");
}

static void
replace_it(void)
{
	char aside[512];

	snprintf(aside, sizeof aside, "%s/aside", root);
	ck_assert_int_eq(rename(box, aside), 0);
	make_dir("");
	make_dir("new");
	make_dir("cur");
}

static void (*const changes[])(void) = {flag_it, deliver_one, remove_it, make_folder,
	remove_folder, move_to_folder, make_cur_of_folder, replace_it};

START_TEST(every_change_moves_the_stamp)
{
	uint64_t stamp;

	make_dir(".Sent");
	make_dir(".Sent/new");
	put("cur/1.a,S=5");
	expect(1, 5);
	changes[_i]();
	ck_assert_int_eq(count_stamp(box, NULL, &stamp, &why), 0);
	ck_assert_uint_ne(stamp, result.stamp);
}
END_TEST

/* s3fs, goofys: what a deleted message leaves of the times says nothing. */
START_TEST(where_directories_keep_no_time_the_stamp_always_moves)
{
	uint64_t stamp;

	put("new/1.a.host,S=100");
	for (is_fuse = 0; is_fuse <= 1; is_fuse++)
		for (is_timeless = 0; is_timeless <= 1; is_timeless++) {
			expect(1, 100);
			ck_assert_int_eq(count_stamp(box, NULL, &stamp, &why), 0);
			ck_assert_int_eq(
				stamp == result.stamp, !(is_fuse && is_timeless));
		}
}
END_TEST

START_TEST(where_directories_may_keep_no_time_the_stamp_always_moves)
{
	uint64_t stamp;

	is_fuse = is_unknown = 1;
	put("new/1.a.host,S=100");
	expect(1, 100);
	ck_assert_int_eq(count_stamp(box, NULL, &stamp, &why), 0);
	ck_assert_uint_ne(stamp, result.stamp);
}
END_TEST

START_TEST(ignored_folder_has_no_part_in_the_stamp)
{
	uint64_t before, after;

	make_dir(".Trash");
	make_dir(".Trash/new");
	ck_assert_int_eq(count_stamp(box, "Trash", &before, &why), 0);
	put(".Trash/new/1.a,S=5");
	ck_assert_int_eq(count_stamp(box, "Trash", &after, &why), 0);
	ck_assert_uint_eq(before, after);
	ck_assert_int_eq(count_stamp(box, NULL, &after, &why), 0);
	ck_assert_uint_ne(before, after);
}
END_TEST

START_TEST(count_knows_the_names_that_it_saw)
{
	char name[64];

	put("cur/1.a.host,S=5:2,RS");
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "new/%d.b.host,S=1", i);
		put(name);
	}
	expect(5001, 5005);
	ck_assert_int_eq(name_set_has(seen, "1.a.host,S=5"), 1);
	ck_assert_int_eq(name_set_has(seen, "4999.b.host,S=1"), 1);
	ck_assert_int_eq(name_set_has(seen, "5000.b.host,S=1"), 0);
	ck_assert_int_eq(name_set_has(seen, "1.a.host,S=6"), 0);
}
END_TEST

START_TEST(change_just_before_the_count_is_waited_out)
{
	for (int i = 0; i < 20; i++) {
		char name[32];

		snprintf(name, sizeof name, "new/%d.a,S=1", i);
		put(name);
		expect((uint64_t)i + 1, (uint64_t)i + 1);
	}
}
END_TEST

#define MESSAGES 12000
#define ROUNDS   30

/* An IMAP server that sets flags in bursts, with pauses in which a count may be exact. */
static void
keep_renaming(void)
{
	static int flags[MESSAGES];
	unsigned int seed = 1;
	char from[64], to[64];

	for (;;) {
		for (int i = rand_r(&seed) % 20000; i > 0; i--) {
			int n = rand_r(&seed) % MESSAGES;

			snprintf(from, sizeof from, "cur/%d.x,S=%d:2,%.*s", n, n,
				flags[n], "FRSTabcdefghijkl");
			flags[n] = (flags[n] + 1) % 16;
			snprintf(to, sizeof to, "cur/%d.x,S=%d:2,%.*s", n, n, flags[n],
				"FRSTabcdefghijkl");
			rename_message(from, to);
		}
		usleep((unsigned int)rand_r(&seed) % 30000);
	}
}

START_TEST(exact_count_is_right_while_flags_change)
{
	const uint64_t bytes = MESSAGES / 2 * (MESSAGES - 1);
	int exact = 0, wrong = 0;
	char name[64];
	pid_t child;

	for (int i = 0; i < MESSAGES; i++) {
		snprintf(name, sizeof name, "cur/%d.x,S=%d:2,", i, i);
		put(name);
	}
	child = fork();
	if (child == 0)
		keep_renaming();
	for (int i = 0; i < ROUNDS; i++) {
		ck_assert_int_eq(count(NULL, 0), 0);
		if (result.exact) {
			exact++;
			ck_assert_uint_eq(result.messages, MESSAGES);
			ck_assert_uint_eq(result.bytes, bytes);
		} else if (result.messages != MESSAGES) {
			wrong++;
		}
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("while flags change: %d of %d counts exact, %d of the others wrong\n",
		exact, ROUNDS, wrong);
	ck_assert_int_gt(exact, 0);
}
END_TEST

START_TEST(a_hundred_thousand_messages_are_counted)
{
	char name[96];

	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof name,
			"cur/1790000000.M%dP%dR%08x.mail.example.org,S=4096:2,S", i,
			i % 30000, i * 2654435761U);
		put(name);
	}
	expect(100000, 409600000);
}
END_TEST

START_TEST(siphash_agrees_with_its_reference)
{
	const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

	ck_assert_uint_eq(siphash(&key, "", 0), 0xabac0158050fc4dc);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {sizes_in_names_add_up,
		file_size_counts_where_the_name_tells_none,
		parts_of_a_folder_add_up_to_its_count, sum_stops_at_the_end_of_numbers,
		every_entry_counts_whatever_its_name, copies_in_other_folders_count,
		folders_count_but_those_ignored,
		missing_mailbox_is_an_exact_count_of_nothing, missing_parts_hold_nothing,
		what_is_no_regular_file_does_not_count,
		links_in_place_of_directories_are_not_followed,
		mailbox_that_is_no_maildir_fails_with_a_reason,
		sparse_and_linked_files_count_with_all_their_bytes,
		file_under_a_lease_is_not_waited_for,
		probe_agrees_with_the_count_until_something_changes,
		where_directories_keep_no_time_the_stamp_always_moves,
		where_directories_may_keep_no_time_the_stamp_always_moves,
		ignored_folder_has_no_part_in_the_stamp,
		count_knows_the_names_that_it_saw,
		change_just_before_the_count_is_waited_out,
		exact_count_is_right_while_flags_change,
		siphash_agrees_with_its_reference};
	const TTest *const large[] = {too_many_folders_fail_rather_than_hide,
		a_hundred_thousand_messages_are_counted};
	TCase *c = ADD_CASE(
		suite, tests, .setup = setup, .teardown = teardown, .timeout = 120);

	tcase_add_loop_test(c, name_is_believed_only_as_far_as_its_file_bears_it_out, 0,
		(int)(sizeof lies / sizeof lies[0]));
	tcase_add_loop_test(c, every_change_moves_the_stamp, 0,
		(int)(sizeof changes / sizeof changes[0]));
	ADD_CASE(suite, large, .setup = setup_in_memory, .teardown = teardown,
		.timeout = 120);
}
