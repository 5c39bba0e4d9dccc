/*
 * What brimq shows: mailboxes as a table with a bar, or as JSON, from quotad's answers.
 * The exit status is gathered here, too: 1 for a mailbox that is not there or over its
 * limit.
 */
#ifndef TOOLS_BRIMQ_H
#define TOOLS_BRIMQ_H

#include "quota_client.h"
#include "tool.h"

struct brimq_show {
	int json;
	struct tool_table *table;
	size_t items; /* of JSON */
	int over;     /* a mailbox is over its limit */
};

/* Begins; RECOUNTED: the answers tell what was counted. -1 without memory. */
int brimq_show_begin(struct brimq_show *s, int json, int recounted);

/* Adds a mailbox as GET or LIST (or, with its name, RECOUNT) answers: 0, or -1 where the
 * answer makes no sense or there is no memory. */
int brimq_show_mailbox(struct brimq_show *s, const struct record *fields);
int brimq_show_recount(
	struct brimq_show *s, const char *mailbox, const struct record *fields);

/* Prints what is left to print. */
void brimq_show_end(struct brimq_show *s);

/* One of the daemon's numbers, a line each, or all of them as an object. */
void brimq_show_statistic(json_t *all, int json, const struct record *fields);

#endif
