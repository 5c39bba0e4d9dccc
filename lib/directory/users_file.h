/*
 * The user table as a file, and an open one: what all that read or write it share.
 *
 * Keys in the Btree, in order: FIRST (the form's version), one \001PATH for each mail=
 * (its value: the mailbox's key), one \001=LOGIN for each login= (login_index.h), TABLE
 * (fields of the table itself; none in an old one), TABLE and 16 digits for each path
 * that was removed (removals.h), the records, LAST. So every key that may be asked for
 * has a neighbour on each side.
 */
#ifndef BRIM_USERS_FILE_H
#define BRIM_USERS_FILE_H

#include <db.h>

#include "address.h"
#include "totals.h"
#include "users.h"

#define BTREE_PAGE_SIZE 4096

#define COPY_SUFFIX ".new" /* of the name under which a writer changes it */

/* How keys are found: page by page without libdb, or through it. */
struct users_access {
	/* as users_seek */
	int (*seek)(struct users *u, const void *key, size_t size, DBT *found, DBT *value,
		struct reason *why);
	/* calls VISIT with each key from the first at or above KEY on, until that returns
	 * what is not 0, which is returned; there is no end before: -1 with the reason */
	int (*walk)(struct users *u, const void *key, size_t size,
		int (*visit)(void *arg, const DBT *key, const DBT *value), void *arg,
		struct reason *why);
	void (*close)(struct users *u);
};

struct users {
	int fd;
	struct stat stat;
	char *path;
	const struct users_access *access; /* NULL: not open yet */
	struct btree_place *place;         /* without libdb: where it was read last */
	DB *db;                            /* NULL: not open in libdb */
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
int users_file_open(
	int dir, const char *path, const char *name, struct stat *st, struct reason *why);

/* Opens PATH, and looks at its first page; it can't be looked up in yet. NULL with the
 * reason. */
struct users *users_file_begin(const char *path, struct reason *why);

/* Looks at the first page, which tells what is no table of ours and what is cut off, and
 * where the tree is. */
int users_file_check(struct users *u, struct reason *why);

/* Whether its form is the one that Brim writes: 0, -1. */
int users_file_check_form(const struct users *u, struct reason *why);

/* The first key at or above KEY: 1 if it is that key, 0 if it is another, -1. FOUND and
 * VALUE are good until the next call. */
int users_seek(struct users *u, const void *key, size_t size, DBT *found, DBT *value,
	struct reason *why);

/* Reads all of it, as users_read_through does. STAMPS: marks the pages that libdb wrote;
 * then the file must be open to write. */
int btree_verify(struct users *u, int stamps, struct reason *why);

/* What the table's own record says of its totals: 1, 0 if nothing, -1 if it is none. */
int users_file_totals(const char *text, size_t size, struct totals *t);

/* As libdb puts keys in order: bytewise, the shorter one first. */
int users_file_compare(const DBT *a, const void *b, size_t size);

/* The reason for a damaged table; always -1. */
int users_file_damaged(const struct users *u, const char *what, struct reason *why);

#endif
