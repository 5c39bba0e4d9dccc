/*
 * From an address to all that it leads to, before an MTA has expanded anything: the order
 * of look-ups is mailbox_find's (canonical form, extension, alias domains, catch-all),
 * but an alias may have many targets, and targets elsewhere.
 *
 * Nothing is guessed: what can't be read, or is set up wrong, is an error with its
 * outcome, never "no such user". That is said only of a domain of virtual mailboxes: an
 * MTA looks into aliases of its own (/etc/aliases) before it asks for an account of the
 * host.
 */
#ifndef BRIM_TARGETS_H
#define BRIM_TARGETS_H

#include <stddef.h>

#include "conf.h"
#include "users.h"
#include "verdict.h"

#define TARGETS_MAX 1000 /* of one address, aliases on the way not counted */

enum target_kind {
	TARGET_MAILBOX,
	TARGET_ELSEWHERE, /* of a domain that is not the table's, or of this host's
			   * accounts: others judge it */
	TARGET_NOBODY     /* of a domain of the table, and there is no such user */
};

struct target {
	enum target_kind kind;
	char *address; /* of a mailbox: its key in the table; else the address */
};

struct targets {
	size_t count;
	struct target *list;
	int is_alias; /* an alias or a catch-all led here */
	int is_cut;   /* there are more */
};

/* Finds all that the address leads to. 0 with the targets, at least one (targets_clear
 * frees them); or -1 with the outcome, an error of ours. */
int targets_find(struct targets *t, struct users *u, const struct conf *c,
	const char *address, struct outcome *o);

/* The same, but no more than the first MOST are looked for. */
int targets_find_some(struct targets *t, size_t most, struct users *u,
	const struct conf *c, const char *address, struct outcome *o);

/* The targets that the address's own record names, as they are written there; none where
 * it is no alias. No alias is followed; an alias domain is. */
int targets_of_alias(struct targets *t, struct users *u, const struct conf *c,
	const char *address, struct outcome *o);

void targets_clear(struct targets *t);

#endif
