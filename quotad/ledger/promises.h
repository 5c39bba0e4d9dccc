/*
 * Promises: room for messages that were accepted at SMTP time and are not delivered yet.
 * A promise is an account's, by queue id and recipient, and is charged to it as a ticket
 * is. It has no file, so no count looks for it and none ends it: it ends as the delivery
 * uses it, whose ticket is charged in its place in the same step, or when its time is
 * over.
 *
 * An account has PROMISES_OF_ACCOUNT at most, the ledger PROMISES_MAX: beyond them
 * nothing is kept, and who asks is told.
 */
#ifndef QUOTAD_LEDGER_PROMISES_H
#define QUOTAD_LEDGER_PROMISES_H

#include "accounts.h"

enum {
	PROMISES_OF_ACCOUNT = 1000,
	PROMISES_MAX = 100 * 1000,
	PROMISE_HEADERS = 4096, /* that a message grows by until it is delivered */
	PROMISE_SLOTS = 1024    /* of the clock, a second each */
};

struct promise {
	TAILQ_ENTRY(promise) here; /* of its account */
	TAILQ_ENTRY(promise) due;  /* of those that end in its second */
	struct account *account;
	struct ticket *ticket; /* that has its room now; NULL: none */
	uint64_t bytes, recipient, client, ms;
	uint64_t until;
	char id[];
};

/* All promises by the seconds in which they end, of which each has its slot. */
struct promise_clock {
	struct account_promises slots[PROMISE_SLOTS];
	uint64_t second; /* that was looked at last */
};

struct question;

void promises_init(struct ledger *l);
/* Frees those of an account that is freed. */
void promises_free(struct account *a);
/* The oldest promise of the account that the question's message has; NULL: none. */
struct promise *promises_own(const struct question *q);
/* Keeps room for the question's message, which fits; one that has a promise has it for
 * longer, and for no fewer bytes. 1 where there is a promise now. */
int promises_keep(struct ledger *l, const struct question *q);
/* Its message has a ticket, which is charged in its place. */
void promises_use(struct ledger *l, struct promise *p, struct ticket *t);
/* The ticket ends. If its message IS_STORED so does the promise; else its room, as far as
 * the ticket gives it back, is the message's again for the time that is left. */
void promises_leave(struct ledger *l, struct ticket *t, int is_stored);
/* Whether an earlier delivery of the message, whose lda may be alive, has its promise. */
int promises_are_cut_off(const struct question *q);
/* The account is forgotten. */
void promises_end_all(struct ledger *l, struct account *a);
/* Ends those whose time is over. */
void promises_tick(struct ledger *l);

#endif
