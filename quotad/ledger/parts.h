/*
 * What the ledger's files share: its structures. ledger.c has accounts, tickets and the
 * clock; ledger_ask.c the questions and what is said to them; ledger_count.c counts,
 * probes and what follows from them; ledger_full.c how long a mailbox has been full.
 */
#ifndef QUOTAD_LEDGER_PARTS_H
#define QUOTAD_LEDGER_PARTS_H

#include <sys/queue.h>

#include "hash.h"
#include "ledger.h"

enum {
	LOOK_MS = 15 * 60 * 1000,  /* below recheck_above, between two looks */
	BASIS_MS = 10 * 60 * 1000, /* a count serves for refusals so long */
	ORPHAN_COUNT_MS = 10 * 1000,
	SAVE_FULL_MS = 60 * 1000,
	TRIES = 3, /* counts for one question */
};

/* Open, or an orphan: ENDED where its lda can't be alive, UNSURE where it may be. */
enum ticket_state { TICKET_OPEN, TICKET_ENDED, TICKET_UNSURE };

struct ticket {
	struct ticket *next, *previous; /* in its list: of a connection, or of orphans */
	struct ticket *of_account;      /* the account's next */
	struct account *account;
	struct ledger_connection *connection; /* of an open one */
	uint64_t connection_number; /* that last had it; 0: of an earlier daemon */
	uint64_t id, bytes;
	uint64_t unsure_until;
	uint64_t made_at;
	enum ticket_state state;
	int ended_before; /* ended when the running count began */
	int seen;         /* by the running count */
	char name[];
};

struct ticket_list {
	struct ticket *first, *last;
};

enum need { NEED_NOTHING, NEED_PROBE, NEED_COUNT, NEED_SETTLING };

TAILQ_HEAD(questions, question);

/* A question that waits. It is in one list (home) by what it waits for, and in the
 * ledger's list of all. */
struct question {
	TAILQ_ENTRY(question) here, all;
	struct questions *home;
	struct ledger_request request;
	char *name;
	uint64_t asked_at;
	enum need need;
	uint32_t after_count;   /* a count must have a higher number to serve */
	unsigned counts;        /* that have served it */
	int in_probe;           /* the running probe began after it was asked */
	int moved, unmoved;     /* what the last probe for it said, */
	uint32_t unmoved_since; /* of the count of that number */
	int settled;
	char *failure; /* why it can't be decided; it is answered so */
	uint64_t was;
};

/* Since when refusals for room have gone on, and how things stood at the first. */
struct full {
	uint64_t base_ms, since; /* full for base_ms + now - since */
	uint64_t used, bytes, messages, smallest;
	uint64_t saved_at;
};

struct account {
	uint64_t used, messages;
	uint64_t reserved; /* bytes of all tickets */
	uint32_t tickets, ended;
	uint32_t counts_begun, counts_applied, probe_after;
	unsigned counting : 1, probing : 1, thorough_wanted : 1;
	unsigned known : 1; /* an exact count of this boot stands behind the number */
	unsigned basis : 1; /* no COMMIT since the last exact count began */
	unsigned why : 4;   /* the running count's enum ledger_why */
	unsigned last_why : 4, last_exact : 1;
	uint64_t stamp, counted_at, looked_at, count_began_at;
	int64_t last_at; /* the last count; below zero where it was before the clock */
	uint64_t last_was, last_found;
	struct ticket *first;     /* its tickets */
	struct ticket *committed; /* since the running count began */
	struct full *full;
	struct questions waiting;
	char name[];
};

struct ledger {
	const struct ledger_calls *calls;
	void *arg;
	struct ledger_rules rules;
	struct ledger_totals totals;
	uint64_t now, held_until, next_id, looked_over_at;
	struct hash accounts; /* by name */
	struct ticket_list unsure, ended;
	struct questions ready, settling, settled, all;
	int running;
};

/* ledger.c */
struct ticket *ledger_find_ticket(const struct account *a, const char *name);
struct ticket *ledger_open_ticket(
	struct ledger *l, const struct ledger_request *r, const char *name);
void ledger_take_over(struct ledger *l, struct ticket *t, struct ledger_connection *c);
void ledger_end_ticket(struct ledger *l, struct ticket *t);
void ledger_free_committed(struct account *a);
uint64_t ledger_open_bytes(const struct account *a, uint64_t *tickets);

/* ledger_ask.c */
void ledger_wake(struct ledger *l, struct question *q);
void ledger_run_ready(struct ledger *l);
void ledger_fail(struct ledger *l, struct question *q, const char *text);
void ledger_time_out(struct ledger *l);

/* ledger_count.c */
void ledger_begin_count(
	struct ledger *l, struct account *a, int thorough, enum ledger_why why);
void ledger_begin_probe(struct ledger *l, struct account *a);
void ledger_count_orphans(struct ledger *l);

/* ledger_full.c */
int ledger_full_refused(
	struct ledger *l, struct account *a, const struct ledger_request *r);
void ledger_full_review(struct account *a, const struct ledger_limits *limits);
void ledger_full_taken(struct account *a, uint64_t bytes);
uint64_t ledger_full_ms(const struct ledger *l, const struct account *a);
int ledger_full_is_hard(const struct ledger *l, const struct account *a,
	const struct ledger_limits *limits);

#endif
