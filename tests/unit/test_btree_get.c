/* Look-ups without libdb: the same answers as through it, and damage is never absence. */
#include "directory/btree_page.h"
#include "directory/users_db.h"
#include "suite.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE     4096
#define FEW      120
#define MANY     20000
#define LONG_ONE 3000 /* bytes of a value, or a path, that gets pages of its own */

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

/* A path of PATH bytes, 0 for none, is a key of the index. */
static void
put_with_path(struct users_edit *e, const char *key, unsigned longer, unsigned path)
{
	struct record r = {0};
	char note[LONG_ONE + 1], mail[LONG_ONE + 128];

	memset(mail, 'p', sizeof mail);
	mail[0] = '/';
	strcpy(mail + path, key);

	memset(note, 'n', longer);
	note[longer] = '\0';
	ck_assert(!record_set_key(&r, key) && !record_set(&r, "home", key) &&
		  (!longer || !record_set(&r, "note", note)) &&
		  (!path || !record_set(&r, "mail", mail)));
	ck_assert_msg(users_edit_put(e, &r, &why) == 0, "%s", why.text);
	record_clear(&r);
}

static void
put(struct users_edit *e, const char *key, unsigned longer)
{
	put_with_path(e, key, longer, 0);
}

/* COUNT keys at random, of which LONGER of a hundred have a long value, and as many a
 * path, long or not; then a third of them is removed, in stretches. */
static void
write_table(unsigned count, unsigned longer)
{
	struct users_edit *e = users_edit_begin(table, 1, NULL, &why);
	unsigned removed = any(count);

	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	number_of_keys = count;
	for (unsigned i = 0; i < count; i++) {
		const unsigned kind = any(100);

		make_key(keys[i]);
		put_with_path(e, keys[i], kind < longer ? LONG_ONE : any(120),
			kind / 2 < longer && kind >= longer ? 1 + any(LONG_ONE) : 0);
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

/* Each record in turn, as text. */
static int
print(void *to, const struct record *r)
{
	char *line = record_format(r);

	ck_assert(line && fprintf(to, "%s\n", line) > 0);
	free(line);
	return 0;
}

static char *
print_all(struct users *u)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(to);
	ck_assert_msg(users_each(u, "", print, to, &why) == 0, "%s", why.text);
	ck_assert_int_eq(fclose(to), 0);
	return text;
}

static void
compare_all(void)
{
	struct users *fresh = users_open(table, &why),
		     *libdb = users_open_to_stay(table, &why);
	char *all[2];

	ck_assert_ptr_nonnull(libdb);
	ck_assert_ptr_nonnull(fresh);
	for (unsigned i = 0; i < number_of_keys; i++)
		compare_around(fresh, libdb, keys[i]);
	all[0] = print_all(fresh);
	all[1] = print_all(libdb);
	ck_assert_str_eq(all[0], all[1]);
	free(all[0]);
	free(all[1]);
	compare(fresh, libdb, "");
	compare(fresh, libdb, "\377\377\377");
	users_close(&fresh);
	users_close(&libdb);
}

START_TEST(each_key_and_its_neighbours_are_answered_as_libdb_does)
{
	static const unsigned counts[] = {1, 2, 3, 7, 20, 55, 150, 400, 3000, MANY};

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		for (unsigned longer = counts[i] == MANY ? 10 : 0; longer < 20;
			longer += 10) {
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

START_TEST(a_long_value_is_read_without_libdb)
{
	struct users_edit *e = users_edit_begin(table, 1, NULL, &why);
	struct users *u;
	struct record r;

	put(e, "long", LONG_ONE);
	put(e, "short", 10);
	ck_assert_int_eq(users_edit_commit(&e, 0644, (gid_t)-1, NULL, &why), 0);
	u = users_open(table, &why);
	ck_assert_int_eq(users_get(u, "lon", &r, &why), 0);
	ck_assert_int_eq(users_get(u, "long", &r, &why), 1);
	ck_assert_uint_eq(strlen(record_get(&r, "note")), LONG_ONE);
	record_clear(&r);
	ck_assert_int_eq(times_open(), 1);
	users_close(&u);
}
END_TEST

/* --- what a table hardly has ------------------------------------------------------ */

static void
overwrite(int fd, off_t at, const void *bytes, size_t size)
{
	ck_assert_int_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
}

static void
copy_file(const char *to)
{
	char bytes[PAGE];
	int from = open(table, O_RDONLY | O_CLOEXEC);
	int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n;

	ck_assert(from >= 0 && fd >= 0);
	while ((n = read(from, bytes, sizeof bytes)) > 0)
		ck_assert_int_eq(write(fd, bytes, (size_t)n), n);
	ck_assert_int_eq(n, 0);
	close(from);
	close(fd);
}

/* Deletes every EVERYth key as a writer that dies before it has closed its cursor: the
 * items stay where they are, and are marked. */
static void
mark_deleted(unsigned every)
{
	struct users u = {.path = table};
	DBT key = {0}, value = {0};
	char copy[160];

	snprintf(copy, sizeof copy, "%s.copy", table);
	u.fd = open(table, O_RDWR | O_CLOEXEC);
	ck_assert(u.fd >= 0 && fstat(u.fd, &u.stat) == 0);
	ck_assert_msg(users_db_attach(&u, 0, 1 << 20, &why) == 0, "%s", why.text);
	for (unsigned i = 0; i < number_of_keys; i += every) {
		DBC *cursor; /* that stays on it */

		ck_assert_int_eq(u.db->cursor(u.db, NULL, &cursor, 0), 0);
		key = (DBT){.data = keys[i], .size = (u_int32_t)strlen(keys[i])};
		if (cursor->get(cursor, &key, &value, DB_SET) == 0)
			ck_assert_int_eq(cursor->del(cursor, 0), 0);
	}
	ck_assert_int_eq(u.db->sync(u.db, 0), 0);
	copy_file(copy);
	users_db_drop(&u); /* closes the cursors, too */
	close(u.fd);
	ck_assert_int_eq(rename(copy, table), 0);
}

START_TEST(items_that_are_deleted_and_still_there_are_passed_over)
{
	static const unsigned counts[] = {20, 400};

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		for (unsigned every = 1; every < 4; every++) {
			seed = (unsigned)i + every;
			write_table(counts[i], 10);
			mark_deleted(every);
			compare_all();
		}
}
END_TEST

/* The page as it is in the file, and back into it with its sum. */
static void
read_page(int fd, off_t number, uint8_t *bytes)
{
	ck_assert_int_eq(pread(fd, bytes, PAGE, number * PAGE), PAGE);
}

static void
write_page(int fd, off_t number, uint8_t *bytes, size_t sum_at, size_t summed)
{
	uint32_t sum;

	memset(bytes + sum_at, 0, sizeof sum);
	sum = btree_page_sum(bytes, summed);
	memcpy(bytes + sum_at, &sum, sizeof sum);
	overwrite(fd, number * PAGE, bytes, PAGE);
}

enum { PREVIOUS = 12, NEXT = 16, ENTRIES = 20, TYPE = 25, SUM = 28 }; /* in a page */

/* Takes all items out of the leaves but the first and the last ones, one in ten stays. */
static unsigned
empty_leaves(int fd, off_t pages)
{
	uint8_t bytes[PAGE];
	uint32_t previous, next;
	unsigned emptied = 0;

	for (off_t n = 1; n < pages; n++) {
		read_page(fd, n, bytes);
		memcpy(&previous, bytes + PREVIOUS, 4);
		memcpy(&next, bytes + NEXT, 4);
		if (bytes[TYPE] != BTREE_PAGE_LEAF || !previous || !next || any(10) == 0)
			continue;
		memset(bytes + ENTRIES, 0, 2);
		write_page(fd, n, bytes, SUM, PAGE);
		emptied++;
	}
	return emptied;
}

static off_t
open_pages(int *fd)
{
	struct stat st;

	*fd = open(table, O_RDWR | O_CLOEXEC);
	ck_assert(*fd >= 0 && fstat(*fd, &st) == 0);
	return st.st_size / PAGE;
}

START_TEST(any_run_of_empty_leaves_is_passed_over)
{
	enum { RUN = 50 };
	int fd;
	off_t pages;

	seed = 1;
	write_table(4000, 0);
	pages = open_pages(&fd);
	ck_assert_uint_gt(empty_leaves(fd, pages), RUN);
	compare_all();
	close(fd);
}
END_TEST

/* Two leaves that name each other, so that there is no end to them. */
START_TEST(leaves_in_a_circle_are_damage)
{
	uint8_t one[PAGE], other[PAGE];
	uint32_t first = 0, second = 0;
	struct users *u;
	struct record r;
	int fd;
	off_t pages;

	seed = 1;
	write_table(4000, 0);
	pages = open_pages(&fd);
	for (off_t n = 1; n < pages && !first; n++) {
		read_page(fd, n, one);
		memcpy(&second, one + NEXT, 4);
		if (one[TYPE] == BTREE_PAGE_LEAF && second)
			first = (uint32_t)n;
	}
	read_page(fd, second, other);
	memcpy(one + PREVIOUS, &second, 4);
	memcpy(other + NEXT, &first, 4);
	memset(one + ENTRIES, 0, 2);
	memset(other + ENTRIES, 0, 2);
	write_page(fd, first, one, SUM, PAGE);
	write_page(fd, second, other, SUM, PAGE);
	u = users_open(table, &why);
	for (unsigned i = 0, refused = 0; i < number_of_keys; i++) {
		refused += users_get(u, keys[i], &r, &why) < 0;
		record_clear(&r);
		if (i + 1 == number_of_keys)
			ck_assert_uint_gt(refused, 0);
	}
	ck_assert_ptr_nonnull(strstr(why.text, "damaged"));
	users_close(&u);
	close(fd);
}
END_TEST

/* Of the first page: what no table of Brim's has, its sum right. */
START_TEST(a_table_of_another_form_is_refused_and_what_to_do_is_told)
{
	static const struct {
		size_t at;
		uint8_t value;
	} forms[] = {
		{16, 8},      /* an older version */
		{24, 1},      /* encrypted */
		{26, 1 | 32}, /* subdatabases */
		{48, 1},      /* duplicates */
	};
	uint8_t sound[PAGE], bytes[PAGE];
	int fd;

	seed = 1;
	write_table(FEW, 0);
	open_pages(&fd);
	read_page(fd, 0, sound);
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		memcpy(bytes, sound, PAGE);
		bytes[forms[i].at] = forms[i].value;
		write_page(fd, 0, bytes, BTREE_META_SIZE - 20, BTREE_META_SIZE);
		ck_assert_ptr_null(users_open(table, &why));
		ck_assert_msg(strstr(why.text, "load --replace") != NULL, "%s", why.text);
		ck_assert_ptr_null(strstr(why.text, "damaged"));
	}
	close(fd);
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
		a_long_value_is_read_without_libdb,
		items_that_are_deleted_and_still_there_are_passed_over,
		any_run_of_empty_leaves_is_passed_over, leaves_in_a_circle_are_damage,
		a_table_of_another_form_is_refused_and_what_to_do_is_told,
		no_byte_that_flips_makes_a_user_unknown,
		any_bit_of_the_first_page_that_flips_is_seen,
		no_page_of_zeros_or_in_anothers_place_makes_a_user_unknown};

	ADD_CASE(suite, tests, .setup = in_new_folder, .teardown = remove_folder,
		.timeout = 600);
}
