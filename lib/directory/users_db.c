/*
 * The table's file. Owner, mode and the first page are checked before libdb sees it, and
 * libdb gets the open descriptor as /proc/self/fd/N, since it opens a file by name more
 * than once and a replacement in between must not be seen.
 *
 * It keeps no environment: DB_CONFIG and $DB_HOME mean nothing to it, and its messages
 * end in a reason, never on standard error.
 */
#include "users_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "amount.h"
#include "btree_page.h"

const char users_key_first[1] = "\001";
const char users_key_table[2] = "\002";
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
		return reason_set(why, "%s: damaged: %s long, its first page says %llu",
			u->path, AMOUNT_OF((uint64_t)u->stat.st_size, "byte", "bytes"),
			((unsigned long long)m.last_page + 1) * BTREE_PAGE_SIZE);
	if (!has_right_sum(&m))
		return btree_page_damaged(u, 0, "has a wrong checksum", why);
	u->root = m.root;
	u->free = m.free;
	u->usual = is_usual(&m);
	return 0;
}

int
users_db_told_totals(const char *text, size_t size, struct totals *t)
{
	struct record r;
	int has = -1;

	if (record_parse(&r, text, size, 0, NULL))
		return -1;
	if (!record_get(&r, "records") && !record_get(&r, "sum"))
		has = 0;
	else if (record_get(&r, "records") && record_get(&r, "sum") &&
		 record_number(&r, "records", 0, &t->records) == 0 &&
		 record_number(&r, "sum", 0, &t->sum) == 0)
		has = 1;
	record_clear(&r);
	return has;
}

int
users_db_fail(struct users *u, int error, const char *doing, struct reason *why)
{
	if (error == ENOMEM || strstr(u->message, strerrordesc_np(ENOMEM)))
		reason_no_memory(why, u->path);
	else
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

/* 0, or libdb's error; then it is not open. */
static int
attach_as(struct users *u, const char *file, u_int32_t flags, u_int32_t cache)
{
	int error = db_create(&u->db, NULL, 0);

	if (error) {
		u->db = NULL;
		return error;
	}
	error = prepare(u, flags, cache);
	if (!error)
		error = u->db->open(u->db, NULL, file, NULL, DB_BTREE, flags, 0);
	if (!error)
		error = u->db->cursor(u->db, NULL, &u->cursor, 0);
	if (error)
		users_db_detach(u, NULL);
	return error;
}

static int
is_ours(const struct users *u, const char *file)
{
	struct stat ours, its;

	return fstat(u->fd, &ours) == 0 && lstat(file, &its) == 0 &&
	       ours.st_dev == its.st_dev && ours.st_ino == its.st_ino;
}

/* Where /proc is not mounted: by a name that is u->fd's before and after. It can't have
 * been another's in between, since an inode that is open is not used anew. */
static int
attach_by_name(struct users *u, u_int32_t flags, u_int32_t cache)
{
	static const char *const suffixes[] = {"", COPY_SUFFIX};
	int error = ENOENT;

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0] && error; i++) {
		char *file;

		if (asprintf(&file, "%s%s", u->path, suffixes[i]) < 0)
			return ENOMEM;
		if (is_ours(u, file)) {
			u->message[0] = '\0';
			error = attach_as(u, file, flags, cache);
			if (!error && !is_ours(u, file)) {
				users_db_drop(u);
				error = EAGAIN;
			}
		}
		free(file);
	}
	return error;
}

int
users_db_attach(struct users *u, u_int32_t flags, u_int32_t cache, struct reason *why)
{
	char file[40];
	int error;

	snprintf(file, sizeof file, "/proc/self/fd/%d", u->fd);
	error = attach_as(u, file, flags, cache);
	if (error == ENOENT)
		error = attach_by_name(u, flags, cache);
	if (error)
		return users_db_fail(u, error, "open", why);
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

void
users_db_drop(struct users *u)
{
	if (!u->db)
		return;
	if (u->cursor)
		u->cursor->close(u->cursor);
	u->db->close(u->db, DB_NOSYNC);
	u->cursor = NULL;
	u->db = NULL;
}

int
users_db_compare(const DBT *a, const void *b, size_t size)
{
	size_t common = a->size < size ? a->size : size;
	int order = common ? memcmp(a->data, b, common) : 0;

	return order ? order : (a->size > size) - (a->size < size);
}

int
users_db_damaged(const struct users *u, const char *what, struct reason *why)
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
		return users_db_damaged(u, "its last key is missing", why);
	if (error)
		return users_db_fail(u, error, "look-up", why);
	order = users_db_compare(found, key, size);
	if (order < 0)
		return users_db_damaged(u, "a key stands out of order", why);
	return order == 0;
}

int
users_db_put(struct users *u, const void *key, size_t size, const char *value,
	struct reason *why)
{
	DBT k = {.data = (void *)key, .size = (u_int32_t)size};
	DBT v = {.data = (void *)value, .size = (u_int32_t)strlen(value)};
	int error = u->db->put(u->db, NULL, &k, &v, DB_NOOVERWRITE);

	if (error == DB_KEYEXIST) {
		if (users_db_remove(u, key, size, why) < 0)
			return -1;
		error = u->db->put(u->db, NULL, &k, &v, 0);
	}
	if (error)
		return users_db_fail(u, error, "write", why);
	totals_add(&u->totals, key, size, v.data, v.size);
	return 0;
}

int
users_db_remove(struct users *u, const void *key, size_t size, struct reason *why)
{
	DBT k = {.data = (void *)key, .size = (u_int32_t)size};
	DBT found, value;
	int hit = users_db_seek(u, key, size, &found, &value, why), error;

	if (hit <= 0)
		return hit;
	totals_remove(&u->totals, key, size, value.data, value.size);
	error = u->db->del(u->db, NULL, &k, 0);
	return error ? users_db_fail(u, error, "write", why) : 1;
}

static int
sync_later(int fd)
{
	(void)fd;
	return 0;
}

void
users_db_set_sync(int on)
{
	db_env_set_func_fsync(on ? NULL : sync_later);
}
