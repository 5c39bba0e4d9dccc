/*
 * Changing the user table: the lock, a copy, the change, and the copy in the old one's
 * place. Until the rename the old table stands untouched; whatever fails before it, a
 * full disk or a kill included, costs the copy alone.
 *
 * All names are taken in the table's directory, which is held open and must be root's.
 */
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "login_index.h"
#include "path_index.h"
#include "removals.h"
#include "salvage.h"
#include "table_copy.h"

#define WRITER_CACHE (128 << 20) /* a load's keys and paths may come in any order */
#define LITTLE_CACHE (1 << 20)   /* where keys come in order, or hardly any */
#define FORM_VERSION "brim users 1"

struct users_edit {
	struct users copy; /* its path is the table's, for reasons */
	int dir, lock;
	int fresh;   /* there was no table */
	int damaged; /* the table was, and the copy has not been emptied */
	struct reason damage;
	uint64_t records_lost; /* what it said that it had, once it was emptied */
	char *name;            /* in dir: of the table */
	char *new_name;        /* of the copy */
	char *lock_name;
	char absent[ADDRESS_MAX + 1]; /* a key that was asked for, and is not there */
};

/* --- begin ---------------------------------------------------------------------- */

static int
open_directory(struct users_edit *e, struct reason *why)
{
	char *slash = strrchr(e->copy.path, '/');
	size_t length = slash ? (size_t)(slash - e->copy.path) : 0;
	char *path = slash ? strndup(e->copy.path, length ? length : 1) : strdup(".");
	struct stat st;
	int result = -1;

	e->dir = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (!path)
		reason_no_memory(why, e->copy.path);
	else if (e->dir < 0 || fstat(e->dir, &st))
		reason_errno(why, "%s", path);
	else if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
		reason_set(why,
			"%s: must be root's, and nobody else may write to it (uid %u, "
			"mode %04o)",
			path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
	else
		result = 0;
	free(path);
	return result;
}

static int
make_names(struct users_edit *e, const char *path, struct reason *why)
{
	const char *slash = strrchr(path, '/');

	e->copy.path = strdup(path);
	e->name = strdup(slash ? slash + 1 : path);
	if (!e->copy.path || !e->name ||
		asprintf(&e->new_name, "%s" COPY_SUFFIX, e->name) < 0 ||
		asprintf(&e->lock_name, "%s.lock", e->name) < 0)
		return reason_no_memory(why, path);
	return 0;
}

static int
take_lock(struct users_edit *e, void (*waiting)(void), struct reason *why)
{
	e->lock = openat(e->dir, e->lock_name,
		O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (e->lock < 0)
		return reason_errno(why, "%s.lock", e->copy.path);
	if (flock(e->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK && waiting)
		waiting();
	while (flock(e->lock, LOCK_EX))
		if (errno != EINTR)
			return reason_errno(why, "%s.lock: lock", e->copy.path);
	return 0;
}

static int
open_copy(struct users_edit *e, struct reason *why)
{
	if (unlinkat(e->dir, e->new_name, 0) && errno != ENOENT)
		return reason_errno(why, "%s.new: remove", e->copy.path);
	e->copy.fd =
		openat(e->dir, e->new_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return e->copy.fd < 0 ? reason_errno(why, "%s.new", e->copy.path) : 0;
}

/* Damage of the table is no error yet: it may be emptied. */
static int
fill_copy(struct users_edit *e, int create, struct reason *why)
{
	struct users from = {.path = e->copy.path};
	int result, sound;

	if (create && fstatat(e->dir, e->name, &from.stat, AT_SYMLINK_NOFOLLOW) &&
		errno == ENOENT) {
		e->fresh = 1;
		return 0;
	}
	from.fd = users_file_open(e->dir, e->name, e->copy.path, &from.stat, why);
	if (from.fd < 0)
		return -1;
	result = table_copy(&from, e->copy.fd, &sound, &e->damage, why);
	e->damaged = !sound;
	e->copy.totals = from.totals;
	close(from.fd);
	return result;
}

struct users_edit *
users_edit_begin(const char *path, int create, void (*waiting)(void), struct reason *why)
{
	struct users_edit *e = calloc(1, sizeof *e);

	if (!e) {
		reason_no_memory(why, path);
		return NULL;
	}
	e->dir = e->lock = e->copy.fd = -1;
	e->copy.stays = 1; /* nobody else changes it */
	if (make_names(e, path, why) || open_directory(e, why) ||
		take_lock(e, waiting, why) || open_copy(e, why) ||
		fill_copy(e, create, why))
		users_edit_abort(&e);
	return e;
}

static void
free_edit(struct users_edit **e)
{
	if ((*e)->copy.fd >= 0)
		close((*e)->copy.fd);
	if ((*e)->dir >= 0)
		close((*e)->dir);
	if ((*e)->lock >= 0) /* last: this lets the next writer in */
		close((*e)->lock);
	record_clear(&(*e)->copy.domain);
	free((*e)->copy.path);
	free((*e)->name);
	free((*e)->new_name);
	free((*e)->lock_name);
	free(*e);
	*e = NULL;
}

void
users_edit_abort(struct users_edit **e)
{
	if (!*e)
		return;
	users_db_drop(&(*e)->copy);
	if ((*e)->copy.fd >= 0)
		unlinkat((*e)->dir, (*e)->new_name, 0);
	free_edit(e);
}

/* --- keys and values in the copy ------------------------------------------------ */

/* What was remembered of the table may be so no more. */
static void
forget_answers(struct users_edit *e, const char *key)
{
	e->absent[0] = '\0';
	if (key[0] == '@')
		record_clear(&e->copy.domain);
}

static int
make_empty(struct users_edit *e, struct reason *why)
{
	if (users_db_attach(&e->copy, DB_CREATE, WRITER_CACHE, why))
		return -1;
	return users_db_put(&e->copy, users_key_first, sizeof users_key_first,
		       FORM_VERSION, why) ||
			       users_db_put(&e->copy, users_key_last,
				       sizeof users_key_last, "", why)
		       ? -1
		       : 0;
}

/* Opens the copy in libdb at its first use, so that a damaged one can be emptied. */
static int
attach_copy(struct users_edit *e, struct reason *why)
{
	if (e->copy.db)
		return 0;
	if (e->damaged) {
		*why = e->damage;
		return -1;
	}
	if (fstat(e->copy.fd, &e->copy.stat))
		return reason_errno(why, "%s.new: stat", e->copy.path);
	if (e->fresh)
		return make_empty(e, why);
	return users_file_check(&e->copy, why) || users_file_check_form(&e->copy, why) ||
			       users_db_attach(&e->copy, 0, WRITER_CACHE, why) ||
			       login_index_renew(&e->copy, why)
		       ? -1
		       : 0;
}

int
users_edit_get(
	struct users_edit *e, const char *key, struct record *r, struct reason *why)
{
	int found;

	memset(r, 0, sizeof *r);
	if (attach_copy(e, why))
		return -1;
	/* a record that is put is asked for several times before */
	if (key[0] && strcmp(key, e->absent) == 0)
		return 0;
	found = users_get(&e->copy, key, r, why);
	if (found == 0 && strlen(key) <= ADDRESS_MAX)
		strcpy(e->absent, key);
	return found;
}

int
users_edit_each(struct users_edit *e, const char *after,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why)
{
	return attach_copy(e, why) ? -1 : users_each(&e->copy, after, each, arg, why);
}

struct users *
users_edit_table(struct users_edit *e, struct reason *why)
{
	return attach_copy(e, why) ? NULL : &e->copy;
}

int
users_edit_generation(struct users_edit *e, uint64_t *generation, struct reason *why)
{
	if (attach_copy(e, why) || users_generation(&e->copy, generation, why))
		return -1;
	*generation += 1;
	return 0;
}

/* What the table says of itself. */
static int
put_own_record(struct users_edit *e, uint64_t generation, struct reason *why)
{
	char value[sizeof "generation= records= sum= bare= older= logins=" + 6 * 20];

	snprintf(value, sizeof value,
		"generation=%llu records=%llu sum=%llu bare=%llu older=%llu logins=%llu",
		(unsigned long long)generation,
		(unsigned long long)e->copy.totals.records,
		(unsigned long long)e->copy.totals.sum,
		(unsigned long long)e->copy.totals.bare,
		(unsigned long long)e->copy.totals.older,
		(unsigned long long)e->copy.totals.logins);
	return users_db_put(&e->copy, users_key_table, 1, value, why);
}

/* The generation of a table that may be damaged; 0 if it can't be told. */
static uint64_t
read_generation(struct users_edit *e)
{
	uint64_t generation = 0;
	struct salvage s;

	if (!e->damaged) {
		if (attach_copy(e, NULL) == 0)
			users_generation(&e->copy, &generation, NULL);
	} else if (fstat(e->copy.fd, &e->copy.stat) == 0 &&
		   salvage_open(&s, &e->copy, NULL) == 0) {
		generation = s.generation;
		e->records_lost = s.totals.records;
		salvage_close(&s);
	}
	return generation;
}

uint64_t
users_edit_records(const struct users_edit *e)
{
	return e->copy.totals.records;
}

uint64_t
users_edit_records_lost(const struct users_edit *e)
{
	return e->records_lost;
}

int
users_edit_empty(struct users_edit *e, struct reason *why)
{
	uint64_t generation = read_generation(e);
	struct removals removed = {0};
	int result;

	if (e->copy.db)
		removals_read(&e->copy, &removed, NULL);
	users_db_drop(&e->copy);
	record_clear(&e->copy.domain);
	e->absent[0] = '\0';
	e->copy.stat.st_size = 0;
	e->copy.totals = (struct totals){0};
	e->damaged = 0;
	if (ftruncate(e->copy.fd, 0))
		result = reason_errno(why, "%s.new: truncate", e->copy.path);
	else
		result = make_empty(e, why) || put_own_record(e, generation, why) ||
					 removals_put(&e->copy, removed.list,
						 removed.count, why)
				 ? -1
				 : 0;
	free(removed.list);
	return result;
}

int
users_edit_path_owner(
	struct users_edit *e, const char *path, char *key, struct reason *why)
{
	return attach_copy(e, why) ? -1 : path_index_find(&e->copy, path, key, why);
}

int
users_edit_login_owner(
	struct users_edit *e, const char *login, char *key, struct reason *why)
{
	if (attach_copy(e, why))
		return -1;
	return e->copy.totals.logins ? users_login(&e->copy, login, key, why) : 0;
}

/* --- changes -------------------------------------------------------------------- */

static int
check_key(const struct users_edit *e, const char *key, struct reason *why)
{
	size_t size = key ? strlen(key) : 0;

	if (size == 0 || size > ADDRESS_MAX || (unsigned char)key[0] < ' ')
		return reason_set(why, "%s: \"%.60s\" can't be a key", e->copy.path,
			key ? key : "");
	return 0;
}

/* Takes the record of that key out, and what the indexes have of it: 1, 0, -1. */
static int
take_out(struct users_edit *e, const char *key, struct reason *why)
{
	struct record old;
	int found = users_edit_get(e, key, &old, why);

	if (found <= 0)
		return found;
	forget_answers(e, key);
	if (path_index_remove(&e->copy, &old, why) ||
		login_index_remove(&e->copy, &old, why) ||
		users_db_remove(&e->copy, key, strlen(key), why) < 0)
		found = -1;
	record_clear(&old);
	return found;
}

static char *
format_value(const struct record *r, struct reason *why)
{
	struct record fields = *r;
	char *line = record_format(r);
	int fits = line && strlen(line) <= RECORD_LINE_MAX;

	free(line);
	fields.key = NULL;
	line = fits ? record_format(&fields) : NULL;
	if (!line)
		reason_set(why,
			fits ? "%.100s: no memory"
			     : "the record of %.100s is longer than a line may be",
			r->key);
	return line;
}

static int
put(struct users_edit *e, const struct record *r, int indexed, struct reason *why)
{
	char *value;
	int result = -1;

	if (attach_copy(e, why) || check_key(e, r->key, why))
		return -1;
	value = format_value(r, why);
	if (!value)
		return -1;
	if (take_out(e, r->key, why) >= 0 &&
		users_db_put(&e->copy, r->key, strlen(r->key), value, why) == 0)
		result = indexed && (path_index_put(&e->copy, r, why) ||
					    login_index_put(&e->copy, r, why))
				 ? -1
				 : 0;
	forget_answers(e, r->key);
	free(value);
	return result;
}

int
users_edit_put(struct users_edit *e, const struct record *r, struct reason *why)
{
	return put(e, r, 1, why);
}

int
users_edit_put_unindexed(struct users_edit *e, const struct record *r, struct reason *why)
{
	return put(e, r, 0, why);
}

int
users_edit_remove(struct users_edit *e, const char *key, struct reason *why)
{
	if (attach_copy(e, why) || check_key(e, key, why))
		return -1;
	return take_out(e, key, why);
}

int
users_edit_put_removed(
	struct users_edit *e, const uint64_t *places, size_t count, struct reason *why)
{
	struct removal *list = calloc(count + 1, sizeof *list);
	uint64_t generation;
	int result = -1;

	if (!list)
		return reason_no_memory(why, e->copy.path);
	if (users_edit_generation(e, &generation, why) == 0) {
		for (size_t i = 0; i < count; i++)
			list[i] = (struct removal){places[i], generation};
		result = removals_put(&e->copy, list, count, why);
	}
	free(list);
	return result;
}

/* --- packing -------------------------------------------------------------------- */

/* Whether the copy has more than twice the pages that it began with: most of them are
 * half empty then, since keys came in the middle. */
static int
has_grown(struct users_edit *e)
{
	DB_MPOOLFILE *pool = e->copy.db->get_mpf(e->copy.db);
	db_pgno_t last = 0;

	return pool->get_last_pgno(pool, &last) == 0 &&
	       last >= 2 * (uint64_t)e->copy.stat.st_size / BTREE_PAGE_SIZE;
}

/* In ascending order, so that libdb fills each page. */
static int
copy_keys(struct users *from, struct users *to, struct reason *why)
{
	DBT key = {0}, value = {0};
	int put = 0, got = from->cursor->get(from->cursor, &key, &value, DB_FIRST);

	while (!got && !put) {
		put = to->db->put(to->db, NULL, &key, &value, 0);
		if (!put)
			got = from->cursor->get(from->cursor, &key, &value, DB_NEXT);
	}
	if (put)
		return users_db_fail(to, put, "write", why);
	return got == DB_NOTFOUND ? 0 : users_db_fail(from, got, "read", why);
}

/* Puts a file of full pages in the place of the copy's. */
static int
pack(struct users_edit *e, struct reason *why)
{
	struct users packed = {.path = e->copy.path};
	int result, from = e->copy.fd;

	if (open_copy(e, why)) {
		e->copy.fd = from;
		return -1;
	}
	packed.fd = e->copy.fd;
	result = users_db_attach(&packed, DB_CREATE, LITTLE_CACHE, why);
	if (!result)
		result = copy_keys(&e->copy, &packed, why);
	if (result)
		users_db_drop(&packed);
	else
		result = users_db_detach(&packed, why);
	users_db_drop(&e->copy);
	close(from);
	return result;
}

/* --- commit --------------------------------------------------------------------- */

/* Reads what is in the file now, and not in any cache of libdb's. */
static int
read_back(struct users_edit *e, struct reason *why)
{
	table_copy_begin_sync(e->copy.fd);
	if (fstat(e->copy.fd, &e->copy.stat))
		return reason_errno(why, "%s.new: stat", e->copy.path);
	return users_file_check(&e->copy, why) || btree_verify(&e->copy, 1, why) ? -1 : 0;
}

static int
finish_file(struct users_edit *e, mode_t mode, gid_t group, struct stat *new_table,
	struct reason *why)
{
	if (fchown(e->copy.fd, 0, group))
		return reason_errno(
			why, "%s.new: owner and group %d", e->copy.path, (int)group);
	if (fchmod(e->copy.fd, mode & 07777))
		return reason_errno(why, "%s.new: mode", e->copy.path);
	if (fsync(e->copy.fd))
		return reason_errno(why, "%s.new: sync", e->copy.path);
	if (new_table && fstat(e->copy.fd, new_table))
		return reason_errno(why, "%s.new: stat", e->copy.path);
	return 0;
}

static int
rename_copy(struct users_edit *e, struct reason *why)
{
	if (renameat(e->dir, e->new_name, e->dir, e->name))
		return reason_errno(why, "%s.new: rename", e->copy.path);
	if (fsync(e->dir) == 0)
		return 0;
	return reason_errno(why,
		"%s: changed, but may be the old one after a power cut: sync of its "
		"directory",
		e->copy.path);
}

/* From libdb's cache into the file. */
static int
write_copy(struct users_edit *e, struct reason *why)
{
	uint64_t generation;
	int result;

	if (users_edit_generation(e, &generation, why) ||
		put_own_record(e, generation, why))
		return -1;
	users_db_set_sync(0);
	result = has_grown(e) ? pack(e, why) : users_db_detach(&e->copy, why);
	users_db_set_sync(1);
	return result;
}

int
users_edit_commit(struct users_edit **e, mode_t mode, gid_t group, struct stat *new_table,
	struct reason *why)
{
	if (write_copy(*e, why) || read_back(*e, why) ||
		finish_file(*e, mode, group, new_table, why) || rename_copy(*e, why)) {
		users_edit_abort(e);
		return -1;
	}
	free_edit(e);
	return 0;
}
