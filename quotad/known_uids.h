/*
 * The uids that have a mailbox of their own, as a sorted array which a child writes and
 * this process reads: they share the memory. Who is none of them may connect and be
 * refused, but has no claim on this daemon's time.
 */
#ifndef QUOTAD_KNOWN_UIDS_H
#define QUOTAD_KNOWN_UIDS_H

#include <stddef.h>
#include <sys/types.h>

#include "users.h"

struct known_uids;

/* Room for the uids of a table of so many bytes; NULL without memory. */
struct known_uids *known_uids_new(off_t table_size);
void known_uids_free(struct known_uids **k);

/* Fills it from the table: 0, or -1 with the reason. The child does this. */
int known_uids_collect(struct known_uids *k, struct users *users, struct reason *why);

int known_uids_has(const struct known_uids *k, uid_t uid);

#endif
