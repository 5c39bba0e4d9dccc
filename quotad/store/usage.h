/*
 * The usage store: the ledger's numbers and tickets on disk, in a Berkeley DB environment
 * that this process alone opens (DB_PRIVATE, mode 0700, recovery at each start).
 *
 * Changes gather in one transaction per pass of the event loop; usage_commit hands it to
 * the kernel before any answer leaves, so the store survives the death of the daemon. The
 * disk is synced once a second by a thread of its own, so no request waits for it.
 *
 * It is a cache. A store that can't be recovered or written is set aside, a marker in the
 * run directory says that tickets may be lost, and the daemon goes on in memory; every 30
 * s it tries to come back, writing all there is. The marker of tickets that are lost for
 * good stays until their deadline must have passed, over restarts, too.
 */
#ifndef QUOTAD_USAGE_H
#define QUOTAD_USAGE_H

#include <stdint.h>

#include "reason.h"

struct usage;

/* A mailbox's numbers as they are kept. */
struct usage_numbers {
	uint64_t used, messages;
	uint64_t stamp; /* of its directories at the last exact count */
	/* The path (its hash) and owner that they belong to, and the rules that they were
	 * counted by; 0 in the records of earlier versions. */
	uint64_t path, owner, rules;
	uint64_t directory; /* that was counted; 0: none, or that of another boot */
	int known;          /* an exact count of this boot stands behind them */
	int wrong_names;    /* it is counted by its files */
	int had_mail;       /* messages were there when it was looked at last */
	uint64_t mail_in;   /* and by which table, as the ledger has it */
	/* Seconds since the first refusal for room (0: not full), and how it was then. */
	uint64_t full_for, full_used, full_bytes, full_messages, full_smallest;
	/* The last count: why it was made (a word; NULL: there was none), when, and what
	 * the number was before and after it. */
	const char *counted_why;
	int counted_exact;
	uint64_t counted_ago_ms, counted_was, counted_found;
};

/* A ticket: its bytes, and the path and directory that it was promised for (0: not
 * known). ENDED: its lda can't be alive (another boot); set when it is loaded. */
struct usage_ticket {
	uint64_t bytes, path, directory, mail_in;
	int ended;
};

/* A promise, as the ledger has it. UNTIL is of the monotonic clock; where it is loaded in
 * another boot than it was saved in, the highest number. */
struct usage_promise {
	const char *id;
	uint64_t recipient, client, bytes, ms, until, ticket;
};

/* Whose numbers and tickets these are. Those that return int: 0, or -1 where it could not
 * be taken, which makes the store one that can't be read. */
struct usage_calls {
	int (*load_account)(
		void *arg, const char *mailbox, const struct usage_numbers *n);
	int (*load_ticket)(void *arg, const char *mailbox, const char *name,
		const struct usage_ticket *t);
	int (*load_promise)(
		void *arg, const char *mailbox, const struct usage_promise *p);
	/* Saves all accounts, tickets, promises and places there are. */
	void (*save_all)(void *arg, struct usage *u);
	int (*load_place)(void *arg, uint64_t path, uint64_t mail_in);
};

enum usage_start {
	USAGE_SOUND,  /* all tickets are known */
	USAGE_UNSURE, /* tickets of this boot may be lost */
};

/* Opens or makes the store in DIR and loads what it holds (numbers are known only where
 * the boot is the same). RUN_DIR holds the markers. BOOT is this boot's id. CALLS must
 * live as long as the store. Gives a store in memory if need be; NULL without memory,
 * where DIR belongs to another quotad (locked) or another user or holds a DB_CONFIG that
 * is not root's, or where RUN_DIR is not root's or ours alone to write to, or no marker
 * can be made in it. */
struct usage *usage_open(const char *dir, const char *run_dir, const char *boot,
	const struct usage_calls *calls, void *arg, enum usage_start *start,
	struct reason *why);
/* Commits, checkpoints, closes. */
void usage_close(struct usage **u);

/* As deadline_note in the store's run directory. */
uint64_t usage_note_deadline(struct usage *u, uint64_t seconds);

/* Keeps an account, a ticket or a promise: 0, or -1 where nothing must be promised. */
int usage_save_account(
	struct usage *u, const char *mailbox, const struct usage_numbers *n);
int usage_save_ticket(struct usage *u, const char *mailbox, const char *name,
	const struct usage_ticket *t);
int usage_save_promise(
	struct usage *u, const char *mailbox, const struct usage_promise *p);
/* Keeps that a place, which no account has, had mail; MAIL_IN 0: no more. */
int usage_save_place(struct usage *u, uint64_t path, uint64_t mail_in);
void usage_remove_account(struct usage *u, const char *mailbox);
void usage_remove_ticket(struct usage *u, const char *mailbox, const char *name);
void usage_remove_promise(
	struct usage *u, const char *mailbox, const char *id, uint64_t recipient);

/* Ends the pass. -1: nothing that was saved since the last commit may be promised
 * (neither the store nor a marker could be written). */
int usage_commit(struct usage *u);

/* About once a second: sync, checkpoint, come back from memory. */
void usage_tick(struct usage *u, uint64_t now_ms);

/* For the watchdog: puts NUMBER into the store, to be committed like anything else; then,
 * in a later pass, tells whether it is there. 0, -1 where it is not. In memory there is
 * nothing to do. */
int usage_put_heartbeat(struct usage *u, uint64_t number);
int usage_check_heartbeat(struct usage *u, uint64_t number);

/* 1 while the store is on disk, 0 in memory. */
int usage_on_disk(const struct usage *u);

#endif
