/*
 * Reading the user table, page by page and without libdb, whose start alone would cost a
 * fresh process a third; one that users_open_to_stay has opened, or that is being
 * changed, is read through libdb in the same way.
 */
#include "users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "btree_get.h"

static int
seek_in_pages(struct users *u, const void *key, size_t size, DBT *found, DBT *value,
	struct reason *why)
{
	return btree_seek(u, u->place, key, size, found, value, why);
}

static int
walk_pages(struct users *u, const void *key, size_t size,
	int (*visit)(void *arg, const DBT *key, const DBT *value), void *arg,
	struct reason *why)
{
	struct btree_place at = {.index = 0};
	DBT found, value;
	int failed = btree_seek(u, &at, key, size, &found, &value, why) < 0, result = 0;

	while (!failed && (result = visit(arg, &found, &value)) == 0)
		failed = btree_next(u, &at, &found, &value, why);
	btree_place_end(&at);
	return failed ? -1 : result;
}

static void
close_pages(struct users *u)
{
	btree_place_end(u->place);
	free(u->place);
	u->place = NULL;
}

static const struct users_access in_pages = {seek_in_pages, walk_pages, close_pages};

struct users *
users_open(const char *path, struct reason *why)
{
	struct users *u = users_file_begin(path, why);

	if (!u)
		return NULL;
	if (users_file_check_form(u, why))
		users_close(&u);
	else if (!(u->place = calloc(1, sizeof *u->place))) {
		reason_no_memory(why, path);
		users_close(&u);
	} else {
		u->access = &in_pages;
	}
	return u;
}

void
users_close(struct users **u)
{
	if (!*u)
		return;
	if ((*u)->access)
		(*u)->access->close(*u);
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
		users_file_damaged(u, "a key is too long, or has a NUL in it", why);
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
find_record(struct users *u, const char *key, struct record *r, struct reason *why)
{
	DBT found, value;
	int hit = users_seek(u, key, strlen(key), &found, &value, why);

	if (hit <= 0)
		return hit;
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

int
users_generation(struct users *u, uint64_t *generation, struct reason *why)
{
	struct record table = {0};
	int hit = find_record(u, users_key_table, &table, why);

	*generation = 0;
	if (hit > 0 && record_number(&table, "generation", 0, generation))
		hit = users_file_damaged(u, "its generation is no number", why);
	record_clear(&table);
	return hit < 0 ? -1 : 0;
}

static int
is_last(const DBT *key)
{
	return users_file_compare(key, users_key_last, sizeof users_key_last) == 0;
}

/* A root with the keys of another page leads to a part of the table, which lacks an end.
 */
static int
check_end(struct users *u, const void *key, size_t size, struct reason *why)
{
	DBT found, value;
	int hit = users_seek(u, key, size, &found, &value, why);

	if (hit == 0)
		users_file_damaged(u, "its first or last key is missing", why);
	return hit > 0 ? 0 : -1;
}

int
users_has_records(struct users *u, struct reason *why)
{
	DBT found, value;

	if (check_end(u, users_key_first, sizeof users_key_first, why) ||
		check_end(u, users_key_last, sizeof users_key_last, why) ||
		users_seek(u, users_key_records, sizeof users_key_records, &found, &value,
			why) < 0)
		return -1;
	return !is_last(&found);
}

/* --- one after the other ---------------------------------------------------------- */

#define AT_END 2 /* of the walk alone: the records are through */

struct each {
	struct users *u;
	const char *after;
	const char *const *words;
	int (*each)(void *arg, const struct record *r);
	void *arg;
	struct reason *why;
	int result;
};

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

/* Ends the walk at the last key, and where a record's visitor does. */
static int
visit(void *arg, const DBT *key, const DBT *value)
{
	struct each *e = arg;
	struct record r;

	if (is_last(key))
		return AT_END;
	if (users_file_compare(key, e->after, strlen(e->after)) == 0 ||
		!has_word(value, e->words))
		return 0;
	e->result = take_record(e->u, key, value, &r, e->why);
	if (e->result)
		return 1;
	e->result = e->each(e->arg, &r);
	record_clear(&r);
	return e->result != 0;
}

int
users_each_with(struct users *u, const char *after, const char *const *words,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why)
{
	struct each e = {u, after, words, each, arg, why, 0};
	const size_t size = strlen(after);
	const void *from = size ? after : users_key_records;
	int result = u->access->walk(
		u, from, size ? size : sizeof users_key_records, visit, &e, why);

	return result < 0 ? -1 : e.result;
}

int
users_each(struct users *u, const char *after,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why)
{
	return users_each_with(u, after, NULL, each, arg, why);
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
	return address_is_older(r->key, strlen(r->key));
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
