/* The user table: what readers see of sound, changing, damaged and foreign files. */
#include "clock.h"
#include "suite.h"
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "address.h"

#define PAGE  4096
#define USERS 300

static char folder[64], table[128], copy[128];
static struct reason why;
static int in_child; /* where Check's assertions would write into its parent's report */

static void
need(int true_enough)
{
	if (!true_enough && in_child)
		_exit(99);
	if (!true_enough)
		ck_abort_msg("%s", why.text);
}

static pid_t
start_child(void)
{
	pid_t pid = fork();

	need(pid >= 0);
	in_child = pid == 0;
	return pid;
}

static void
in_new_folder(void)
{
	strcpy(folder, access("/dev/shm", W_OK) ? "/tmp/brim-users-XXXXXX"
						: "/dev/shm/brim-users-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(table, sizeof table, "%s/users.db", folder);
	snprintf(copy, sizeof copy, "%s/copy.db", folder);
}

static void
remove_folder(void)
{
	remove_tree(folder);
}

static void
fill(struct record *r, const char *key, unsigned generation)
{
	char path[400];

	memset(r, 0, sizeof *r);
	snprintf(path, sizeof path, "/home/%s/Maildir/", key);
	need(!record_set_key(r, key) && !record_set(r, "mail", path) &&
		!record_set_number(r, "quota", generation) &&
		!record_set(r, "note", "some words that make the record longer"));
}

static void
put(struct users_edit *e, const char *key, unsigned generation)
{
	struct record r;

	fill(&r, key, generation);
	need(users_edit_put(e, &r, &why) == 0);
	record_clear(&r);
}

static struct users_edit *
begin(void)
{
	struct users_edit *e = users_edit_begin(table, 1, NULL, &why);

	need(e != NULL);
	return e;
}

static void
commit(struct users_edit **e)
{
	need(users_edit_commit(e, 0644, (gid_t)-1, NULL, &why) == 0);
}

static const char *
name_of(unsigned i)
{
	static char name[64];

	snprintf(name, sizeof name, "user%05u@example.org", i);
	return name;
}

/* A table of COUNT users, all of one generation. */
static void
write_table(unsigned count, unsigned generation)
{
	struct users_edit *e = begin();

	for (unsigned i = 0; i < count; i++)
		put(e, name_of(i), generation);
	commit(&e);
}

static struct users *
open_sound(const char *path)
{
	struct users *u = users_open(path, &why);

	need(u != NULL);
	return u;
}

static int
lookup(struct users *u, const char *key, uint64_t *generation)
{
	struct record r;
	int found = users_get(u, key, &r, &why);

	if (found > 0)
		need(record_number(&r, "quota", 0, generation) == 0);
	record_clear(&r);
	return found;
}

static void
assert_refused(const char *path, const char *word)
{
	struct users *u = users_open(path, &why);

	ck_assert_ptr_null(u);
	ck_assert_msg(strstr(why.text, word) != NULL, "%s", why.text);
}

static void
write_bytes(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	close(fd);
}

static char *
read_bytes(const char *path, size_t *size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *bytes;

	ck_assert(fd >= 0 && fstat(fd, &st) == 0);
	bytes = malloc((size_t)st.st_size);
	ck_assert_int_eq(read(fd, bytes, (size_t)st.st_size), st.st_size);
	close(fd);
	*size = (size_t)st.st_size;
	return bytes;
}

/* --- sound tables ----------------------------------------------------------------- */

START_TEST(what_was_put_is_found)
{
	struct users *u;
	uint64_t generation = 0;

	write_table(USERS, 7);
	u = open_sound(table);
	for (unsigned i = 0; i < USERS; i++) {
		ck_assert_int_eq(lookup(u, name_of(i), &generation), 1);
		ck_assert_uint_eq(generation, 7);
	}
	ck_assert_int_eq(users_read_through(u, &why), 0);
	users_close(&u);
	ck_assert_ptr_null(u);
}
END_TEST

START_TEST(what_was_not_put_is_absent)
{
	static const char *const absent[] = {"", "a", "user00000",
		"user00000@example.orga", "user00000@example.or", "zzzz", "@example.org",
		"\377\377\377\377", "\177"};
	struct users *u;
	uint64_t n;

	write_table(USERS, 7);
	u = open_sound(table);
	for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
		ck_assert_msg(lookup(u, absent[i], &n) == 0, "%zu: %s", i, why.text);
	users_close(&u);
}
END_TEST

/* It keeps the record of the domain that was asked for last. */
START_TEST(a_table_opened_to_stay_gives_the_same_records)
{
	static const char *const keys[] = {
		"@a.org", "@a.org", "@none.org", "@b.org", "x@a.org", "@b.org", "@a.org"};
	static const uint64_t generations[] = {1, 1, 0, 2, 3, 2, 1};
	struct users_edit *e = begin();
	struct users *u;
	uint64_t generation;

	put(e, "@a.org", 1);
	put(e, "@b.org", 2);
	put(e, "x@a.org", 3);
	commit(&e);
	u = users_open_to_stay(table, &why);
	need(u != NULL);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		generation = 0;
		ck_assert_int_eq(lookup(u, keys[i], &generation), generations[i] != 0);
		ck_assert_uint_eq(generation, generations[i]);
	}
	users_close(&u);
}
END_TEST

START_TEST(an_empty_table_says_so)
{
	struct users *u;
	struct users_edit *e = begin();

	commit(&e);
	u = open_sound(table);
	ck_assert_int_eq(users_has_records(u, &why), 0);
	ck_assert_int_eq(users_read_through(u, &why), 0);
	users_close(&u);
	write_table(1, 1);
	u = open_sound(table);
	ck_assert_int_eq(users_has_records(u, &why), 1);
	users_close(&u);
}
END_TEST

struct walk {
	unsigned count, most;
	char last[ADDRESS_MAX + 1];
};

static int
step(void *arg, const struct record *r)
{
	struct walk *w = arg;

	ck_assert_int_lt(strcmp(w->last, r->key), 0);
	ck_assert_int_ge((unsigned char)r->key[0], ' ');
	strcpy(w->last, r->key);
	return ++w->count == w->most ? 5 : 0;
}

static void
put_key(const char *key)
{
	struct users_edit *e = begin();

	put(e, key, 1);
	commit(&e);
}

static void
remove_key(const char *key)
{
	struct users_edit *e = begin();

	ck_assert_int_eq(users_edit_remove(e, key, &why), 1);
	commit(&e);
}

static void
assert_forms(int bare, int alice, int al)
{
	struct users *u = open_sound(table);

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(users_has_bare_names(u, &why), bare);
	ck_assert_int_eq(users_has_local_part(u, "alice", &why), alice);
	ck_assert_int_eq(users_has_local_part(u, "al", &why), al);
	ck_assert_int_eq(users_has_local_part(u, "zzz", &why), 0);
	users_close(&u);
}

START_TEST(a_table_knows_the_forms_of_its_names)
{
	put_key("alice@example.org");
	assert_forms(0, 1, 0);
	put_key("@example.org");
	put_key("al@example.org");
	put_key("alicex@example.org");
	assert_forms(0, 1, 1);
	put_key("root");
	put_key("root");
	put_key("zoe");
	assert_forms(1, 1, 1);
	remove_key("root");
	remove_key("alice@example.org");
	assert_forms(1, 0, 1);
	remove_key("zoe");
	assert_forms(0, 0, 1);
}
END_TEST

START_TEST(each_gives_every_record_in_order)
{
	struct walk all = {0}, some = {.most = 3}, rest = {0};
	struct users *u;

	write_table(USERS, 1);
	u = open_sound(table);
	ck_assert_int_eq(users_each(u, "", step, &all, &why), 0);
	ck_assert_uint_eq(all.count, USERS);
	ck_assert_int_eq(users_each(u, "", step, &some, &why), 5);
	ck_assert_str_eq(some.last, "user00002@example.org");
	ck_assert_int_eq(users_each(u, some.last, step, &rest, &why), 0);
	ck_assert_uint_eq(rest.count, USERS - 3);
	users_close(&u);
}
END_TEST

START_TEST(a_record_longer_than_a_line_is_refused)
{
	struct users_edit *e = begin();
	char *value = calloc(1, RECORD_LINE_MAX);
	struct record r;

	fill(&r, "alice", 1);
	memset(value, 'x', RECORD_LINE_MAX - 150);
	ck_assert_int_eq(record_set(&r, "note", value), 0);
	ck_assert_msg(users_edit_put(e, &r, &why) == 0, "%s", why.text);
	memset(value, 'x', RECORD_LINE_MAX - 1);
	ck_assert_int_eq(record_set(&r, "note", value), 0);
	ck_assert_int_eq(users_edit_put(e, &r, &why), -1);
	ck_assert_msg(strstr(why.text, "longer") != NULL, "%s", why.text);
	commit(&e);
	free(value);
	record_clear(&r);
}
END_TEST

START_TEST(odd_keys_are_refused)
{
	static const char *const odd[] = {"", "\001/home", "\003", NULL};
	struct users_edit *e = begin();
	char key[ADDRESS_MAX + 2];
	struct record r = {0};

	for (size_t i = 0; odd[i]; i++) {
		ck_assert_int_eq(record_set_key(&r, odd[i]), 0);
		ck_assert_int_eq(users_edit_put(e, &r, &why), -1);
		ck_assert_int_eq(users_edit_remove(e, odd[i], &why), -1);
	}
	memset(key, 'a', sizeof key - 1);
	key[sizeof key - 1] = '\0';
	ck_assert_int_eq(record_set_key(&r, key), 0);
	ck_assert_int_eq(users_edit_put(e, &r, &why), -1);
	record_clear(&r);
	users_edit_abort(&e);
}
END_TEST

/* --- paths ------------------------------------------------------------------------- */

static void
put_mail(struct users_edit *e, const char *key, const char *path)
{
	struct record r = {0};

	ck_assert(!record_set_key(&r, key) && !record_set(&r, "mail", path));
	ck_assert_int_eq(users_edit_put(e, &r, &why), 0);
	record_clear(&r);
}

static const struct {
	const char *path, *owner;
} paths[] = {
	{"/srv/mail/a/", "a"},
	{"/srv/mail/a", "a"},
	{"/srv/mail/a/b/c/", "a"},
	{"/srv/mail/", "a"},
	{"/srv/", "a"},
	{"/", "a"},
	{"/srv/mail/ab/", NULL},
	{"/srv/mail/a-/", NULL},
	{"/srv/mai/", NULL},
	{"/srv/mail/d/", "d"},
	{"/srv/mail/a/b!/c/", "a"},
	{"/srv/mail/a//b/", "a"},
	{"/srv/mail/d/y/z/", "d"},
	{"/srv/mail/d!x/", "d!x"},
	{"/srv/mail/d!x/y/", "d!x"},
	{"/srv/mail/d!", NULL},
	{"/srv/mail/dd/", NULL},
	{"/zzz/", NULL},
	{"/a/", NULL},
};

START_TEST(same_and_nested_paths_have_an_owner)
{
	struct users_edit *e = begin();
	char key[ADDRESS_MAX + 1];

	put_mail(e, "a", "/srv/mail/a/");
	put_mail(e, "d", "/srv/mail/d");
	put_mail(e, "d!x", "/srv/mail/d!x"); /* between that and what lies in it */
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		ck_assert_int_eq(users_edit_path_owner(e, paths[i].path, key, &why),
			paths[i].owner != NULL);
		if (paths[i].owner)
			ck_assert_str_eq(key, paths[i].owner);
	}
	users_edit_abort(&e);
}
END_TEST

/* What was said before a change is not said again after it. */
START_TEST(a_change_is_seen_at_once)
{
	static const char *const keys[] = {"a@x.org", "@x.org"};
	struct users_edit *e = begin();
	struct record r;

	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(users_edit_get(e, keys[i], &r, &why), 0);
		ck_assert_int_eq(users_edit_get(e, keys[i], &r, &why), 0);
		for (uint64_t n, generation = 1; generation < 3; generation++) {
			put(e, keys[i], (unsigned)generation);
			ck_assert_int_eq(users_edit_get(e, keys[i], &r, &why), 1);
			ck_assert(record_number(&r, "quota", 0, &n) == 0);
			ck_assert_uint_eq(n, generation);
			record_clear(&r);
		}
		ck_assert_int_eq(users_edit_remove(e, keys[i], &why), 1);
		ck_assert_int_eq(users_edit_get(e, keys[i], &r, &why), 0);
		put(e, keys[i], 1);
	}
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(users_edit_get(e, keys[i], &r, &why), 0);
	users_edit_abort(&e);
}
END_TEST

START_TEST(a_path_is_free_once_its_record_lets_go)
{
	struct users_edit *e = begin();
	char key[ADDRESS_MAX + 1];

	put_mail(e, "a", "/srv/a/");
	put_mail(e, "a", "/srv/b/");
	ck_assert_int_eq(users_edit_path_owner(e, "/srv/a/", key, &why), 0);
	ck_assert_int_eq(users_edit_path_owner(e, "/srv/b/", key, &why), 1);
	ck_assert_int_eq(users_edit_remove(e, "a", &why), 1);
	ck_assert_int_eq(users_edit_remove(e, "a", &why), 0);
	ck_assert_int_eq(users_edit_path_owner(e, "/srv/b/", key, &why), 0);
	put_mail(e, "a", "/"); /* has no place in the index, and does no harm */
	ck_assert_int_eq(users_edit_remove(e, "a", &why), 1);
	commit(&e);
}
END_TEST

/* --- files that are no sound table ----------------------------------------------- */

/* Keys come in the middle, so without packing most pages are half empty, and the table is
 * 1.25 MB. */
START_TEST(a_table_that_has_grown_has_full_pages_and_every_record)
{
	enum { MANY = 3000, BYTES = 245 }; /* of a record, with its path in the index */
	struct stat st;
	struct users *u;
	uint64_t n;

	write_table(MANY, 7);
	ck_assert_int_eq(stat(table, &st), 0);
	ck_assert_msg(st.st_size < MANY * BYTES, "%lld", (long long)st.st_size);
	write_table(USERS, 8);
	u = open_sound(table);
	for (unsigned i = 0; i < MANY; i++) {
		ck_assert_int_eq(lookup(u, name_of(i), &n), 1);
		ck_assert_uint_eq(n, i < USERS ? 8 : 7);
	}
	ck_assert_int_eq(users_read_through(u, &why), 0);
	users_close(&u);
}
END_TEST

START_TEST(a_missing_table_is_an_error)
{
	assert_refused(table, "No such file");
	ck_assert_ptr_null(users_edit_begin(table, 0, NULL, &why));
}
END_TEST

START_TEST(an_empty_file_is_an_error)
{
	write_bytes(table, "", 0);
	assert_refused(table, "empty");
}
END_TEST

START_TEST(what_is_no_database_is_an_error)
{
	char bytes[3 * PAGE];

	memset(bytes, 'x', sizeof bytes);
	write_bytes(table, bytes, sizeof bytes);
	assert_refused(table, "not a table");
	write_bytes(table, bytes, 20);
	assert_refused(table, "not a table");
	memset(bytes, 0, sizeof bytes);
	write_bytes(table, bytes, sizeof bytes);
	assert_refused(table, "not a table");
}
END_TEST

START_TEST(a_table_of_somebody_else_is_refused)
{
	write_table(3, 1);
	ck_assert_int_eq(chown(table, 65533, 0), 0);
	assert_refused(table, "65533");
	ck_assert_ptr_null(users_edit_begin(table, 1, NULL, &why));
	ck_assert_msg(strstr(why.text, "65533") != NULL, "%s", why.text);
}
END_TEST

START_TEST(a_table_that_others_may_write_to_is_refused)
{
	write_table(3, 1);
	ck_assert_int_eq(chmod(table, 0664), 0);
	assert_refused(table, "may write");
	ck_assert_int_eq(chmod(table, 0646), 0);
	assert_refused(table, "may write");
}
END_TEST

START_TEST(a_link_a_fifo_and_a_directory_are_refused)
{
	write_table(3, 1);
	ck_assert_int_eq(symlink(table, copy), 0);
	assert_refused(copy, "link");
	ck_assert_int_eq(unlink(copy), 0);
	ck_assert_int_eq(mkfifo(copy, 0600), 0);
	assert_refused(copy, "regular");
	assert_refused(folder, "regular");
}
END_TEST

START_TEST(a_writer_wants_a_directory_that_is_roots_alone)
{
	ck_assert_int_eq(chmod(folder, 0775), 0);
	ck_assert_ptr_null(users_edit_begin(table, 1, NULL, &why));
	ck_assert_msg(strstr(why.text, "nobody else") != NULL, "%s", why.text);
	ck_assert_int_eq(chmod(folder, 0755), 0);
	ck_assert_int_eq(chown(folder, 65533, 0), 0);
	ck_assert_ptr_null(users_edit_begin(table, 1, NULL, &why));
}
END_TEST

/* --- damage ------------------------------------------------------------------------ */

enum damage_result { RIGHT, REFUSED, WRONG, UNSEEN };

/* Looks a user up and reads the table through; what libdb does on damage (it may crash or
 * spin) stays in the child. */
static enum damage_result
judge(const char *key)
{
	struct users *u = users_open(copy, &why);
	uint64_t generation = 0;
	int found = u ? lookup(u, key, &generation) : -1;

	if (found == 0 || (found == 1 && generation != 7))
		return WRONG;
	if (u && users_read_through(u, &why) == 0)
		return UNSEEN;
	return found == 1 ? RIGHT : REFUSED;
}

static enum damage_result
judge_in_child(const char *key)
{
	int status;
	pid_t pid = start_child();

	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		alarm(1);
		_exit((int)judge(key));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? (enum damage_result)WEXITSTATUS(status) : REFUSED;
}

START_TEST(a_table_cut_off_anywhere_is_refused)
{
	size_t size;
	char *bytes;

	write_table(USERS, 7);
	bytes = read_bytes(table, &size);
	ck_assert_uint_gt(size, 10 * PAGE);
	for (size_t at = 0; at < size; at += PAGE) {
		write_bytes(copy, bytes, at);
		assert_refused(copy, at ? "damaged" : "empty");
		write_bytes(copy, bytes, at + 100);
		assert_refused(copy, "damaged");
	}
	free(bytes);
}
END_TEST

START_TEST(a_page_of_zeros_is_never_no_such_user)
{
	size_t size;
	char *bytes, saved[PAGE];

	write_table(USERS, 7);
	bytes = read_bytes(table, &size);
	for (size_t at = 0; at < size; at += PAGE) {
		memcpy(saved, bytes + at, PAGE);
		memset(bytes + at, 0, PAGE);
		write_bytes(copy, bytes, size);
		for (unsigned i = 0; i < USERS; i += USERS / 3) {
			enum damage_result result = judge_in_child(name_of(i));

			ck_assert_msg(result == RIGHT || result == REFUSED,
				"page %zu, user %u: %d", at / PAGE, i, (int)result);
		}
		memcpy(bytes + at, saved, PAGE);
	}
	free(bytes);
}
END_TEST

START_TEST(a_flipped_byte_is_never_no_such_user)
{
	unsigned seed = 1;
	size_t size;
	char *bytes;

	write_table(USERS, 7);
	bytes = read_bytes(table, &size);
	for (unsigned i = 0; i < 600; i++) {
		size_t at = (size_t)rand_r(&seed) % size;
		enum damage_result result;

		if (i < 64)
			at = i; /* the first page's own fields */
		if (at >= 512 && at < PAGE)
			continue; /* libdb uses and sums the first 512 bytes of it */
		bytes[at] ^= (char)(1 << rand_r(&seed) % 8);
		write_bytes(copy, bytes, size);
		result = judge_in_child(name_of((unsigned)rand_r(&seed) % USERS));
		ck_assert_msg(result == RIGHT || result == REFUSED, "byte %zu: %d", at,
			(int)result);
		write_bytes(copy, bytes, 0);
		free(bytes);
		bytes = read_bytes(table, &size);
	}
	free(bytes);
}
END_TEST

static int
reads_through(const char *path)
{
	struct users *u = users_open(path, &why);
	int result = u ? users_read_through(u, &why) : -1;

	users_close(&u);
	return result == 0;
}

/* Free bytes of a page among them. */
START_TEST(reading_through_sees_any_byte_that_flipped)
{
	unsigned seed = 2;
	size_t size;
	char *bytes;

	write_table(USERS, 7);
	bytes = read_bytes(table, &size);
	ck_assert(reads_through(table));
	for (unsigned i = 0; i < 2000; i++) {
		size_t at = PAGE + (size_t)rand_r(&seed) % (size - PAGE);
		char flip = (char)(1 << rand_r(&seed) % 8);

		bytes[at] ^= flip;
		write_bytes(copy, bytes, size);
		ck_assert_msg(!reads_through(copy), "byte %zu", at);
		bytes[at] ^= flip;
	}
	free(bytes);
}
END_TEST

/* libdb's sum, as it stands in the page's bytes 28 to 31. */
static void
sum_page(char *page)
{
	uint32_t sum = 0;

	memset(page + 28, 0, 4);
	for (size_t i = 0; i < PAGE; i++)
		sum = sum * 33 + (unsigned char)page[i];
	memcpy(page + 28, &sum, 4);
}

/* The first two items' offsets stand at 32 and 36: keys, in a leaf and a branch alike. */
START_TEST(reading_through_sees_keys_out_of_order_under_a_right_sum)
{
	size_t size, seen = 0;
	char *bytes, saved[PAGE];

	write_table(USERS, 7);
	bytes = read_bytes(table, &size);
	for (size_t at = PAGE; at < size; at += PAGE) {
		char *page = bytes + at;

		memcpy(saved, page, PAGE);
		sum_page(page);
		ck_assert_int_eq(memcmp(page, saved, PAGE), 0);
		if (page[25] == 5 && page[20] >= 4) {
			memcpy(page + 32, saved + 36, 2);
			memcpy(page + 36, saved + 32, 2);
			sum_page(page);
			write_bytes(copy, bytes, size);
			ck_assert_msg(!reads_through(copy), "page %zu", at / PAGE);
			seen++;
		}
		memcpy(page, saved, PAGE);
	}
	ck_assert_uint_gt(seen, 5);
	free(bytes);
}
END_TEST

START_TEST(pages_that_changed_places_are_seen)
{
	size_t size;
	char *bytes, saved[PAGE];

	write_table(USERS, 7);
	bytes = read_bytes(table, &size);
	memcpy(saved, bytes + 3 * PAGE, PAGE);
	memcpy(bytes + 3 * PAGE, bytes + 5 * PAGE, PAGE);
	memcpy(bytes + 5 * PAGE, saved, PAGE);
	write_bytes(copy, bytes, size);
	ck_assert_int_ne((int)judge_in_child(name_of(1)), (int)UNSEEN);
	free(bytes);
}
END_TEST

/* --- a page with what another has, its number and checksum right ------------------- */

enum { FEW = 401, GENERATION = 7 };

static void
put_page(char *bytes, size_t page, const char *content)
{
	const uint32_t number = (uint32_t)page;
	char *to = bytes + page * PAGE;

	memcpy(to, content, PAGE);
	memcpy(to + 8, &number, 4);
	sum_page(to);
}

/* Calls EACH for the table with each page as each of some others. */
static void
for_each_copied_page(char *bytes, size_t size, void (*each)(size_t page, size_t other))
{
	char saved[PAGE];
	size_t pages = size / PAGE;

	for (size_t page = 1; page < pages; page++)
		for (size_t other = 1; other < pages; other += 1 + pages / 30) {
			if (other == page)
				continue;
			memcpy(saved, bytes + page * PAGE, PAGE);
			put_page(bytes, page, bytes + other * PAGE);
			write_bytes(copy, bytes, size);
			each(page, other);
			memcpy(bytes + page * PAGE, saved, PAGE);
		}
}

static void
must_be_refused(size_t page, size_t other)
{
	ck_assert_msg(!reads_through(copy), "page %zu as %zu", page, other);
}

/* What is not there is damage, and no user is believed to be another. */
static void
must_lose_nobody(size_t page, size_t other)
{
	struct users *u = open_sound(copy);
	uint64_t generation;

	for (unsigned i = 0; i < FEW; i += 7)
		ck_assert_msg(!(lookup(u, name_of(i), &generation) == 0 &&
				      users_has_records(u, &why) >= 0),
			"page %zu as %zu: %s", page, other, name_of(i));
	users_close(&u);
}

static char *
bytes_of_few(size_t *size)
{
	write_table(FEW, GENERATION);
	return read_bytes(table, size);
}

START_TEST(reading_through_sees_a_page_with_what_another_has)
{
	size_t size;
	char *bytes = bytes_of_few(&size);

	for_each_copied_page(bytes, size, must_be_refused);
	free(bytes);
}
END_TEST

START_TEST(a_lookup_sees_a_page_with_what_another_has)
{
	size_t size;
	char *bytes = bytes_of_few(&size);

	for_each_copied_page(bytes, size, must_lose_nobody);
	free(bytes);
}
END_TEST

static void
must_have_all_of(uint64_t generation)
{
	struct users *u = open_sound(copy);
	uint64_t found;

	for (unsigned i = 0; i < FEW; i++) {
		ck_assert_int_eq(lookup(u, name_of(i), &found), 1);
		ck_assert_uint_eq(found, generation);
	}
	users_close(&u);
}

/* Nothing in the tree tells: the page is one that the table had before. */
START_TEST(reading_through_sees_a_page_of_before)
{
	size_t size, size_then, seen = 0;
	char *then = bytes_of_few(&size_then), *bytes, saved[PAGE];
	struct users_edit *e = begin();

	for (unsigned i = 0; i < FEW; i++)
		put(e, name_of(i), GENERATION + 1);
	commit(&e);
	bytes = read_bytes(table, &size);
	for (size_t page = 1; page < size / PAGE && page < size_then / PAGE; page++) {
		if (memcmp(bytes + page * PAGE, then + page * PAGE, PAGE) == 0)
			continue;
		memcpy(saved, bytes + page * PAGE, PAGE);
		memcpy(bytes + page * PAGE, then + page * PAGE, PAGE);
		write_bytes(copy, bytes, size);
		if (reads_through(copy))
			must_have_all_of(GENERATION + 1); /* it has paths alone */
		else
			seen += strstr(why.text, "not those that were") != NULL;
		memcpy(bytes + page * PAGE, saved, PAGE);
	}
	ck_assert_uint_gt(seen, 5);
	free(bytes);
	free(then);
}
END_TEST

START_TEST(a_damaged_table_is_not_changed_but_can_be_replaced)
{
	size_t size;
	char *bytes;
	struct users_edit *e;
	struct users *u;
	uint64_t n;

	write_table(USERS, 7);
	bytes = read_bytes(table, &size);
	memset(bytes + 4 * PAGE, 0, PAGE);
	write_bytes(table, bytes, size);
	e = begin();
	ck_assert_int_eq(users_edit_remove(e, name_of(0), &why), -1);
	ck_assert_msg(strstr(why.text, "damaged") != NULL, "%s", why.text);
	ck_assert_int_eq(users_edit_commit(&e, 0644, (gid_t)-1, NULL, &why), -1);
	ck_assert_ptr_null(e);
	e = begin();
	ck_assert_int_eq(users_edit_empty(e, &why), 0);
	put(e, "alice", 8);
	commit(&e);
	u = open_sound(table);
	ck_assert_int_eq(lookup(u, "alice", &n), 1);
	ck_assert_int_eq(lookup(u, name_of(0), &n), 0);
	users_close(&u);
	free(bytes);
}
END_TEST

/* In a child, since libdb loses memory on damage; its output is the file FD. */
static void
read_damaged(int fd)
{
	struct users *u;

	need(dup2(fd, 1) == 1 && dup2(fd, 2) == 2);
	u = users_open(table, &why);
	need(u == NULL || users_read_through(u, &why) == -1);
	need(strstr(why.text, "checksum") != NULL);
	_exit(0);
}

START_TEST(nothing_is_ever_printed)
{
	static const size_t places[] = {100, 9 * PAGE + 2000};
	struct stat st;
	size_t size;
	char *bytes;
	int fd = open(copy, O_RDWR | O_CREAT | O_CLOEXEC, 0600), status;

	write_table(USERS, 7);
	bytes = read_bytes(table, &size);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		bytes[places[i]] ^= 1;
		write_bytes(table, bytes, size);
		if (start_child() == 0)
			read_damaged(fd);
		ck_assert(wait(&status) > 0 && status == 0);
		bytes[places[i]] ^= 1;
	}
	ck_assert(fstat(fd, &st) == 0 && st.st_size == 0);
	close(fd);
	free(bytes);
}
END_TEST

/* --- DB_CONFIG ------------------------------------------------------------------- */

START_TEST(a_db_config_anywhere_has_no_effect)
{
	static const char text[] = "this is no setting\n";
	struct users *u;
	uint64_t n;
	char *path;

	write_table(3, 7);
	ck_assert_int_gt(asprintf(&path, "%s/DB_CONFIG", folder), 0);
	write_bytes(path, text, sizeof text - 1);
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert(!setenv("DB_HOME", folder, 1) && !setenv("HOME", folder, 1) &&
		  !setenv("TMPDIR", folder, 1));
	u = open_sound(table);
	ck_assert_int_eq(lookup(u, name_of(1), &n), 1);
	users_close(&u);
	write_table(4, 8);
	u = open_sound("users.db");
	ck_assert_int_eq(lookup(u, name_of(3), &n), 1);
	users_close(&u);
	free(path);
}
END_TEST

/* --- writers --------------------------------------------------------------------- */

static void
assert_no_leftover(void)
{
	char *path;

	ck_assert_int_gt(asprintf(&path, "%s.new", table), 0);
	ck_assert(access(path, F_OK) && errno == ENOENT);
	free(path);
}

START_TEST(an_abort_leaves_the_old_table)
{
	struct users *u;
	struct users_edit *e;
	uint64_t n;

	write_table(3, 7);
	e = begin();
	put(e, "alice", 8);
	users_edit_abort(&e);
	assert_no_leftover();
	u = open_sound(table);
	ck_assert_int_eq(lookup(u, "alice", &n), 0);
	users_close(&u);
}
END_TEST

START_TEST(the_leftover_of_a_crash_is_removed)
{
	char *path;

	ck_assert_int_gt(asprintf(&path, "%s.new", table), 0);
	write_bytes(path, "half a table", 12);
	write_table(3, 7);
	assert_no_leftover();
	free(path);
}
END_TEST

START_TEST(mode_group_and_stat_are_as_asked)
{
	struct stat given, st;
	struct users_edit *e;

	umask(077);
	e = begin();
	ck_assert_int_eq(users_edit_commit(&e, 0640, 65533, &given, &why), 0);
	ck_assert_int_eq(stat(table, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0640);
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert_uint_eq(st.st_gid, 65533);
	ck_assert(given.st_ino == st.st_ino && given.st_mtime == st.st_mtime);
}
END_TEST

static int waited;

static void
note_waiting(void)
{
	waited++;
}

/* A second process changes the table as soon as READY has a byte. */
static pid_t
start_second_writer(int ready)
{
	struct users_edit *e;
	char byte;
	pid_t pid = start_child();

	if (pid)
		return pid;
	need(read(ready, &byte, 1) == 1);
	e = users_edit_begin(table, 0, note_waiting, &why);
	need(e != NULL);
	put(e, "second", 2);
	commit(&e);
	_exit(waited == 1 ? 0 : 1);
}

START_TEST(two_writers_follow_one_another)
{
	struct users_edit *e;
	struct users *u;
	uint64_t n;
	int status, ready[2];
	pid_t pid;

	write_table(1, 1);
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = start_second_writer(ready[0]); /* before this one holds the lock */
	e = begin();
	ck_assert_int_eq(write(ready[1], "x", 1), 1);
	usleep(200000);
	put(e, "first", 2);
	commit(&e);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	u = open_sound(table);
	ck_assert_int_eq(lookup(u, "first", &n), 1);
	ck_assert_int_eq(lookup(u, "second", &n), 1);
	users_close(&u);
}
END_TEST

/* Replaces the table COUNT times: every other time with two users less. */
static void
replace_often(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct users_edit *e = begin();

		if (i % 2)
			put(e, "extra@example.org", i);
		else
			need(users_edit_remove(e, "extra@example.org", &why) >= 0);
		put(e, name_of(1), 7);
		commit(&e);
	}
}

START_TEST(ten_thousand_lookups_during_a_thousand_replacements_are_right)
{
	unsigned seed = 5, i = 0;
	int status, ended = 0;
	pid_t pid;

	write_table(60, 7);
	pid = start_child();
	if (pid == 0) {
		replace_often(1000);
		_exit(0);
	}
	for (; i < 10000 || !ended; i++) {
		struct users *u = open_sound(table);
		uint64_t n = 0;

		ck_assert_msg(lookup(u, name_of((unsigned)rand_r(&seed) % 60), &n) == 1 &&
				      n == 7,
			"%s", why.text);
		ck_assert_msg(lookup(u, "nobody@example.org", &n) == 0, "%s", why.text);
		users_close(&u);
		if (!ended)
			ended = waitpid(pid, &status, WNOHANG) == pid;
	}
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Writes whole generations until it is killed. */
static void
write_generations(unsigned from)
{
	for (unsigned generation = from;; generation++)
		write_table(80, generation);
}

static void
assert_one_generation(uint64_t *newest)
{
	struct users *u = open_sound(table);
	uint64_t first, n;

	ck_assert_msg(users_read_through(u, &why) == 0, "%s", why.text);
	ck_assert_int_eq(lookup(u, name_of(0), &first), 1);
	for (unsigned i = 1; i < 80; i++) {
		ck_assert_int_eq(lookup(u, name_of(i), &n), 1);
		ck_assert_uint_eq(n, first);
	}
	ck_assert_uint_ge(first, *newest);
	*newest = first;
	users_close(&u);
}

START_TEST(a_writer_killed_at_any_moment_leaves_old_or_new)
{
	unsigned seed = 3, most_us;
	uint64_t newest = 1, began = clock_now_ms();

	write_table(80, 1);
	/* some generations, however long one takes here */
	most_us = 6000 * (unsigned)(clock_now_ms() - began + 2);
	for (int i = 0; i < 150; i++) {
		pid_t pid = start_child();

		if (pid == 0)
			write_generations((unsigned)newest + 1);
		usleep((useconds_t)rand_r(&seed) % (most_us < 100000 ? most_us : 100000));
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		assert_one_generation(&newest);
	}
	ck_assert_uint_gt(newest, 1);
	write_table(80, (unsigned)newest + 1);
	assert_no_leftover();
}
END_TEST

/* Puts new users until it fails; under the limit. */
static int
grow(struct users_edit **e)
{
	int result = 0;

	for (unsigned i = 0; i < 2000 && !result; i++) {
		struct record r;

		fill(&r, name_of(i), 2);
		result = users_edit_put(*e, &r, &why);
		record_clear(&r);
	}
	return result ? result : users_edit_commit(e, 0644, (gid_t)-1, NULL, &why);
}

START_TEST(a_file_size_limit_leaves_the_old_table)
{
	struct rlimit limit = {6 * PAGE, RLIM_INFINITY};
	struct users_edit *e, *second;
	uint64_t newest = 1;
	int result;

	write_table(80, 1);
	signal(SIGXFSZ, SIG_IGN);
	e = begin();
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	result = grow(&e);
	users_edit_abort(&e);
	second = users_edit_begin(table, 0, NULL, NULL); /* the copy alone is too large */
	limit.rlim_cur = RLIM_INFINITY;                  /* Check writes a file, too */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(result, -1);
	ck_assert_msg(strstr(why.text, "File too large") != NULL, "%s", why.text);
	ck_assert_ptr_null(second);
	assert_no_leftover();
	assert_one_generation(&newest);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {what_was_put_is_found, what_was_not_put_is_absent,
		a_table_opened_to_stay_gives_the_same_records, an_empty_table_says_so,
		a_table_knows_the_forms_of_its_names, each_gives_every_record_in_order,
		a_record_longer_than_a_line_is_refused, odd_keys_are_refused,
		a_table_that_has_grown_has_full_pages_and_every_record,
		a_change_is_seen_at_once, same_and_nested_paths_have_an_owner,
		a_path_is_free_once_its_record_lets_go, a_missing_table_is_an_error,
		an_empty_file_is_an_error, what_is_no_database_is_an_error,
		a_table_of_somebody_else_is_refused,
		a_table_that_others_may_write_to_is_refused,
		a_link_a_fifo_and_a_directory_are_refused,
		a_writer_wants_a_directory_that_is_roots_alone,
		a_table_cut_off_anywhere_is_refused,
		a_page_of_zeros_is_never_no_such_user,
		a_flipped_byte_is_never_no_such_user,
		reading_through_sees_any_byte_that_flipped,
		reading_through_sees_keys_out_of_order_under_a_right_sum,
		pages_that_changed_places_are_seen,
		reading_through_sees_a_page_with_what_another_has,
		a_lookup_sees_a_page_with_what_another_has,
		reading_through_sees_a_page_of_before,
		a_damaged_table_is_not_changed_but_can_be_replaced,
		nothing_is_ever_printed, a_db_config_anywhere_has_no_effect,
		an_abort_leaves_the_old_table, the_leftover_of_a_crash_is_removed,
		mode_group_and_stat_are_as_asked, two_writers_follow_one_another,
		ten_thousand_lookups_during_a_thousand_replacements_are_right,
		a_writer_killed_at_any_moment_leaves_old_or_new,
		a_file_size_limit_leaves_the_old_table};

	ADD_CASE(suite, tests, .setup = in_new_folder, .teardown = remove_folder,
		.timeout = 40);
}
