/*
 * "Full since": set by the first refusal for room, and over when used falls below what it
 * was then, a limit rises, or a message at least as large as the smallest refused is
 * taken. How long it lasts decides between "try again" and a bounce; a doubt makes it
 * shorter.
 */
#include <stdlib.h>

#include "conf.h"
#include "parts.h"

void
full_forget(struct account *a)
{
	free(a->full);
	a->full = NULL;
}

static uint64_t
full_ms(const struct ledger *l, const struct account *a)
{
	return a->full ? a->full->base_ms + (l->now - a->full->since) : 0;
}

static int
has_risen(uint64_t limit, uint64_t then)
{
	return then && (limit == 0 || limit > then);
}

void
full_review(struct account *a, const struct ledger_limits *limits)
{
	const struct full *f = a->full;

	if (!f)
		return;
	if (a->charged.used < f->used ||
		(limits && (has_risen(limits->bytes, f->bytes) ||
				   has_risen(limits->messages, f->messages))))
		full_forget(a);
}

void
full_taken(struct account *a, uint64_t bytes)
{
	if (a->full && bytes >= a->full->smallest)
		full_forget(a);
}

static void
begin(struct ledger *l, struct account *a, const struct ledger_request *r)
{
	struct full *f = calloc(1, sizeof *f);

	if (!f)
		return; /* not remembered: softer, never harder */
	f->since = l->now;
	f->used = a->charged.used;
	f->bytes = r->limits.bytes;
	f->messages = r->limits.messages;
	f->smallest = r->bytes;
	a->full = f;
	if (l->calls->save_account(l->arg, a) == 0)
		f->saved_at = l->now;
}

int
full_is_hard(const struct ledger *l, const struct account *a,
	const struct ledger_limits *limits)
{
	if (limits->over_quota == CONF_DEFER)
		return 0;
	return full_ms(l, a) / 1000 >= limits->over_quota;
}

int
full_refused(struct ledger *l, struct account *a, const struct ledger_request *r)
{
	if (!a->full)
		begin(l, a, r);
	if (a->full && r->bytes < a->full->smallest)
		a->full->smallest = r->bytes;
	if (a->full && l->now - a->full->saved_at >= SAVE_FULL_MS &&
		l->calls->save_account(l->arg, a) == 0)
		a->full->saved_at = l->now;
	return full_is_hard(l, a, &r->limits);
}

void
full_load(const struct ledger *l, struct account *a, const struct ledger_numbers *n)
{
	if (!n->full_for || a->full)
		return;
	a->full = calloc(1, sizeof *a->full);
	if (!a->full)
		return;
	*a->full = (struct full){
		.base_ms = n->full_for * 1000,
		.since = l->now,
		.used = n->full_used,
		.bytes = n->full_bytes,
		.messages = n->full_messages,
		.smallest = n->full_smallest,
		.saved_at = l->now,
	};
}

void
full_show(const struct ledger *l, const struct account *a, struct ledger_numbers *n)
{
	uint64_t ms = full_ms(l, a);

	if (!a->full)
		return;
	n->full_for = ms < 1000 ? 1 : ms / 1000;
	n->full_used = a->full->used;
	n->full_bytes = a->full->bytes;
	n->full_messages = a->full->messages;
	n->full_smallest = a->full->smallest;
}
