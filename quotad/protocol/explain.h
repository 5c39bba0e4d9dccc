/*
 * What the ledger holds of a mailbox, as lines for a person who asks where its number
 * comes from. Nothing is looked at or counted for it.
 */
#ifndef QUOTAD_EXPLAIN_H
#define QUOTAD_EXPLAIN_H

#include "ledger/ledger.h"

#define EXPLAIN_TICKETS 200 /* that are shown, at most */

/* "* name=value..." lines, each with its end: one of the mailbox, one of each ticket. The
 * caller frees them; NULL without memory. */
char *explain_lines(const struct ledger *l, const struct account *a,
	const struct ledger_limits *limits);

#endif
