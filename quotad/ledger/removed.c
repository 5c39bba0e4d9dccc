/*
 * Accounts of mailboxes that the table has no more. All accounts are gone through after
 * each change of the table, a few at a time. One that is not in it is forgotten, with its
 * orphans, once nobody asks about it, no count of it runs, and no lda can be alive that
 * holds room in it: whatever is stored there is counted anew should it ever come back.
 */
#include "parts.h"

#define REVIEWED_A_TICK 200
#define WAITING_A_TICK  50 /* of those that can't be forgotten yet */

void
removed_review_all(struct ledger *l)
{
	l->to_review = l->totals.accounts;
}

static int
is_idle(const struct account *a)
{
	return a->questions == 0 && !a->counting && !a->probing &&
	       a->charged.tickets == a->ended;
}

static void
forget(struct ledger *l, struct account *a)
{
	struct ticket *t;

	while ((t = LIST_FIRST(&a->tickets)))
		ticket_end(l, t);
	places_give_up(l, a);
	l->calls->remove_account(l->arg, a);
	account_forget(l, a);
}

/* Looks at the first MOST accounts of the list; those that stay go to its end, or to that
 * of the other list. */
static void
review(struct ledger *l, struct account_list *list, uint64_t most)
{
	struct account *a;

	while (most-- > 0 && (a = TAILQ_FIRST(list))) {
		int removed = l->calls->is_removed(l->arg, a);

		TAILQ_REMOVE(list, a, in_list);
		a->list = removed ? &l->removed : &l->kept;
		TAILQ_INSERT_TAIL(a->list, a, in_list);
		if (removed && is_idle(a))
			forget(l, a);
	}
}

void
removed_tick(struct ledger *l)
{
	uint64_t most = l->to_review < REVIEWED_A_TICK ? l->to_review : REVIEWED_A_TICK;

	l->to_review -= most;
	review(l, &l->removed, WAITING_A_TICK);
	review(l, &l->kept, most);
}
