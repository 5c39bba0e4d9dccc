/*
 * The folders of a Maildir: Maildir++ and directories at any depth, what of them counts,
 * and what moves the stamp.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "count.h"
#include "folders.h"
#include "suite.h"

static char root[64];
static char box[96];
static struct count_result result;
static struct name_set *seen;
static struct reason why;

static void
make_dir(const char *name)
{
	char path[1024];

	snprintf(path, sizeof path, "%s%s", box, name);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void
put(const char *name)
{
	char path[1024];

	snprintf(path, sizeof path, "%s%s", box, name);
	ck_assert_int_eq(mknod(path, S_IFREG | 0600, 0), 0);
}

static void
setup(void)
{
	strcpy(root, "/dev/shm/brim-folders.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(box, sizeof box, "%s/Maildir/", root);
	make_dir("");
	make_dir("new");
	make_dir("cur");
	make_dir("tmp");
}

static void
teardown(void)
{
	name_set_free(&seen);
	remove_tree(root);
}

static int
count(const char *ignore, int by_files)
{
	name_set_free(&seen);
	return count_mailbox(box, ignore, by_files, &result, &seen, &why);
}

static void
expect(uint64_t messages, uint64_t bytes)
{
	ck_assert_msg(count(NULL, 0) == 0, "%s", why.text);
	ck_assert_int_eq(result.exact, 1);
	ck_assert_uint_eq(result.messages, messages);
	ck_assert_uint_eq(result.bytes, bytes);
}

/* A folder with its parents, which are none if they are made here. */
static void
make_folder(const char *path)
{
	char part[1024];

	for (const char *p = path; (p = strchr(p, '/')); p++) {
		snprintf(part, sizeof part, "%s%.*s", box, (int)(p - path), path);
		ck_assert(mkdir(part, 0700) == 0 || errno == EEXIST);
	}
	make_dir(path);
	snprintf(part, sizeof part, "%s/cur", path);
	make_dir(part);
	snprintf(part, sizeof part, "%s/cur/1.x,S=10:2,S", path);
	put(part);
}

START_TEST(folders_at_any_depth_count)
{
	make_folder("Archive/2024/Q1"); /* Dovecot's LAYOUT=fs */
	make_folder("Sent");
	make_folder("Sent/Old mail");
	make_folder(".Trash/a/.b/c");
	make_folder("Name/DIRNAME"); /* Dovecot's DIRNAME= */
	make_folder("..dots");
	expect(6, 60);
	ck_assert(name_set_has(seen, "1.x,S=10"));
}
END_TEST

START_TEST(nothing_counts_inside_of_new_cur_and_tmp)
{
	make_folder("new/A");
	make_folder("cur/A/B");
	make_folder("tmp/A");
	make_folder("Sent");
	make_folder("Sent/tmp/A");
	make_folder("Sent/cur/A");
	expect(1, 10);
}
END_TEST

START_TEST(a_link_in_the_place_of_a_folder_is_told_of_and_not_followed)
{
	static const char *const links[] = {"Far", "Sent/Far", "Sent/new"};
	char path[1024];
	struct folders f;

	make_folder("Sent");
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s%s", box, links[i]);
		ck_assert_int_eq(symlink(root, path), 0);
	}
	expect(1, 10);
	ck_assert_int_eq(folders_look(&f, box, NULL, &why), 0);
	ck_assert_uint_eq(f.count, 2);
	ck_assert_uint_eq(f.link_count, 3);
	for (size_t i = 0; i < 3; i++) {
		size_t at = 0;

		while (at < 3 && strcmp(f.links[at], links[i]) != 0)
			at++;
		ck_assert_uint_lt(at, 3);
	}
	folders_clear(&f);
}
END_TEST

START_TEST(a_folder_is_ignored_by_its_path_and_those_in_it_are_not)
{
	static const struct {
		const char *ignore;
		uint64_t messages;
	} cases[] = {
		{"Trash", 4},
		{"trash", 4},
		{"Trash/Old", 4},
		{"Trash Trash/Old", 3},
		{"Old rash", 5},
		{".Trash", 5},
		{"Junk%20E-mail/2024", 4},
		{"A.B", 4},
		{".A.B", 4},
		{"A/B", 5},
		{".", 5},
		{"ENTW\xC3\x9CRFE", 4},
	};

	make_folder("Trash");
	make_folder("Trash/Old");
	make_folder("Junk E-mail/2024");
	make_folder(".A.B");
	make_folder("Entw\xC3\xBCrfe");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_int_eq(count(cases[i].ignore, 0), 0);
		ck_assert_int_eq(result.exact, 1);
		ck_assert_msg(result.messages == cases[i].messages, "%s: %d",
			cases[i].ignore, (int)result.messages);
	}
}
END_TEST

static uint64_t
stamp_of(const char *ignore)
{
	uint64_t stamp;

	ck_assert_int_eq(count_stamp(box, ignore, &stamp, &why), 0);
	return stamp;
}

/* Whether the stamp moves, for that and for a probe that ignores the folder Trash. */
static void
expect_move(int moves, int moves_with_trash)
{
	static uint64_t last[2];
	const uint64_t now[2] = {stamp_of("Trash"), stamp_of(NULL)};

	if (moves >= 0) {
		ck_assert_int_eq(now[0] != last[0], moves);
		ck_assert_int_eq(now[1] != last[1], moves_with_trash);
	}
	memcpy(last, now, sizeof last);
	usleep(20000); /* longer than the clock's grain */
}

START_TEST(the_stamp_moves_with_what_happens_at_any_depth)
{
	char from[1024], to[1024];

	make_folder("Archive/2024");
	make_folder("Trash");
	make_folder("sieve/scripts");
	expect_move(-1, -1);
	expect_move(0, 0);
	put("Archive/2024/cur/2.y,S=1");
	expect_move(1, 1);
	make_dir("Archive/2025");
	expect_move(1, 1);
	make_dir("sieve/scripts/late");
	expect_move(1, 1);
	make_dir("sieve/scripts/late/new");
	expect_move(1, 1);
	put("sieve/scripts/late/new/1.z,S=1");
	expect_move(1, 1);
	put("Trash/cur/2.y,S=1");
	expect_move(0, 1);
	put("Trash/dovecot.index.log");
	expect_move(0, 1);
	make_dir("Trash/Kept");
	expect_move(1, 1);
	snprintf(from, sizeof from, "%sArchive/2024", box);
	snprintf(to, sizeof to, "%sArchive/2023", box);
	ck_assert_int_eq(rename(from, to), 0);
	expect_move(1, 1);
	expect_move(0, 0);
}
END_TEST

START_TEST(folders_too_deep_fail_rather_than_hide)
{
	char path[2 * FOLDERS_DEPTH + 8] = "";

	for (int i = 0; i < FOLDERS_DEPTH; i++) {
		strcat(path, i ? "/d" : "d");
		make_dir(path);
	}
	strcat(path, "/cur");
	make_dir(path);
	expect(0, 0);
	path[strlen(path) - 3] = '\0';
	strcat(path, "e");
	make_dir(path);
	ck_assert_int_eq(count(NULL, 0), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "deep"));
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {folders_at_any_depth_count,
		nothing_counts_inside_of_new_cur_and_tmp,
		a_link_in_the_place_of_a_folder_is_told_of_and_not_followed,
		a_folder_is_ignored_by_its_path_and_those_in_it_are_not,
		the_stamp_moves_with_what_happens_at_any_depth,
		folders_too_deep_fail_rather_than_hide};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown, .timeout = 120);
}
