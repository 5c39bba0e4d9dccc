/*
 * The parts of brimq: what is asked (brimq_ask.c), which of it is shown and in which
 * order (brimq_pick.c), how (brimq_show.c), and again and again (brimq_watch.c). brimq.c
 * has the command line.
 */
#ifndef TOOLS_BRIMQ_H
#define TOOLS_BRIMQ_H

#include "cli/tool.h"
#include "quota_client.h"

/* --- the numbers of one mailbox --------------------------------------------------- */

struct brimq_numbers {
	int known, has_percent; /* used and messages only where quotad has counted it */
	int missing;            /* its Maildir, which had mail */
	uint64_t used, messages, percent;
	uint64_t limit, message_limit, full_for;
};

/* Whether more than PERCENT of a limit is used; the very limit is not over 100. */
int brimq_is_over(const struct brimq_numbers *n, uint64_t percent);

/* --- which, and in which order ---------------------------------------------------- */

enum brimq_sort {
	BRIMQ_AS_THEY_COME,
	BRIMQ_BY_USED, /* the largest first, by number; what is not counted last */
	BRIMQ_BY_PERCENT,
	BRIMQ_BY_LIMIT, /* no limit is the largest */
	BRIMQ_BY_MESSAGES,
	BRIMQ_BY_NAME /* in the order of the alphabet */
};

/* Finds the order of that name: 0, or -1. */
int brimq_sort_parse(const char *name, enum brimq_sort *sort);

/* The first MOST mailboxes in an order. Holds these alone, each as a line of text. */
struct brimq_pick {
	enum brimq_sort sort;
	size_t most;
	struct brimq_picked *held;
	size_t count, room;
	uint64_t seen;
};

/* Takes a mailbox in if it is one of the first: 0, or -1 without memory. */
int brimq_pick_add(
	struct brimq_pick *p, const struct brimq_numbers *n, const struct record *fields);

/* Calls EACH for those that are held, in order, and lets go of them: 0, or -1 where EACH
 * or memory failed. */
int brimq_pick_end(struct brimq_pick *p,
	int (*each)(void *arg, const struct record *fields), void *arg);

/* --- how -------------------------------------------------------------------------- */

struct brimq_choice {
	int json;
	int has_least;  /* --over */
	uint64_t least; /* per cent */
	enum brimq_sort sort;
	size_t most; /* SIZE_MAX: all */
};

struct brimq_show {
	struct brimq_choice choice;
	struct brimq_pick pick; /* where they are not shown as they come */
	struct tool_table *table;
	size_t items; /* of JSON */
	int over;     /* one that was shown is over its limit */
};

/* What the answers tell. */
enum brimq_answers { BRIMQ_NUMBERS, BRIMQ_RECOUNTED, BRIMQ_WAITING, BRIMQ_ANSWERS };

/* Begins. -1 without memory. */
int brimq_show_begin(struct brimq_show *s, const struct brimq_choice *choice,
	enum brimq_answers answers);

/* Adds a mailbox as GET or LIST (or, with its name, RECOUNT) answers: 0, or -1 where the
 * answer makes no sense or there is no memory. */
int brimq_show_mailbox(struct brimq_show *s, const struct record *fields);
int brimq_show_recount(
	struct brimq_show *s, const char *mailbox, const struct record *fields);
int brimq_show_waiting(struct brimq_show *s, const struct record *fields);

/* Prints what is left to print, and frees: 0, or -1 without memory. */
int brimq_show_end(struct brimq_show *s);

/* One of the daemon's numbers, a line each, or all of them as an object. */
void brimq_show_statistic(json_t *all, int json, const struct record *fields);

/* --- what is asked ---------------------------------------------------------------- */

struct brimq {
	const char *conf, *socket; /* as on the command line, or NULL */
	struct brimq_choice choice;
	const struct brimq_mode *mode;
	int argc; /* the words that are left */
	char **argv;
	struct quota_client client;
	int missing; /* a mailbox that was asked about is not there */
};

struct brimq_mode {
	const char *option; /* NULL: without one */
	int least, most;    /* words; -1: any number */
	int may_choose;     /* --sort, --top, --over */
	int may_repeat;     /* --watch */
	int (*run)(struct brimq *q);
};

extern const struct brimq_mode brimq_own, brimq_list, brimq_waiting, brimq_recount,
	brimq_stats, brimq_raw;

/* Connects, does what the mode says, and ends the connection: an exit status. */
int brimq_ask(struct brimq *q);

/* --- again and again --------------------------------------------------------------- */

/* Asks every SECONDS until 'q' is typed, standard output fails or a signal ends it: the
 * last exit status. On a screen it has the screen to itself meanwhile; elsewhere each
 * round is a block with an empty line behind. */
int brimq_watch(struct brimq *q, uint64_t seconds);

#endif
