/*
 * Waiters: which messages wait, or are expected, for which mailboxes. A waiter is one
 * message for one mailbox; a message has as many as it has recipients that wait.
 *
 * Bounded, for each mailbox and in all: what was heard of the longest ago goes first. A
 * mailbox is there as long as it has waiters or somebody holds it. Nothing here asks
 * anybody anything.
 */
#ifndef QUOTAD_WAITERS_H
#define QUOTAD_WAITERS_H

#include <stddef.h>
#include <sys/queue.h>

#include "hash.h"
#include "waiting.h"

#define WAITER_BYTES_MAX ((uint64_t)1 << 46) /* what is larger counts so much */

/* EXPECTED was accepted at SMTP time and may come to wait. */
enum waiter_list { WAITERS_EXPECTED, WAITERS_WAITING, WAITERS_LISTS };

/* A message in the mail server's queue, by its id there. */
struct queued {
	LIST_HEAD(, waiter) waiters;
	uint64_t released_ms; /* when that was asked for last; 0: never */
	unsigned tries;       /* that failed, since one did not */
	int is_asked;         /* there is no answer yet */
	int is_released;      /* the last try did not fail */
	char id[];
};

struct waiter {
	TAILQ_ENTRY(waiter) of_mailbox, of_all;
	LIST_ENTRY(waiter) of_message;
	struct mailbox_waiters *mailbox;
	struct queued *message;
	enum waiter_list list;
	uint64_t bytes, since_ms, heard_ms;
	uint64_t promised_ms; /* released, since it was refused last; 0: not */
};

TAILQ_HEAD(waiter_queue, waiter);

/* What looks at the mailbox need is theirs (waiting.c). */
struct mailbox_waiters {
	TAILQ_ENTRY(mailbox_waiters) turn, all;
	struct waiter_queue queues[WAITERS_LISTS]; /* the oldest first */
	size_t counts[WAITERS_LISTS];
	uint64_t bytes;  /* that wait */
	uint64_t number; /* grows with each mailbox */
	int is_held, has_turn;
	struct waiting *owner;
	struct room_question question;
	struct ledger_promise promise;
	struct waiter *asked;
	uint64_t due_ms, soonest_ms, began_ms;
	unsigned promises_left; /* of this turn */
	int is_doubted;         /* the last that was released did not come */
	int is_wanted;          /* there may be room since it was asked about */
	char name[];
};

TAILQ_HEAD(mailbox_list, mailbox_waiters);

struct waiters {
	struct hash messages, mailboxes;
	struct waiter_queue queues[WAITERS_LISTS]; /* heard of the longest ago first */
	size_t counts[WAITERS_LISTS];
	struct mailbox_list all; /* by their numbers */
	struct mailbox_list turns;
	uint64_t next_number, bytes, waiting_mailboxes;
};

/* 0, or -1 without memory. */
int waiters_init(struct waiters *all);
void waiters_free(struct waiters *all);

struct mailbox_waiters *waiters_find_mailbox(const struct waiters *all, const char *name);
struct queued *waiters_find_message(const struct waiters *all, const char *id);
struct waiter *waiters_find(
	const struct waiters *all, const struct mailbox_waiters *m, const char *id);

/* Adds one, whose mailbox has none of that id, at the end of the list; others go where
 * there are too many. NULL without memory. */
struct waiter *waiters_add(struct waiters *all, const char *mailbox, const char *id,
	enum waiter_list list, uint64_t bytes, uint64_t now_ms);

/* It was heard of now: it moves to the end of that list, in its mailbox only where it is
 * another one, and has so many bytes now. */
void waiters_move(struct waiters *all, struct waiter *e, enum waiter_list list,
	uint64_t bytes, uint64_t now_ms);

/* Removes it; its mailbox may be gone then, unless it is held. */
void waiters_remove(struct waiters *all, struct waiter *e);

/* The mailbox is held no more, and gone where it has no waiters. 1 where it is there. */
int waiters_let_go(struct waiters *all, struct mailbox_waiters *m);

/* Removes those of which nothing was heard for too long. */
void waiters_forget_old(struct waiters *all, uint64_t now_ms);

/* Puts the mailbox among those that take turns, by when it is due. */
void waiters_take_turn(struct waiters *all, struct mailbox_waiters *m, uint64_t due_ms);
/* None is due later than that. */
void waiters_be_due(struct waiters *all, uint64_t due_ms);
void waiters_leave_turn(struct waiters *all, struct mailbox_waiters *m);

#endif
