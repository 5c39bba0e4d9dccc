/* A message on file systems that don't know each call of a delivery: with fakes of those
 * calls, which fail as such file systems have it; all else is the real file system. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lda/delivery/store.h"
#include "suite.h"

#define TEXT "Subject: test\n\ntest\n"

enum call {
	TMPFILE,
	LINK_NAMELESS,
	MOVE,
	LINK,
	RENAME,
	UNLINK,
	FSYNC,
	SYNCFS,
	CLOSE,
	CALLS
};

/* The errno of each, 0 for none; and whether it is done all the same: NFS repeats a call
 * whose answer was lost. */
struct fault {
	int error, done;
};

static struct fault faults[CALLS];
static int is_tmp_elsewhere; /* nothing goes from one directory to another */
static int made[CALLS];

static char folder[] = "/tmp/brim-publish-XXXXXX";
static char path[sizeof folder + sizeof "/Maildir/"];

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* The result of a call: DO is only evaluated where it is to be done. */
#define FAKE(call, DO)                                                                   \
	do {                                                                             \
		made[call]++;                                                            \
		if (faults[call].error == 0)                                             \
			return DO;                                                       \
		if (faults[call].done)                                                   \
			(void)!(DO);                                                     \
		errno = faults[call].error;                                              \
		return -1;                                                               \
	} while (0)

int
openat(int dir, const char *name, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if ((flags & O_TMPFILE) == O_TMPFILE)
		FAKE(TMPFILE, REAL(openat)(dir, name, flags, mode));
	return REAL(openat)(dir, name, flags, mode);
}

static int
is_across(int from, int to)
{
	struct stat a, b;

	if (!is_tmp_elsewhere || fstat(from, &a) || fstat(to, &b) || a.st_ino == b.st_ino)
		return 0;
	errno = EXDEV;
	return 1;
}

int
linkat(int dir, const char *from, int new, const char *to, int flags)
{
	if (flags)
		FAKE(LINK_NAMELESS, REAL(linkat)(dir, from, new, to, flags));
	if (is_across(dir, new))
		return -1;
	FAKE(LINK, REAL(linkat)(dir, from, new, to, flags));
}

int
renameat2(int tmp, const char *from, int new, const char *to, unsigned flags)
{
	if (is_across(tmp, new))
		return -1;
	FAKE(MOVE, REAL(renameat2)(tmp, from, new, to, flags));
}

int
renameat(int tmp, const char *from, int new, const char *to)
{
	if (is_across(tmp, new))
		return -1;
	FAKE(RENAME, REAL(renameat)(tmp, from, new, to));
}

int
unlinkat(int dir, const char *name, int flags)
{
	FAKE(UNLINK, REAL(unlinkat)(dir, name, flags));
}

int
fsync(int fd)
{
	FAKE(FSYNC, REAL(fsync)(fd));
}

int
syncfs(int fd)
{
	FAKE(SYNCFS, 0);
	return fd;
}

/* The close() that tells of the bytes asks the kernel itself. */
long
syscall(long number, ...)
{
	long a[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_close)
		FAKE(CLOSE, REAL(syscall)(number, a[0]));
	return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void
setup(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/Maildir/", folder);
}

static void
teardown(void)
{
	memset(faults, 0, sizeof faults);
	is_tmp_elsewhere = 0;
	remove_tree(folder);
}

static int
count_files(const char *name)
{
	char text[sizeof path + 8];
	struct dirent *e;
	struct stat st;
	int n = 0;
	DIR *dir;

	snprintf(text, sizeof text, "%s%s", path, name);
	dir = opendir(text);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.') {
			ck_assert_int_eq(fstatat(dirfd(dir), e->d_name, &st, 0), 0);
			ck_assert_int_eq(st.st_size, strlen(TEXT));
			n++;
		}
	if (dir)
		closedir(dir);
	return n;
}

/* Of drafts in new/. */
static int
count_hidden(void)
{
	char text[sizeof path + 8];
	struct dirent *e;
	int n = 0;
	DIR *dir;

	snprintf(text, sizeof text, "%snew", path);
	dir = opendir(text);
	ck_assert_ptr_nonnull(dir);
	while ((e = readdir(dir)))
		n += e->d_name[0] == '.' && strspn(e->d_name, ".") != strlen(e->d_name);
	closedir(dir);
	return n;
}

static void
begin_message(struct store *s)
{
	struct mailbox m = {.path = path, .uid = geteuid()};
	struct outcome o = {.text = ""};

	store_init(s);
	ck_assert_msg(store_open(s, &m, &o) == 0 && store_begin(s, &o) == 0 &&
			      store_write(s, TEXT, strlen(TEXT), &o) == 0 &&
			      store_choose_name(s, s->bytes, &o) == 0,
		"%s", o.text);
}

/* All but the last step. */
static void
write_message(struct store *s)
{
	struct outcome o = {.text = ""};

	begin_message(s);
	ck_assert_msg(store_sync(s, &o) == 0, "%s", o.text);
}

static const struct {
	struct fault faults[CALLS];
	int stored;
	enum call by; /* the last call that named it */
} cases[] = {
	{{{0, 0}}, 1, LINK_NAMELESS},
	{{[TMPFILE] = {EOPNOTSUPP}}, 1, MOVE},
	{{[TMPFILE] = {EISDIR}}, 1, MOVE},
	{{[TMPFILE] = {EINVAL}}, 1, MOVE},
	{{[TMPFILE] = {ENOSYS}}, 1, MOVE},
	{{[TMPFILE] = {ENOENT}}, 1, MOVE},
	{{[TMPFILE] = {EPERM}}, 1, MOVE},
	{{[TMPFILE] = {EACCES}}, 1, MOVE},
	{{[LINK_NAMELESS] = {EXDEV}}, 1, MOVE},
	{{[LINK_NAMELESS] = {ENOENT}}, 1, MOVE},
	{{[LINK_NAMELESS] = {EPERM}}, 1, MOVE},
	{{[LINK_NAMELESS] = {EINVAL}, [MOVE] = {EINVAL}}, 1, LINK},
	{{[LINK_NAMELESS] = {EOPNOTSUPP}, [MOVE] = {ENOSYS}, [LINK] = {EPERM}}, 1,
		RENAME},
	{{[LINK_NAMELESS] = {ENOSPC}}, 0, LINK_NAMELESS},
	{{[LINK_NAMELESS] = {EIO}}, 0, LINK_NAMELESS},
	{{[LINK_NAMELESS] = {EEXIST, 1}}, 1, LINK_NAMELESS},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}}, 1, LINK},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {ENOSYS}}, 1, LINK},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EOPNOTSUPP}}, 1, LINK},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EPERM}}, 1, LINK},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EPERM}}, 1, RENAME},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EOPNOTSUPP}}, 1, RENAME},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EMLINK}}, 1, RENAME},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {ENOSYS}}, 1, RENAME},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EXDEV}}, 1, RENAME},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EIO}}, 1, RENAME},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EIO}, [RENAME] = {EIO}},
		0, RENAME},
	/* done, but the first answer was lost */
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {ENOENT, 1}}, 1, MOVE},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EEXIST, 1}}, 1, LINK},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [UNLINK] = {ENOENT, 1}}, 1, LINK},
	{{[TMPFILE] = {EOPNOTSUPP},
		 [MOVE] = {EINVAL},
		 [LINK] = {EPERM},
		 [RENAME] = {ENOENT, 1}},
		1, RENAME},
	/* done or not, the server did not say: taken back */
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EIO, 1}}, 0, MOVE},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EIO, 1}}, 0, LINK},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {ETIMEDOUT, 1}}, 0, LINK},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {ENOTCONN}}, 0, LINK},
	/* not done */
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {ENOSPC}}, 0, LINK},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EEXIST}}, 0, LINK},
	{{[TMPFILE] = {EOPNOTSUPP},
		 [MOVE] = {EINVAL},
		 [LINK] = {EPERM},
		 [RENAME] = {EXDEV}},
		0, RENAME},
};

#define COUNT (int)(sizeof cases / sizeof *cases)

START_TEST(what_a_file_system_does_not_know_has_a_next_best_way)
{
	struct outcome o = {.text = ""};
	struct store s;

	memcpy(faults, cases[_i].faults, sizeof faults);
	write_message(&s);
	ck_assert_msg(store_link(&s, &o) == (cases[_i].stored ? 0 : -1), "%s", o.text);
	for (int call = LINK_NAMELESS; call <= RENAME; call++)
		if (call > (int)cases[_i].by)
			ck_assert_int_eq(made[call], 0);
	ck_assert_int_gt(made[cases[_i].by], 0);
	store_close(&s);
	ck_assert_int_eq(count_files("new"), cases[_i].stored);
	ck_assert_int_eq(count_files("tmp"), 0);
	ck_assert_int_eq(s.may_be_there, 0);
}
END_TEST

/* The emergency comes right after the call that named the file, or failed to. */
START_TEST(an_emergency_finds_what_each_way_has_done)
{
	struct outcome o = {.text = ""};
	struct store s;
	int stored;

	memcpy(faults, cases[_i].faults, sizeof faults);
	write_message(&s);
	(void)store_link(&s, &o);
	if (s.phase == STORE_STORED)
		s.phase = STORE_BEGUN;
	stored = store_end_now(&s);
	ck_assert_int_eq(stored, cases[_i].stored);
	ck_assert_int_eq(count_files("new"), stored);
	ck_assert_int_eq(count_files("tmp"), 0);
	store_close(&s);
}
END_TEST

static const struct {
	struct fault faults[CALLS];
	int stored;
} elsewhere[] = {
	{{[TMPFILE] = {EOPNOTSUPP}}, 1},
	{{[LINK_NAMELESS] = {EXDEV}}, 1},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}}, 1},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EPERM}}, 1},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EIO, 1}}, 0},
	{{[TMPFILE] = {EOPNOTSUPP}, [MOVE] = {EINVAL}, [LINK] = {EDQUOT}}, 0},
	{{[TMPFILE] = {EOPNOTSUPP},
		 [MOVE] = {EINVAL},
		 [LINK] = {EPERM},
		 [RENAME] = {EXDEV}},
		0},
};

#define ELSEWHERE (int)(sizeof elsewhere / sizeof *elsewhere)

START_TEST(a_tmp_on_another_file_system_is_done_without)
{
	struct outcome o = {.text = ""};
	struct store s;

	is_tmp_elsewhere = 1;
	memcpy(faults, elsewhere[_i].faults, sizeof faults);
	write_message(&s);
	ck_assert_msg(
		store_link(&s, &o) == (elsewhere[_i].stored ? 0 : -1), "%s", o.text);
	store_close(&s);
	ck_assert_int_eq(count_files("new"), elsewhere[_i].stored);
	ck_assert_int_eq(count_files("tmp") + count_hidden(), 0);
	ck_assert_int_eq(s.may_be_there, 0);
}
END_TEST

START_TEST(an_emergency_leaves_no_hidden_file)
{
	struct outcome o = {.text = ""};
	struct store s;

	is_tmp_elsewhere = 1;
	memcpy(faults, elsewhere[_i].faults, sizeof faults);
	faults[UNLINK].error = EIO; /* it is tried once more */
	write_message(&s);
	(void)store_link(&s, &o);
	faults[UNLINK].error = 0;
	s.phase = STORE_BEGUN;
	ck_assert_int_eq(store_end_now(&s), elsewhere[_i].stored);
	ck_assert_int_eq(count_files("new"), elsewhere[_i].stored);
	ck_assert_int_eq(count_files("tmp") + count_hidden(), 0);
	store_close(&s);
}
END_TEST

START_TEST(a_name_that_stays_in_tmp_is_no_failure)
{
	struct outcome o = {.text = ""};
	struct store s;

	faults[TMPFILE].error = EOPNOTSUPP;
	faults[MOVE].error = EINVAL;
	faults[UNLINK].error = EIO;
	write_message(&s);
	ck_assert_int_eq(store_link(&s, &o), 0);
	ck_assert_int_eq(count_files("new"), 1);
	faults[UNLINK].error = 0; /* it is tried once more */
	store_close(&s);
	ck_assert_int_eq(count_files("new"), 1);
	ck_assert_int_eq(count_files("tmp"), 0);
}
END_TEST

static const int unknown[] = {EINVAL, ENOSYS, EOPNOTSUPP, EISDIR, EBADF};

START_TEST(where_fsync_is_not_known_all_of_the_file_system_is_synced)
{
	struct outcome o = {.text = ""};
	struct store s;

	faults[FSYNC].error = unknown[_i];
	write_message(&s);
	ck_assert_int_eq(store_link(&s, &o), 0);
	ck_assert_int_ge(made[SYNCFS], 2);
	faults[SYNCFS].error = EIO;
	store_close(&s);
	faults[SYNCFS].error = 0;
	write_message(&s);
	faults[SYNCFS].error = EIO;
	ck_assert_int_eq(store_link(&s, &o), -1);
	store_close(&s);
	ck_assert_int_eq(count_files("new"), 1);
}
END_TEST

static const int of_the_disk[] = {EIO, ENOSPC, EDQUOT, EROFS};

START_TEST(an_error_of_the_disk_is_never_taken_for_a_missing_call)
{
	struct outcome o = {.text = ""};
	struct store s;

	write_message(&s);
	faults[FSYNC].error = of_the_disk[_i];
	ck_assert_int_eq(store_link(&s, &o), -1);
	ck_assert_int_eq(made[SYNCFS], 0);
	store_close(&s);
	ck_assert_int_eq(count_files("new"), 0);
}
END_TEST

/* goofys has no fsync(), and its bytes are at the server after close(). */
START_TEST(what_fails_at_close_alone_is_not_delivered)
{
	struct outcome o = {.text = ""};
	struct store s;

	faults[TMPFILE].error = EOPNOTSUPP;
	begin_message(&s);
	faults[CLOSE] = (struct fault){of_the_disk[_i], 1};
	ck_assert_int_eq(store_sync(&s, &o), -1);
	faults[CLOSE].error = 0;
	ck_assert_int_eq(o.verdict == VERDICT_FULL_FOR_NOW, of_the_disk[_i] == EDQUOT);
	store_close(&s);
	ck_assert_int_eq(count_files("new"), 0);
	ck_assert_int_eq(count_files("tmp"), 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_name_that_stays_in_tmp_is_no_failure};
	TCase *c = ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);

	tcase_add_loop_test(
		c, what_a_file_system_does_not_know_has_a_next_best_way, 0, COUNT);
	tcase_add_loop_test(c, an_emergency_finds_what_each_way_has_done, 0, COUNT);
	tcase_add_loop_test(
		c, a_tmp_on_another_file_system_is_done_without, 0, ELSEWHERE);
	tcase_add_loop_test(c, an_emergency_leaves_no_hidden_file, 0, ELSEWHERE);
	tcase_add_loop_test(c, where_fsync_is_not_known_all_of_the_file_system_is_synced,
		0, (int)(sizeof unknown / sizeof *unknown));
	tcase_add_loop_test(c, an_error_of_the_disk_is_never_taken_for_a_missing_call, 0,
		(int)(sizeof of_the_disk / sizeof *of_the_disk));
	tcase_add_loop_test(c, what_fails_at_close_alone_is_not_delivered, 0,
		(int)(sizeof of_the_disk / sizeof *of_the_disk));
}
