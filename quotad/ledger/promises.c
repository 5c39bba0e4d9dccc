/* Promises. Their sums stay far below the end of their numbers: PROMISE_MOST. */
#include "promises.h"

#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "parts.h"
#include "siphash.h"

#define PROMISE_MOST (1ULL << 44) /* bytes */

void
promises_init(struct ledger *l)
{
	for (int i = 0; i < PROMISE_SLOTS; i++)
		TAILQ_INIT(&l->promises.slots[i]);
	l->promises.second = l->now / 1000;
}

/* --- one promise ------------------------------------------------------------------ */

static struct account_promises *
slot_of(struct ledger *l, const struct promise *p)
{
	return &l->promises.slots[p->until / 1000 % PROMISE_SLOTS];
}

/* As the store has the name of a ticket. */
static uint64_t
hash_of(const struct ticket *t)
{
	const struct siphash_key one = {1, 1};

	return t ? siphash(&one, t->name, strlen(t->name)) : 0;
}

static struct ledger_kept_promise
shown(const struct promise *p)
{
	return (struct ledger_kept_promise){
		.promise = {.id = p->id,
			.recipient = p->recipient,
			.client = p->client,
			.ms = p->ms},
		.bytes = p->bytes,
		.until = p->until,
		.ticket = hash_of(p->ticket),
	};
}

static void
tell(struct ledger *l, const struct promise *p, enum ledger_promise_event event)
{
	const struct ledger_kept_promise kept = shown(p);

	if (l->calls->promise)
		l->calls->promise(l->arg, p->account, &kept.promise, event);
}

/* So many more bytes and promises. */
static void
add_up(struct ledger *l, struct account *a, uint64_t bytes, uint32_t promises)
{
	const struct held held = account_held(a);

	l->totals.promised_bytes += bytes;
	l->totals.promises += promises;
	account_set_promised(a, held.promised + bytes, held.promises + promises);
}

static void
take_off(struct ledger *l, const struct promise *p)
{
	const struct held held = account_held(p->account);

	l->totals.promised_bytes -= p->bytes;
	l->totals.promises--;
	account_set_promised(p->account, held.promised - p->bytes, held.promises - 1);
}

static struct promise *
new_promise(struct ledger *l, struct account *a, const struct ledger_kept_promise *kept)
{
	size_t size = strlen(kept->promise.id) + 1;
	struct promise *p = calloc(1, sizeof *p + size);

	if (!p || account_begin_activity(a) == -1) {
		free(p);
		return NULL;
	}
	memcpy(p->id, kept->promise.id, size);
	p->account = a;
	p->recipient = kept->promise.recipient;
	p->client = kept->promise.client;
	p->ms = kept->promise.ms;
	p->bytes = kept->bytes < PROMISE_MOST ? kept->bytes : PROMISE_MOST;
	p->until = kept->until;
	TAILQ_INSERT_TAIL(&a->activity->promises, p, here);
	TAILQ_INSERT_TAIL(slot_of(l, p), p, due);
	add_up(l, a, p->bytes, 1);
	tell(l, p, LEDGER_PROMISE_MADE);
	return p;
}

/* Takes it out of the account and the store, and frees it. It is not charged. */
static void
forget(struct ledger *l, struct promise *p)
{
	const struct ledger_kept_promise kept = shown(p);

	TAILQ_REMOVE(&p->account->activity->promises, p, here);
	TAILQ_REMOVE(slot_of(l, p), p, due);
	l->calls->remove_promise(l->arg, p->account, &kept.promise);
	free(p);
}

/* Without its message. */
static void
end(struct ledger *l, struct promise *p, enum ledger_promise_event event)
{
	struct account *a = p->account;

	if (p->ticket) {
		p->ticket->promise = NULL;
	} else {
		take_off(l, p);
		tell(l, p, event);
	}
	forget(l, p);
	account_end_activity(a);
}

void
promises_free(struct account *a)
{
	struct promise *p;

	while ((p = TAILQ_FIRST(&a->activity->promises))) {
		TAILQ_REMOVE(&a->activity->promises, p, here);
		free(p);
	}
}

/* --- whose it is ------------------------------------------------------------------ */

static struct promise *
find(const struct account *a, const struct ledger_promise *wanted)
{
	struct promise *p;

	if (!a->activity)
		return NULL;
	TAILQ_FOREACH(p, &a->activity->promises, here)
		if (p->recipient == wanted->recipient && strcmp(p->id, wanted->id) == 0)
			break;
	return p;
}

/* Whether the id is one of those between commas. */
static int
is_one_of(const char *id, const char *ids)
{
	size_t length = strlen(id), n;

	for (; *ids; ids += n + (ids[n] == ',')) {
		n = strcspn(ids, ",");
		if (n == length && strncmp(ids, id, n) == 0)
			return 1;
	}
	return 0;
}

static struct promise *
find_unused(const struct account *a, const char *ids)
{
	struct promise *p;

	if (!a->activity)
		return NULL;
	TAILQ_FOREACH(p, &a->activity->promises, here)
		if (!p->ticket && is_one_of(p->id, ids))
			break;
	return p;
}

struct promise *
promises_own(const struct question *q)
{
	const struct account *a = q->request.account;
	struct promise *p;

	if (!q->ids || !account_held(a).promises)
		return NULL;
	if (q->request.promise) {
		p = find(a, q->request.promise);
		return p && !p->ticket ? p : NULL;
	}
	return find_unused(a, q->ids);
}

/* --- making and using ------------------------------------------------------------- */

/* The bytes that are left for the message beside all others, its headers to come, if
 * any will, included: what is not there of them is not kept. */
static uint64_t
bytes_for(const struct question *q)
{
	const struct account *a = q->request.account;
	const struct held held = account_held(a);
	const uint64_t headers = q->promise.is_exact ? 0 : PROMISE_HEADERS;
	uint64_t wanted = amount_add(q->request.bytes, headers), others, left;

	if (!q->request.limits.bytes)
		return wanted;
	others = held.promised - (q->own ? q->own->bytes : 0);
	others = amount_add(amount_add(a->charged.used, held.reserved), others);
	left = amount_subtract(q->request.limits.bytes, others);
	return wanted < left ? wanted : left;
}

/* The store has it first; where that fails all is as it was. */
static int
renew(struct ledger *l, struct promise *p, const struct ledger_kept_promise *kept)
{
	if (l->calls->save_promise(l->arg, p->account, kept) == -1)
		return -1;
	add_up(l, p->account, kept->bytes - p->bytes, 0);
	TAILQ_REMOVE(slot_of(l, p), p, due);
	p->bytes = kept->bytes;
	p->ms = kept->promise.ms;
	p->until = kept->until;
	TAILQ_INSERT_TAIL(slot_of(l, p), p, due);
	return 0;
}

int
promises_keep(struct ledger *l, const struct question *q)
{
	struct account *a = q->request.account;
	struct ledger_kept_promise kept = {
		.promise = q->promise,
		.bytes = bytes_for(q),
		.until = amount_add(l->now, q->promise.ms),
	};

	kept.bytes = kept.bytes < PROMISE_MOST ? kept.bytes : PROMISE_MOST;
	if (q->own) {
		kept.promise.client = q->own->client;
		if (kept.bytes < q->own->bytes)
			kept.bytes = q->own->bytes;
		renew(l, q->own, &kept);
		return 1;
	}
	if ((!q->request.limits.bytes && !q->request.limits.messages) ||
		account_held(a).promises >= PROMISES_OF_ACCOUNT ||
		l->totals.promises >= PROMISES_MAX || find(a, &q->promise) ||
		l->calls->save_promise(l->arg, a, &kept) == -1)
		return 0;
	if (new_promise(l, a, &kept))
		return 1;
	l->calls->remove_promise(l->arg, a, &kept.promise);
	return 0;
}

/* A store that fails has it as one that no ticket has: too much is charged after a start,
 * for as long as it lasts. */
static void
save(struct ledger *l, const struct promise *p)
{
	const struct ledger_kept_promise kept = shown(p);

	l->calls->save_promise(l->arg, p->account, &kept);
}

void
promises_use(struct ledger *l, struct promise *p, struct ticket *t)
{
	p->ticket = t;
	t->promise = p;
	take_off(l, p);
	save(l, p);
	tell(l, p, LEDGER_PROMISE_USED);
}

void
promises_leave(struct ledger *l, struct ticket *t, int is_stored)
{
	struct promise *p = t->promise;

	if (!p)
		return;
	t->promise = NULL;
	p->ticket = NULL;
	if (is_stored || p->until <= l->now) {
		forget(l, p);
		return;
	}
	if (p->bytes > t->bytes)
		p->bytes = t->bytes;
	add_up(l, p->account, p->bytes, 1);
	save(l, p);
	tell(l, p, LEDGER_PROMISE_MADE);
}

int
promises_are_cut_off(const struct question *q)
{
	const struct account *a = q->request.account;
	const struct promise *p;

	if (!q->ids || q->request.promise || !a->activity)
		return 0;
	TAILQ_FOREACH(p, &a->activity->promises, here)
		if (p->ticket && p->ticket->state != LEDGER_OPEN &&
			is_one_of(p->id, q->ids))
			return 1;
	return 0;
}

/* --- the end ---------------------------------------------------------------------- */

void
promises_end_all(struct ledger *l, struct account *a)
{
	/* with the last one the account may lose its activity */
	while (a->activity && !TAILQ_EMPTY(&a->activity->promises))
		end(l, TAILQ_FIRST(&a->activity->promises), LEDGER_PROMISE_GONE);
}

void
ledger_end_promise(
	struct ledger *l, struct account *a, const struct ledger_promise *wanted)
{
	struct promise *p = find(a, wanted);

	if (p && !p->ticket)
		end(l, p, LEDGER_PROMISE_GONE);
}

void
ledger_end_promise_of(struct ledger *l, struct account *a, const char *ids)
{
	struct promise *p = find_unused(a, ids);

	if (p)
		end(l, p, LEDGER_PROMISE_GONE);
}

static void
end_due(struct ledger *l, struct account_promises *slot)
{
	for (struct promise *p = TAILQ_FIRST(slot), *next; p; p = next) {
		struct account *a = p->account;

		next = TAILQ_NEXT(p, due);
		if (p->until > l->now || p->ticket)
			continue;
		end(l, p, LEDGER_PROMISE_OVER);
		room_appeared(l, a);
	}
}

/* The second that was looked at last is looked at again: it may not have been over. */
void
promises_tick(struct ledger *l)
{
	uint64_t now = l->now / 1000, from = l->promises.second;

	if (now - from >= PROMISE_SLOTS)
		from = now - PROMISE_SLOTS + 1;
	for (uint64_t second = from; second <= now; second++)
		end_due(l, &l->promises.slots[second % PROMISE_SLOTS]);
	l->promises.second = now;
}

/* --- the store -------------------------------------------------------------------- */

int
ledger_load_promise(
	struct ledger *l, struct account *a, const struct ledger_kept_promise *kept)
{
	struct ledger_kept_promise loaded = *kept;
	struct promise *p;
	struct ticket *t;
	uint64_t latest = amount_add(l->now, kept->promise.ms);

	if (loaded.until > latest)
		loaded.until = latest;
	if (loaded.until < l->now)
		loaded.until = l->now; /* over: in a slot that is looked at next */
	if (find(a, &kept->promise))
		return 0;
	p = new_promise(l, a, &loaded);
	if (!p)
		return -1;
	/* tickets are loaded before promises */
	for (t = account_tickets(a); t; t = LIST_NEXT(t, of_account))
		if (kept->ticket && !p->ticket && hash_of(t) == kept->ticket)
			promises_use(l, p, t);
	return 0;
}

void
ledger_show_promises(const struct account *a,
	void (*each)(void *arg, const struct ledger_kept_promise *p), void *arg)
{
	const struct promise *p;

	if (!a->activity)
		return;
	TAILQ_FOREACH(p, &a->activity->promises, here) {
		const struct ledger_kept_promise kept = shown(p);

		each(arg, &kept);
	}
}
