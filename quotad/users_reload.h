/*
 * The user table as quotad has taken it. A new one is read through by a throw-away child
 * with no capability and a CPU limit before it is taken; a damaged or missing one leaves
 * the old in use, with a loud log line.
 */
#ifndef QUOTAD_USERS_RELOAD_H
#define QUOTAD_USERS_RELOAD_H

#include <event2/event.h>

#include "users.h"

struct users_reload;

/* Begins to check the table, if there is one. NULL without memory. */
struct users_reload *users_reload_new(struct event_base *base, const char *path);
void users_reload_free(struct users_reload **r);

/* Waits for the first check and its uids, so that nobody is told "try again" only because
 * we have just begun. */
void users_reload_wait(struct users_reload *r);

/* The table in use, or NULL while none has been taken. Valid until the next pass. */
struct users *users_reload_table(struct users_reload *r);

/* Looks whether the path names another file than the one in use or under check; cheap. */
void users_reload_look(struct users_reload *r);

/* Whether the path names the table in use, and no newer one that is under check or could
 * not be taken: cheap, but a system call. What only an older table says is no reason to
 * refuse mail for good. */
int users_reload_is_newest(const struct users_reload *r);

/* Looks, and tells whether a newer table is under check, so that more is known soon. */
int users_reload_is_checking(struct users_reload *r);

/* "device:inode:mtime" of the table in use, as STATS shows it and brimadm waits for;
 * "none". */
const char *users_reload_identity(const struct users_reload *r);

/* Why the table that was looked at last is not the one in use, and its identity; NULL
 * where it is, or where that is not known yet. */
const char *users_reload_fault(
	const struct users_reload *r, char refused[USERS_IDENTITY_SIZE]);

/* Another number whenever another table is in use, or none any more. */
uint64_t users_reload_number(const struct users_reload *r);

/* What has become of the table of that identity, which may be another reader's. */
enum users_reload_state {
	USERS_RELOAD_UNKNOWN, /* the path names another */
	USERS_RELOAD_CHECKING,
	USERS_RELOAD_REFUSED,
	USERS_RELOAD_USED
};

enum users_reload_state users_reload_state(struct users_reload *r, const char *identity);

/* The generation of the table in use; 0 while there is none. */
uint64_t users_reload_generation(const struct users_reload *r);

/* Whether a record of the table is the uid's (of the one before, for a moment after a new
 * one was taken); 1 for all as long as none has been taken. */
int users_reload_knows(const struct users_reload *r, uid_t uid);

#endif
