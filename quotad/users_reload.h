/*
 * The user table as quotad has taken it. A new one is read through by a throw-away child
 * with no capability and a CPU limit before it is taken; a damaged or missing one leaves
 * the old in use, with a loud log line.
 */
#ifndef QUOTAD_TABLE_H
#define QUOTAD_TABLE_H

#include <event2/event.h>

#include "users.h"

struct table;

/* Begins to check the table, if there is one. NULL without memory. */
struct table *table_new(struct event_base *base, const char *path);
void table_free(struct table **t);

/* Waits for the first check, so that nobody hears "try again" only because we have just
 * begun. */
void table_wait(struct table *t);

/* The table in use, or NULL while none has been taken. Valid until the next pass. */
struct users *table_users(struct table *t);

/* Looks whether the path names another file than the one in use or under check; cheap. */
void table_look(struct table *t);

/* "device:inode:mtime" of the table in use, as STATS shows it and brimadm waits for;
 * "none". */
const char *table_identity(const struct table *t);

#endif
