/*
 * Looks at mailboxes, between ledger and scanner: where the mailbox is, by the user
 * table, and what was found there. A look that can't even begin has failed, which the
 * ledger learns in the next pass.
 */
#ifndef QUOTAD_LOOKS_H
#define QUOTAD_LOOKS_H

#include "ledger/ledger.h"

struct server;

/* Binds the server's scanner to its loop and ledger: 0, or -1 without memory. */
int looks_attach(struct server *v);

/* As the ledger's calls count and probe; SERVER is a struct server. */
void looks_count(void *server, struct account *a, int by_files);
void looks_probe(void *server, struct account *a);

/* A look file by file that nobody waits for, as recount_schedule calls for it. */
void looks_recount(void *server, const char *mailbox);

/* Tells the ledger of looks that could not begin: in each pass. */
void looks_tell_failures(struct server *v);

/* Forgets those that were not told. */
void looks_free(struct server *v);

#endif
