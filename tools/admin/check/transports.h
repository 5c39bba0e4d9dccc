/*
 * check: where the transports of Postfix lead, and what transport_maps says of a domain.
 * It goes before the transport of the list that the domain is in.
 */
#ifndef BRIMADM_CHECK_TRANSPORTS_H
#define BRIMADM_CHECK_TRANSPORTS_H

#include "check.h"
#include "postfix/names.h"

struct transports {
	struct names to_lda, elsewhere, as_usual; /* keys of transport_maps */
	int by_parents;                           /* example.org is a.example.org, too */
};

/* Reads transport_maps; ASKED are the domains to ask for, one a line. 0, or -1 without
 * memory; transports_free frees it in any case. */
int transports_read(struct check *c, struct transports *t, const char *asked);

/* What it says of the domain: nothing that changes its transport, where mail for it comes
 * to lda, or another transport. */
enum transports_way { TRANSPORTS_AS_USUAL, TRANSPORTS_TO_LDA, TRANSPORTS_ELSEWHERE };
enum transports_way transports_of(const struct transports *t, const char *domain);

void transports_free(struct transports *t);

#endif
