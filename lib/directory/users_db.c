/*
 * The table through libdb: for a writer, and for a process that looks up again and again,
 * of whose cache it makes use. libdb gets the open descriptor as /proc/self/fd/N, since
 * it opens a file by name more than once and a replacement in between must not be seen.
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

#define STAYING_CACHE (6 << 20) /* bytes; fewer cost a large table's look-up a read */

static const struct users_access through_db;

int
users_db_fail(struct users *u, int error, const char *doing, struct reason *why)
{
	if (error == ENOMEM || strstr(u->message, strerror(ENOMEM)))
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
	u->access = &through_db;
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
users_db_seek(struct users *u, const void *key, size_t size, DBT *found, DBT *value,
	struct reason *why)
{
	int error, order;

	*found = (DBT){.data = (void *)key, .size = (u_int32_t)size};
	*value = (DBT){0};
	error = u->cursor->get(u->cursor, found, value, DB_SET_RANGE);
	if (error == DB_NOTFOUND)
		return users_file_damaged(u, "its last key is missing", why);
	if (error)
		return users_db_fail(u, error, "look-up", why);
	order = users_file_compare(found, key, size);
	if (order < 0)
		return users_file_damaged(u, "a key stands out of order", why);
	return order == 0;
}

static int
walk(struct users *u, const void *key, size_t size,
	int (*visit)(void *arg, const DBT *key, const DBT *value), void *arg,
	struct reason *why)
{
	DBT found = {.data = (void *)key, .size = (u_int32_t)size}, value = {0};
	int error, result = 0;
	DBC *cursor;

	error = u->db->cursor(u->db, NULL, &cursor, 0);
	if (error)
		return users_db_fail(u, error, "read", why);
	error = cursor->get(cursor, &found, &value, DB_SET_RANGE);
	while (!error && (result = visit(arg, &found, &value)) == 0)
		error = cursor->get(cursor, &found, &value, DB_NEXT);
	cursor->close(cursor);
	if (error == DB_NOTFOUND)
		return users_file_damaged(u, "its last key is missing", why);
	return error ? users_db_fail(u, error, "read", why) : result;
}

static void
close_reader(struct users *u)
{
	users_db_detach(u, NULL);
}

static const struct users_access through_db = {users_db_seek, walk, close_reader};

struct users *
users_open_to_stay(const char *path, struct reason *why)
{
	struct users *u = users_file_begin(path, why);

	if (!u)
		return NULL;
	u->stays = 1;
	if (users_db_attach(u, DB_RDONLY, STAYING_CACHE, why))
		users_close(&u);
	return u;
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
