/* The number of a user table: each change adds one, and no reader takes it for a record.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory/users_db.h"
#include "suite.h"

#define PAGE 4096

static char folder[64], table[128];
static struct reason why;

static void
in_new_folder(void)
{
	strcpy(folder, access("/dev/shm", W_OK) ? "/tmp/brim-generation-XXXXXX"
						: "/dev/shm/brim-generation-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(table, sizeof table, "%s/users.db", folder);
}

static void
remove_folder(void)
{
	char lock[160];

	snprintf(lock, sizeof lock, "%s.lock", table);
	ck_assert(unlink(table) == 0 && unlink(lock) == 0 && rmdir(folder) == 0);
}

static struct users_edit *
begin(void)
{
	struct users_edit *e = users_edit_begin(table, 1, NULL, &why);

	ck_assert_msg(e != NULL, "%s", why.text);
	return e;
}

static void
commit(struct users_edit **e)
{
	ck_assert_msg(
		users_edit_commit(e, 0644, (gid_t)-1, NULL, &why) == 0, "%s", why.text);
}

static void
put(struct users_edit *e, const char *key, size_t length)
{
	struct record r = {0};
	char path[2000] = "/home/", *name = path + strlen(path);

	memset(name, 'm', length);
	strcpy(name + length, key);
	strcat(name, "/");
	ck_assert(record_set_key(&r, key) == 0 && record_set(&r, "mail", path) == 0);
	ck_assert_msg(users_edit_put(e, &r, &why) == 0, "%s", why.text);
	record_clear(&r);
}

/* As both kinds of readers have it. */
static uint64_t
generation(void)
{
	struct users *u = users_open(table, &why),
		     *stays = users_open_to_stay(table, &why);
	uint64_t n = 0, again = 0;

	ck_assert_msg(u && stays, "%s", why.text);
	ck_assert_msg(users_generation(u, &n, &why) == 0, "%s", why.text);
	ck_assert_msg(users_generation(stays, &again, &why) == 0, "%s", why.text);
	ck_assert_uint_eq(n, again);
	users_close(&u);
	users_close(&stays);
	return n;
}

/* Takes the number out, as a table has it that was made before there was one. */
static void
make_old(void)
{
	struct users u = {.path = table, .fd = open(table, O_RDWR | O_CLOEXEC)};

	ck_assert_msg(users_db_attach(&u, 0, 1 << 20, &why) == 0, "%s", why.text);
	ck_assert_int_eq(users_db_remove(&u, users_key_table, 1, &why), 1);
	ck_assert_int_eq(users_db_detach(&u, &why), 0);
	close(u.fd);
}

START_TEST(each_commit_adds_one)
{
	struct users_edit *e = begin();
	uint64_t coming;

	commit(&e);
	ck_assert_uint_eq(generation(), 1);
	for (unsigned i = 2; i < 5; i++) {
		e = begin();
		put(e, i % 2 ? "odd" : "even", 4);
		ck_assert_int_eq(users_edit_generation(e, &coming, &why), 0);
		ck_assert_uint_eq(coming, i);
		commit(&e);
		ck_assert_uint_eq(generation(), i);
	}
}
END_TEST

START_TEST(what_is_not_committed_adds_none)
{
	struct users_edit *e = begin();

	commit(&e);
	e = begin();
	put(e, "nobody", 4);
	users_edit_abort(&e);
	ck_assert_uint_eq(generation(), 1);
}
END_TEST

START_TEST(a_table_of_before_has_none_and_gets_one_by_its_next_change)
{
	struct users_edit *e = begin();

	put(e, "ann", 4);
	commit(&e);
	make_old();
	ck_assert_uint_eq(generation(), 0);
	e = begin();
	commit(&e);
	ck_assert_uint_eq(generation(), 1);
}
END_TEST

START_TEST(a_table_that_is_replaced_goes_on_counting)
{
	struct users_edit *e = begin();

	commit(&e);
	e = begin();
	put(e, "ann", 4);
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	put(e, "bob", 4);
	commit(&e);
	ck_assert_uint_eq(generation(), 2);
	e = begin();
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	commit(&e);
	ck_assert_uint_eq(generation(), 3);
}
END_TEST

/* One of many pages, that the number does not lie on. */
static void
damage_last_page(void)
{
	int fd = open(table, O_RDWR | O_CLOEXEC);
	struct stat st;

	ck_assert(fstat(fd, &st) == 0 && st.st_size > 8 * PAGE);
	ck_assert_int_eq(pwrite(fd, "damage", 6, st.st_size - 100), 6);
	close(fd);
}

START_TEST(a_damaged_table_that_is_replaced_goes_on_if_it_can)
{
	struct users_edit *e = begin();
	char key[20];

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "user%u", i);
		put(e, key, 4);
	}
	commit(&e);
	e = begin();
	commit(&e);
	damage_last_page();
	e = begin();
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	commit(&e);
	ck_assert_uint_eq(generation(), 3);
	ck_assert_int_eq(truncate(table, PAGE), 0);
	e = begin();
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	commit(&e);
	ck_assert_uint_eq(generation(), 1);
}
END_TEST

static int
count_record(void *arg, const struct record *r)
{
	ck_assert_str_eq(r->key, "ann");
	++*(int *)arg;
	return 0;
}

START_TEST(no_reader_takes_the_number_for_a_record)
{
	struct users_edit *e = begin();
	struct users *u;
	int records = 0;

	commit(&e);
	u = users_open(table, &why);
	ck_assert_int_eq(users_has_records(u, &why), 0);
	ck_assert_int_eq(users_each(u, "", count_record, &records, &why), 0);
	ck_assert_int_eq(records, 0);
	users_close(&u);
	e = begin();
	put(e, "ann", 4);
	ck_assert_int_eq(users_edit_each(e, "", count_record, &records, &why), 0);
	commit(&e);
	u = users_open(table, &why);
	ck_assert_int_eq(users_each(u, "", count_record, &records, &why), 0);
	ck_assert_int_eq(records, 2);
	ck_assert_int_eq(users_read_through(u, &why), 0);
	users_close(&u);
}
END_TEST

START_TEST(paths_below_the_number_still_have_an_owner)
{
	struct users_edit *e = begin();
	char owner[ADDRESS_MAX + 1];

	commit(&e);
	e = begin();
	put(e, "ann", 0);
	commit(&e);
	e = begin();
	ck_assert_int_eq(users_edit_path_owner(e, "/home/", owner, &why), 1);
	ck_assert_int_eq(users_edit_path_owner(e, "/home/ann/in/", owner, &why), 1);
	ck_assert_int_eq(users_edit_path_owner(e, "/home/zoe/", owner, &why), 0);
	ck_assert_int_eq(users_edit_path_owner(e, "/\377\377", owner, &why), 0);
	users_edit_abort(&e);
}
END_TEST

/* Such a path is a key with pages of its own, which only libdb reads. */
START_TEST(a_long_path_before_it_is_no_harm)
{
	struct users_edit *e = begin();

	put(e, "ann", 1500);
	commit(&e);
	ck_assert_uint_eq(generation(), 1);
	e = begin();
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	commit(&e);
	ck_assert_uint_eq(generation(), 2);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {each_commit_adds_one,
		what_is_not_committed_adds_none,
		a_table_of_before_has_none_and_gets_one_by_its_next_change,
		a_table_that_is_replaced_goes_on_counting,
		a_damaged_table_that_is_replaced_goes_on_if_it_can,
		no_reader_takes_the_number_for_a_record,
		paths_below_the_number_still_have_an_owner,
		a_long_path_before_it_is_no_harm};

	ADD_CASE(suite, tests, .setup = in_new_folder, .teardown = remove_folder);
}
