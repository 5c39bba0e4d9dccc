/* The way to a mailbox, with links of root's and of others on it. Runs as root, since
 * whose a link is decides. Each promise holds without openat2, too. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "suite.h"
#include "walk.h"

#define USER 20001

static char folder[] = "/tmp/brim-walk-XXXXXX";
static struct reason why;

/* What openat2 answers; 0: what the kernel does. EACCES as a sandbox may be told to. */
static const int blocked[] = {0, ENOSYS, EPERM, EACCES};
static int openat2_error;
static int openat2_calls;

long
syscall(long number, ...)
{
	long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	long a[4];
	va_list args;

	va_start(args, number);
	for (size_t i = 0; i < 4; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_openat2)
		openat2_calls++;
	if (number != SYS_openat2 || !openat2_error)
		return next(number, a[0], a[1], a[2], a[3]);
	errno = openat2_error;
	return -1;
}

/* What looking at a part of the way answers; 0: what the kernel does. */
static int look_error;

int
fstatat(int dir, const char *name, struct stat *st, int flags)
{
	__typeof__(&fstatat) next = (__typeof__(&fstatat))dlsym(RTLD_NEXT, "fstatat");

	if (!look_error)
		return next(dir, name, st, flags);
	errno = look_error;
	return -1;
}

static void
make(const char *path, uid_t owner, mode_t mode)
{
	ck_assert_int_eq(mkdir(path, 0755), 0);
	ck_assert_int_eq(chown(path, owner, owner), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static void
link_to(const char *target, const char *path, uid_t owner)
{
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(lchown(path, owner, owner), 0);
}

/* disk/ and its user's home, and links to them from a root's and from a user's folder. */
static void
setup(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chmod(folder, 0755), 0);
	ck_assert_int_eq(chdir(folder), 0);
	make("disk", 0, 0755);
	make("disk/alice", USER, 0755);
	make("disk/alice/Maildir", USER, 0700);
	make("home", 0, 0755);
	make("open", 0, 0777);
	link_to("../disk/alice", "home/alice", 0);
	link_to("../disk/alice", "home/mallory", USER);
	link_to("../disk/alice", "open/alice", 0);
	link_to("Maildir", "disk/alice/link", 0);
}

static void
teardown(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	remove_tree(folder);
}

static int
walk(const char *relative)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", folder, relative);
	return walk_open(path, &why);
}

static int
is_alices_maildir(int fd)
{
	struct stat there, here;

	return fd >= 0 && fstat(fd, &there) == 0 &&
	       stat("disk/alice/Maildir", &here) == 0 && there.st_ino == here.st_ino;
}

START_TEST(a_plain_path_is_opened)
{
	openat2_error = blocked[_i];
	ck_assert(is_alices_maildir(walk("disk/alice/Maildir/")));
	ck_assert(is_alices_maildir(walk("disk//alice/./Maildir")));
}
END_TEST

START_TEST(a_link_of_roots_is_followed)
{
	openat2_error = blocked[_i];
	ck_assert(is_alices_maildir(walk("home/alice/Maildir/")));
	ck_assert(is_alices_maildir(walk("home/alice/../alice/Maildir")));
}
END_TEST

START_TEST(an_absolute_link_of_roots_is_followed)
{
	openat2_error = blocked[_i];
	char target[PATH_MAX];

	snprintf(target, sizeof target, "%s/disk", folder);
	link_to(target, "far", 0);
	ck_assert(is_alices_maildir(walk("far/alice/Maildir/")));
}
END_TEST

START_TEST(a_chain_of_roots_links_is_followed_and_a_loop_is_not)
{
	openat2_error = blocked[_i];
	link_to("home", "one", 0);
	link_to("one", "two", 0);
	ck_assert(is_alices_maildir(walk("two/alice/Maildir")));
	link_to("b", "a", 0);
	link_to("a", "b", 0);
	ck_assert_int_eq(walk("a/alice"), -1);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_ptr_nonnull(strstr(why.text, "leads into a loop"));
}
END_TEST

START_TEST(a_users_link_is_refused)
{
	openat2_error = blocked[_i];
	ck_assert_int_eq(walk("home/mallory/Maildir/"), -1);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_ptr_nonnull(strstr(why.text, "the link mallory on the way to "));
	ck_assert_ptr_nonnull(strstr(why.text, "Maildir/ is not root's"));
}
END_TEST

START_TEST(a_link_of_roots_in_a_folder_others_may_change_is_refused)
{
	openat2_error = blocked[_i];
	ck_assert_int_eq(walk("open/alice/Maildir/"), -1);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_ptr_nonnull(strstr(why.text, "the link alice on the way to "));
	ck_assert_ptr_nonnull(strstr(why.text, "that others than root may write to"));
	ck_assert_int_eq(walk("disk/alice/link"), -1);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_ptr_nonnull(strstr(why.text, "in a directory that is not root's"));
}
END_TEST

START_TEST(a_link_as_the_last_part_is_no_way_round)
{
	openat2_error = blocked[_i];
	link_to("alice/Maildir", "disk/last", USER);
	ck_assert_int_eq(walk("disk/last"), -1);
	ck_assert_int_eq(walk("disk/last/"), -1);
	ck_assert_int_eq(walk("disk/last/."), -1);
	ck_assert_int_eq(errno, ELOOP);
}
END_TEST

/* As a text it may lead somewhere; what it is really linked to is out of reach. */
START_TEST(a_magic_link_is_no_more_than_its_text)
{
	openat2_error = blocked[_i];
	char path[64];
	int gone;

	make("gone", 0, 0755);
	gone = open("gone", O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(rmdir("gone"), 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", gone);
	ck_assert_int_eq(walk_open(path, &why), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(what_is_missing_says_so)
{
	openat2_error = blocked[_i];
	ck_assert_int_eq(walk("disk/bob/Maildir/"), -1);
	ck_assert_int_eq(errno, ENOENT);
	link_to("../disk/nobody", "home/nobody", 0);
	ck_assert_int_eq(walk("home/nobody/Maildir"), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* A FUSE file system may answer anything. */
START_TEST(a_loop_that_the_file_system_tells_of_has_a_reason)
{
	openat2_error = blocked[_i];
	look_error = ELOOP;
	why.text[0] = '\0';
	ck_assert_int_eq(walk("home/alice/Maildir"), -1);
	ck_assert_int_eq(errno, ELOOP);
	look_error = 0;
	ck_assert_ptr_nonnull(strstr(why.text, "home/alice/Maildir can't be opened"));
}
END_TEST

START_TEST(a_file_or_a_fifo_is_no_directory)
{
	openat2_error = blocked[_i];
	ck_assert_int_eq(mkfifo("disk/fifo", 0666), 0);
	close(open("disk/file", O_CREAT | O_WRONLY, 0644));
	ck_assert_int_eq(walk("disk/fifo"), -1);
	ck_assert_int_eq(errno, ENOTDIR);
	ck_assert_int_eq(walk("disk/file/x"), -1);
	ck_assert_int_eq(errno, ENOTDIR);
	link_to("../disk/file", "home/file", 0);
	ck_assert_int_eq(walk("home/file"), -1);
	ck_assert_int_eq(errno, ENOTDIR);
}
END_TEST

START_TEST(a_relative_path_is_refused)
{
	openat2_error = blocked[_i];
	ck_assert_int_eq(walk_open("disk/alice", &why), -1);
	ck_assert_int_eq(walk_open("", &why), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(the_parent_and_the_last_part_are_told_apart)
{
	openat2_error = blocked[_i];
	char path[PATH_MAX], name[NAME_MAX + 1];
	struct stat parent, disk;
	int fd;

	snprintf(path, sizeof path, "%s/home/alice/NewMail//", folder);
	fd = walk_open_parent(path, name, &why);
	ck_assert_int_ge(fd, 0);
	ck_assert_str_eq(name, "NewMail");
	ck_assert_int_eq(fstat(fd, &parent), 0);
	ck_assert_int_eq(stat("disk/alice", &disk), 0);
	ck_assert_uint_eq(parent.st_ino, disk.st_ino);
}
END_TEST

START_TEST(a_path_without_a_last_part_has_no_parent)
{
	openat2_error = blocked[_i];
	static const char *const paths[] = {
		"/", "///", "", "x", "/tmp/..", "/tmp/.", "/.."};
	char name[NAME_MAX + 1], longer[NAME_MAX + 10];

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		ck_assert_int_eq(walk_open_parent(paths[i], name, &why), -1);
		ck_assert_int_eq(errno, EINVAL);
	}
	memset(longer, 'x', sizeof longer);
	longer[0] = '/';
	longer[sizeof longer - 1] = '\0';
	ck_assert_int_eq(walk_open_parent(longer, name, &why), -1);
}
END_TEST

START_TEST(inside_a_mailbox_no_link_is_followed)
{
	openat2_error = blocked[_i];
	int dir = walk("disk/alice");

	ck_assert_int_ge(dir, 0);
	ck_assert_int_ge(walk_open_in(dir, "Maildir", &why), 0);
	ck_assert_int_eq(walk_open_in(dir, "link", &why), -1);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_int_eq(walk_open_in(dir, "..", &why), -1);
	ck_assert_int_eq(walk_open_in(dir, "../alice", &why), -1);
	ck_assert_int_eq(walk_open_in(dir, "/tmp", &why), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(below_a_mailbox_no_link_is_followed)
{
	openat2_error = blocked[_i];
	int dir = walk("disk"), below;

	ck_assert_int_ge(dir, 0);
	below = walk_open_below(dir, "alice/Maildir", &why);
	ck_assert(is_alices_maildir(below));
	ck_assert_int_eq(walk_open_below(dir, "alice/link", &why), -1);
	ck_assert_int_eq(walk_open_below(dir, "alice/link/new", &why), -1);
	ck_assert_int_eq(walk_open_below(dir, "alice/none", &why), -1);
	ck_assert_int_eq(errno, ENOENT);
	close(dir);
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
	openat2_error = blocked[_i];
	int before = dup(0), after;

	close(before);
	(void)walk("home/mallory/Maildir");
	(void)walk("disk/bob");
	close(walk("home/alice/Maildir"));
	after = dup(0);
	ck_assert_int_eq(before, after);
}
END_TEST

START_TEST(that_openat2_is_blocked_is_found_once)
{
	openat2_error = EPERM;
	ck_assert(is_alices_maildir(walk("disk/alice/Maildir")));
	openat2_calls = 0;
	ck_assert(is_alices_maildir(walk("home/alice/Maildir")));
	ck_assert_int_eq(openat2_calls, 0);
}
END_TEST

static uint64_t
identity(unsigned int device, uid_t owner)
{
	const struct stat st = {
		.st_dev = makedev(device, 45), .st_ino = 1, .st_uid = owner};

	return walk_identity(&st);
}

/* A FUSE file system shows the inodes and the owners that its user likes, and its
 * device's number is another one's next. */
START_TEST(without_a_disk_no_directory_passes_for_another_users)
{
	const uint64_t of_user = identity(0, USER), on_disk = identity(8, USER);

	ck_assert_uint_eq(identity(0, USER), of_user);
	ck_assert_uint_ne(identity(0, USER + 1), of_user);
	ck_assert_uint_eq(identity(8, USER + 1), on_disk);
	walk_believe_owner(USER + 1);
	ck_assert_uint_ne(identity(0, USER), of_user);
	ck_assert_uint_eq(identity(0, USER), identity(0, USER + 1));
	ck_assert_uint_eq(identity(8, USER), on_disk);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const found_once[] = {that_openat2_is_blocked_is_found_once,
		without_a_disk_no_directory_passes_for_another_users};
	const TTest *const tests[] = {
		a_plain_path_is_opened,
		a_link_of_roots_is_followed,
		a_loop_that_the_file_system_tells_of_has_a_reason,
		an_absolute_link_of_roots_is_followed,
		a_chain_of_roots_links_is_followed_and_a_loop_is_not,
		a_users_link_is_refused,
		a_link_of_roots_in_a_folder_others_may_change_is_refused,
		a_link_as_the_last_part_is_no_way_round,
		a_magic_link_is_no_more_than_its_text,
		what_is_missing_says_so,
		a_file_or_a_fifo_is_no_directory,
		a_relative_path_is_refused,
		the_parent_and_the_last_part_are_told_apart,
		a_path_without_a_last_part_has_no_parent,
		inside_a_mailbox_no_link_is_followed,
		below_a_mailbox_no_link_is_followed,
		no_descriptor_is_left_open,
	};

	const size_t count = sizeof blocked / sizeof *blocked;
	TCase *c = ADD_CASE(suite, found_once, .setup = setup, .teardown = teardown);

	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_loop_test(c, tests[i], 0, (int)count);
}
