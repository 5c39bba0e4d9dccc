/*
 * Accounts of mailboxes that the table has no more. All accounts are gone through after
 * each change of the table, a few at a time. One that is not in it is forgotten, with its
 * orphans, if nobody asks about it, no count of it runs, and no lda can be alive that
 * holds room in it: whatever is stored there is counted anew should it ever come back. Of
 * its place only that it had mail is kept (memory.c).
 * While one is left that can't be forgotten yet, all are gone through again.
 */
#include "parts.h"

#define REVIEWED_A_TICK 200

void
removed_review_all(struct ledger *l)
{
	l->to_review = l->review_size = l->accounts.size;
}

static int
is_idle(const struct account *a)
{
	return !a->activity ||
	       (!a->counting && !a->probing && a->activity->questions == 0 &&
		       a->activity->held.tickets == a->activity->ended);
}

/* What follows it in the table moves to its place, and is the next. */
static void
forget(struct ledger *l, struct account *a)
{
	struct ticket *t;

	memory_leave(l, a);
	promises_end_all(l, a);
	while ((t = account_tickets(a)))
		ticket_end(l, t);
	places_give_up(l, a);
	l->calls->remove_account(l->arg, a);
	account_forget(l, a);
	l->reviewed--;
	l->to_review++;
}

/* NULL: all have been reviewed. */
static struct account *
next_to_review(struct ledger *l)
{
	struct account *a = NULL;

	while (!a && l->to_review > 0) {
		size_t from = l->reviewed, passed;

		a = hash_next(&l->accounts, &l->reviewed);
		passed = l->reviewed - from;
		l->to_review -= passed < l->to_review ? passed : l->to_review;
		if (!a)
			l->reviewed = 0;
	}
	return a;
}

void
removed_tick(struct ledger *l)
{
	struct account *a;

	if (l->to_review > 0 && l->review_size != l->accounts.size)
		removed_review_all(l);
	for (int n = 0; n < REVIEWED_A_TICK && (a = next_to_review(l)); n++) {
		if (!l->calls->is_removed(l->arg, a))
			continue;
		if (is_idle(a))
			forget(l, a);
		else
			l->is_one_left = 1;
	}
	if (l->to_review == 0 && l->is_one_left) {
		l->is_one_left = 0;
		removed_review_all(l);
	}
}
