/*
 * The slow round: every mailbox of the table is counted file by file once in
 * recount_every, so that no error in a number stays. One mailbox a step, the steps spread
 * over the time.
 */
#ifndef QUOTAD_ROUND_H
#define QUOTAD_ROUND_H

#include "daemon/server.h"

/* Begins; NULL without memory. */
struct round *round_new(struct server *v);
void round_free(struct round **r);

#endif
