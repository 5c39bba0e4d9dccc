/*
 * The usage store: the ledger's numbers and tickets on disk, in a Berkeley DB environment
 * that this process alone opens (DB_PRIVATE, mode 0700, recovery at each start).
 *
 * Changes gather in one transaction per pass of the event loop; usage_commit hands it to
 * the kernel before any answer leaves, so the store survives the death of the daemon. The
 * disk is synced once a second by a thread of its own, so no request waits for it.
 *
 * It is a cache. A store that can't be recovered or written is set aside, a mark in the
 * run directory says that tickets may be lost, and the daemon goes on in memory; every 30
 * s it tries to come back, writing all it has. The mark of tickets that are lost for good
 * stays until their deadline must have passed, over restarts, too.
 */
#ifndef QUOTAD_USAGE_H
#define QUOTAD_USAGE_H

#include <stdint.h>

#include "ledger/ledger.h"
#include "reason.h"

struct usage;

enum usage_start {
	USAGE_SOUND,  /* all tickets are known */
	USAGE_UNSURE, /* tickets of this boot may be lost: ledger_hold */
};

/* Opens or makes the store in DIR and loads it into the ledger (accounts, tickets; known
 * only where the boot is the same). RUN_DIR holds the marks. BOOT is this boot's id.
 * Gives a store in memory if need be; NULL without memory, where DIR belongs to another
 * quotad (locked) or another user or holds a DB_CONFIG that is not root's, or where no
 * mark can be made in RUN_DIR. */
struct usage *usage_open(const char *dir, const char *run_dir, const char *boot,
	struct ledger *l, enum usage_start *start, struct reason *why);
/* Commits, checkpoints, closes. */
void usage_close(struct usage **u);

/* As the ledger's calls of the same names. */
int usage_save_account(struct usage *u, struct account *a);
int usage_save_ticket(
	struct usage *u, struct account *a, const char *name, uint64_t bytes);
void usage_remove_ticket(struct usage *u, struct account *a, const char *name);

/* Ends the pass. -1: nothing that was saved since the last commit may be promised
 * (neither the store nor a mark could be written). */
int usage_commit(struct usage *u);

/* About once a second: sync, checkpoint, come back from memory. */
void usage_tick(struct usage *u, uint64_t now_ms);

/* A sign of life: puts NUMBER into the store, to be committed like anything else; then,
 * in a later pass, tells whether it is there. 0, -1 where it is not. In memory there is
 * nothing to do. */
int usage_put_sign(struct usage *u, uint64_t number);
int usage_check_sign(struct usage *u, uint64_t number);

/* 1 while the store is on disk, 0 in memory. */
int usage_on_disk(const struct usage *u);

#endif
