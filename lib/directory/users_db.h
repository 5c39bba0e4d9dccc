/*
 * What reader and writer of the user table share: the file through libdb's eyes.
 *
 * Keys in the Btree, in order: FIRST (the form's version), one \001PATH for each mail=
 * (its value: the mailbox's key), one \001=LOGIN for each login= (login_index.h), TABLE
 * (fields of the table itself; none in an old one), TABLE and 16 digits for each path
 * that was removed (removals.h), the records, LAST. So every key that may be asked for
 * has a neighbour on each side.
 */
#ifndef BRIM_USERS_DB_H
#define BRIM_USERS_DB_H

#include <db.h>

#include "address.h"
#include "totals.h"
#include "users.h"

#define BTREE_PAGE_SIZE 4096

#define COPY_SUFFIX ".new" /* of the name under which a writer changes it */

struct users {
	int fd;
	struct stat stat;
	char *path;
	DB *db; /* NULL: not open in libdb */
	DBC *cursor;
	uint32_t root; /* the tree's first page */
	uint32_t free; /* the first of those that are free */
	int usual;     /* the first page says nothing that libdb alone can read */
	enum users_has {
		NOT_LOOKED_FOR,
		NONE,
		SOME
	} bare_names,
		older_keys;   /* what was found of names of that form */
	int stays;            /* the table can't change under it, and is asked often: */
	struct record domain; /* the domain's that was found last; no key: none */
	struct totals totals; /* once it was read through; a writer keeps them right */
	enum users_sum sum;
	char message[REASON_SIZE / 2]; /* libdb's own words for the last error */
};

extern const char users_key_first[1];
extern const char users_key_table[2];   /* above the paths; with a NUL behind it */
extern const char users_key_records[1]; /* above that, below every record */
extern const char users_key_last[ADDRESS_MAX + 1];

/* Opens PATH (in DIR, or AT_FDCWD), and refuses what is not root's, not regular or
 * writable by others. NAME is for reasons. */
int users_db_open_file(
	int dir, const char *path, const char *name, struct stat *st, struct reason *why);

/* Opens u->fd in libdb; FLAGS are DB_RDONLY, DB_CREATE or 0. */
int users_db_attach(
	struct users *u, u_int32_t flags, u_int32_t cache, struct reason *why);

/* Looks at the first page, which tells what is no table of ours and what is cut off, and
 * where the tree is. */
int users_db_check_meta(struct users *u, struct reason *why);

/* Reads all of it, as users_read_through does. STAMPS: marks the pages that libdb wrote;
 * then the file must be open to write. */
int btree_verify(struct users *u, int stamps, struct reason *why);

/* What the table's own record says of its totals: 1, 0 if nothing, -1 if it is none. */
int users_db_told_totals(const char *text, size_t size, struct totals *t);

/* Whether libdb syncs the file at each close; a writer does so once, at its end. For the
 * whole process. */
void users_db_set_sync(int on);

/* Closes it in libdb, writing what is changed unless it was opened to read: 0, -1. */
int users_db_detach(struct users *u, struct reason *why);

/* Closes it in libdb; what is changed and not yet written is lost. */
void users_db_drop(struct users *u);

/* As libdb puts keys in order: bytewise, the shorter one first. */
int users_db_compare(const DBT *a, const void *b, size_t size);

/* The first key at or above KEY: 1 if it is that key, 0 if it is another, -1. FOUND and
 * VALUE belong to libdb until the next call. */
int users_db_seek(struct users *u, const void *key, size_t size, DBT *found, DBT *value,
	struct reason *why);

/* Puts the value in the place of any of that key, and keeps the totals: 0, -1. */
int users_db_put(struct users *u, const void *key, size_t size, const char *value,
	struct reason *why);

/* Removes key and value: 1, 0 if there was none, -1. */
int users_db_remove(struct users *u, const void *key, size_t size, struct reason *why);

/* The reason for a damaged table; always -1. */
int users_db_damaged(const struct users *u, const char *what, struct reason *why);

/* The reason for an error of libdb; always -1. */
int users_db_fail(struct users *u, int error, const char *doing, struct reason *why);

#endif
