/* Look-ups without libdb: the same answers as through it, and damage is never absence. */
#include "suite.h"
#include "users.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE     4096
#define FEW      120
#define MANY     20000
#define LONG_ONE 3000 /* bytes of a value that gets pages of its own */

static char folder[64], table[128];
static struct reason why;
static unsigned seed;
static unsigned number_of_keys;
static char keys[MANY][80];

static unsigned
any(unsigned below)
{
	return (unsigned)rand_r(&seed) % below;
}

static void
in_new_folder(void)
{
	strcpy(folder, access("/dev/shm", W_OK) ? "/tmp/brim-btree-XXXXXX"
						: "/dev/shm/brim-btree-XXXXXX");
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

/* --- tables ----------------------------------------------------------------------- */

/* Short and long ones; many that begin alike, and some that others begin with. */
static void
make_key(char *key)
{
	static const char letters[] = "ab.-\xc3\xbfz";
	unsigned size = any(8) ? 3 + any(9) : 30 + any(30);

	strcpy(key, any(4) ? "user" : "@");
	for (size_t at = strlen(key), end = at + size; at < end; at++) {
		key[at] = letters[any(sizeof letters - 1)];
		key[at + 1] = '\0';
	}
}

static void
put(struct users_edit *e, const char *key, unsigned longer)
{
	struct record r = {0};
	char note[LONG_ONE + 1];

	memset(note, 'n', longer);
	note[longer] = '\0';
	ck_assert(!record_set_key(&r, key) && !record_set(&r, "home", key) &&
		  (!longer || !record_set(&r, "note", note)));
	ck_assert_msg(users_edit_put(e, &r, &why) == 0, "%s", why.text);
	record_clear(&r);
}

/* COUNT keys at random, of which LONGER of a hundred have a long value; then a third of
 * them is removed, in stretches. */
static void
write_table(unsigned count, unsigned longer)
{
	struct users_edit *e = users_edit_begin(table, 1, NULL, &why);
	unsigned removed = any(count);

	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	number_of_keys = count;
	for (unsigned i = 0; i < count; i++) {
		make_key(keys[i]);
		put(e, keys[i], any(100) < longer ? LONG_ONE : any(120));
	}
	for (unsigned i = 0; i < count / 3; i++)
		users_edit_remove(e, keys[(removed + i) % count], &why);
	ck_assert_msg(
		users_edit_commit(&e, 0644, (gid_t)-1, NULL, &why) == 0, "%s", why.text);
}

/* --- the same as libdb ------------------------------------------------------------ */

static void
compare(struct users *fresh, struct users *libdb, const char *key)
{
	struct record a, b;
	int found = users_get(fresh, key, &a, &why);

	ck_assert_msg(found >= 0, "%s: %s", key, why.text);
	ck_assert_int_eq(found, users_get(libdb, key, &b, &why));
	if (found) {
		ck_assert_str_eq(a.key, b.key);
		ck_assert_str_eq(record_get(&a, "home"), record_get(&b, "home"));
		ck_assert_pstr_eq(record_get(&a, "note"), record_get(&b, "note"));
	}
	record_clear(&a);
	record_clear(&b);
}

/* The key, the next above it, and some below. */
static void
compare_around(struct users *fresh, struct users *libdb, const char *key)
{
	char near[96];
	size_t size = strlen(key);

	compare(fresh, libdb, key);
	snprintf(near, sizeof near, "%s\001", key);
	compare(fresh, libdb, near);
	memcpy(near, key, size + 1);
	near[size - 1]--;
	compare(fresh, libdb, near);
	near[size - 1] = '\0';
	compare(fresh, libdb, near);
}

/* Each table is opened anew now and then, since a long value brings libdb in for good. */
static void
compare_all(void)
{
	struct users *fresh = NULL, *libdb = users_open_to_stay(table, &why);

	ck_assert_ptr_nonnull(libdb);
	for (unsigned i = 0; i < number_of_keys; i++) {
		if (i % 8 == 0) {
			users_close(&fresh);
			fresh = users_open(table, &why);
			ck_assert_ptr_nonnull(fresh);
		}
		compare_around(fresh, libdb, keys[i]);
	}
	compare(fresh, libdb, "");
	compare(fresh, libdb, "\377\377\377");
	users_close(&fresh);
	users_close(&libdb);
}

START_TEST(each_key_and_its_neighbours_are_answered_as_libdb_does)
{
	static const unsigned counts[] = {1, 2, 3, 7, 20, 55, 150, 400, 3000, MANY};

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		for (unsigned longer = 0; longer < 20; longer += 10) {
			seed = (unsigned)i + longer;
			write_table(counts[i], longer);
			compare_all();
		}
}
END_TEST

/* Files of this process that are the table: libdb opens one of its own. */
static int
times_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct stat st, open;
	int times = 0;

	ck_assert(d && stat(table, &st) == 0);
	for (struct dirent *entry; (entry = readdir(d));)
		times += fstatat(dirfd(d), entry->d_name, &open, 0) == 0 &&
			 open.st_ino == st.st_ino && open.st_dev == st.st_dev;
	closedir(d);
	return times;
}

START_TEST(libdb_is_started_for_a_long_value_and_not_before)
{
	struct users_edit *e = users_edit_begin(table, 1, NULL, &why);
	struct users *u;
	struct record r;

	put(e, "long", LONG_ONE);
	put(e, "short", 10);
	ck_assert_int_eq(users_edit_commit(&e, 0644, (gid_t)-1, NULL, &why), 0);
	u = users_open(table, &why);
	ck_assert_int_eq(users_get(u, "short", &r, &why), 1);
	record_clear(&r);
	ck_assert_int_eq(users_get(u, "lon", &r, &why), 0);
	ck_assert_int_eq(times_open(), 1);
	ck_assert_int_eq(users_get(u, "long", &r, &why), 1);
	ck_assert_uint_eq(strlen(record_get(&r, "note")), LONG_ONE);
	record_clear(&r);
	ck_assert_int_eq(times_open(), 2);
	users_close(&u);
}
END_TEST

/* --- damage ----------------------------------------------------------------------- */

/* The key is in the table: 1 if the answer is an error, 0 if it's the key's own record.
 */
static int
is_refused(const char *key)
{
	struct users *u = users_open(table, &why);
	struct record r = {0};
	int found = u ? users_get(u, key, &r, &why) : -1;

	ck_assert_msg(found != 0, "%s is no such user", key);
	if (found > 0)
		ck_assert_str_eq(record_get(&r, "home"), key);
	record_clear(&r);
	users_close(&u);
	return found < 0;
}

static unsigned
count_refused(void)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < number_of_keys; i++)
		refused += (unsigned)is_refused(keys[i]);
	return refused;
}

/* A sound table of some pages and two levels or more, without long values; its file. */
static int
open_for_damage(unsigned count, off_t *size)
{
	struct users_edit *e;
	struct stat st;
	int fd;

	seed = count;
	write_table(count, 0);
	e = users_edit_begin(table, 0, NULL, &why);
	ck_assert_ptr_nonnull(e);
	for (unsigned i = 0; i < count; i++)
		put(e, keys[i], 40);
	ck_assert_int_eq(users_edit_commit(&e, 0644, (gid_t)-1, NULL, &why), 0);
	ck_assert_uint_eq(count_refused(), 0);
	fd = open(table, O_RDWR | O_CLOEXEC);
	ck_assert(fd >= 0 && fstat(fd, &st) == 0);
	*size = st.st_size;
	return fd;
}

static void
overwrite(int fd, off_t at, const void *bytes, size_t size)
{
	ck_assert_int_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
}

/* How often four keys at random are refused meanwhile. */
static unsigned
flip(int fd, off_t at, unsigned char bit)
{
	unsigned char was, flipped;
	unsigned refused = 0;

	ck_assert_int_eq(pread(fd, &was, 1, at), 1);
	flipped = was ^ bit;
	overwrite(fd, at, &flipped, 1);
	for (unsigned i = 0; i < 4; i++)
		refused += (unsigned)is_refused(keys[any(number_of_keys)]);
	overwrite(fd, at, &was, 1);
	return refused;
}

START_TEST(no_byte_that_flips_makes_a_user_unknown)
{
	off_t size;
	int fd = open_for_damage(FEW, &size);
	unsigned refused = 0;

	ck_assert_int_gt(size, 4 * PAGE);
	for (off_t at = 0; at < size; at++)
		refused += flip(fd, at, (unsigned char)(1 << any(8)));
	ck_assert_uint_gt(refused, PAGE);
	close(fd);
}
END_TEST

/* Where the tree is, and its form, stand here. */
START_TEST(any_bit_of_the_first_page_that_flips_is_seen)
{
	enum { IN_USE = 512 };
	off_t size;
	int fd = open_for_damage(FEW, &size);

	for (off_t at = 0; at < IN_USE; at++)
		for (unsigned bit = 1; bit < 256; bit *= 2)
			ck_assert_uint_eq(flip(fd, at, (unsigned char)bit), 4);
	close(fd);
}
END_TEST

START_TEST(no_page_of_zeros_or_in_anothers_place_makes_a_user_unknown)
{
	static const char zeros[PAGE];
	off_t size;
	int fd = open_for_damage(4 * FEW, &size);
	unsigned refused = 0;

	for (off_t at = 0; at < size; at += PAGE) {
		char was[PAGE], other[PAGE];
		off_t from = (at + PAGE * (off_t)(1 + any(5))) % size;

		ck_assert_int_eq(pread(fd, was, PAGE, at), PAGE);
		ck_assert_int_eq(pread(fd, other, PAGE, from), PAGE);
		overwrite(fd, at, zeros, PAGE);
		refused += count_refused();
		overwrite(fd, at, other, PAGE);
		overwrite(fd, from, was, PAGE);
		refused += count_refused();
		overwrite(fd, at, was, PAGE);
		overwrite(fd, from, other, PAGE);
	}
	ck_assert_uint_gt(refused, 4 * FEW);
	ck_assert_uint_eq(count_refused(), 0);
	close(fd);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		each_key_and_its_neighbours_are_answered_as_libdb_does,
		libdb_is_started_for_a_long_value_and_not_before,
		no_byte_that_flips_makes_a_user_unknown,
		any_bit_of_the_first_page_that_flips_is_seen,
		no_page_of_zeros_or_in_anothers_place_makes_a_user_unknown};

	ADD_CASE(suite, tests, .setup = in_new_folder, .teardown = remove_folder,
		.timeout = 120);
}
