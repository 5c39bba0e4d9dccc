/*
 * Reading the user table. The file is checked (owner, mode, its first page) before libdb
 * sees it, and that one isn't started before it's needed: a look-up or two do without
 * (btree_get.c), which costs a fresh process a third. libdb gets the open descriptor as
 * /proc/self/fd/N, since it opens a file by name more than once and a replacement in
 * between must not be seen.
 *
 * It keeps no environment: DB_CONFIG and $DB_HOME mean nothing to it, and its messages
 * end in a reason, never on standard error.
 */
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "btree_get.h"

/* Pages kept; more costs a fresh process its page faults, fewer cost one that stays a
 * read and a checksum for each look-up in a large table. */
#define READER_CACHE  (1 << 20)
#define STAYING_CACHE (6 << 20)

const char users_key_first[1] = "\001";
const char users_key_records[1] = "\003";
const char users_key_last[ADDRESS_MAX + 1] = {[0 ... ADDRESS_MAX] = '\377'};

/* The first page (libdb's dbinc/db_page.h). */
struct meta {
	uint8_t lsn[8];
	uint32_t number, magic, version, page_size;
	uint8_t encryption, type, flags, unused;
	uint32_t free, last_page, parts, keys, records, tree_flags;
	uint8_t id[20];
	uint32_t unused_2, least_keys, record_length, record_pad, root;
	uint8_t unused_3[400];
	uint32_t sum;
	uint8_t longer_sum[16];
};

_Static_assert(sizeof(struct meta) == BTREE_META_SIZE, "libdb's first page");

#define META_BTREE    0x053162
#define META_CHECKSUM 0x01
#define META_VERSION  9
#define META_TYPE     9

static int
check_owner(const struct stat *st, const char *name, struct reason *why)
{
	if (!S_ISREG(st->st_mode))
		return reason_set(why, "%s: not a regular file", name);
	if (st->st_uid != 0)
		return reason_set(why, "%s: belongs to uid %u, must be root's", name,
			(unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return reason_set(why, "%s: others than root may write to it (mode %04o)",
			name, (unsigned)st->st_mode & 07777);
	return 0;
}

int
users_db_open_file(
	int dir, const char *path, const char *name, struct stat *st, struct reason *why)
{
	int fd = openat(
		dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && errno == ELOOP)
		return reason_set(why, "%s: a symbolic link, must be a file", name);
	if (fd < 0)
		return reason_errno(why, "%s", name);
	if (fstat(fd, st))
		reason_errno(why, "%s: stat", name);
	else if (check_owner(st, name, why) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
has_right_sum(struct meta *m)
{
	uint32_t sum = m->sum;

	m->sum = 0;
	return sum == btree_page_sum((const uint8_t *)m, sizeof *m);
}

/* No duplicates, record numbers, compression, encryption, partitions. */
static int
is_usual(const struct meta *m)
{
	return m->version == META_VERSION && m->type == META_TYPE &&
	       m->flags == META_CHECKSUM && !m->encryption && !m->parts && !m->tree_flags;
}

int
users_db_check_meta(struct users *u, struct reason *why)
{
	struct meta m;
	ssize_t n = pread(u->fd, &m, sizeof m, 0);

	if (n < 0)
		return reason_errno(why, "%s: read", u->path);
	if (n == 0)
		return reason_set(why, "%s: damaged: the file is empty", u->path);
	if (n != sizeof m || m.magic != META_BTREE || m.page_size != BTREE_PAGE_SIZE ||
		!(m.flags & META_CHECKSUM))
		return reason_set(why, "%s: damaged, or not a table of Brim", u->path);
	if ((uint64_t)u->stat.st_size != ((uint64_t)m.last_page + 1) * BTREE_PAGE_SIZE)
		return reason_set(why,
			"%s: damaged: %lld bytes long, its first page says %llu", u->path,
			(long long)u->stat.st_size,
			((unsigned long long)m.last_page + 1) * BTREE_PAGE_SIZE);
	if (!has_right_sum(&m))
		return btree_page_damaged(u, 0, "has a wrong checksum", why);
	u->root = m.root;
	u->usual = is_usual(&m);
	return 0;
}

int
users_db_fail(struct users *u, int error, const char *doing, struct reason *why)
{
	reason_set(why, "%s: %s: %s", u->path, doing,
		u->message[0] ? u->message : db_strerror(error));
	u->message[0] = '\0';
	return -1;
}

static void
keep_message(const DB_ENV *env, const char *prefix, const char *message)
{
	struct users *u = env->app_private;

	(void)prefix;
	if (u->message[0] == '\0')
		snprintf(u->message, sizeof u->message, "%s", message);
}

static void
drop_message(const DB_ENV *env, const char *message)
{
	(void)env;
	(void)message;
}

/* Settings before the open; each is a plain assignment in libdb but for the cache. */
static int
prepare(struct users *u, u_int32_t flags, u_int32_t cache)
{
	DB_ENV *env = u->db->get_env(u->db);
	int error;

	env->app_private = u;
	u->db->set_errcall(u->db, keep_message);
	u->db->set_msgcall(u->db, drop_message);
	error = u->db->set_cachesize(u->db, 0, cache, 1);
	/* no lock is ever waited for: without a number libdb reads how many CPUs are on
	 */
	if (!error)
		error = env->mutex_set_tas_spins(env, 1);
	/* never used, but libdb would look for one */
	if (!error)
		error = env->set_tmp_dir(env, "/nonexistent");
	if (!error && !(flags & DB_RDONLY))
		error = u->db->set_pagesize(u->db, BTREE_PAGE_SIZE);
	if (!error && !(flags & DB_RDONLY))
		error = u->db->set_flags(u->db, DB_CHKSUM);
	return error;
}

int
users_db_attach(struct users *u, u_int32_t flags, u_int32_t cache, struct reason *why)
{
	char file[40];
	int error = db_create(&u->db, NULL, 0);

	if (error) {
		u->db = NULL;
		return users_db_fail(u, error, "open", why);
	}
	snprintf(file, sizeof file, "/proc/self/fd/%d", u->fd);
	error = prepare(u, flags, cache);
	if (!error)
		error = u->db->open(u->db, NULL, file, NULL, DB_BTREE, flags, 0);
	if (!error)
		error = u->db->cursor(u->db, NULL, &u->cursor, 0);
	if (error) {
		users_db_fail(u, error, "open", why);
		users_db_detach(u, NULL);
		return -1;
	}
	u->message[0] = '\0';
	return 0;
}

int
users_db_detach(struct users *u, struct reason *why)
{
	int error = 0, result;

	if (u->cursor)
		error = u->cursor->close(u->cursor);
	u->cursor = NULL;
	if (u->db) {
		result = u->db->close(u->db, 0);
		error = error ? error : result;
	}
	u->db = NULL;
	return error ? users_db_fail(u, error, "close", why) : 0;
}

static struct users *
open_table(const char *path, struct reason *why)
{
	struct users *u = calloc(1, sizeof *u);

	if (u)
		u->fd = -1;
	if (!u || !(u->path = strdup(path))) {
		reason_set(why, "%s: no memory", path);
		users_close(&u);
		return NULL;
	}
	u->fd = users_db_open_file(AT_FDCWD, path, path, &u->stat, why);
	if (u->fd < 0 || users_db_check_meta(u, why))
		users_close(&u);
	return u;
}

/* Starts libdb, unless it runs. */
static int
need_db(struct users *u, struct reason *why)
{
	return u->db ? 0 : users_db_attach(u, DB_RDONLY, READER_CACHE, why);
}

struct users *
users_open(const char *path, struct reason *why)
{
	struct users *u = open_table(path, why);

	if (u && !u->usual && need_db(u, why))
		users_close(&u);
	return u;
}

struct users *
users_open_to_stay(const char *path, struct reason *why)
{
	struct users *u = open_table(path, why);

	if (!u)
		return NULL;
	u->stays = 1;
	if (users_db_attach(u, DB_RDONLY, STAYING_CACHE, why))
		users_close(&u);
	return u;
}

void
users_close(struct users **u)
{
	if (!*u)
		return;
	users_db_detach(*u, NULL);
	if ((*u)->fd >= 0)
		close((*u)->fd);
	record_clear(&(*u)->domain);
	free((*u)->path);
	free(*u);
	*u = NULL;
}

const struct stat *
users_stat(const struct users *u)
{
	return &u->stat;
}

static int
compare(const DBT *a, const void *b, size_t size)
{
	size_t common = a->size < size ? a->size : size;
	int order = common ? memcmp(a->data, b, common) : 0;

	return order ? order : (a->size > size) - (a->size < size);
}

static int
damaged(const struct users *u, const char *what, struct reason *why)
{
	return reason_set(why, "%s: damaged: %s", u->path, what);
}

int
users_db_seek(struct users *u, const void *key, size_t size, DBT *found, DBT *value,
	struct reason *why)
{
	int error, order;

	*found = (DBT){.data = (void *)key, .size = (u_int32_t)size};
	*value = (DBT){0};
	error = u->cursor->get(u->cursor, found, value, DB_SET_RANGE);
	if (error == DB_NOTFOUND)
		return damaged(u, "its last key is missing", why);
	if (error)
		return users_db_fail(u, error, "look-up", why);
	order = compare(found, key, size);
	if (order < 0)
		return damaged(u, "a key stands out of order", why);
	return order == 0;
}

/* The record of a key and value as they stand in the table. */
static int
take_record(const struct users *u, const DBT *key, const DBT *value, struct record *r,
	struct reason *why)
{
	struct reason fault;
	char name[ADDRESS_MAX + 1];

	if (key->size > ADDRESS_MAX || memchr(key->data, '\0', key->size))
		return damaged(u, "a key is too long, or has a NUL in it", why);
	memcpy(name, key->data, key->size);
	name[key->size] = '\0';
	if (record_parse(r, value->data, value->size, 0, &fault))
		return reason_set(why, "%s: damaged: the record of %.100s: %.100s",
			u->path, name, fault.text);
	if (record_set_key(r, name) == 0)
		return 0;
	record_clear(r);
	return reason_set(why, "%s: no memory", u->path);
}

/* Most look-ups in a row are for mailboxes of one domain, and each needs its record. */
static int
is_kept(const struct users *u, const char *key)
{
	return u->domain.key && strcmp(u->domain.key, key) == 0;
}

static int
find_through_db(struct users *u, const char *key, struct record *r, struct reason *why)
{
	DBT found, value;
	int hit;

	if (need_db(u, why))
		return -1;
	hit = users_db_seek(u, key, strlen(key), &found, &value, why);
	if (hit <= 0)
		return hit;
	return take_record(u, &found, &value, r, why) ? -1 : 1;
}

static int
find_record(struct users *u, const char *key, struct record *r, struct reason *why)
{
	struct btree_page p = {0};
	struct btree_item item = {0};
	enum btree_result result =
		u->db ? BTREE_UNUSUAL : btree_get(u, key, &p, &item, why);
	DBT found = {.data = (void *)key, .size = (u_int32_t)strlen(key)};
	DBT value = {0};

	if (result == BTREE_UNUSUAL)
		return find_through_db(u, key, r, why);
	if (result != BTREE_FOUND)
		return result == BTREE_ABSENT ? 0 : -1;
	value.data = (void *)item.data;
	value.size = item.size;
	return take_record(u, &found, &value, r, why) ? -1 : 1;
}

int
users_get(struct users *u, const char *key, struct record *r, struct reason *why)
{
	int hit;

	memset(r, 0, sizeof *r);
	if (is_kept(u, key))
		return record_copy(r, &u->domain) ? reason_set(why, "no memory") : 1;
	hit = find_record(u, key, r, why);
	if (hit > 0 && u->stays && key[0] == '@' && record_copy(&u->domain, r))
		record_clear(&u->domain);
	return hit;
}

static int
is_last(const DBT *key)
{
	return compare(key, users_key_last, sizeof users_key_last) == 0;
}

int
users_has_records(struct users *u, struct reason *why)
{
	DBT found, value;

	if (need_db(u, why) || users_db_seek(u, users_key_records,
				       sizeof users_key_records, &found, &value, why) < 0)
		return -1;
	return !is_last(&found);
}

/* Moves the cursor to the first record above AFTER. */
static int
place(DBC *cursor, const char *after, DBT *key, DBT *value)
{
	size_t size = strlen(after);
	int error;

	*key = size ? (DBT){.data = (void *)after, .size = (u_int32_t)size}
		    : (DBT){.data = (void *)users_key_records,
			      .size = sizeof users_key_records};
	error = cursor->get(cursor, key, value, DB_SET_RANGE);
	if (!error && size && compare(key, after, size) == 0)
		error = cursor->get(cursor, key, value, DB_NEXT);
	return error;
}

static int
visit(const struct users *u, const DBT *key, const DBT *value,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why)
{
	struct record r;
	int result;

	if (take_record(u, key, value, &r, why))
		return -1;
	result = each(arg, &r);
	record_clear(&r);
	return result;
}

int
users_each(struct users *u, const char *after,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why)
{
	DBT key = {0}, value = {0};
	DBC *cursor;
	int result = 0, error;

	if (need_db(u, why))
		return -1;
	error = u->db->cursor(u->db, NULL, &cursor, 0);
	if (error)
		return users_db_fail(u, error, "read", why);
	error = place(cursor, after, &key, &value);
	while (!error && !is_last(&key)) {
		result = visit(u, &key, &value, each, arg, why);
		if (result)
			break;
		error = cursor->get(cursor, &key, &value, DB_NEXT);
	}
	cursor->close(cursor);
	if (error == DB_NOTFOUND)
		return damaged(u, "its last key is missing", why);
	return error ? users_db_fail(u, error, "read", why) : result;
}

int
users_db_check_numbers(const struct users *u, struct reason *why)
{
	uint64_t pages = (uint64_t)u->stat.st_size / BTREE_PAGE_SIZE;
	uint32_t number;

	for (uint64_t n = 0; n < pages; n++) {
		ssize_t got = pread(u->fd, &number, sizeof number,
			(off_t)(n * BTREE_PAGE_SIZE + offsetof(struct meta, number)));

		if (got < 0)
			return reason_errno(why, "%s: read", u->path);
		if (got != sizeof number || number != n)
			return reason_set(why, "%s: damaged: page %llu is not itself",
				u->path, (unsigned long long)n);
	}
	return 0;
}
