/*
 * What a scanner process has forked and has not ended yet, so that children which no
 * signal ends are bounded: one that waits for the program behind a FUSE file system, say.
 *
 * A child is stuck when it is there although its life has been over for a while, and
 * SIGKILL, where this process may send it, does not end it. A mailbox that has one gets
 * no other; a user who has STUCK_OF_USER gets none, nor does a file system that has as
 * many.
 */
#ifndef QUOTAD_SCANNER_FORKED_H
#define QUOTAD_SCANNER_FORKED_H

#include <stdint.h>
#include <sys/types.h>

#include "reason.h"

#define FORKED_MAX    1024
#define STUCK_OF_USER 64 /* of a file system, too */

struct forked_child {
	uint64_t mailbox; /* a hash of its path */
	uint64_t uid;     /* of its owner */
	uint64_t disk;    /* 0: one that can't hang */
	uint64_t over_ms; /* when it is stuck if it is there */
	pid_t pid;
	int is_told; /* to end */
};

/* Forgets those that have ended. */
void forked_reap(void);

/* Whether there may be one more for that mailbox of that user, on that file system: 0, or
 * -1 with the reason. */
int forked_may_begin(uint64_t mailbox, uint64_t uid, uint64_t disk, struct reason *why);

/* It has been forked. */
void forked_note(const struct forked_child *child);

/* In a child: it has forked nothing. */
void forked_forget_all(void);

#endif
