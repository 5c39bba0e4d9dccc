/*
 * Places: what a number is bound to, which account has which place, and which tickets
 * were promised for it.
 *
 * A number is worth something for the place that was counted, by the rules it was counted
 * by. Another place or other rules make it unknown, whatever it was. Tickets stay: an lda
 * holds the directory that it opened, whatever its path or its key become. So those of
 * the account stay with it, and those that others have for the place are charged to the
 * account that gets it, too, as copies: each is charged until it ends there.
 *
 * Paths and directories are hashes: they can stand in one table. 0 is none. Of those that
 * have one path one after another, whatever the owner, the last one has it.
 */
#include <stdlib.h>

#include "parts.h"

/* A place with tickets. */
struct place {
	uint64_t number;
	LIST_HEAD(, anchor) tickets;
};

static int
place_has_number(const void *place, const void *number, size_t length)
{
	(void)length;
	return ((const struct place *)place)->number == *(const uint64_t *)number;
}

static int
account_has_place(const void *account, const void *number, size_t length)
{
	const struct account *a = account;
	uint64_t n = *(const uint64_t *)number;

	(void)length;
	return a->place.path == n || a->directory == n;
}

int
places_init(struct ledger *l)
{
	if (hash_init(&l->owners, account_has_place) == -1)
		return -1;
	if (hash_init(&l->promised, place_has_number) == 0)
		return 0;
	hash_free(&l->owners);
	return -1;
}

void
places_free(struct ledger *l)
{
	struct place *p;
	size_t at = 0;

	while ((p = hash_next(&l->promised, &at)))
		free(p);
	hash_free(&l->promised);
	hash_free(&l->owners);
}

/* --- tickets ---------------------------------------------------------------------- */

static int
anchor_set(struct ledger *l, struct ticket *t, struct anchor *anchor, uint64_t number)
{
	struct place *p = hash_find(&l->promised, &number, sizeof number);

	if (number == 0)
		return 0;
	if (!p) {
		p = calloc(1, sizeof *p);
		if (!p)
			return -1;
		p->number = number;
		if (hash_add(&l->promised, &number, sizeof number, p) != 1) {
			free(p);
			return -1;
		}
	}
	anchor->number = number;
	anchor->ticket = t;
	LIST_INSERT_HEAD(&p->tickets, anchor, here);
	return 0;
}

static void
anchor_clear(struct ledger *l, struct anchor *anchor)
{
	uint64_t number = anchor->number;
	struct place *p;

	if (number == 0)
		return;
	LIST_REMOVE(anchor, here);
	anchor->number = 0;
	p = hash_find(&l->promised, &number, sizeof number);
	if (p && LIST_EMPTY(&p->tickets)) {
		hash_remove(&l->promised, &number, sizeof number);
		free(p);
	}
}

int
places_add_ticket(struct ledger *l, struct ticket *t, uint64_t path, uint64_t directory)
{
	if (anchor_set(l, t, &t->path, path) == 0 &&
		anchor_set(l, t, &t->directory, directory) == 0)
		return 0;
	places_remove_ticket(l, t);
	return -1;
}

void
places_remove_ticket(struct ledger *l, struct ticket *t)
{
	anchor_clear(l, &t->path);
	anchor_clear(l, &t->directory);
}

/* Charges to the account what others have promised for the place. An orphan whose lda has
 * ended is left out: what it stored is there already, and is counted. 1 where there were
 * any, -1 without memory. */
static int
adopt(struct ledger *l, struct account *a, uint64_t number)
{
	struct place *p = hash_find(&l->promised, &number, sizeof number);
	struct anchor *anchor;
	int any = 0;

	if (!p)
		return 0;
	LIST_FOREACH(anchor, &p->tickets, here) {
		struct ticket *t = anchor->ticket;

		any |= t->account != a;
		if (t->account == a || t->state == LEDGER_ENDED ||
			ticket_find(a, t->name))
			continue;
		if (!ticket_copy(l, t, a))
			return -1;
		a->may_be_twice = 1;
	}
	return any;
}

/* --- numbers ---------------------------------------------------------------------- */

/* The number is not known, and nothing is left of it that could be taken for one: nor is
 * the result of a count that is under way, even if place and rules change back. */
static void
drop_number(struct account *a)
{
	account_set_used(a, 0, 0);
	full_forget(a);
	a->known = a->count_serves = a->may_be_twice = 0;
	a->count_is_void = 1;
	a->last_why = LEDGER_NEVER;
	a->last_was = a->last_found = 0;
	a->stamp = a->counted_at = a->looked_at = 0;
}

/* Gives up one of the account's places. */
static void
give_up(struct ledger *l, uint64_t *number)
{
	if (*number)
		hash_remove(&l->owners, number, sizeof *number);
	*number = 0;
}

static int
take(struct ledger *l, struct account *a, uint64_t *own, uint64_t number)
{
	*own = number;
	if (hash_add(&l->owners, &number, sizeof number, a) == 1)
		return 0;
	*own = 0;
	return -1;
}

void
places_give_up(struct ledger *l, struct account *a)
{
	give_up(l, &a->place.path);
	give_up(l, &a->directory);
	a->place.owner = 0;
	l->moves++;
}

static void
unbind(struct ledger *l, struct account *a)
{
	if (!a->place.path)
		return;
	memory_leave(l, a);
	places_give_up(l, a);
	drop_number(a);
	l->calls->save_account(l->arg, a);
}

int
places_is_still_there(struct ledger *l, const struct account *a)
{
	struct ledger_limits limits;
	struct ledger_place place;

	return l->calls->look_up(l->arg, a, &place, &limits) == 0 &&
	       place.path == a->place.path;
}

void
places_review_rules(struct ledger *l, struct account *a)
{
	if (a->rules == l->rules.counting)
		return;
	drop_number(a);
	a->rules = l->rules.counting;
	if (a->place.path)
		l->calls->save_account(l->arg, a);
}

/* Without memory it stays unbound, and nothing is promised in it. */
static void
bind_anew(struct ledger *l, struct account *a, struct ledger_place place)
{
	struct account *other;

	unbind(l, a);
	other = hash_find(&l->owners, &place.path, sizeof place.path);
	a->rivalry = NO_RIVAL;
	a->is_second = other && places_is_still_there(l, other);
	if (a->is_second)
		return;
	if (other)
		unbind(l, other);
	drop_number(a);
	if (adopt(l, a, place.path) == -1 || take(l, a, &a->place.path, place.path) == -1)
		return;
	a->place.owner = place.owner;
	memory_take(l, a);
	l->calls->save_account(l->arg, a);
}

void
ledger_bind(struct ledger *l, struct account *a, struct ledger_place place)
{
	places_review_rules(l, a);
	if (!places_are_same(a->place, place))
		bind_anew(l, a, place);
	else if (a->reviewed_in != l->table)
		memory_review(l, a);
}

/* Of two that the store has at one path only the first is known. */
void
places_load(struct ledger *l, struct account *a, const struct ledger_numbers *n)
{
	a->rules = n->rules;
	if (n->place.path == 0 || take(l, a, &a->place.path, n->place.path) == -1) {
		a->known = 0;
		return;
	}
	a->place.owner = n->place.owner;
	if (n->directory && take(l, a, &a->directory, n->directory) == -1)
		a->known = 0;
}

/* --- directories ------------------------------------------------------------------ */

struct account *
places_rival(struct ledger *l, const struct account *a, uint64_t directory)
{
	struct account *other =
		directory ? hash_find(&l->owners, &directory, sizeof directory) : NULL;

	return other == a ? NULL : other;
}

void
places_lost(struct ledger *l, struct account *a)
{
	if (a->directory)
		l->moves++;
	give_up(l, &a->directory);
	drop_number(a);
	l->calls->save_account(l->arg, a);
}

/* What was promised at its path before any directory was known there is for this one. */
static void
name_directory(struct ledger *l, struct account *a)
{
	struct ticket *t;

	for (t = account_tickets(a); t; t = LIST_NEXT(t, of_account))
		if (t->directory.number == 0 && t->path.number == a->place.path)
			anchor_set(l, t, &t->directory, a->directory);
}

int
places_found(struct ledger *l, struct account *a, uint64_t directory)
{
	struct account *other = places_rival(l, a, directory);
	int is_stale = other || l->moves != a->activity->moves_before ||
		       !LIST_EMPTY(&a->activity->committed) || a->activity->nameless;
	int others;

	if (directory == a->directory)
		return 0;
	if (other)
		places_lost(l, other);
	if (a->directory)
		l->moves++;
	give_up(l, &a->directory);
	others = directory ? adopt(l, a, directory) : 0;
	if (directory && others != -1 && take(l, a, &a->directory, directory) == 0)
		name_directory(l, a);
	if (!is_stale && others == 0)
		return 0;
	drop_number(a);
	l->calls->save_account(l->arg, a);
	return 1;
}

void
places_look_up_again(struct ledger *l, struct question *q)
{
	struct ledger_request *r = &q->request;
	struct ledger_limits limits;
	struct ledger_place place;

	q->table = l->table;
	if (l->calls->look_up(l->arg, r->account, &place, &limits) == -1) {
		q->is_overtaken = 1;
		return;
	}
	ledger_bind(l, r->account, place);
	limits.orphans = r->limits.orphans;
	r->limits = limits;
}
