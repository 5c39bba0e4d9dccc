/*
 * Counts and probes. A count's total and the names that it saw become the number: what it
 * saw of open tickets is still theirs, what was committed while it ran and was not seen
 * is added, and orphans end. An inexact count only raises the number.
 */
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "parts.h"

void
ledger_begin_count(struct ledger *l, struct account *a, int thorough, enum ledger_why why)
{
	if (a->counting) {
		a->thorough_wanted |= thorough ? 1 : 0;
		return;
	}
	a->counting = 1;
	a->why = why & 15;
	a->counts_begun++;
	a->count_began_at = a->looked_at = l->now;
	for (struct ticket *t = a->first; t; t = t->of_account) {
		t->ended_before = t->state == TICKET_ENDED;
		t->seen = 0;
	}
	l->totals.counts++;
	l->calls->count(l->arg, a, thorough);
}

void
ledger_recount(struct ledger *l, struct account *a, int thorough)
{
	ledger_begin_count(l, a, thorough, LEDGER_ROUND);
}

void
ledger_count_names(struct ledger *l, struct account *a,
	void (*name)(void *arg, const char *name), void *arg)
{
	(void)l;
	for (struct ticket *t = a->first; t; t = t->of_account)
		name(arg, t->name);
	for (struct ticket *t = a->committed; t; t = t->of_account)
		name(arg, t->name);
}

static void
mark_seen(struct ticket *first, const struct ledger_count *c)
{
	for (struct ticket *t = first; t; t = t->of_account)
		for (size_t i = 0; i < c->seen_count && !t->seen; i++)
			t->seen = strcmp(t->name, c->seen[i]) == 0;
}

/* The total, less what was seen of open tickets, plus what was committed and not seen. */
static void
work_out(const struct account *a, const struct ledger_count *c, uint64_t *used,
	uint64_t *messages)
{
	*used = c->bytes;
	*messages = c->messages;
	for (const struct ticket *t = a->first; t; t = t->of_account)
		if (t->seen && t->state == TICKET_OPEN) {
			*used = amount_subtract(*used, t->bytes);
			*messages = amount_subtract(*messages, 1);
		}
	for (const struct ticket *t = a->committed; t; t = t->of_account)
		if (!t->seen) {
			*used = amount_add(*used, t->bytes);
			*messages = amount_add(*messages, 1);
		}
}

/* Ends the orphans that the count saw, and those that it proved to have left nothing;
 * returns the bytes of the former, which are in the number now. */
static uint64_t
end_orphans(struct ledger *l, struct account *a)
{
	uint64_t found = 0;

	for (struct ticket *t = a->first, *next; t; t = next) {
		next = t->of_account;
		if (t->state == TICKET_OPEN || (!t->seen && !t->ended_before))
			continue;
		if (t->seen)
			found = amount_add(found, t->bytes);
		ledger_end_ticket(l, t);
	}
	return found;
}

/* For a person who asks where the number comes from. A number that was not known is none
 * that was corrected. */
static void
remember(struct ledger *l, struct account *a, int exact, uint64_t was)
{
	a->last_why = a->why & 15;
	a->last_exact = exact ? 1 : 0;
	a->last_at = (int64_t)l->now;
	a->last_was = was;
	a->last_found = a->used;
}

static void
apply_exact(struct ledger *l, struct account *a, const struct ledger_count *c,
	uint64_t used, uint64_t messages)
{
	uint64_t expected = amount_add(a->used, end_orphans(l, a));

	if (a->known && used != expected) {
		l->totals.corrected++;
		l->calls->corrected(l->arg, a, expected, used);
	}
	a->used = used;
	remember(l, a, 1, a->known ? expected : used);
	a->messages = messages;
	a->stamp = c->stamp;
	a->counted_at = l->now;
	a->basis = a->committed == NULL;
	a->known = a->count_began_at >= l->held_until;
	ledger_full_review(a, NULL);
}

static void
apply(struct ledger *l, struct account *a, const struct ledger_count *c)
{
	uint64_t used, messages, was;

	mark_seen(a->first, c);
	mark_seen(a->committed, c);
	work_out(a, c, &used, &messages);
	if (c->exact) {
		apply_exact(l, a, c, used, messages);
	} else {
		l->totals.inexact_counts++;
		a->basis = 0; /* the mailbox moved */
		used = used > a->used ? used : a->used;
		messages = messages > a->messages ? messages : a->messages;
		was = a->used;
		a->used = used;
		a->messages = messages;
		remember(l, a, 0, a->known ? was : used);
	}
	l->calls->save_account(l->arg, a);
}

/* Questions that this count serves are decided anew; the others need one more. */
static void
wake_counted(struct ledger *l, struct account *a, const struct ledger_count *c)
{
	int again = 0;

	for (struct question *q = TAILQ_FIRST(&a->waiting), *next; q; q = next) {
		next = TAILQ_NEXT(q, here);
		if (q->need != NEED_COUNT)
			continue;
		if (a->counts_begun <= q->after_count) {
			again = 1;
			continue;
		}
		q->counts++;
		q->moved = q->unmoved = 0;
		if (c->failed)
			ledger_fail(l, q, c->text);
		else
			ledger_wake(l, q);
	}
	if (again || a->thorough_wanted) {
		int thorough = a->thorough_wanted;

		a->thorough_wanted = 0;
		ledger_begin_count(l, a, thorough, a->why);
	}
}

void
ledger_counted(struct ledger *l, struct account *a, const struct ledger_count *c)
{
	if (!c->failed)
		apply(l, a, c);
	ledger_free_committed(a);
	a->counting = 0;
	a->counts_applied = a->counts_begun;
	wake_counted(l, a, c);
	ledger_run_ready(l);
}

void
ledger_begin_probe(struct ledger *l, struct account *a)
{
	struct question *q;

	if (a->probing)
		return;
	a->probing = 1;
	a->probe_after = a->counts_applied;
	TAILQ_FOREACH(q, &a->waiting, here)
	q->in_probe = q->need == NEED_PROBE;
	l->totals.probes++;
	l->calls->probe(l->arg, a);
}

/* What a probe says of a number that a count has replaced meanwhile means nothing. */
static void
wake_probed(struct ledger *l, struct account *a, int moved, int failed)
{
	int again = 0, stale = a->probe_after != a->counts_applied;

	for (struct question *q = TAILQ_FIRST(&a->waiting), *next; q; q = next) {
		next = TAILQ_NEXT(q, here);
		if (q->need != NEED_PROBE)
			continue;
		if (!q->in_probe || stale) {
			again = 1;
			continue;
		}
		q->moved = moved;
		q->unmoved = !moved;
		q->unmoved_since = a->counts_applied;
		if (failed)
			ledger_fail(l, q, "the mailbox can't be looked at");
		else
			ledger_wake(l, q);
	}
	if (again)
		ledger_begin_probe(l, a);
}

void
ledger_probed(struct ledger *l, struct account *a, uint64_t stamp, int failed)
{
	int moved = !a->known || stamp != a->stamp;

	a->probing = 0;
	if (moved && a->probe_after == a->counts_applied)
		a->basis = 0;
	wake_probed(l, a, moved, failed);
	if (!failed && moved && (!a->counted_at || l->now - a->counted_at >= LOOK_MS))
		ledger_begin_count(l, a, 0, LEDGER_CHANGED);
	ledger_run_ready(l);
}

/* Room that ended orphans hold comes back without anybody asking for it. */
void
ledger_count_orphans(struct ledger *l)
{
	int looks = 100;

	for (struct ticket *t = l->ended.first; t && looks-- > 0; t = t->next) {
		struct account *a = t->account;

		if (!a->counting && l->now - a->count_began_at >= ORPHAN_COUNT_MS)
			ledger_begin_count(l, a, 0, LEDGER_ORPHANS);
	}
}
