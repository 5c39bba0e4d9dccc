/* Accounts, tickets and the clock. The rules are told in ledger.h and quotad(8). */
#include "ledger.h"

#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "parts.h"

/* --- accounts --------------------------------------------------------------------- */

static int
has_name(const void *account, const void *name, size_t length)
{
	const struct account *a = account;

	return strncmp(a->name, name, length) == 0 && a->name[length] == '\0';
}

struct account *
ledger_find(struct ledger *l, const char *name)
{
	return hash_find(&l->accounts, name, strlen(name));
}

struct account *
ledger_account(struct ledger *l, const char *name)
{
	size_t length = strlen(name);
	struct account *a = hash_find(&l->accounts, name, length);

	if (a || !(a = calloc(1, sizeof *a + length + 1)))
		return a;
	memcpy(a->name, name, length);
	TAILQ_INIT(&a->waiting);
	if (hash_add(&l->accounts, name, length, a) != 1) {
		free(a);
		return NULL;
	}
	l->totals.accounts++;
	return a;
}

const char *
ledger_name(const struct account *a)
{
	return a->name;
}

static uint64_t
since_last(const struct ledger *l, const struct account *a)
{
	return a->last_why == LEDGER_NEVER ? 0 : (uint64_t)((int64_t)l->now - a->last_at);
}

void
ledger_numbers(const struct ledger *l, const struct account *a, struct ledger_numbers *n)
{
	uint64_t full_ms = ledger_full_ms(l, a);

	*n = (struct ledger_numbers){
		.used = a->used,
		.messages = a->messages,
		.reserved = a->reserved,
		.tickets = a->tickets,
		.stamp = a->stamp,
		.known = a->known,
		.counting = a->counting,
		.last = {.why = a->last_why,
			.exact = a->last_exact,
			.ago_ms = since_last(l, a),
			.was = a->last_was,
			.found = a->last_found},
	};
	if (!a->full)
		return;
	n->full_for = full_ms < 1000 ? 1 : full_ms / 1000;
	n->full_used = a->full->used;
	n->full_bytes = a->full->bytes;
	n->full_messages = a->full->messages;
	n->full_smallest = a->full->smallest;
}

void
ledger_each(struct ledger *l, void (*each)(void *arg, struct account *a), void *arg)
{
	struct account *a;
	size_t at = 0;

	while ((a = hash_next(&l->accounts, &at)))
		each(arg, a);
}

/* --- tickets ---------------------------------------------------------------------- */

static void
append(struct ticket_list *list, struct ticket *t)
{
	t->next = NULL;
	t->previous = list->last;
	*(list->last ? &list->last->next : &list->first) = t;
	list->last = t;
}

static void
take_out(struct ticket_list *list, struct ticket *t)
{
	*(t->previous ? &t->previous->next : &list->first) = t->next;
	*(t->next ? &t->next->previous : &list->last) = t->previous;
}

static void
append_to_connection(struct ledger_connection *c, struct ticket *t)
{
	struct ticket_list list = {c->first, c->last};

	append(&list, t);
	c->first = list.first;
	c->last = list.last;
	c->tickets++;
	t->connection = c;
	t->connection_number = c->number;
}

static void
take_from_connection(struct ticket *t)
{
	struct ledger_connection *c = t->connection;
	struct ticket_list list = {c->first, c->last};

	take_out(&list, t);
	c->first = list.first;
	c->last = list.last;
	c->tickets--;
	t->connection = NULL;
}

/* Puts the ticket into the list that its state calls for: an open one has a connection.
 */
static void
enter(struct ledger *l, struct ticket *t, enum ticket_state state,
	struct ledger_connection *c)
{
	t->state = state;
	if (c) {
		append_to_connection(c, t);
		return;
	}
	append(state == TICKET_ENDED ? &l->ended : &l->unsure, t);
	l->totals.orphans++;
	if (state == TICKET_ENDED)
		t->account->ended++;
}

static void
leave(struct ledger *l, struct ticket *t)
{
	if (t->state == TICKET_OPEN) {
		take_from_connection(t);
		return;
	}
	take_out(t->state == TICKET_ENDED ? &l->ended : &l->unsure, t);
	l->totals.orphans--;
	if (t->state == TICKET_ENDED)
		t->account->ended--;
}

struct ticket *
ledger_find_ticket(const struct account *a, const char *name)
{
	struct ticket *t = a->first;

	while (t && strcmp(t->name, name))
		t = t->of_account;
	return t;
}

static struct ticket *
new_ticket(struct ledger *l, struct account *a, const char *name, uint64_t bytes)
{
	size_t size = strlen(name) + 1;
	struct ticket *t = calloc(1, sizeof *t + size);

	if (!t)
		return NULL;
	memcpy(t->name, name, size);
	t->account = a;
	t->id = ++l->next_id;
	t->bytes = bytes;
	t->made_at = l->now;
	t->of_account = a->first;
	a->first = t;
	a->tickets++;
	a->reserved = amount_add(a->reserved, bytes);
	l->totals.tickets++;
	return t;
}

/* Promises the room: the ticket is in the store before it is heard of. */
struct ticket *
ledger_open_ticket(struct ledger *l, const struct ledger_request *r, const char *name)
{
	struct ticket *t;

	if (l->calls->save_ticket(l->arg, r->account, name, r->bytes))
		return NULL;
	t = new_ticket(l, r->account, name, r->bytes);
	if (t)
		enter(l, t, TICKET_OPEN, r->connection);
	else
		l->calls->remove_ticket(l->arg, r->account, name);
	return t;
}

/* The ticket is a later connection's now, and the running count can't end it. */
void
ledger_take_over(struct ledger *l, struct ticket *t, struct ledger_connection *c)
{
	leave(l, t);
	t->id = ++l->next_id;
	t->ended_before = 0;
	enter(l, t, TICKET_OPEN, c);
}

/* Takes the ticket out of its account; the caller frees it or keeps it as committed. */
static void
detach(struct ledger *l, struct ticket *t)
{
	struct account *a = t->account;
	struct ticket **at = &a->first;

	leave(l, t);
	while (*at != t)
		at = &(*at)->of_account;
	*at = t->of_account;
	a->tickets--;
	a->reserved = amount_subtract(a->reserved, t->bytes);
	l->totals.tickets--;
	l->calls->remove_ticket(l->arg, a, t->name);
}

void
ledger_end_ticket(struct ledger *l, struct ticket *t)
{
	detach(l, t);
	free(t);
}

void
ledger_free_committed(struct account *a)
{
	for (struct ticket *t = a->committed, *next; t; t = next) {
		next = t->of_account;
		free(t);
	}
	a->committed = NULL;
}

uint64_t
ledger_open_bytes(const struct account *a, uint64_t *tickets)
{
	uint64_t bytes = 0;

	*tickets = 0;
	for (const struct ticket *t = a->first; t; t = t->of_account)
		if (t->state == TICKET_OPEN) {
			bytes = amount_add(bytes, t->bytes);
			(*tickets)++;
		}
	return bytes;
}

void
ledger_each_ticket(struct account *a,
	void (*each)(void *arg, const char *name, uint64_t bytes), void *arg)
{
	for (struct ticket *t = a->first; t; t = t->of_account)
		each(arg, t->name, t->bytes);
}

void
ledger_show_tickets(const struct ledger *l, const struct account *a,
	void (*each)(void *arg, const struct ledger_ticket *t), void *arg)
{
	for (const struct ticket *t = a->first; t; t = t->of_account) {
		const struct ledger_ticket shown = {
			.name = t->name,
			.id = t->id,
			.bytes = t->bytes,
			.age_ms = l->now - t->made_at,
			.state = t->state == TICKET_OPEN    ? LEDGER_OPEN
				 : t->state == TICKET_ENDED ? LEDGER_ENDED
							    : LEDGER_UNSURE,
			.earlier = t->connection_number == 0,
		};

		each(arg, &shown);
	}
}

static struct ticket *
find_on_connection(const struct ledger_connection *c, uint64_t id)
{
	struct ticket *t = c->first;

	while (t && t->id != id)
		t = t->next;
	return t;
}

int
ledger_commit(struct ledger *l, struct ledger_connection *c, uint64_t id,
	struct account **account)
{
	struct ticket *t = find_on_connection(c, id);
	struct account *a;

	if (!t)
		return -1;
	a = *account = t->account;
	detach(l, t);
	a->used = amount_add(a->used, t->bytes);
	a->messages = amount_add(a->messages, 1);
	a->basis = 0;
	ledger_full_taken(a, t->bytes);
	l->totals.committed++;
	if (a->counting) {
		t->of_account = a->committed;
		a->committed = t;
	} else {
		free(t);
	}
	/* A failure here leaves the number to the next count; the message is there. */
	l->calls->save_account(l->arg, a);
	return 0;
}

int
ledger_cancel(struct ledger *l, struct ledger_connection *c, uint64_t id)
{
	struct ticket *t = find_on_connection(c, id);

	if (!t)
		return -1;
	ledger_end_ticket(l, t);
	l->totals.cancelled++;
	return 0;
}

void
ledger_disconnected(struct ledger *l, struct ledger_connection *c, int by_client)
{
	while (c->first) {
		struct ticket *t = c->first;

		leave(l, t);
		t->unsure_until = l->now + l->rules.deadline_ms;
		enter(l, t, by_client ? TICKET_ENDED : TICKET_UNSURE, NULL);
	}
}

/* --- life ------------------------------------------------------------------------- */

struct ledger *
ledger_new(const struct ledger_calls *calls, void *arg, const struct ledger_rules *rules,
	uint64_t now)
{
	struct ledger *l = calloc(1, sizeof *l);

	if (!l || hash_init(&l->accounts, has_name) == -1) {
		free(l);
		return NULL;
	}
	l->calls = calls;
	l->arg = arg;
	l->rules = *rules;
	l->now = now;
	TAILQ_INIT(&l->ready);
	TAILQ_INIT(&l->settling);
	TAILQ_INIT(&l->settled);
	TAILQ_INIT(&l->all);
	return l;
}

static void
free_account(struct account *a)
{
	for (struct ticket *t = a->first, *next; t; t = next) {
		next = t->of_account;
		free(t);
	}
	ledger_free_committed(a);
	free(a->full);
	free(a);
}

void
ledger_free(struct ledger **l)
{
	struct question *q;
	struct account *a;
	size_t at = 0;

	if (!*l)
		return;
	while ((q = TAILQ_FIRST(&(*l)->all))) {
		TAILQ_REMOVE(&(*l)->all, q, all);
		free(q->name);
		free(q->failure);
		free(q);
	}
	while ((a = hash_next(&(*l)->accounts, &at)))
		free_account(a);
	hash_free(&(*l)->accounts);
	free(*l);
	*l = NULL;
}

void
ledger_set_rules(struct ledger *l, const struct ledger_rules *rules)
{
	uint64_t old = l->rules.deadline_ms;

	l->rules = *rules;
	/* An lda that is alive still goes by the old deadline. */
	if (rules->deadline_ms > old)
		for (struct ticket *t = l->unsure.first; t; t = t->next)
			t->unsure_until += rules->deadline_ms - old;
}

const struct ledger_totals *
ledger_totals(const struct ledger *l)
{
	return &l->totals;
}

void
ledger_load(struct ledger *l, struct account *a, const struct ledger_numbers *n)
{
	a->used = n->used;
	a->messages = n->messages;
	a->stamp = n->stamp;
	a->known = n->known ? 1 : 0;
	a->last_why = n->last.why & 15;
	a->last_exact = n->last.exact ? 1 : 0;
	a->last_at = (int64_t)l->now - (int64_t)n->last.ago_ms;
	a->last_was = n->last.was;
	a->last_found = n->last.found;
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

int
ledger_load_ticket(
	struct ledger *l, struct account *a, const char *name, uint64_t bytes, int ended)
{
	struct ticket *t =
		ledger_find_ticket(a, name) ? NULL : new_ticket(l, a, name, bytes);

	if (!t)
		return -1;
	t->unsure_until = l->now + l->rules.deadline_ms;
	enter(l, t, ended ? TICKET_ENDED : TICKET_UNSURE, NULL);
	return 0;
}

void
ledger_hold(struct ledger *l)
{
	l->held_until = l->now + l->rules.deadline_ms;
}

uint64_t
ledger_held_ms(const struct ledger *l)
{
	return amount_subtract(l->held_until, l->now);
}

/* Orphans whose lda can't be alive any more. */
static void
end_unsure(struct ledger *l)
{
	for (struct ticket *t = l->unsure.first, *next; t; t = next) {
		next = t->next;
		if (t->unsure_until > l->now)
			continue;
		leave(l, t);
		enter(l, t, TICKET_ENDED, NULL);
	}
}

void
ledger_clock(struct ledger *l, uint64_t now)
{
	l->now = now > l->now ? now : l->now;
}

uint64_t
ledger_tick(struct ledger *l, uint64_t now)
{
	ledger_clock(l, now);
	if (l->now - l->looked_over_at >= 100) {
		l->looked_over_at = l->now;
		end_unsure(l);
		ledger_time_out(l);
		ledger_count_orphans(l);
	}
	return TAILQ_EMPTY(&l->all) ? 1000 : 100;
}
