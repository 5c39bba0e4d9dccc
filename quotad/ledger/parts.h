/*
 * What the ledger's files share. From the bottom: turns.c has those accounts that wait
 * for a count of their orphans; accounts.c has accounts and tickets; places.c what they
 * belong to; memory.c which of these had mail; full_since.c how long a
 * mailbox has been full; promises.c room for messages that were accepted; questions.c
 * those that wait; count.c counts, probes and what follows from them; decide.c what is
 * answered; ledger.c the life of the ledger, its clock and all that happens to it.
 */
#ifndef QUOTAD_LEDGER_PARTS_H
#define QUOTAD_LEDGER_PARTS_H

#include "accounts.h"
#include "hash.h"
#include "ledger.h"
#include "promises.h"

enum {
	LOOK_MS = 15 * 60 * 1000,         /* below recheck_above, between two looks */
	COUNT_SERVES_MS = 10 * 60 * 1000, /* a count serves for refusals so long */
	ORPHAN_COUNT_MS = 10 * 1000,      /* between two counts of an account's orphans */
	ORPHAN_COUNTS = 8,                /* at once */
	ORPHANS_MAX = 1000, /* of an account: then it gets no further ticket */
	TURNS = 6,          /* queues of accounts that have orphans */
	SAVE_FULL_MS = 60 * 1000,
	TRIES = 3,          /* counts for one question */
	GET_LOOK_MS = 1000, /* a GET waits so long for a look, where it has a number */
	GETS_MS = 250,     /* where GET looks at so many mailboxes in this time, a look */
	GETS_LOOKS = 1000, /* that is not older serves another GET */
	RIVAL_MS = 10 * 1000, /* it is believed so long which directory was found */
	NAMES_KEPT = 4000,    /* of messages stored while a count of their mailbox runs */
	FAILED_COUNTS_MAX = 7, /* told apart, one after the other */
};

/* What a question waits for; INPUT: what the owners of the mailbox's tickets have sent
 * has been read. */
enum wait { WAIT_NOTHING, WAIT_PROBE, WAIT_COUNT, WAIT_INPUT };

/* What the last probe for a question told, if no count came after it. */
enum probed { NOT_PROBED, MOVED, UNMOVED };

/* An account whose place leads to a directory that another has: it is not known yet
 * whether the other's place still leads there, or it does. */
enum rivalry { NO_RIVAL, UNSURE_RIVAL, SURE_RIVAL };

/* Who asked: a person waits longer than a delivery. */
enum asker { DELIVERY, PERSON };

/* A question that waits. It is in one list by what it waits for, in its connection's, and
 * in the ledger's list of all of its kind of asker, the oldest first. */
struct question {
	TAILQ_ENTRY(question) here, all;
	TAILQ_ENTRY(question) of_connection;
	struct questions *list;
	struct ledger_request request;
	char *name;
	uint64_t asked_at;
	enum wait waits_for;
	uint32_t after_count; /* a count must have a higher number to serve */
	unsigned counts;      /* that have served it */
	int in_probe;         /* the running probe began after it was asked */
	enum probed probed;
	uint32_t probed_count; /* the number of the count that was probed */
	int by_files;          /* a count for it must ask the files */
	int is_counted_anew;   /* for its directory is not the account's */
	uint64_t
		read_before; /* owners of tickets with lower ids were read; 0: none was */
	uint32_t table;      /* that its place and limits are of */
	int is_overtaken;    /* by a table that has no such mailbox */
	char *failure;       /* why it can't be decided; it is answered so */
	uint64_t was;
	struct ledger_promise promise;
	char *ids;           /* the message's, also that of the promise */
	struct promise *own; /* promise of the message, as it is decided; NULL: none */
};

/* A place that had mail, and that no account has now. */
struct memory {
	TAILQ_ENTRY(memory) here;
	uint64_t path, mail_in;
};

TAILQ_HEAD(memories, memory);

/* Since when refusals for room have gone on, and how things stood at the first. */
struct full {
	uint64_t base_ms, since; /* full for base_ms + now - since */
	uint64_t used, bytes, messages, smallest;
	uint64_t saved_at;
};

struct ledger {
	const struct ledger_calls *calls;
	void *arg;
	struct ledger_rules rules;
	struct ledger_totals totals;
	uint64_t now, held_until, next_id, looked_over_at;
	uint64_t ldas_until; /* those of an earlier, longer deadline may live */
	uint32_t table;      /* a number for each that there was */
	uint64_t gets_since; /* GETS_MS that run */
	unsigned gets_looks; /* for GETs, since then */
	/* Rises where an account gives a directory up, and where a ticket ends that was
	 * not for the directory of its account. */
	uint64_t moves;
	struct hash accounts; /* by name */
	size_t reviewed;      /* as hash_next has it: up to there they were looked for */
	size_t to_review;     /* slots from there on, in a circle, that are left */
	size_t review_size;   /* slots when it began: they change as the hash grows */
	int is_one_left;      /* that is removed, and could not be forgotten yet */
	struct hash owners;   /* accounts by their paths and directories */
	struct hash promised; /* paths and directories that have tickets */
	struct hash memories; /* by path */
	struct memories in_order; /* the oldest first */
	struct ledger_tickets unsure;
	struct promise_clock promises;
	struct account_turns turns[TURNS];
	unsigned orphan_counts; /* under way */
	struct questions ready, settling, all[PERSON + 1];
	int deciding;
};

/* turns.c */
/* The account waits for its turn, if it has ended orphans and is not counted already. */
void turns_join(struct ledger *l, struct account *a);
void turns_leave(struct ledger *l, struct account *a);
/* The next whose turn it is now; NULL: none. It is left where it is. */
struct account *turns_next(const struct ledger *l);

/* ledger.c */
/* There may be more room in the account, or in any (NULL). */
void room_appeared(const struct ledger *l, struct account *a);
/* When an lda of now must have ended. */
uint64_t ledger_ldas_end(const struct ledger *l);

/* places.c */
static inline int
places_are_same(struct ledger_place a, struct ledger_place b)
{
	return a.path == b.path && a.owner == b.owner;
}

int places_init(struct ledger *l);
void places_free(struct ledger *l);
/* Notes for which path and directory the ticket was promised: 0, or -1 without memory.
 */
int places_add_ticket(
	struct ledger *l, struct ticket *t, uint64_t path, uint64_t directory);
void places_remove_ticket(struct ledger *l, struct ticket *t);
/* Another table was taken while the question waited: the place and the limits are those
 * of now. */
void places_look_up_again(struct ledger *l, struct question *q);
/* A number that was counted by other rules is dropped. */
void places_review_rules(struct ledger *l, struct account *a);
/* As the store had it. */
void places_load(struct ledger *l, struct account *a, const struct ledger_numbers *n);
/* Who has the directory, if it is another; NULL: nobody else. */
struct account *places_rival(
	struct ledger *l, const struct account *a, uint64_t directory);
/* Whether the table still has the account's mailbox where it was. */
int places_is_still_there(struct ledger *l, const struct account *a);
/* The account's place leads to that directory (0: to none), which it takes from whoever
 * has it. 1 where the count that has found it can't be the number of it, since messages
 * may be on their way there that were not charged to the account. */
int places_found(struct ledger *l, struct account *a, uint64_t directory);
/* Its place leads to a directory that is another's: it has none, and no number. */
void places_lost(struct ledger *l, struct account *a);

/* The account has no place any more. */
void places_give_up(struct ledger *l, struct account *a);

/* memory.c */
int memory_init(struct ledger *l);
void memory_free(struct ledger *l);
/* What a ticket of now has for its mail_in. */
uint64_t memory_now(const struct ledger *l);
/* Messages are in the account's place: they were by that table. */
void memory_note(struct account *a, uint64_t mail_in);
/* Nothing is there any more, and that is meant. */
void memory_end(struct ledger *l, struct account *a);
/* Whether the place had mail, or a delivery that was cut off may have stored some. */
int memory_maybe_mail(const struct ledger *l, const struct account *a);
/* The account gives its place up, or gets it. */
void memory_leave(struct ledger *l, struct account *a);
void memory_take(struct ledger *l, struct account *a);
/* Whether the administrator has removed what had mail there. */
void memory_review(struct ledger *l, struct account *a);

/* removed.c */
/* The table has changed: what it has no more is to be found. */
void removed_review_all(struct ledger *l);
/* Goes on with that. */
void removed_tick(struct ledger *l);

/* full_since.c */
void full_forget(struct account *a);
/* Notes the refusal; 1 where the mailbox has been full as long as over_quota allows. */
int full_refused(struct ledger *l, struct account *a, const struct ledger_request *r);
/* Whether it has been full as long as over_quota allows. */
int full_is_hard(const struct ledger *l, const struct account *a,
	const struct ledger_limits *limits);
/* Ends it where there is more room than then. Without LIMITS they are as they were. */
void full_review(struct account *a, const struct ledger_limits *limits);
/* A message of so many bytes was taken. */
void full_taken(struct account *a, uint64_t bytes);
/* As the store had it. */
void full_load(const struct ledger *l, struct account *a, const struct ledger_numbers *n);
void full_show(const struct ledger *l, const struct account *a, struct ledger_numbers *n);

/* questions.c */
/* A question that is ready; NULL without memory. */
struct question *question_new(struct ledger *l, const struct ledger_request *r);
void question_free(struct ledger *l, struct question *q);
void question_move(struct question *q, struct questions *list);
/* It is decided anew once it is its turn. */
void question_wake(struct ledger *l, struct question *q);
/* It is answered with "try again" and this text once it is its turn. */
void question_fail(struct ledger *l, struct question *q, const char *text);
/* Fails those that have waited too long. */
void questions_time_out(struct ledger *l);
/* Frees all at the end, when their connections may be gone already. */
void questions_free_all(struct ledger *l);

/* count.c */
void counts_begin(struct ledger *l, struct account *a, int thorough, enum ledger_why why);
void counts_probe(struct ledger *l, struct account *a);
void counts_ended(struct ledger *l, struct account *a, const struct ledger_count *c);
void counts_probed(struct ledger *l, struct account *a, uint64_t stamp, int failed);
/* Begins counts of accounts that have ended orphans. */
void counts_of_orphans(struct ledger *l);

/* decide.c */
/* Decides what is ready. */
void decide_ready(struct ledger *l);

#endif
