/* A mailbox's numbers as name=value words, as GET and LIST tell them. */
#ifndef QUOTAD_NUMBERS_H
#define QUOTAD_NUMBERS_H

#include "room.h"

/* "mailbox=... used=...", which the caller frees; NULL without memory. What is used is
 * absent where it is not KNOWN, and so is the state of a mailbox that is enabled. */
char *numbers_text(const char *mailbox, const struct ledger_numbers *n,
	const struct ledger_limits *limits, enum mailbox_state state, int known);

#endif
