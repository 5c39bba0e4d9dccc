/*
 * The user table, users.db: a Berkeley DB Btree with page checksums, opened without an
 * environment. Readers take no lock and see the old table or the new one, whole. Writers
 * hold PATH.lock, change a copy and rename it into place.
 *
 * A table that is missing, damaged, not root's or writable by others is an error, never
 * an empty table. Absence of a key is believed only where a neighbouring key proves that
 * the page was read (a page of zeros has none): so damage is never "no such user". What
 * users_open has opened is read page by page, in a bounded time. The others are read
 * through libdb, which can spin or crash on a damaged page: they bound the time and catch
 * the signals, or have read all of the table through before.
 */
#ifndef BRIM_USERS_H
#define BRIM_USERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "reason.h"
#include "record.h"

struct users;

/* Opens the table for reading, without libdb. NULL with the reason. */
struct users *users_open(const char *path, struct reason *why);
/* The same for a process that looks up again and again: libdb keeps the table's pages for
 * it, and reads forms that Brim never writes. */
struct users *users_open_to_stay(const char *path, struct reason *why);
void users_close(struct users **u);

/* The open table's descriptor: as long as one is open the file keeps its room on the
 * disk.
 */
int users_descriptor(const struct users *u);

/* The open table's file, to be compared with what the path names now. */
const struct stat *users_stat(const struct users *u);

#define USERS_IDENTITY_SIZE 80

/* "device:inode:mtime": the file, told from the one before and the one after. */
const char *users_identity(const struct stat *st, char text[USERS_IDENTITY_SIZE]);

/* How many changes of the table there have been, as far as it knows: each adds one. 0 in
 * a table of before this was counted. 0, -1. */
int users_generation(struct users *u, uint64_t *generation, struct reason *why);

/* The generation in which a mailbox of that place (as mailbox_place has the path, of uid
 * 0) was removed last, as far as the table knows; 0: in none. 0, -1. */
int users_removed_in(
	struct users *u, uint64_t place, uint64_t *generation, struct reason *why);

/* Finds KEY (folded, as address_key makes it): 1 with the record, 0 if there is none in a
 * sound table, -1 with the reason. */
int users_get(struct users *u, const char *key, struct record *r, struct reason *why);

/* The key (ADDRESS_MAX + 1 bytes) of the mailbox whose login= this is, in any form: 1, 0
 * if there is none or it can be no login, -1. */
int users_login(struct users *u, const char *login, char *key, struct reason *why);

/* 1 if the table has at least one mailbox, alias or domain, 0 if not, -1. */
int users_has_records(struct users *u, struct reason *why);

/* 1 if a record has a bare name (a local part without a domain), 0 if none has, -1. */
int users_has_bare_names(struct users *u, struct reason *why);

/* 1 if a key is in the form of an older brimadm, so that address_key makes another of it,
 * 0 if none is, -1. */
int users_has_older_keys(struct users *u, struct reason *why);

/* 1 if an address of this local part (folded) stands in any domain, 0 if not, -1. */
int users_has_local_part(struct users *u, const char *local, struct reason *why);

/* Calls EACH for every record in key order, from the first key above AFTER ("" for all),
 * until it returns non-zero, which is returned; 0 at the end, -1 with the reason. */
int users_each(struct users *u, const char *after,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why);

/* The same for the records alone whose fields, as a line, have one of the WORDS in them
 * (the last is NULL; NULL for all): the others are not taken apart, which costs most. */
int users_each_with(struct users *u, const char *after, const char *const *words,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why);

/* Reads every page of the table, in a bounded time, so that damage shows: keys in order,
 * each page once, and as many and the very records that the table says it has: 0, -1. */
int users_read_through(struct users *u, struct reason *why);

/* What the table says of how much it has; known once it was read through. */
enum users_sum {
	USERS_SUM_NONE, /* nothing: it is of an older brimadm */
	USERS_SUM_OLD,  /* an older brimadm has changed it since: nothing that counts */
	USERS_SUM_RIGHT
};

enum users_sum users_sum(const struct users *u);

/* --- what a damaged table still has --------------------------------------------- */

struct users_salvage {
	/* a record, in key order; what is not 0 ends it and is returned */
	int (*each)(void *arg, const struct record *r);
	/* the key of a mailbox whose path is there, but not its record */
	void (*lost)(void *arg, const char *key);
	void *arg;
};

struct users_salvaged {
	uint64_t found, missing; /* records */
	int sound;               /* there was no damage */
	int knows_missing;       /* else the table does not say how many it had */
	int complete;            /* nothing is missing or other than it was written */
};

/* Gives what stands in the table's undamaged pages, in whatever order they are: 0, -1
 * with the reason. */
int users_salvage(const char *path, const struct users_salvage *to,
	struct users_salvaged *result, struct reason *why);

/* --- writing: brimadm alone ----------------------------------------------------- */

struct users_edit;

/* Waits for the lock, and copies the table (or makes an empty one where there is none and
 * CREATE is set). WAITING is called once if another writer has the lock; it may be NULL.
 */
struct users_edit *users_edit_begin(
	const char *path, int create, void (*waiting)(void), struct reason *why);

/* As users_get, in the copy. */
int users_edit_get(
	struct users_edit *e, const char *key, struct record *r, struct reason *why);

/* The key of the mailbox whose mail= is this path, inside it or around it: 1 with KEY
 * (ADDRESS_MAX + 1 bytes), 0, -1. */
int users_edit_path_owner(
	struct users_edit *e, const char *path, char *key, struct reason *why);

/* As users_login, in the copy. */
int users_edit_login_owner(
	struct users_edit *e, const char *login, char *key, struct reason *why);

/* Puts the record in the place of any of the same key; keeps the indexes of paths and
 * logins. */
int users_edit_put(struct users_edit *e, const struct record *r, struct reason *why);

/* The same, but the indexes have nothing of it until it is put again. */
int users_edit_put_unindexed(
	struct users_edit *e, const struct record *r, struct reason *why);

/* Removes the record: 1, 0 if there was none, -1. */
int users_edit_remove(struct users_edit *e, const char *key, struct reason *why);

/* As users_each, in the copy. */
int users_edit_each(struct users_edit *e, const char *after,
	int (*each)(void *arg, const struct record *r), void *arg, struct reason *why);

/* The copy as it is now, for look-ups; valid until the commit. NULL with the reason. */
struct users *users_edit_table(struct users_edit *e, struct reason *why);

/* Removes every record, and whatever is damaged; the generation is kept, and what was
 * removed before, if they can be read. */
int users_edit_empty(struct users_edit *e, struct reason *why);

/* Tells with the commit that mailboxes of these places were removed: 0, -1. */
int users_edit_put_removed(
	struct users_edit *e, const uint64_t *places, size_t count, struct reason *why);

/* How many records the copy has; and how many the damaged table had that
 * users_edit_empty has thrown away, 0 if it did not say. */
uint64_t users_edit_records(const struct users_edit *e);
uint64_t users_edit_records_lost(const struct users_edit *e);

/* The generation that the table will have with the commit: 0, -1. */
int users_edit_generation(struct users_edit *e, uint64_t *generation, struct reason *why);

/* Reads the copy through, gives it MODE and GROUP (-1: as it is), syncs it, renames it
 * into place, syncs the directory, lets go of the lock, frees E. NEW_TABLE (may be NULL)
 * gets the new file's stat. On failure the old table is still in place. */
int users_edit_commit(struct users_edit **e, mode_t mode, gid_t group,
	struct stat *new_table, struct reason *why);

/* Throws the copy away. */
void users_edit_abort(struct users_edit **e);

#endif
