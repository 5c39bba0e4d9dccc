/*
 * Turns: accounts that have orphans whose lda has ended wait here for a count that gives
 * their room back. Accounts take turns, however many orphans each has; one whose counts
 * fail or prove nothing waits longer each time, so that it holds up nobody else.
 */
#include "parts.h"

/* The delay of each queue. It is the same for all in it, so the first is due first. The
 * first queue is for accounts that were not counted lately, the second for those that
 * were; beyond them it is one further with each count that failed. */
static const uint64_t delays_ms[TURNS] = {
	0, ORPHAN_COUNT_MS, 30 * 1000, 2 * 60 * 1000, 8 * 60 * 1000, LOOK_MS};

#define FAILING 2 /* the first queue of accounts whose last count failed */

static unsigned
queue_of(const struct ledger *l, const struct account *a)
{
	unsigned failed = a->failed_counts;

	if (failed)
		return failed < TURNS - FAILING ? FAILING + failed - 1 : TURNS - 1;
	return a->counts_begun && l->now - a->count_began_at < ORPHAN_COUNT_MS ? 1 : 0;
}

void
turns_join(struct ledger *l, struct account *a)
{
	struct activity *now = a->activity;

	if (now->in_turns || a->counting || now->ended == 0)
		return;
	now->in_turns = 1;
	now->turn = queue_of(l, a);
	now->due_at = l->now + delays_ms[now->turn];
	TAILQ_INSERT_TAIL(&l->turns[now->turn], a, activity->turns);
}

void
turns_leave(struct ledger *l, struct account *a)
{
	if (!a->activity->in_turns)
		return;
	a->activity->in_turns = 0;
	TAILQ_REMOVE(&l->turns[a->activity->turn], a, activity->turns);
}

struct account *
turns_next(const struct ledger *l)
{
	for (unsigned i = 0; i < TURNS; i++) {
		struct account *a = TAILQ_FIRST(&l->turns[i]);
		unsigned most = i < FAILING ? ORPHAN_COUNTS : ORPHAN_COUNTS / 2;

		if (a && a->activity->due_at <= l->now && l->orphan_counts < most)
			return a;
	}
	return NULL;
}
