/* Accounts and tickets. */
#include "accounts.h"

#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "parts.h"

/* --- accounts --- */

/* They are most of quotad's memory: what few have at a time is in their activity. */
_Static_assert(sizeof(struct account) <= 152, "100,000 of them in 40 MB");

int
account_has_name(const void *account, const void *name, size_t length)
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

	if (a || !(a = calloc(1, offsetof(struct account, name) + length + 1)))
		return a;
	memcpy(a->name, name, length);
	if (hash_add(&l->accounts, name, length, a) != 1) {
		free(a);
		return NULL;
	}
	l->totals.accounts++;
	return a;
}

static void
free_tickets(struct account_tickets *tickets)
{
	struct ticket *t;

	while ((t = LIST_FIRST(tickets))) {
		LIST_REMOVE(t, of_account);
		free(t);
	}
}

void
account_free_committed(struct account *a)
{
	struct activity *now = a->activity;

	free_tickets(&now->committed);
	now->names_kept = 0;
	now->nameless = now->nameless_bytes = 0;
}

int
account_begin_activity(struct account *a)
{
	if (a->activity)
		return 0;
	a->activity = calloc(1, sizeof *a->activity);
	if (!a->activity)
		return -1;
	LIST_INIT(&a->activity->tickets);
	LIST_INIT(&a->activity->committed);
	TAILQ_INIT(&a->activity->waiting);
	TAILQ_INIT(&a->activity->promises);
	return 0;
}

void
account_end_activity(struct account *a)
{
	if (!a->activity || a->activity->questions || a->counting || a->probing ||
		a->activity->held.tickets || a->activity->held.promises)
		return;
	free(a->activity);
	a->activity = NULL;
}

void
account_free(struct account *a)
{
	if (a->activity) {
		free_tickets(&a->activity->tickets);
		free_tickets(&a->activity->committed);
		promises_free(a);
	}
	free(a->activity);
	free(a->full);
	free(a);
}

void
account_forget(struct ledger *l, struct account *a)
{
	hash_remove(&l->accounts, a->name, strlen(a->name));
	l->totals.accounts--;
	account_free(a);
}

const char *
ledger_name(const struct account *a)
{
	return a->name;
}

void
ledger_each(struct ledger *l, void (*each)(void *arg, struct account *a), void *arg)
{
	struct account *a;
	size_t at = 0;

	while ((a = hash_next(&l->accounts, &at)))
		each(arg, a);
}

/* All that is charged changes here alone, whole, so that what is above an account can be
 * charged in the same step. */
static void
charge(struct account *a, struct charge now, struct held held)
{
	*(struct charge *)&a->charged = now;
	if (a->activity)
		*(struct held *)&a->activity->held = held;
}

void
account_set_used(struct account *a, uint64_t used, uint64_t messages)
{
	const struct charge now = {.used = used, .messages = messages};

	charge(a, now, account_held(a));
}

void
account_set_promised(struct account *a, uint64_t bytes, uint32_t promises)
{
	struct held held = account_held(a);

	held.promised = bytes;
	held.promises = promises;
	charge(a, a->charged, held);
}

uint64_t
account_open_bytes(const struct account *a, uint64_t *tickets)
{
	const struct ticket *t;
	uint64_t bytes = 0;

	*tickets = 0;
	for (t = account_tickets(a); t; t = LIST_NEXT(t, of_account))
		if (t->state == LEDGER_OPEN && t->path.number == a->place.path) {
			bytes = amount_add(bytes, t->bytes);
			(*tickets)++;
		}
	return bytes;
}

/* --- tickets --- */

/* Puts the ticket where its state calls for: into its connection's list, or the one of
 * those that are unsure; an ended one has its account take its turn. */
static void
enter(struct ledger *l, struct ticket *t, enum ledger_ticket_state state,
	struct ledger_connection *c)
{
	t->state = state;
	t->connection = c;
	if (state == LEDGER_OPEN && c != NULL) {
		t->connection_number = c->number;
		if (t->is_copy)
			return;
		TAILQ_INSERT_TAIL(&c->open, t, here);
		c->tickets++;
		return;
	}
	l->totals.orphans++;
	t->account->activity->orphans++;
	if (state == LEDGER_UNSURE) {
		TAILQ_INSERT_TAIL(&l->unsure, t, here);
		return;
	}
	t->account->activity->ended++;
	turns_join(l, t->account);
}

static void
leave(struct ledger *l, struct ticket *t)
{
	if (t->state == LEDGER_OPEN && t->is_copy)
		return;
	if (t->state == LEDGER_OPEN) {
		TAILQ_REMOVE(&t->connection->open, t, here);
		t->connection->tickets--;
		return;
	}
	l->totals.orphans--;
	t->account->activity->orphans--;
	if (t->state == LEDGER_UNSURE)
		TAILQ_REMOVE(&l->unsure, t, here);
	else if (--t->account->activity->ended == 0)
		turns_leave(l, t->account);
}

static struct ledger_ticket
shown(const struct ledger *l, const struct ticket *t)
{
	return (struct ledger_ticket){
		.name = t->name,
		.id = t->id,
		.bytes = t->bytes,
		.age_ms = l->now - t->made_at,
		.state = t->state,
		.earlier = t->connection_number == 0,
		.path = t->path.number,
		.directory = t->directory.number,
		.mail_in = t->mail_in,
	};
}

struct ticket *
ticket_find(const struct account *a, const char *name)
{
	struct ticket *t;

	for (t = account_tickets(a); t; t = LIST_NEXT(t, of_account))
		if (strcmp(t->name, name) == 0)
			break;
	return t;
}

int
ledger_has_ticket(const struct account *a, const char *name)
{
	return ticket_find(a, name) != NULL;
}

struct ticket *
ticket_find_open(const struct ledger_connection *c, uint64_t id)
{
	struct ticket *t;

	TAILQ_FOREACH(t, &c->open, here)
		if (t->id == id)
			break;
	return t;
}

static struct ticket *
new_ticket(struct ledger *l, struct account *a, const struct ledger_ticket *kept)
{
	size_t size = strlen(kept->name) + 1;
	struct ticket *t = calloc(1, sizeof *t + size);
	struct held held;

	if (!t || account_begin_activity(a) == -1 ||
		places_add_ticket(l, t, kept->path, kept->directory) == -1) {
		account_end_activity(a);
		free(t);
		return NULL;
	}
	memcpy(t->name, kept->name, size);
	t->account = a;
	t->next_copy = t;
	t->id = ++l->next_id;
	t->bytes = kept->bytes;
	t->made_at = l->now;
	t->mail_in = kept->mail_in;
	LIST_INSERT_HEAD(&a->activity->tickets, t, of_account);
	l->totals.tickets++;
	held = account_held(a);
	held.tickets++;
	held.reserved = amount_add(held.reserved, t->bytes);
	charge(a, a->charged, held);
	return t;
}

/* The store has it before the account does. */
static struct ticket *
new_kept_ticket(struct ledger *l, struct account *a, const struct ledger_ticket *kept)
{
	struct ticket *t;

	if (l->calls->save_ticket(l->arg, a, kept))
		return NULL;
	t = new_ticket(l, a, kept);
	if (!t)
		l->calls->remove_ticket(l->arg, a, kept->name);
	return t;
}

struct ticket *
ticket_open(struct ledger *l, const struct ledger_request *r, const char *name)
{
	const struct ledger_ticket kept = {
		.name = name,
		.bytes = r->bytes,
		.path = r->account->place.path,
		.directory = r->directory ? r->directory : r->account->directory,
		.mail_in = r->is_missing ? 0 : memory_now(l),
	};
	struct ticket *t = new_kept_ticket(l, r->account, &kept);

	if (t)
		enter(l, t, LEDGER_OPEN, r->connection);
	return t;
}

struct ticket *
ticket_load(struct ledger *l, struct account *a, const struct ledger_ticket *kept)
{
	struct ticket *t = new_ticket(l, a, kept);

	if (!t)
		return NULL;
	t->unsure_until = ledger_ldas_end(l);
	t->taken_off = 1; /* for all that is known here */
	enter(l, t, kept->state, NULL);
	return t;
}

struct ticket *
ticket_copy(struct ledger *l, const struct ticket *from, struct account *a)
{
	struct ledger_ticket kept = shown(l, from);
	struct ticket *t = new_kept_ticket(l, a, &kept);

	if (!t)
		return NULL;
	t->id = from->id;
	t->connection_number = from->connection_number;
	t->unsure_until = from->unsure_until;
	t->is_copy = 1;
	t->next_copy = from->next_copy;
	((struct ticket *)from)->next_copy = t;
	enter(l, t, from->state, from->connection);
	return t;
}

static void
leave_copies(struct ticket *t)
{
	struct ticket *before = t;

	while (before->next_copy != t)
		before = before->next_copy;
	before->next_copy = t->next_copy;
	t->next_copy = t;
}

void
ticket_take_over(struct ledger *l, struct ticket *t, struct ledger_connection *c)
{
	struct ticket *copy = t;

	l->next_id++;
	do {
		leave(l, copy);
		copy->id = l->next_id;
		copy->is_copy = copy != t;
		copy->ended_before = 0;
		enter(l, copy, LEDGER_OPEN, c);
		copy = copy->next_copy;
	} while (copy != t);
}

void
ticket_orphan(struct ledger *l, struct ticket *t, enum ledger_ticket_state state)
{
	leave(l, t);
	t->unsure_until = ledger_ldas_end(l);
	enter(l, t, state, NULL);
}

/* Of all tickets. */
static uint64_t
sum_of_tickets(const struct account *a)
{
	const struct ticket *t;
	uint64_t bytes = 0;

	LIST_FOREACH(t, &a->activity->tickets, of_account)
		bytes = amount_add(bytes, t->bytes);
	return bytes;
}

/* Its message is not, or may not be, where the account's number is of: by the directories
 * where both are known, else by the paths. */
static int
is_elsewhere(const struct account *a, const struct ticket *t)
{
	return t->directory.number && a->directory ? t->directory.number != a->directory
						   : t->path.number != a->place.path;
}

/* Takes the ticket out of its account; what it promised is used then, or is not, and its
 * message IS_STORED, or is not. If it
 * was promised for another place a count tells where its message is. */
static void
take_out(struct ledger *l, struct ticket *t, int used, int is_stored)
{
	struct account *a = t->account;
	struct charge now = a->charged;
	struct held held = account_held(a);
	int elsewhere = is_elsewhere(a, t);

	leave(l, t);
	leave_copies(t);
	l->moves += elsewhere ? 1 : 0;
	LIST_REMOVE(t, of_account);
	l->totals.tickets--;
	held.tickets--;
	/* A sum that stopped at its end can't be subtracted from. */
	held.reserved = held.reserved == UINT64_MAX
				? sum_of_tickets(a)
				: amount_subtract(held.reserved, t->bytes);
	if (used) {
		now.used = amount_add(now.used, t->bytes);
		now.messages = amount_add(now.messages, 1);
		if (t->path.number == a->place.path)
			memory_note(a, t->mail_in ? t->mail_in : memory_now(l));
		if (elsewhere) {
			a->known = 0;
			a->may_be_twice = a->count_is_void = 1;
		}
	}
	charge(a, now, held);
	promises_leave(l, t, is_stored);
	account_end_activity(a);
	places_remove_ticket(l, t);
	l->calls->remove_ticket(l->arg, a, t->name);
}

void
ticket_end(struct ledger *l, struct ticket *t)
{
	take_out(l, t, 0, t->seen);
	free(t);
}

/* What was taken off the number for it comes back: its file may still be there, and
 * smaller than was promised. */
void
ticket_cancel(struct ledger *l, struct ticket *t)
{
	if (t->taken_off)
		t->account->count_serves = 0;
	take_out(l, t, t->taken_off, 0);
	free(t);
}

void
ticket_commit(struct ledger *l, struct ticket *t)
{
	struct account *a = t->account;

	take_out(l, t, 1, 1);
	if (a->counting && a->activity->names_kept < NAMES_KEPT) {
		LIST_INSERT_HEAD(&a->activity->committed, t, of_account);
		a->activity->names_kept++;
		return;
	}
	if (a->counting) {
		a->activity->nameless++;
		a->activity->nameless_bytes =
			amount_add(a->activity->nameless_bytes, t->bytes);
	}
	free(t);
}

void
ledger_show_tickets(const struct ledger *l, const struct account *a,
	void (*each)(void *arg, const struct ledger_ticket *t), void *arg)
{
	const struct ticket *t;

	for (t = account_tickets(a); t; t = LIST_NEXT(t, of_account)) {
		const struct ledger_ticket kept = shown(l, t);

		each(arg, &kept);
	}
}
