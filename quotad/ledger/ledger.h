/*
 * The ledger: how much of each mailbox is used and promised, and who may add to it. It
 * knows no socket, no database and no file system: it is told what happened, calls its
 * neighbours through a table, and holds the rules that tests/model checks.
 *
 * A ticket is room promised to a delivery under the name that its file will have. It is
 * charged until it ends by COMMIT, by CANCEL, or, as an orphan (its connection is gone),
 * by an exact count. A promise is room for a message that was accepted at SMTP time,
 * until its delivery comes with the message's queue id. A refusal rests on an exact count
 * of the files; what can't be known is "try again", never "full for good". Sums never
 * wrap and never pass below zero.
 *
 * Times are milliseconds of one clock that never goes back.
 */
#ifndef QUOTAD_LEDGER_H
#define QUOTAD_LEDGER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "verdict.h"

struct ledger;
struct account; /* one mailbox */
struct ticket;

struct question;

TAILQ_HEAD(ledger_tickets, ticket);
TAILQ_HEAD(ledger_questions, question);

/* A connection, which its session owns. */
struct ledger_connection {
	uint64_t number;
	uint64_t tickets; /* how many are open on it */
	uint64_t waiting; /* questions not answered yet */
	struct ledger_tickets open;
	struct ledger_questions asked;
};

/* What the table says of the mailbox at the moment of the request; 0 is no limit. */
struct ledger_limits {
	uint64_t bytes;
	uint64_t messages;
	uint64_t over_quota; /* seconds until full is hard; CONF_DEFER: never */
	uint64_t orphans;    /* with so many there is no further ticket; at most 1000 */
};

/* Where the table has a mailbox: a hash of its path (0: nowhere), and its owner's uid. */
struct ledger_place {
	uint64_t path, owner;
};

/* ANNOUNCED is a CHECK by a size that is only claimed, and EXPLAIN one by a person, who
 * has more patience and is refused nothing: neither starts "full since".
 * PROMISE is a CHECK of a whole message whose yes keeps its room.
 * SEND asks whether more than so many bytes are in the mailbox, whose limits do not
 * matter: VERDICT_FULL is as exact as any refusal, and leaves no trace either. */
enum ledger_kind {
	LEDGER_CHECK,
	LEDGER_ANNOUNCED,
	LEDGER_RESERVE,
	LEDGER_GET,
	LEDGER_RECOUNT,
	LEDGER_EXPLAIN,
	LEDGER_SEND,
	LEDGER_PROMISE
};

#define LEDGER_ID_BYTES                                                                  \
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-" /* of a queue  \
									     id, */
#define LEDGER_ID_MAX 63 /* bytes of a queue id */
#define LEDGER_IDS    8  /* of one message: filters after the queue give it others */

/* A message that was accepted for a recipient, whose room is kept. */
struct ledger_promise {
	const char *id;     /* of the queue: [0-9A-Za-z-] */
	uint64_t recipient; /* hash of the recipient as it was asked about */
	uint64_t client;    /* on whose account it goes; 0: nobody's */
	uint64_t ms;        /* that it lasts */
	int is_exact;       /* PROMISE: the bytes are all; no headers will come */
};

/* A question. ledger_ask copies it, with the name, the promise and the ids. */
struct ledger_request {
	enum ledger_kind kind;
	struct account *account;
	struct ledger_connection *connection;
	struct ledger_limits limits;
	uint64_t bytes;   /* of the message; SEND: that may be there */
	const char *name; /* RESERVE */
	struct ledger_place place;
	uint64_t directory; /* RESERVE: that is open for the message; 0: not told */
	int is_missing; /* CHECK, RESERVE: the lda finds no Maildir, or no new/ in it */
	int is_meant;   /* RECOUNT: if it is missing, it is so on purpose */
	const struct ledger_promise *promise; /* PROMISE */
	const char *ids; /* CHECK, RESERVE: the message's, "A,B"; NULL: none */
	void *cookie;    /* comes back with the answer */
};

struct ledger_answer {
	enum verdict verdict; /* DELIVERED is yes; FULL, FULL_FOR_NOW, TROUBLE */
	const char *text;     /* why not; NULL for the verdict's own words */
	uint64_t ticket;      /* RESERVE */
	uint64_t was;         /* RECOUNT: used before it */
	int promised;         /* PROMISE: it is kept; RESERVE: one was used */
};

/* A promise as it is kept: with the bytes that it has, and when it ends, by the ledger's
 * clock. TICKET tells by its name's hash which ticket has its room now; 0: none. */
struct ledger_kept_promise {
	struct ledger_promise promise;
	uint64_t bytes, until, ticket;
};

/* What became of a promise: LEDGER_PROMISE_MADE also if the store had it, and if it is
 * there again since its delivery failed after LEDGER_PROMISE_USED. */
enum ledger_promise_event {
	LEDGER_PROMISE_MADE,
	LEDGER_PROMISE_USED,
	LEDGER_PROMISE_OVER, /* its time */
	LEDGER_PROMISE_GONE  /* without use: its mailbox is gone, or its maker ended it */
};

/* Why a mailbox was counted. */
enum ledger_why {
	LEDGER_NEVER,   /* it was not */
	LEDGER_FIRST,   /* nothing was known of it */
	LEDGER_BOOT,    /* the number was of an earlier boot, or not exact */
	LEDGER_LOST,    /* the usage store had been lost */
	LEDGER_CHANGED, /* its directories had moved */
	LEDGER_REFUSAL, /* a refusal must rest on a count */
	LEDGER_ASKED,   /* RECOUNT */
	LEDGER_ORPHANS, /* deliveries that were cut off held room */
	LEDGER_ROUND,   /* it was its turn in the slow round */
	LEDGER_WHYS
};

/* The last count that did not fail: what used was before it (deliveries that it found
 * under way included) and after it. */
struct ledger_last_count {
	enum ledger_why why;
	int exact;
	uint64_t ago_ms;
	uint64_t was, found;
};

/* An orphan has ended where its lda can't be alive; where it may be, it is unsure. */
enum ledger_ticket_state { LEDGER_OPEN, LEDGER_ENDED, LEDGER_UNSURE };

/* A ticket as it is shown. */
struct ledger_ticket {
	const char *name;
	uint64_t id, bytes;
	uint64_t age_ms; /* since this daemon knows of it */
	enum ledger_ticket_state state;
	int earlier;              /* of a daemon before this one */
	uint64_t mail_in;         /* as memory.c has it; 0: no Maildir was there */
	uint64_t path, directory; /* that it was promised for; 0: not known */
};

/* A mailbox's numbers as they are shown and kept. */
struct ledger_numbers {
	uint64_t used, messages;
	uint64_t reserved, tickets; /* bytes and number of all tickets, orphans too */
	uint64_t orphans;
	uint64_t promised, promises; /* bytes and number */
	uint64_t stamp;              /* of the directories at the last exact count */
	struct ledger_place place;   /* that they belong to, */
	uint64_t directory;          /* and what was found there (0: none) */
	uint64_t rules;              /* that they were counted by */
	int known;                   /* an exact count of this boot stands behind them */
	uint64_t full_for; /* seconds since the first refusal for room; 0: not full */
	uint64_t full_used, full_bytes, full_messages, full_smallest; /* as it was then */
	int wrong_names;  /* it is counted by its files, whatever their names say */
	int had_mail;     /* messages were there when it was looked at last, */
	uint64_t mail_in; /* as memory.c has it */
	int maybe_mail;   /* or a delivery that was cut off may have stored one, */
	int missing;      /* and now there is no Maildir, or no new/ in it; not kept */
	int counting;     /* a count is under way; not kept */
	struct ledger_last_count last;
};

/* What a count of a mailbox found. */
struct ledger_count {
	int exact;
	int failed; /* the mailbox can't be read; nothing else is set but text */
	uint64_t bytes, messages;
	uint64_t stamp;
	uint64_t directory;      /* the Maildir that was counted; 0: none is there */
	int missing;             /* it, or its new/ */
	int ignored;             /* a folder that does not count has messages */
	const char *const *seen; /* names of ledger_count_names that it saw */
	size_t seen_count;
	const char *text; /* why it failed */
	/* If it is not exact: what was surely there at one moment. */
	uint64_t sure_bytes, sure_messages;
	uint64_t by_name; /* messages whose files were not asked for their sizes */
	uint64_t wrong;   /* names that their files did not bear out */
};

/* The neighbours. Those that return int: 0, or -1 where nothing must be promised. */
struct ledger_calls {
	void (*answer)(void *arg, void *cookie, const struct ledger_answer *answer);
	/* Begin to count or to probe; ends in ledger_counted or ledger_probed, always
	 * later. */
	void (*count)(void *arg, struct account *a, int thorough);
	void (*probe)(void *arg, struct account *a);
	/* The store. */
	int (*save_account)(void *arg, struct account *a);
	int (*save_ticket)(void *arg, struct account *a, const struct ledger_ticket *t);
	void (*remove_ticket)(void *arg, struct account *a, const char *name);
	/* An exact count differed from the number (for the log and STATS). */
	void (*corrected)(void *arg, struct account *a, uint64_t was, uint64_t now);
	/* Where the user table has the mailbox now, and its limits: 0, or -1 where it has
	 * none of that name. */
	int (*look_up)(void *arg, const struct account *a, struct ledger_place *place,
		struct ledger_limits *limits);
	/* Whether the table that is in use certainly has no mailbox of that name. */
	int (*is_removed)(void *arg, const struct account *a);
	/* The account is forgotten; its tickets have been removed. */
	void (*remove_account)(void *arg, struct account *a);
	/* The generation of the table that is in use; 0: none is, or it has none. */
	uint64_t (*generation)(void *arg);
	/* The generation in which the administrator has last removed a mailbox of that
	 * path; 0: in none. */
	uint64_t (*removed_in)(void *arg, uint64_t path);
	/* Keeps that a place which no account has had mail; MAIL_IN 0: no more. */
	void (*save_place)(void *arg, uint64_t path, uint64_t mail_in);
	/* The store, as for tickets. Of each id and recipient an account has one promise.
	 */
	int (*save_promise)(
		void *arg, struct account *a, const struct ledger_kept_promise *p);
	void (*remove_promise)(
		void *arg, struct account *a, const struct ledger_promise *p);
	/* What became of a promise; nothing may be changed meanwhile. May be NULL. */
	void (*promise)(void *arg, struct account *a, const struct ledger_promise *p,
		enum ledger_promise_event event);
	/* There may be more room in the account than there was, or, where A is NULL, in
	 * any: the table has changed. Not called from within ledger_ask; nothing may be
	 * changed meanwhile. May be NULL. */
	void (*room)(void *arg, struct account *a);
};

struct ledger_rules {
	uint64_t deadline_ms;      /* an lda has ended so long after its connection did */
	uint64_t answer_ms;        /* a question waits no longer */
	uint64_t recheck_per_cent; /* above it the mailbox is looked at before a yes */
	uint64_t counting; /* another number where a mailbox is counted otherwise */
};

struct ledger_totals {
	uint64_t accounts, tickets, orphans, waiting;
	uint64_t promises, promised_bytes;
	uint64_t granted, refused, later, committed, cancelled;
	uint64_t counts, inexact_counts, probes, corrected;
};

/* NOW is the clock at the start. */
struct ledger *ledger_new(const struct ledger_calls *calls, void *arg,
	const struct ledger_rules *rules, uint64_t now);
void ledger_free(struct ledger **l);
/* New rules. The larger of both deadlines holds for orphans that are there already, and
 * for those of ldas that began before. */
void ledger_set_rules(struct ledger *l, const struct ledger_rules *rules);
/* Ldas of an earlier deadline may live so much longer. */
void ledger_expect_ldas(struct ledger *l, uint64_t ms);

/* The account of that name, made if there is none; NULL without memory. */
struct account *ledger_account(struct ledger *l, const char *name);
/* The account, or NULL if nothing is known of it. */
struct account *ledger_find(struct ledger *l, const char *name);
const char *ledger_name(const struct account *a);
/* The table has the account's mailbox at that place. If that is another than before, its
 * number is not known any more. */
void ledger_bind(struct ledger *l, struct account *a, struct ledger_place place);
/* The table or the settings may say something else now: who waits is looked up again. */
void ledger_table_changed(struct ledger *l);
/* Whether a ticket of that name, open or orphan, is charged to the account. */
int ledger_has_ticket(const struct account *a, const char *name);
void ledger_numbers(
	const struct ledger *l, const struct account *a, struct ledger_numbers *n);
const struct ledger_totals *ledger_totals(const struct ledger *l);
/* "refusal": the word for why a mailbox was counted, and back (LEDGER_NEVER: no such
 * word). */
const char *ledger_why_name(enum ledger_why why);
enum ledger_why ledger_why_parse(const char *name);
/* Milliseconds until room is promised again after a lost store; 0: it is. */
uint64_t ledger_held_ms(const struct ledger *l);
/* Calls EACH for every ticket of the account, with all that is known of it. */
void ledger_show_tickets(const struct ledger *l, const struct account *a,
	void (*each)(void *arg, const struct ledger_ticket *t), void *arg);

/* Calls EACH for every promise of the account. */
void ledger_show_promises(const struct account *a,
	void (*each)(void *arg, const struct ledger_kept_promise *p), void *arg);

/* Ends a promise that the account has and no ticket has the room of, if there is one. */
void ledger_end_promise(
	struct ledger *l, struct account *a, const struct ledger_promise *wanted);

/* Ends the oldest such promise for one of the IDS, "A,B". */
void ledger_end_promise_of(struct ledger *l, struct account *a, const char *ids);

/* Calls EACH for every account: for a store that is written afresh. Nothing may be
 * changed meanwhile. */
void ledger_each(struct ledger *l, void (*each)(void *arg, struct account *a), void *arg);
/* The same for the places that had mail and that no account has. */
void ledger_each_place(const struct ledger *l,
	void (*each)(void *arg, uint64_t path, uint64_t mail_in), void *arg);

/* --- at the start, from the store --- */

void ledger_load(struct ledger *l, struct account *a, const struct ledger_numbers *n);
/* A ticket of an earlier daemon, which has ended (its lda can't be alive in another boot)
 * or is unsure. -1 without memory, or where there is one of that name. */
int ledger_load_ticket(
	struct ledger *l, struct account *a, const struct ledger_ticket *t);
/* A promise of an earlier daemon: it lasts until its end, but no longer from now on than
 * it ever did. -1 without memory. */
int ledger_load_promise(
	struct ledger *l, struct account *a, const struct ledger_kept_promise *kept);
/* A place that had mail, and that no account has: 0, or -1 without memory. */
int ledger_load_place(struct ledger *l, uint64_t path, uint64_t mail_in);
/* Tickets may be unknown (a lost store): no promise before the deadline has passed. */
void ledger_hold(struct ledger *l);

/* --- what happens --- */

/* Sets the clock and does what is due; returns the milliseconds until more is due (at
 * most 1000). */
uint64_t ledger_tick(struct ledger *l, uint64_t now);

/* Sets the clock alone, where the last tick may be too old to tell a time by. */
void ledger_clock(struct ledger *l, uint64_t now);

/* Before anything else about a connection. NUMBER grows with each, so that earlier and
 * later can be told. */
void ledger_connect(struct ledger_connection *c, uint64_t number);

/* Answers through calls->answer, at once or later, exactly once unless forgotten. */
void ledger_ask(struct ledger *l, const struct ledger_request *r);
/* Nobody waits for the answers to this connection any more. */
void ledger_forget(struct ledger *l, const struct ledger_connection *c);

/* The message is there: 0 with the account, -1 if the connection has no such ticket. */
int ledger_commit(struct ledger *l, struct ledger_connection *c, uint64_t ticket,
	struct account **a);
int ledger_cancel(struct ledger *l, struct ledger_connection *c, uint64_t ticket);

/* The connection is gone. BY_CLIENT: it ended there (EOF), so its lda has ended or has
 * given the connection up for a later one; otherwise the daemon closed it. */
void ledger_disconnected(struct ledger *l, struct ledger_connection *c, int by_client);

/* The names that a count must look for, asked after its last read: calls NAME for each.
 */
void ledger_count_names(struct ledger *l, struct account *a,
	void (*name)(void *arg, const char *name), void *arg);
void ledger_counted(struct ledger *l, struct account *a, const struct ledger_count *c);
/* FAILED: the mailbox can't be looked at; then STAMP means nothing. */
void ledger_probed(struct ledger *l, struct account *a, uint64_t stamp, int failed);

/* A count that nobody waits for (the slow round). */
void ledger_recount(struct ledger *l, struct account *a, int thorough);

/* A refusal waits until all that the owners of the mailbox's tickets have sent was read,
 * so that no COMMIT, CANCEL or end of theirs is left out: 1 if any does. */
int ledger_wants_settling(const struct ledger *l);
/* Calls EACH with those owners, one perhaps several times; nothing may be changed
 * meanwhile. */
void ledger_each_owner(const struct ledger *l,
	void (*each)(void *arg, struct ledger_connection *c), void *arg);
/* Decides the refusals whose owners have all been read, as IS_READ tells (NULL: all). The
 * others wait on. */
void ledger_settle(struct ledger *l,
	int (*is_read)(void *arg, struct ledger_connection *c), void *arg);

#endif
