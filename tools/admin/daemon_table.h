/*
 * Which user table quotad has in use, as its STATS tell: after a change the command waits
 * for it, and check looks whether it is the one that lda reads.
 */
#ifndef BRIMADM_DAEMON_TABLE_H
#define BRIMADM_DAEMON_TABLE_H

#include <stdint.h>
#include <sys/stat.h>

#include "quota_client.h"

/*
 * Asks until quotad has the table that the stat is of, or so much time has passed: 1 if
 * it has, 0 if it has another, with the reason where it says that it can't use this one
 * (else an empty one), -1 with the reason. A later table of at least GENERATION
 * holds the change as well; 0 is for the table alone. IDENTITY (may be NULL) gets what
 * quotad said last, which the caller frees.
 */
int daemon_table_wait(struct quota_client *q, const struct stat *table,
	uint64_t generation, uint64_t ms, char **identity, struct reason *why);

#endif
