/* The life of the ledger, its clock and all that happens to it. ledger.h and quotad(8)
 * tell the rules. */
#include "ledger.h"

#include <stdlib.h>

#include "amount.h"
#include "parts.h"

/* --- life --- */

struct ledger *
ledger_new(const struct ledger_calls *calls, void *arg, const struct ledger_rules *rules,
	uint64_t now)
{
	struct ledger *l = calloc(1, sizeof *l);

	if (!l || places_init(l) == -1) {
		free(l);
		return NULL;
	}
	if (hash_init(&l->accounts, account_has_name) == -1 || memory_init(l) == -1) {
		hash_free(&l->accounts);
		places_free(l);
		free(l);
		return NULL;
	}
	l->calls = calls;
	l->arg = arg;
	l->rules = *rules;
	l->now = now;
	TAILQ_INIT(&l->unsure);
	promises_init(l);
	for (int i = 0; i < TURNS; i++)
		TAILQ_INIT(&l->turns[i]);
	TAILQ_INIT(&l->ready);
	TAILQ_INIT(&l->settling);
	TAILQ_INIT(&l->all[DELIVERY]);
	TAILQ_INIT(&l->all[PERSON]);
	return l;
}

void
ledger_free(struct ledger **ledger)
{
	struct ledger *l = *ledger;
	struct account *a;
	size_t at = 0;

	if (!l)
		return;
	questions_free_all(l);
	while ((a = hash_next(&l->accounts, &at)))
		account_free(a);
	hash_free(&l->accounts);
	memory_free(l);
	places_free(l);
	free(l);
	*ledger = NULL;
}

uint64_t
ledger_ldas_end(const struct ledger *l)
{
	uint64_t end = amount_add(l->now, l->rules.deadline_ms);

	return end > l->ldas_until ? end : l->ldas_until;
}

void
room_appeared(const struct ledger *l, struct account *a)
{
	if (l->calls->room)
		l->calls->room(l->arg, a);
}

void
ledger_expect_ldas(struct ledger *l, uint64_t ms)
{
	uint64_t until = amount_add(l->now, ms);
	struct ticket *t;

	if (until <= l->ldas_until)
		return;
	l->ldas_until = until;
	if (l->held_until > l->now && l->held_until < until)
		l->held_until = until;
	TAILQ_FOREACH(t, &l->unsure, here)
		if (t->unsure_until < until)
			t->unsure_until = until;
}

void
ledger_set_rules(struct ledger *l, const struct ledger_rules *rules)
{
	uint64_t old = l->rules.deadline_ms;
	struct ticket *t;

	l->rules = *rules;
	if (rules->deadline_ms < old)
		l->ldas_until = amount_add(l->now, old) > l->ldas_until
					? amount_add(l->now, old)
					: l->ldas_until;
	if (rules->deadline_ms <= old)
		return;
	/* An lda that is alive may go by either. */
	TAILQ_FOREACH(t, &l->unsure, here)
		t->unsure_until += rules->deadline_ms - old;
}

const struct ledger_totals *
ledger_totals(const struct ledger *l)
{
	return &l->totals;
}

/* --- an account's numbers --- */

void
ledger_load(struct ledger *l, struct account *a, const struct ledger_numbers *n)
{
	account_set_used(a, n->used, n->messages);
	a->stamp = n->stamp;
	a->known = n->known ? 1 : 0;
	a->wrong_names = n->wrong_names ? 1 : 0;
	a->had_mail = n->had_mail || n->messages; /* an earlier version kept no more */
	a->mail_in = n->mail_in;
	a->last_why = n->last.why & 15;
	a->last_exact = n->last.exact ? 1 : 0;
	a->last_at = (int64_t)l->now - (int64_t)n->last.ago_ms;
	a->last_was = n->last.was;
	a->last_found = n->last.found;
	places_load(l, a, n);
	full_load(l, a, n);
}

static uint64_t
since_last(const struct ledger *l, const struct account *a)
{
	return a->last_why == LEDGER_NEVER ? 0 : (uint64_t)((int64_t)l->now - a->last_at);
}

void
ledger_numbers(const struct ledger *l, const struct account *a, struct ledger_numbers *n)
{
	const struct held held = account_held(a);

	*n = (struct ledger_numbers){
		.used = a->charged.used,
		.messages = a->charged.messages,
		.reserved = held.reserved,
		.tickets = held.tickets,
		.orphans = a->activity ? a->activity->orphans : 0,
		.promised = held.promised,
		.promises = held.promises,
		.stamp = a->stamp,
		.known = a->known && a->rules == l->rules.counting,
		.place = a->place,
		.directory = a->directory,
		.rules = a->rules,
		.wrong_names = a->wrong_names,
		.had_mail = a->had_mail,
		.mail_in = a->mail_in,
		.maybe_mail = memory_maybe_mail(l, a),
		.missing = a->is_missing,
		.counting = a->counting,
		.last = {.why = a->last_why,
			.exact = a->last_exact,
			.ago_ms = since_last(l, a),
			.was = a->last_was,
			.found = a->last_found},
	};
	full_show(l, a, n);
}

int
ledger_load_ticket(struct ledger *l, struct account *a, const struct ledger_ticket *kept)
{
	return ticket_find(a, kept->name) || !ticket_load(l, a, kept) ? -1 : 0;
}

/* --- the clock --- */

void
ledger_hold(struct ledger *l)
{
	l->held_until = ledger_ldas_end(l);
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
	for (struct ticket *t = TAILQ_FIRST(&l->unsure), *next; t; t = next) {
		next = TAILQ_NEXT(t, here);
		if (t->unsure_until <= l->now)
			ticket_orphan(l, t, LEDGER_ENDED);
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
		promises_tick(l);
		questions_time_out(l);
		decide_ready(l);
		removed_tick(l);
		counts_of_orphans(l);
	}
	return l->totals.waiting == 0 && l->to_review == 0 ? 1000 : 100;
}

/* --- questions --- */

void
ledger_table_changed(struct ledger *l)
{
	l->table++;
	removed_review_all(l);
	room_appeared(l, NULL);
}

void
ledger_ask(struct ledger *l, const struct ledger_request *r)
{
	const struct ledger_answer no_memory = {
		.verdict = VERDICT_TROUBLE, .text = "no memory"};

	ledger_bind(l, r->account, r->place);
	if (question_new(l, r))
		decide_ready(l);
	else
		l->calls->answer(l->arg, r->cookie, &no_memory);
}

void
ledger_forget(struct ledger *l, const struct ledger_connection *c)
{
	struct question *q;

	while ((q = TAILQ_FIRST(&c->asked)))
		question_free(l, q);
}

/* --- refusals that wait for what others have sent --- */

int
ledger_wants_settling(const struct ledger *l)
{
	return !TAILQ_EMPTY(&l->settling);
}

void
ledger_each_owner(const struct ledger *l,
	void (*each)(void *arg, struct ledger_connection *c), void *arg)
{
	const struct account *last = NULL;
	const struct question *q;
	const struct ticket *t;

	TAILQ_FOREACH(q, &l->settling, here) {
		if (q->request.account == last)
			continue;
		last = q->request.account;
		LIST_FOREACH(t, &last->activity->tickets, of_account)
			if (t->connection)
				each(arg, t->connection);
	}
}

static int
owners_are_read(const struct account *a,
	int (*is_read)(void *arg, struct ledger_connection *c), void *arg)
{
	const struct ticket *t;

	LIST_FOREACH(t, &a->activity->tickets, of_account)
		if (t->connection && is_read && !is_read(arg, t->connection))
			return 0;
	return 1;
}

void
ledger_settle(struct ledger *l, int (*is_read)(void *arg, struct ledger_connection *c),
	void *arg)
{
	const struct account *last = NULL;
	struct question *q, *next;
	int last_is_read = 0;

	for (q = TAILQ_FIRST(&l->settling); q; q = next) {
		next = TAILQ_NEXT(q, here);
		if (q->request.account != last)
			last_is_read = owners_are_read(q->request.account, is_read, arg);
		last = q->request.account;
		if (!last_is_read)
			continue;
		q->read_before = l->next_id + 1;
		question_wake(l, q);
	}
	decide_ready(l);
}

/* --- connections and their tickets --- */

void
ledger_connect(struct ledger_connection *c, uint64_t number)
{
	*c = (struct ledger_connection){.number = number};
	TAILQ_INIT(&c->open);
	TAILQ_INIT(&c->asked);
}

/* A failure of the store leaves the number to the next count; the message is there. */
static void
commit(struct ledger *l, struct ticket *t)
{
	struct account *a = t->account;

	a->count_serves = 0;
	full_taken(a, t->bytes);
	ticket_commit(l, t);
	l->calls->save_account(l->arg, a);
}

int
ledger_commit(struct ledger *l, struct ledger_connection *c, uint64_t id,
	struct account **account)
{
	struct ticket *t = ticket_find_open(c, id);

	if (!t)
		return -1;
	*account = t->account;
	while (t->next_copy != t)
		commit(l, t->next_copy);
	commit(l, t);
	l->totals.committed++;
	return 0;
}

static void
cancel(struct ledger *l, struct ticket *t)
{
	struct account *a = t->account;

	ticket_cancel(l, t);
	room_appeared(l, a);
}

int
ledger_cancel(struct ledger *l, struct ledger_connection *c, uint64_t id)
{
	struct ticket *t = ticket_find_open(c, id);

	if (!t)
		return -1;
	while (t->next_copy != t)
		cancel(l, t->next_copy);
	cancel(l, t);
	l->totals.cancelled++;
	return 0;
}

void
ledger_disconnected(struct ledger *l, struct ledger_connection *c, int by_client)
{
	enum ledger_ticket_state state = by_client ? LEDGER_ENDED : LEDGER_UNSURE;
	struct ticket *t, *copy;

	while ((t = TAILQ_FIRST(&c->open))) {
		for (copy = t->next_copy; copy != t; copy = copy->next_copy)
			ticket_orphan(l, copy, state);
		ticket_orphan(l, t, state);
	}
}

/* --- counts and probes --- */

void
ledger_recount(struct ledger *l, struct account *a, int thorough)
{
	counts_begin(l, a, thorough, LEDGER_ROUND);
}

void
ledger_count_names(struct ledger *l, struct account *a,
	void (*name)(void *arg, const char *name), void *arg)
{
	const struct ticket *t;

	(void)l;
	for (t = account_tickets(a); t; t = LIST_NEXT(t, of_account))
		name(arg, t->name);
	if (!a->counting)
		return;
	LIST_FOREACH(t, &a->activity->committed, of_account)
		name(arg, t->name);
}

/* What stands in the way of a message. */
static struct charge
in_the_way(const struct account *a)
{
	const struct held held = account_held(a);

	return (struct charge){
		.used = amount_add(a->charged.used, held.reserved),
		.messages = amount_add(a->charged.messages, held.tickets),
	};
}

void
ledger_counted(struct ledger *l, struct account *a, const struct ledger_count *c)
{
	const struct charge before = in_the_way(a);
	int was_known = a->known;
	struct charge now;

	counts_ended(l, a, c);
	decide_ready(l);
	now = in_the_way(a);
	if (a->known &&
		(!was_known || now.used < before.used || now.messages < before.messages))
		room_appeared(l, a);
}

void
ledger_probed(struct ledger *l, struct account *a, uint64_t stamp, int failed)
{
	counts_probed(l, a, stamp, failed);
	decide_ready(l);
}
