/*
 * Neighbours of the ledger that keep nothing, know no table and never fail: for the calls
 * that a test does not look at. A test that wants them says so in tests.mk.
 */
#ifndef TESTS_LEDGER_FAKES_H
#define TESTS_LEDGER_FAKES_H

#include "quotad/ledger/ledger.h"

int fake_save_account(void *arg, struct account *a);
int fake_save_ticket(void *arg, struct account *a, const struct ledger_ticket *t);
void fake_remove_ticket(void *arg, struct account *a, const char *name);
void fake_corrected(void *arg, struct account *a, uint64_t was, uint64_t now);
void fake_remove_account(void *arg, struct account *a);

/* No account is found in a table, and none was removed from it. */
int fake_look_up(void *arg, const struct account *a, struct ledger_place *place,
	struct ledger_limits *limits);
int fake_is_removed(void *arg, const struct account *a);

#endif
