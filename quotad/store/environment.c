/* The environment: what libdb is told, and one transaction at a time. */
#include "environment.h"

#include <db.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

#define TABLE "usage.db"
/* libdb 5.3 lets the cache of a private environment grow to 8 MB above this (measured),
 * so it says little, and nothing of how many buckets its hash table should have. */
#define CACHE_BYTES   (256U << 10)
#define CACHE_BUCKETS 1021

struct environment {
	DB_ENV *env;
	DB *table;
	DB_TXN *txn; /* NULL where nothing has changed since the last commit */
};

/* --- opening ---------------------------------------------------------------------- */

static void
on_error(const DB_ENV *env, const char *prefix, const char *message)
{
	(void)env;
	(void)prefix;
	log_error("usage store: %s", message);
}

static void
on_message(const DB_ENV *env, const char *message)
{
	(void)env;
	log_info("usage store: %s", message);
}

/* In the place of fsync(2): the syncer's work. */
static int
leave_to_syncer(int fd)
{
	(void)fd;
	return 0;
}

static int
configure(DB_ENV *env, const char *path)
{
	int error = env->set_data_dir(env, path);

	env->set_errcall(env, on_error);
	env->set_msgcall(env, on_message);
	if (!error)
		error = env->set_lg_dir(env, path);
	if (!error)
		error = env->set_tmp_dir(env, path);
	if (!error)
		error = env->set_cachesize(env, 0, CACHE_BYTES, 1);
	if (!error)
		error = env->set_mp_tablesize(env, CACHE_BUCKETS);
	if (!error)
		error = env->set_lg_max(env, ENVIRONMENT_LOG_KBYTES * 1024);
	if (!error)
		error = env->set_flags(env, DB_TXN_WRITE_NOSYNC, 1);
	if (!error)
		error = env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1);
	return error;
}

static int
open_table(struct environment *e)
{
	int error = db_create(&e->table, e->env, 0);

	if (error)
		return error;
	error = e->table->set_flags(e->table, DB_CHKSUM);
	if (!error)
		error = e->table->set_pagesize(e->table, 4096);
	if (!error)
		error = e->table->open(e->table, NULL, TABLE, NULL, DB_BTREE,
			DB_CREATE | DB_AUTO_COMMIT, 0600);
	return error;
}

/* With a home of NULL: of a home that it is given libdb reads DB_CONFIG. */
static int
open_all(struct environment *e, const char *path)
{
	int error;

	db_env_set_func_fsync(leave_to_syncer);
	error = db_env_create(&e->env, 0);
	if (!error)
		error = configure(e->env, path);
	if (!error)
		error = e->env->open(e->env, NULL,
			DB_CREATE | DB_PRIVATE | DB_INIT_TXN | DB_INIT_LOG |
				DB_INIT_MPOOL | DB_RECOVER,
			0600);
	return error ? error : open_table(e);
}

struct environment *
environment_open(const char *path, struct reason *why)
{
	struct environment *e = calloc(1, sizeof *e);
	int error;

	if (!e) {
		reason_errno(why, "%s", path);
		return NULL;
	}
	error = open_all(e, path);
	if (error) {
		environment_close(&e);
		reason_set(why, "%s can't be opened: %s", path, db_strerror(error));
	}
	return e;
}

void
environment_close(struct environment **e)
{
	if (!*e)
		return;
	if ((*e)->txn)
		(*e)->txn->abort((*e)->txn);
	if ((*e)->table)
		(*e)->table->close((*e)->table, DB_NOSYNC);
	if ((*e)->env)
		(*e)->env->close((*e)->env, 0);
	free(*e);
	*e = NULL;
}

/* --- entries ---------------------------------------------------------------------- */

static DBT
bytes(const char *data, size_t size)
{
	return (DBT){.data = (void *)data, .size = (u_int32_t)size};
}

static int
failed(const char *doing, int error, struct reason *why)
{
	return error ? reason_set(why, "%s: %s", doing, db_strerror(error)) : 0;
}

static int
begin(struct environment *e, struct reason *why)
{
	if (e->txn)
		return 0;
	return failed("begin", e->env->txn_begin(e->env, NULL, &e->txn, 0), why);
}

int
environment_put(struct environment *e, const char *key, size_t key_size,
	const char *value, size_t value_size, struct reason *why)
{
	DBT k = bytes(key, key_size), v = bytes(value, value_size);

	if (begin(e, why) == -1)
		return -1;
	return failed("put", e->table->put(e->table, e->txn, &k, &v, 0), why);
}

int
environment_remove(
	struct environment *e, const char *key, size_t key_size, struct reason *why)
{
	DBT k = bytes(key, key_size);
	int error;

	if (begin(e, why) == -1)
		return -1;
	error = e->table->del(e->table, e->txn, &k, 0);
	return failed("remove", error == DB_NOTFOUND ? 0 : error, why);
}

const char *
environment_get(struct environment *e, const char *key, size_t key_size, size_t *size)
{
	DBT k = bytes(key, key_size), v = {0};

	if (e->table->get(e->table, e->txn, &k, &v, 0))
		return NULL;
	*size = v.size;
	return v.data;
}

int
environment_each(struct environment *e,
	int (*each)(void *arg, const char *key, size_t key_size, const char *value,
		size_t value_size),
	void *arg, struct reason *why)
{
	DBT key = {0}, value = {0};
	DBC *cursor;
	int error = e->table->cursor(e->table, NULL, &cursor, 0), stopped = 0;

	if (error)
		return reason_set(why, "%s", db_strerror(error));
	while (!stopped && (error = cursor->get(cursor, &key, &value, DB_NEXT)) == 0)
		stopped = each(arg, key.data, key.size, value.data, value.size);
	cursor->close(cursor);
	if (stopped)
		return reason_set(why, "it holds an entry that can't be understood");
	if (error != DB_NOTFOUND)
		return reason_set(why, "%s", db_strerror(error));
	return 0;
}

/* --- what goes to the kernel ------------------------------------------------------ */

int
environment_commit(struct environment *e, struct reason *why)
{
	DB_TXN *txn = e->txn;

	e->txn = NULL;
	if (!txn)
		return 0;
	return failed("commit", txn->commit(txn, 0), why) == -1 ? -1 : 1;
}

int
environment_checkpoint(struct environment *e, unsigned kbytes, struct reason *why)
{
	return failed("checkpoint",
		e->env->txn_checkpoint(e->env, kbytes, 0, kbytes ? 0 : DB_FORCE), why);
}

int
environment_verify(const char *path, struct reason *why)
{
	char *file;
	DB *db;
	int error;

	if (asprintf(&file, "%s/" TABLE, path) < 0)
		return reason_errno(why, "%s", path);
	error = db_create(&db, NULL, 0);
	if (!error) {
		db->set_errcall(db, on_error);
		error = db->verify(db, file, NULL, NULL, 0);
	}
	free(file);
	return failed("the table", error, why);
}
