/* Files and directories of a server that mixes up who asks: with fakes of the calls that
 * make them. All else is the real file system. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/delivery/made.h"
#include "suite.h"

#define STRANGER 4711
#define ENOUGH   1000

static int refusals;  /* so many calls are answered with ERROR */
static int strangers; /* after them, so much is made as somebody else's */
static int error, calls, is_strangers;

static char folder[] = "/tmp/brim-made-XXXXXX";
static int dir;

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static int
is_refused(void)
{
	calls++;
	if (refusals > 0 && refusals--) {
		errno = error;
		return 1;
	}
	is_strangers = strangers > 0 && strangers--;
	return 0;
}

int
openat(int in, const char *name, int flags, ...)
{
	va_list args;
	mode_t mode;

	if (!(flags & O_CREAT))
		return REAL(openat)(in, name, flags);
	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return is_refused() ? -1 : REAL(openat)(in, name, flags, mode);
}

int
mkdirat(int in, const char *name, mode_t mode)
{
	return is_refused() ? -1 : REAL(mkdirat)(in, name, mode);
}

int
fstat(int fd, struct stat *st)
{
	int result = REAL(fstat)(fd, st);

	if (is_strangers)
		st->st_uid = STRANGER;
	return result;
}

int
fstatat(int in, const char *name, struct stat *st, int flags)
{
	int result = REAL(fstatat)(in, name, st, flags);

	if (is_strangers)
		st->st_uid = STRANGER;
	return result;
}

static void
setup(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dir, 0);
	refusals = strangers = calls = is_strangers = 0;
	error = EPERM;
}

static void
teardown(void)
{
	is_strangers = 0;
	close(dir);
	remove_tree(folder);
}

static int
is_there(void)
{
	return faccessat(dir, "x", F_OK, 0) == 0;
}

/* Whether it was made. */
static int
make(int directory, uid_t *whose)
{
	int file = -1;

	*whose = geteuid();
	if (directory)
		return made_directory(dir, "x", geteuid()) == 0;
	file = made_file(dir, "x", geteuid(), whose);
	return file >= 0 && close(file) == 0;
}

START_TEST(what_is_refused_for_a_moment_is_made)
{
	uid_t whose;

	refusals = 3;
	strangers = 3;
	ck_assert(make(_i, &whose));
	ck_assert_int_eq(calls, 7);
	ck_assert_uint_eq(whose, geteuid());
	ck_assert(is_there());
}
END_TEST

START_TEST(what_stays_refused_ends)
{
	uid_t whose;

	refusals = ENOUGH;
	ck_assert(!make(_i, &whose));
	ck_assert_int_eq(errno, EPERM);
	ck_assert_uint_eq(whose, geteuid());
	ck_assert_int_lt(calls, 20);
}
END_TEST

START_TEST(a_strangers_is_removed_and_told)
{
	uid_t whose;

	strangers = ENOUGH;
	ck_assert(!make(_i, &whose));
	ck_assert_int_eq(errno, EPERM);
	ck_assert_uint_eq(whose, _i ? geteuid() : STRANGER);
	ck_assert(!is_there());
}
END_TEST

static const int others[] = {EACCES, ENOSPC, EDQUOT, EROFS, EIO, ENOENT, EINVAL};

#define OTHERS (int)(sizeof others / sizeof *others)

START_TEST(another_error_is_no_reason_to_wait)
{
	uid_t whose;

	refusals = 1;
	error = others[_i / 2];
	ck_assert(!make(_i % 2, &whose));
	ck_assert_int_eq(errno, error);
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(what_is_there_is_anothers_file_but_our_directory)
{
	uid_t whose;

	refusals = 1;
	error = EEXIST;
	ck_assert_int_eq(make(_i, &whose), _i);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(calls, 1);
}
END_TEST

void
add_tests(Suite *suite)
{
	TCase *c = add_case(suite, NULL, 0,
		&(const struct fixture){.setup = setup, .teardown = teardown});

	tcase_add_loop_test(c, what_is_refused_for_a_moment_is_made, 0, 2);
	tcase_add_loop_test(c, what_stays_refused_ends, 0, 2);
	tcase_add_loop_test(c, a_strangers_is_removed_and_told, 0, 2);
	tcase_add_loop_test(c, another_error_is_no_reason_to_wait, 0, 2 * OTHERS);
	tcase_add_loop_test(c, what_is_there_is_anothers_file_but_our_directory, 0, 2);
}
