/*
 * Counts and probes. A count's total and the names that it saw become the number: what it
 * saw of open tickets is still theirs, what was committed while it ran and was not seen
 * is added, and orphans end. An inexact count only raises the number. So does one while
 * which more was committed than names are kept: what has no name here may be in the
 * total, and is added all the same.
 */
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "parts.h"

/* What is counted is what the table names now. */
static void
bind_to_table(struct ledger *l, struct account *a)
{
	struct ledger_limits limits;
	struct ledger_place place;

	places_review_rules(l, a);
	if (l->calls->look_up(l->arg, a, &place, &limits) == 0)
		ledger_bind(l, a, place);
}

void
counts_begin(struct ledger *l, struct account *a, int thorough, enum ledger_why why)
{
	struct ticket *t;

	if (a->counting) {
		a->thorough_wanted |= thorough ? 1 : 0;
		return;
	}
	if (account_begin_activity(a) == -1)
		return;
	turns_leave(l, a);
	bind_to_table(l, a);
	a->counting = 1;
	a->count_is_void = 0;
	a->activity->moves_before = l->moves;
	a->activity->why = why;
	a->counts_begun++;
	a->count_began_at = a->looked_at = l->now;
	LIST_FOREACH(t, &a->activity->tickets, of_account) {
		t->ended_before = t->state == LEDGER_ENDED;
		t->seen = 0;
	}
	l->totals.counts++;
	l->calls->count(l->arg, a, thorough || a->wrong_names);
}

/* -1 without memory. */
static int
mark_seen(struct account *a, const struct ledger_count *c)
{
	struct hash seen;
	struct ticket *t;
	size_t i;

	if (c->seen_count == 0)
		return 0;
	if (hash_init(&seen, NULL) == -1)
		return -1;
	for (i = 0; i < c->seen_count; i++)
		if (hash_add(&seen, c->seen[i], strlen(c->seen[i]), NULL) == -1)
			break;
	LIST_FOREACH(t, &a->activity->tickets, of_account)
		t->seen |= hash_has(&seen, t->name, strlen(t->name));
	LIST_FOREACH(t, &a->activity->committed, of_account)
		t->seen |= hash_has(&seen, t->name, strlen(t->name));
	hash_free(&seen);
	return i == c->seen_count ? 0 : -1;
}

/* The total, less what was seen of open tickets, plus what was committed and not seen. */
static void
add_up(struct account *a, const struct ledger_count *c, int exact, uint64_t *used,
	uint64_t *messages)
{
	struct ticket *t;

	*used = amount_add(c->bytes, a->activity->nameless_bytes);
	*messages = amount_add(c->messages, a->activity->nameless);
	LIST_FOREACH(t, &a->activity->tickets, of_account) {
		if (t->seen && t->state == LEDGER_OPEN) {
			t->taken_off = 1;
			*used = amount_subtract(*used, t->bytes);
			*messages = amount_subtract(*messages, 1);
		} else if (exact) {
			t->taken_off = 0;
		}
	}
	LIST_FOREACH(t, &a->activity->committed, of_account)
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

	for (struct ticket *t = LIST_FIRST(&a->activity->tickets), *next; t; t = next) {
		next = LIST_NEXT(t, of_account);
		if (t->state == LEDGER_OPEN || (!t->seen && !t->ended_before))
			continue;
		if (t->seen)
			found = amount_add(found, t->bytes);
		ticket_end(l, t);
	}
	return found;
}

/* For a person who asks where the number comes from. A number that was not known is none
 * that was corrected. */
static void
remember(struct ledger *l, struct account *a, int exact, uint64_t was)
{
	a->last_why = a->activity->why & 15;
	a->last_exact = exact ? 1 : 0;
	a->last_at = (int64_t)l->now;
	a->last_was = a->known ? was : a->charged.used;
	a->last_found = a->charged.used;
}

/* The number is there before the tickets go that are in it: at no moment is anything
 * uncharged. */
static void
apply_exact(struct ledger *l, struct account *a, const struct ledger_count *c,
	uint64_t used, uint64_t messages)
{
	uint64_t expected = a->charged.used;

	account_set_used(a, used, messages);
	expected = amount_add(expected, end_orphans(l, a));
	if (a->known && used != expected) {
		l->totals.corrected++;
		l->calls->corrected(l->arg, a, expected, used);
	}
	remember(l, a, 1, expected);
	a->stamp = c->stamp;
	a->counted_at = l->now;
	a->unmoved_at = a->count_began_at;
	a->count_serves = LIST_EMPTY(&a->activity->committed);
	a->known = a->count_began_at >= l->held_until;
	a->may_be_twice = 0;
	full_review(a, NULL);
}

static void
apply_inexact(struct ledger *l, struct account *a, uint64_t used, uint64_t messages)
{
	const struct charge was = a->charged;

	l->totals.inexact_counts++;
	a->count_serves = 0; /* the mailbox moved */
	account_set_used(a, used > was.used ? used : was.used,
		messages > was.messages ? messages : was.messages);
	remember(l, a, 0, was.used);
}

/* A lower bound: what an exact count found, or else both of two passes saw. What was
 * committed meanwhile is left out, and what was seen of open tickets is theirs. */
static void
note_sure(struct account *a, const struct ledger_count *c, int complete)
{
	struct ticket *t;

	a->sure_by_files = c->by_name == 0;
	a->activity->sure = c->exact ? c->bytes : c->sure_bytes;
	a->activity->sure_messages = c->exact ? c->messages : c->sure_messages;
	if (!complete)
		a->activity->sure = a->activity->sure_messages = 0;
	LIST_FOREACH(t, &a->activity->tickets, of_account)
		if (t->seen && t->state == LEDGER_OPEN) {
			a->activity->sure = amount_subtract(a->activity->sure, t->bytes);
			a->activity->sure_messages =
				amount_subtract(a->activity->sure_messages, 1);
		}
}

/* A user's program can write any name. What it once wrote wrongly it may again, so the
 * files are asked until a slow round finds all names right. */
static void
note_names(struct account *a, const struct ledger_count *c, int exact)
{
	if (c->wrong)
		a->wrong_names = 1;
	else if (exact && c->by_name == 0 && a->activity->why == LEDGER_ROUND)
		a->wrong_names = 0;
	if (exact)
		a->by_files = c->by_name == 0;
}

/* What was committed since it began and was not seen is there, too; and what does not
 * count is mail all the same. */
static void
note_mail(struct ledger *l, struct account *a, const struct ledger_count *c, int exact,
	uint64_t messages)
{
	if (c->missing)
		return;
	if (c->messages || c->ignored || (exact && messages))
		memory_note(a, places_is_still_there(l, a) ? memory_now(l) : 1);
	else if (exact)
		a->had_mail = 0;
}

/* 1 where the count was exact. */
static int
apply(struct ledger *l, struct account *a, const struct ledger_count *c)
{
	uint64_t used, messages;
	int complete = mark_seen(a, c) == 0 && a->activity->nameless == 0;
	int exact = c->exact && complete;

	a->may_be_twice |= complete ? 0 : 1;
	add_up(a, c, exact, &used, &messages);
	note_sure(a, c, complete);
	note_names(a, c, exact);
	note_mail(l, a, c, exact, messages);
	if (exact)
		apply_exact(l, a, c, used, messages);
	else
		apply_inexact(l, a, used, messages);
	l->calls->save_account(l->arg, a);
	return exact;
}

/* Questions that this count serves are decided anew; the others need one more. One of
 * another place, or by other rules, serves none. */
static void
wake_counted(
	struct ledger *l, struct account *a, const struct ledger_count *c, int serves)
{
	int again = 0;

	for (struct question *q = TAILQ_FIRST(&a->activity->waiting), *next; q;
		q = next) {
		next = TAILQ_NEXT(q, here);
		if (q->waits_for != WAIT_COUNT)
			continue;
		if (!serves || a->counts_begun <= q->after_count) {
			again = 1;
			continue;
		}
		q->counts++;
		q->probed = NOT_PROBED;
		if (c->failed)
			question_fail(l, q, c->text);
		else
			question_wake(l, q);
	}
	if (again || a->thorough_wanted) {
		int thorough = a->thorough_wanted;

		a->thorough_wanted = 0;
		counts_begin(l, a, thorough, a->activity->why);
	}
}

/* Whether the place of the one that has had the directory still leads there: a count of
 * it tells that began after this was found, and not long ago. */
static enum rivalry
look_at_rival(struct ledger *l, struct account *a, struct account *rival)
{
	if (!places_is_still_there(l, rival))
		return NO_RIVAL;
	if (a->rivalry == NO_RIVAL)
		a->activity->rival_counts = rival->counts_begun;
	if (rival->counting ||
		account_counts_applied(rival) <= a->activity->rival_counts ||
		l->now - rival->count_began_at >= RIVAL_MS) {
		counts_begin(l, rival, 0, LEDGER_CHANGED);
		return UNSURE_RIVAL;
	}
	return rival->is_there ? SURE_RIVAL : NO_RIVAL;
}

/* What the count found is the account's directory, if it can be. 1 where the count's
 * result is of it. */
static int
bind_directory(struct ledger *l, struct account *a, const struct ledger_count *c)
{
	struct account *rival = places_rival(l, a, c->directory);

	a->rivalry = rival ? look_at_rival(l, a, rival) & 3 : NO_RIVAL;
	if (a->rivalry != NO_RIVAL)
		places_lost(l, a);
	else if (c->directory != a->directory && places_found(l, a, c->directory) == 0 &&
		 !c->exact)
		a->known = 0;
	return !a->count_is_void;
}

/* It was changed since it was counted, or that can't be told, and it can't be counted any
 * more: else its user could make it so, and fill it beside a low number of before. */
static void
forget_number(struct ledger *l, struct account *a)
{
	if (!a->known)
		return;
	a->known = 0;
	l->calls->save_account(l->arg, a);
}

/* Somebody who waits for this very count knows that nothing is there any more. */
static int
is_meant(const struct account *a)
{
	const struct question *q;

	TAILQ_FOREACH(q, &a->activity->waiting, here)
		if (q->request.is_meant && q->waits_for == WAIT_COUNT &&
			a->counts_begun > q->after_count)
			return 1;
	return 0;
}

/* Whether the count has found no Maildir where one had mail: then it is no count of it,
 * whatever it says. One that a delivery has made since the count began is not missing. */
static int
finds_missing(struct ledger *l, struct account *a, const struct ledger_count *c)
{
	if (c->missing && is_meant(a))
		memory_end(l, a);
	a->is_missing = c->missing && memory_maybe_mail(l, a) && !a->activity->nameless &&
			LIST_EMPTY(&a->activity->committed);
	return a->is_missing;
}

static void
note_failure(struct account *a, int exact, int serves)
{
	if (exact)
		a->failed_counts = 0;
	else if (serves && a->failed_counts < FAILED_COUNTS_MAX)
		a->failed_counts++;
}

void
counts_ended(struct ledger *l, struct account *a, const struct ledger_count *c)
{
	static const struct ledger_count missing = {
		.failed = 1, .text = VERDICT_MISSING_TEXT};
	int serves, exact;

	places_review_rules(l, a);
	serves = !a->count_is_void;
	if (serves && !c->failed && finds_missing(l, a, c))
		c = &missing;
	exact = serves && !c->failed && bind_directory(l, a, c) && apply(l, a, c);
	serves = serves && (!a->count_is_void || a->rivalry != NO_RIVAL);
	a->is_there = !c->failed && c->directory == a->directory;
	if (serves && c->failed && (a->activity->why == LEDGER_CHANGED || c == &missing))
		forget_number(l, a);

	account_free_committed(a);
	a->counting = 0;
	l->orphan_counts -= a->activity->is_orphan_count;
	a->activity->is_orphan_count = 0;
	note_failure(a, exact, serves);
	turns_join(l, a);
	wake_counted(l, a, c, serves);
	account_end_activity(a);
}

void
counts_probe(struct ledger *l, struct account *a)
{
	struct question *q;

	if (a->probing)
		return;
	a->probing = 1;
	a->activity->probe_after = account_counts_applied(a);
	a->activity->probe_began_at = l->now;
	TAILQ_FOREACH(q, &a->activity->waiting, here)
		q->in_probe = q->waits_for == WAIT_PROBE;
	l->totals.probes++;
	l->calls->probe(l->arg, a);
}

/* What a probe says of a number that a count has replaced meanwhile means nothing. */
static void
wake_probed(struct ledger *l, struct account *a, int moved, int failed)
{
	int again = 0, stale = a->activity->probe_after != account_counts_applied(a);

	for (struct question *q = TAILQ_FIRST(&a->activity->waiting), *next; q;
		q = next) {
		next = TAILQ_NEXT(q, here);
		if (q->waits_for != WAIT_PROBE)
			continue;
		if (!q->in_probe || stale) {
			again = 1;
			continue;
		}
		q->probed = moved ? MOVED : UNMOVED;
		q->probed_count = account_counts_applied(a);
		if (failed)
			question_fail(l, q, "the mailbox can't be looked at");
		else
			question_wake(l, q);
	}
	if (again)
		counts_probe(l, a);
}

void
counts_probed(struct ledger *l, struct account *a, uint64_t stamp, int failed)
{
	int moved = !a->known || stamp != a->stamp;

	a->probing = 0;
	if (a->activity->probe_after == account_counts_applied(a)) {
		a->unmoved_at = failed || moved ? 0 : a->activity->probe_began_at;
		if (moved)
			a->count_serves = 0;
	}
	wake_probed(l, a, moved, failed);
	if ((failed || moved) && (!a->counted_at || l->now - a->counted_at >= LOOK_MS))
		counts_begin(l, a, 0, LEDGER_CHANGED);
	account_end_activity(a);
}

/* Room that ended orphans hold comes back without anybody asking for it. */
void
counts_of_orphans(struct ledger *l)
{
	struct account *a;

	while ((a = turns_next(l))) {
		a->activity->is_orphan_count = 1;
		l->orphan_counts++;
		counts_begin(l, a, 0, LEDGER_ORPHANS);
	}
}
