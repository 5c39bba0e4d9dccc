/* A mailbox's numbers as name=value words, as GET and LIST tell them. */
#ifndef QUOTAD_NUMBERS_H
#define QUOTAD_NUMBERS_H

#include "room.h"

#define NUMBERS_SIZE (3 * ADDRESS_MAX + 400)

/* Writes "mailbox=... used=...", of a MAILBOX of ADDRESS_MAX bytes at most: 0, or -1
 * without memory. What is used is absent where it is not KNOWN, and so is the state of a
 * mailbox that is enabled. */
int numbers_text(char text[NUMBERS_SIZE], const char *mailbox,
	const struct ledger_numbers *n, const struct ledger_limits *limits,
	enum mailbox_state state, int known);

#endif
