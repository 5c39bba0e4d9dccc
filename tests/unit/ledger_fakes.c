/* Neighbours of the ledger that do nothing. */
#include "ledger_fakes.h"

int
fake_save_account(void *arg, struct account *a)
{
	(void)arg;
	(void)a;
	return 0;
}

int
fake_save_ticket(void *arg, struct account *a, const struct ledger_ticket *t)
{
	(void)arg;
	(void)a;
	(void)t;
	return 0;
}

void
fake_remove_ticket(void *arg, struct account *a, const char *name)
{
	(void)arg;
	(void)a;
	(void)name;
}

void
fake_corrected(void *arg, struct account *a, uint64_t was, uint64_t now)
{
	(void)arg;
	(void)a;
	(void)was;
	(void)now;
}

void
fake_remove_account(void *arg, struct account *a)
{
	(void)arg;
	(void)a;
}

int
fake_look_up(void *arg, const struct account *a, struct ledger_place *place,
	struct ledger_limits *limits)
{
	(void)arg;
	(void)a;
	(void)place;
	(void)limits;
	return -1;
}

int
fake_is_removed(void *arg, const struct account *a)
{
	(void)arg;
	(void)a;
	return 0;
}
