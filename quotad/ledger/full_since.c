/*
 * "Full since": set by the first refusal for room, and over when used falls below what it
 * was then, a limit rises, or a message at least as large as the smallest refused is
 * taken. How long it lasts decides between "try again" and a bounce; a doubt makes it
 * shorter.
 */
#include <stdlib.h>

#include "conf.h"
#include "parts.h"

static void
forget(struct account *a)
{
	free(a->full);
	a->full = NULL;
}

uint64_t
ledger_full_ms(const struct ledger *l, const struct account *a)
{
	return a->full ? a->full->base_ms + (l->now - a->full->since) : 0;
}

static int
has_risen(uint64_t limit, uint64_t then)
{
	return then && (limit == 0 || limit > then);
}

void
ledger_full_review(struct account *a, const struct ledger_limits *limits)
{
	const struct full *f = a->full;

	if (!f)
		return;
	if (a->used < f->used ||
		(limits && (has_risen(limits->bytes, f->bytes) ||
				   has_risen(limits->messages, f->messages))))
		forget(a);
}

void
ledger_full_taken(struct account *a, uint64_t bytes)
{
	if (a->full && bytes >= a->full->smallest)
		forget(a);
}

static void
begin(struct ledger *l, struct account *a, const struct ledger_request *r)
{
	struct full *f = calloc(1, sizeof *f);

	if (!f)
		return; /* not remembered: softer, never harder */
	f->since = l->now;
	f->used = a->used;
	f->bytes = r->limits.bytes;
	f->messages = r->limits.messages;
	f->smallest = r->bytes;
	a->full = f;
	if (l->calls->save_account(l->arg, a) == 0)
		f->saved_at = l->now;
}

/* Whether a mailbox that is full has been so for as long as over_quota allows. */
int
ledger_full_is_hard(const struct ledger *l, const struct account *a,
	const struct ledger_limits *limits)
{
	if (limits->over_quota == CONF_DEFER)
		return 0;
	return ledger_full_ms(l, a) / 1000 >= limits->over_quota;
}

/* Notes the refusal; 1 where the mailbox has been full for as long as over_quota allows.
 */
int
ledger_full_refused(struct ledger *l, struct account *a, const struct ledger_request *r)
{
	if (!a->full)
		begin(l, a, r);
	if (a->full && r->bytes < a->full->smallest)
		a->full->smallest = r->bytes;
	if (a->full && l->now - a->full->saved_at >= SAVE_FULL_MS &&
		l->calls->save_account(l->arg, a) == 0)
		a->full->saved_at = l->now;
	return ledger_full_is_hard(l, a, &r->limits);
}
