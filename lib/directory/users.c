/*
 * Reading the user table. libdb isn't started before it is needed: a look-up or two do
 * without (btree_get.c), which costs a fresh process a third.
 */
#include "users.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "btree_get.h"
#include "login_index.h"
#include "mailbox_record.h"

/* Pages kept; more costs a fresh process its page faults, fewer cost one that stays a
 * read and a checksum for each look-up in a large table. */
#define READER_CACHE  (1 << 20)
#define STAYING_CACHE (6 << 20)

static struct users *
open_table(const char *path, struct reason *why)
{
	struct users *u = calloc(1, sizeof *u);

	if (u)
		u->fd = -1;
	if (!u || !(u->path = strdup(path))) {
		reason_no_memory(why, path);
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
start_libdb(struct users *u, struct reason *why)
{
	return u->db ? 0 : users_db_attach(u, DB_RDONLY, READER_CACHE, why);
}

struct users *
users_open(const char *path, struct reason *why)
{
	struct users *u = open_table(path, why);

	if (u && !u->usual && start_libdb(u, why))
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

int
users_descriptor(const struct users *u)
{
	return u->fd;
}

const struct stat *
users_stat(const struct users *u)
{
	return &u->stat;
}

const char *
users_identity(const struct stat *st, char text[USERS_IDENTITY_SIZE])
{
	snprintf(text, USERS_IDENTITY_SIZE, "%ju:%ju:%jd.%09ld", (uintmax_t)st->st_dev,
		(uintmax_t)st->st_ino, (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	return text;
}

/* The record of a key and value as they stand in the table. */
static int
take_record(const struct users *u, const DBT *key, const DBT *value, struct record *r,
	struct reason *why)
{
	struct reason fault;
	char name[ADDRESS_MAX + 1];

	if (key->size > ADDRESS_MAX || memchr(key->data, '\0', key->size)) {
		users_db_damaged(u, "a key is too long, or has a NUL in it", why);
		return -1;
	}
	memcpy(name, key->data, key->size);
	name[key->size] = '\0';
	if (record_parse(r, value->data, value->size, 0, &fault)) {
		reason_set(why, "%s: damaged: the record of %.100s: %.100s", u->path,
			name, fault.text);
		return -1;
	}
	if (record_set_key(r, name) == 0)
		return 0;
	record_clear(r);
	reason_no_memory(why, u->path);
	return -1;
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

	if (start_libdb(u, why))
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
	struct btree_item above, item = {0};
	enum btree_result result =
		u->db ? BTREE_UNUSUAL
		      : btree_get(u, key, strlen(key), &p, &above, &item, why);
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

/* Whether the record is a mailbox's that has this login. */
static int
has_login(const struct record *r, const char *login)
{
	const char *own = record_get(r, "login");
	char key[ADDRESS_MAX + 1];

	return own && mailbox_kind_of(r) == MAILBOX_KIND_MAILBOX &&
	       login_index_key(key, own) == 0 && strcmp(key, login) == 0;
}

/* The entry may be out of date where an older brimadm has changed the table since. */
int
users_login(struct users *u, const char *login, char *key, struct reason *why)
{
	char canonical[ADDRESS_MAX + 1];
	struct record r;
	int hit;

	if (login_index_key(canonical, login))
		return 0;
	if (start_libdb(u, why))
		return -1;
	hit = login_index_find(u, canonical, key, why);
	if (hit <= 0)
		return hit;
	hit = users_get(u, key, &r, why);
	if (hit > 0)
		hit = has_login(&r, canonical);
	record_clear(&r);
	return hit;
}

int
users_generation(struct users *u, uint64_t *generation, struct reason *why)
{
	struct record table = {0};
	int hit = find_record(u, users_key_table, &table, why);

	*generation = 0;
	if (hit > 0 && record_number(&table, "generation", 0, generation))
		hit = users_db_damaged(u, "its generation is no number", why);
	record_clear(&table);
	return hit < 0 ? -1 : 0;
}

static int
is_last(const DBT *key)
{
	return users_db_compare(key, users_key_last, sizeof users_key_last) == 0;
}

/* A root with the keys of another page leads to a part of the table, which lacks an end.
 */
static int
has_end(struct users *u, const void *key, size_t size, struct reason *why)
{
	struct btree_page p = {0};
	struct btree_item found, value;
	enum btree_result result = btree_get(u, key, size, &p, &found, &value, why);

	if (result == BTREE_ABSENT)
		return users_db_damaged(u, "its first or last key is missing", why);
	return result == BTREE_DAMAGED ? -1 : 0;
}

/* 1, 0, -1; 2 where libdb has to be asked. */
static int
has_records_in_file(struct users *u, struct reason *why)
{
	struct btree_page p = {0};
	struct btree_item found, value;
	enum btree_result result;

	if (has_end(u, users_key_first, sizeof users_key_first, why) ||
		has_end(u, users_key_last, sizeof users_key_last, why))
		return -1;
	result = btree_get(
		u, users_key_records, sizeof users_key_records, &p, &found, &value, why);
	if (result == BTREE_DAMAGED || result == BTREE_UNUSUAL)
		return result == BTREE_DAMAGED ? -1 : 2;
	return btree_page_order(&found, (const uint8_t *)users_key_last,
		       sizeof users_key_last) != 0;
}

int
users_has_records(struct users *u, struct reason *why)
{
	DBT found, value;
	int has = u->db ? 2 : has_records_in_file(u, why);

	if (has != 2)
		return has;
	if (start_libdb(u, why) ||
		users_db_seek(u, users_key_records, sizeof users_key_records, &found,
			&value, why) < 0)
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
	if (!error && size && users_db_compare(key, after, size) == 0)
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

/* Whether the line of fields has one of the words in it, or none is asked for. */
static int
has_word(const DBT *value, const char *const *words)
{
	if (!words)
		return 1;
	for (; *words; words++)
		if (value->size &&
			memmem(value->data, value->size, *words, strlen(*words)))
			return 1;
	return 0;
}

int
users_each(struct users *u, const char *after,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why)
{
	return users_each_with(u, after, NULL, each, arg, why);
}

int
users_each_with(struct users *u, const char *after, const char *const *words,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why)
{
	DBT key = {0}, value = {0};
	DBC *cursor;
	int result = 0, error;

	if (start_libdb(u, why))
		return -1;
	error = u->db->cursor(u->db, NULL, &cursor, 0);
	if (error)
		return users_db_fail(u, error, "read", why);
	error = place(cursor, after, &key, &value);
	while (!error && !is_last(&key)) {
		if (has_word(&value, words))
			result = visit(u, &key, &value, each, arg, why);
		if (result)
			break;
		error = cursor->get(cursor, &key, &value, DB_NEXT);
	}
	cursor->close(cursor);
	if (error == DB_NOTFOUND)
		return users_db_damaged(u, "its last key is missing", why);
	return error ? users_db_fail(u, error, "read", why) : result;
}

/* --- the forms that names have ----------------------------------------------------- */

static int
is_bare(void *arg, const struct record *r)
{
	(void)arg;
	return !address_domain_key(r->key);
}

static int
is_older(void *arg, const struct record *r)
{
	(void)arg;
	return totals_is_older(r->key, strlen(r->key));
}

/* Whether the table's own record says that keys of this form are there; where it says
 * nothing, an older brimadm wrote it, and each is looked at. */
static int
has_form(struct users *u, const char *field, int (*is)(void *arg, const struct record *r),
	enum users_has *known, struct reason *why)
{
	struct record table = {0};
	uint64_t count;
	int hit;

	if (*known != NOT_LOOKED_FOR)
		return *known == SOME;
	hit = find_record(u, users_key_table, &table, why);
	if (hit > 0 && record_get(&table, field) &&
		record_number(&table, field, 0, &count) == 0)
		hit = count > 0;
	else if (hit >= 0)
		hit = users_each(u, "", is, NULL, why);
	record_clear(&table);
	if (hit >= 0)
		*known = hit ? SOME : NONE;
	return hit;
}

int
users_has_bare_names(struct users *u, struct reason *why)
{
	return has_form(u, "bare", is_bare, &u->bare_names, why);
}

int
users_has_older_keys(struct users *u, struct reason *why)
{
	return has_form(u, "older", is_older, &u->older_keys, why);
}

static int
begins_with(void *arg, const struct record *r)
{
	const char *local = arg;

	return strncmp(r->key, local, strlen(local)) == 0 ? 1 : 2;
}

int
users_has_local_part(struct users *u, const char *local, struct reason *why)
{
	char key[ADDRESS_MAX + 2];
	int result;

	if (strlen(local) >= ADDRESS_MAX)
		return 0;
	stpcpy(stpcpy(key, local), "@");
	result = users_each(u, key, begins_with, key, why);
	return result == 2 ? 0 : result;
}
