/* The store that is a Maildir, as a delivery uses it: in any process, in any thread. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/delivery/store.h"
#include "store_kind.h"
#include "suite.h"

#define TEXT "Subject: test\n\ntest\n"

static char folder[sizeof "/tmp/brim-store-XXXXXX"];
static char path[sizeof folder + sizeof "/Maildir/"];

static void
setup(void)
{
	strcpy(folder, "/tmp/brim-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/Maildir/", folder);
}

static void
teardown(void)
{
	remove_tree(folder);
}

/* The files in a folder of the Maildir; each must be whole. None where it is missing. */
static int
count_files(const char *name)
{
	char text[sizeof path + 300];
	struct dirent *e;
	struct stat st;
	int n = 0;
	DIR *dir;

	snprintf(text, sizeof text, "%s%s", path, name);
	dir = opendir(text);
	if (!dir)
		return 0;
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.') {
			ck_assert_int_eq(fstatat(dirfd(dir), e->d_name, &st, 0), 0);
			ck_assert_int_eq(st.st_size, strlen(TEXT));
			n++;
		}
	closedir(dir);
	return n;
}

enum last { OPENED, BEGUN, WRITTEN, NAMED, SYNCED, LINKED };

/* So many steps of a delivery. */
static void
go_on(struct store *s, enum last last)
{
	struct mailbox m = {.path = path, .uid = geteuid()};
	struct outcome o = {.text = ""};

	store_init(s);
	ck_assert_msg(
		store_open(s, &m, &o) == 0 && (last < BEGUN || !store_begin(s, &o)) &&
			(last < WRITTEN || !store_write(s, TEXT, strlen(TEXT), &o)) &&
			(last < NAMED || !store_choose_name(s, s->bytes, &o)) &&
			(last < SYNCED || !store_sync(s, &o)) &&
			(last < LINKED || !store_link(s, &o)),
		"%s", o.text);
}

START_TEST(only_what_is_linked_stays)
{
	struct store s;

	go_on(&s, (enum last)_i);
	store_close(&s);
	ck_assert_int_eq(count_files("new"), _i == LINKED);
	ck_assert_int_eq(count_files("tmp"), 0);
	ck_assert_int_eq(store_end_now(&s), _i == LINKED);
}
END_TEST

START_TEST(an_emergency_leaves_it_stored_or_not_there)
{
	struct store s;

	go_on(&s, (enum last)_i);
	ck_assert_int_eq(store_end_now(&s), _i == LINKED);
	ck_assert_int_eq(count_files("new"), _i == LINKED);
	ck_assert_int_eq(count_files("tmp"), 0);
	store_close(&s);
}
END_TEST

static void *
deliver_many(void *arg)
{
	struct store s;

	for (int i = 0; i < 60; i++) {
		go_on(&s, (enum last)(i % (LINKED + 1)));
		store_close(&s);
	}
	return arg;
}

START_TEST(two_threads_fill_one_maildir)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, deliver_many, NULL), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(count_files("new"), 20);
	ck_assert_int_eq(count_files("tmp"), 0);
}
END_TEST

START_TEST(a_missing_maildir_is_made_when_the_message_begins)
{
	struct store s;

	go_on(&s, OPENED);
	ck_assert_int_eq(s.is_missing, 1);
	ck_assert_int_eq(access(path, F_OK), -1);
	store_close(&s);
	go_on(&s, BEGUN);
	ck_assert_int_eq(access(path, F_OK), 0);
	store_close(&s);
	go_on(&s, OPENED);
	ck_assert_int_eq(s.is_missing, 0);
	store_close(&s);
}
END_TEST

START_TEST(a_maildir_without_new_is_missing)
{
	struct store s;

	ck_assert_int_eq(mkdir(path, 0700), 0);
	go_on(&s, OPENED);
	ck_assert_int_eq(s.is_missing, 1);
	store_close(&s);
	go_on(&s, LINKED);
	store_close(&s);
	ck_assert_int_eq(count_files("new"), 1);
}
END_TEST

static void
assert_misconfigured(struct mailbox *m, int opened, const char *text)
{
	struct outcome o;
	struct store s;

	store_init(&s);
	ck_assert_int_eq(store_open(&s, m, &o), opened);
	if (opened == 0)
		ck_assert_int_eq(store_begin(&s, &o), -1);
	ck_assert_int_eq((int)o.verdict, VERDICT_MISCONFIGURED);
	ck_assert_msg(strstr(o.text, text) != NULL, "%s", o.text);
	store_close(&s);
}

START_TEST(a_maildir_of_somebody_else_is_not_written_to)
{
	struct mailbox m = {.path = path, .uid = geteuid() + 1};

	assert_misconfigured(&m, 0, "its parent belongs to uid");
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	assert_misconfigured(&m, -1, "the mailbox belongs to uid");
}
END_TEST

START_TEST(a_path_that_no_type_takes_is_a_configuration_error)
{
	static char mbox[] = "/var/mail/alice";
	struct mailbox m = {.path = mbox, .uid = geteuid()};
	enum store_kind kind;

	assert_misconfigured(&m, -1, "only Maildirs");
	ck_assert_int_eq(store_kind_of("", &kind, NULL), -1);
	ck_assert_int_eq(store_kind_of("/", &kind, NULL), -1);
	ck_assert_int_eq(store_kind_of("/m/", &kind, NULL), 0);
	ck_assert_ptr_eq(store_type_of("/m/", NULL), &store_maildir);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {two_threads_fill_one_maildir,
		a_missing_maildir_is_made_when_the_message_begins,
		a_maildir_without_new_is_missing,
		a_maildir_of_somebody_else_is_not_written_to,
		a_path_that_no_type_takes_is_a_configuration_error};
	TCase *c = ADD_CASE(
		suite, tests, .setup = setup, .teardown = teardown, .timeout = 60);

	tcase_add_loop_test(c, only_what_is_linked_stays, OPENED, LINKED + 1);
	tcase_add_loop_test(
		c, an_emergency_leaves_it_stored_or_not_there, OPENED, LINKED + 1);
}
