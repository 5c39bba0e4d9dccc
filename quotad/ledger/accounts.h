/*
 * Accounts and their tickets: what is used and promised. Nothing here decides anything.
 *
 * What is charged to an account changes in one place, charge() in accounts.c: whoever
 * else assigns to it is told by the compiler.
 */
#ifndef QUOTAD_ACCOUNTS_H
#define QUOTAD_ACCOUNTS_H

#include "ledger.h"

/* What is charged: the messages that are there, */
struct charge {
	uint64_t used, messages;
};

/* and the room that is held for those to come. */
struct held {
	uint64_t reserved; /* bytes of all tickets */
	uint64_t promised; /* bytes of all promises */
	uint32_t tickets, promises;
};

/* That a ticket was promised for a place. */
struct anchor {
	LIST_ENTRY(anchor) here;
	struct ticket *ticket;
	uint64_t number; /* 0: for none that is known */
};

struct ticket {
	TAILQ_ENTRY(ticket)
	here; /* in its connection's list, or in one of the orphans' */
	LIST_ENTRY(ticket) of_account;
	struct account *account;
	struct ledger_connection *connection; /* of an open one */
	uint64_t connection_number; /* that last had it; 0: of an earlier daemon */
	uint64_t id, bytes;
	uint64_t unsure_until;
	uint64_t made_at;
	uint64_t mail_in; /* as memory.c has it; 0: no Maildir was there */
	enum ledger_ticket_state state;
	int ended_before; /* ended when the running count began */
	int seen;         /* by the running count */
	int taken_off;    /* its bytes, from a total that had its name */
	struct anchor path, directory;
	struct promise *promise; /* whose room it has; NULL: none */
	/* The same ticket as it is charged to other accounts, in a ring. An open one is
	 * in its connection's list, the others are copies. */
	struct ticket *next_copy;
	int is_copy;
	char name[];
};

LIST_HEAD(account_tickets, ticket);
TAILQ_HEAD(questions, question);
TAILQ_HEAD(account_turns, account);
TAILQ_HEAD(account_promises, promise);

/* What an account has only while it has tickets, promises or questions, or is looked at:
 * most have none. */
struct activity {
	const struct held held;
	struct account_tickets tickets;
	/* Since the running count began; those beyond NAMES_KEPT have left their bytes
	 * alone, and make it inexact. */
	struct account_tickets committed;
	uint32_t names_kept;
	uint32_t questions;      /* about it, wherever they wait */
	uint32_t orphans, ended; /* tickets; those that have ended are orphans, too */
	uint64_t nameless, nameless_bytes;
	struct questions waiting;
	struct account_promises promises; /* the oldest first */
	uint64_t sure,
		sure_messages;      /* there at one moment of the last count, at least */
	TAILQ_ENTRY(account) turns; /* while it has ended orphans and is not counted */
	int in_turns;
	unsigned turn; /* in which of the queues */
	uint64_t due_at;
	enum ledger_why why; /* of the running count */
	int is_orphan_count; /* the running count was its turn */
	uint32_t probe_after;
	uint64_t probe_began_at;
	uint32_t rival_counts; /* of the rival, begun when it was found first */
	uint64_t moves_before; /* the ledger's, when the running count began */
	uint64_t meant_before; /* memory.c's */
};

struct account {
	const struct charge charged;
	struct ledger_place place; /* that the number belongs to */
	uint64_t directory;        /* that was counted; 0: not known */
	uint64_t rules;            /* that it was counted by */
	uint64_t mail_in;          /* memory.c's */
	uint64_t stamp, counted_at, looked_at, count_began_at;
	uint64_t unmoved_at; /* the last look that found what the number is of; 0: none */
	int64_t last_at; /* the last count; below zero where it was before the clock */
	uint64_t last_was, last_found;
	struct activity *activity; /* NULL: none */
	struct full *full;
	uint32_t counts_begun;
	uint32_t reviewed_in; /* memory.c's: the ledger's table */
	unsigned counting : 1, probing : 1, thorough_wanted : 1;
	unsigned known : 1; /* an exact count of this boot stands behind the number */
	unsigned count_serves : 1; /* for refusals: no COMMIT since it began, unmoved */
	/* Its files were asked, and some of its names were wrong: they are asked each
	 * time, until a slow round finds all names right. */
	unsigned wrong_names : 1;
	unsigned by_files : 1;      /* the last exact count rests on no name alone */
	unsigned sure_by_files : 1; /* so does what is sure */
	unsigned may_be_twice : 1;  /* messages in the number, until an exact count */
	unsigned last_why : 4, last_exact : 1;
	unsigned failed_counts : 3; /* or inexact, since the last exact one; 7: or more */
	unsigned is_there : 1;      /* the last count found the directory that it has */
	unsigned rivalry : 2;       /* its place leads to a directory that another has */
	unsigned count_is_void : 1; /* the running one, whose number was dropped */
	unsigned is_second : 1;  /* another account has its place, which it can't have */
	unsigned had_mail : 1;   /* messages were in its place at the last look, */
	unsigned is_missing : 1; /* and no Maildir is there now, or no new/ in it */
	char name[];             /* begins in what would be padding */
};

/* What it holds. */
static inline struct held
account_held(const struct account *a)
{
	return a->activity ? a->activity->held : (struct held){.tickets = 0};
}

/* Its counts that have ended. */
static inline uint32_t
account_counts_applied(const struct account *a)
{
	return a->counts_begun - a->counting;
}

/* The first of its tickets, of_account; NULL: it has none. */
static inline struct ticket *
account_tickets(const struct account *a)
{
	return a->activity ? LIST_FIRST(&a->activity->tickets) : NULL;
}

/* For the ledger's table: whether it is the account's name. */
int account_has_name(const void *account, const void *name, size_t length);
void account_free(struct account *a);
/* Makes sure that it has one: 0, or -1 without memory. */
int account_begin_activity(struct account *a);
/* Frees it once there is none. */
void account_end_activity(struct account *a);
/* Takes it out of the ledger, and frees it. It has no tickets and no place. */
void account_forget(struct ledger *l, struct account *a);
/* What a count found, or the store had. */
void account_set_used(struct account *a, uint64_t used, uint64_t messages);
/* Charges so many bytes and promises. */
void account_set_promised(struct account *a, uint64_t bytes, uint32_t promises);
/* Bytes and number of the open tickets for the place that it has now. */
uint64_t account_open_bytes(const struct account *a, uint64_t *tickets);
/* Forgets what was committed while the count ran. */
void account_free_committed(struct account *a);

struct ticket *ticket_find(const struct account *a, const char *name);
struct ticket *ticket_find_open(const struct ledger_connection *c, uint64_t id);
/* Promises the room: the store has the ticket before anybody hears of it. NULL where the
 * store or memory fails. */
struct ticket *ticket_open(
	struct ledger *l, const struct ledger_request *r, const char *name);
/* A ticket of an earlier daemon, an orphan. NULL without memory. */
struct ticket *ticket_load(
	struct ledger *l, struct account *a, const struct ledger_ticket *kept);
/* The same ticket, as it is charged to another account. NULL where the store or memory
 * fails. */
struct ticket *ticket_copy(struct ledger *l, const struct ticket *t, struct account *a);
/* The ticket and its copies are a later connection's now, and the running count can't end
 * it. */
void ticket_take_over(struct ledger *l, struct ticket *t, struct ledger_connection *c);
/* It is an orphan, or an orphan of another state. */
void ticket_orphan(struct ledger *l, struct ticket *t, enum ledger_ticket_state state);
/* A count has decided it. Frees it. */
void ticket_end(struct ledger *l, struct ticket *t);
/* Its lda says that nothing of it is left. Frees it. */
void ticket_cancel(struct ledger *l, struct ticket *t);
/* Its message is there: what was promised is used. Frees it, or leaves its name to the
 * running count. */
void ticket_commit(struct ledger *l, struct ticket *t);

#endif
