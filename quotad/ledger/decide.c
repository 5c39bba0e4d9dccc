/*
 * Questions, and what is said to them. decide() looks at a question as things stand and
 * either answers it or says what must be known first: a probe, a count, or that all input
 * that was pending has been read. Each of these wakes it, and it is decided anew.
 */
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "parts.h"

static void
go_home(struct question *q, struct questions *home)
{
	if (q->home)
		TAILQ_REMOVE(q->home, q, here);
	q->home = home;
	TAILQ_INSERT_TAIL(home, q, here);
}

static void
free_question(struct ledger *l, struct question *q)
{
	if (q->home)
		TAILQ_REMOVE(q->home, q, here);
	TAILQ_REMOVE(&l->all, q, all);
	q->request.connection->waiting--;
	l->totals.waiting--;
	free(q->name);
	free(q->failure);
	free(q);
}

static void
reply(struct ledger *l, struct question *q, const struct ledger_answer *answer)
{
	void *cookie = q->request.cookie;

	free_question(l, q);
	l->calls->answer(l->arg, cookie, answer);
}

/* The question is answered with "try again" and this text once it is its turn. */
void
ledger_fail(struct ledger *l, struct question *q, const char *text)
{
	free(q->failure);
	q->failure = strdup(text);
	ledger_wake(l, q);
}

/* --- deciding --------------------------------------------------------------------- */

static enum need
say(struct ledger_answer *answer, enum verdict verdict, const char *text)
{
	answer->verdict = verdict;
	answer->text = text;
	return NEED_NOTHING;
}

/* Whether the message fits beside what is used and so much promised. */
static int
fits(const struct question *q, uint64_t promised, uint64_t tickets)
{
	const struct ledger_limits *limit = &q->request.limits;
	const struct account *a = q->request.account;
	uint64_t bytes = amount_add(amount_add(a->used, promised), q->request.bytes);
	uint64_t messages = amount_add(amount_add(a->messages, tickets), 1);

	return (!limit->bytes || bytes <= limit->bytes) &&
	       (!limit->messages || messages <= limit->messages);
}

static int
is_above(uint64_t n, uint64_t limit, uint64_t per_cent)
{
	return limit && n > (unsigned __int128)limit * per_cent / 100;
}

static int
is_close(const struct ledger *l, const struct question *q)
{
	const struct ledger_limits *limit = &q->request.limits;
	const struct account *a = q->request.account;
	uint64_t bytes = amount_add(amount_add(a->used, a->reserved), q->request.bytes);
	uint64_t messages = amount_add(amount_add(a->messages, a->tickets), 1);

	return is_above(bytes, limit->bytes, l->rules.recheck_per_cent) ||
	       is_above(messages, limit->messages, l->rules.recheck_per_cent);
}

/* A count that serves must begin from now on. */
static enum need
need_new_count(struct question *q)
{
	q->after_count = q->request.account->counts_begun;
	return NEED_COUNT;
}

static enum need
grant(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct ticket *t;

	if (q->request.kind == LEDGER_RESERVE) {
		t = ledger_open_ticket(l, &q->request, q->name);
		if (!t)
			return say(answer, VERDICT_TROUBLE,
				"the usage store can't be written");
		answer->ticket = t->id;
		l->totals.granted++;
	}
	return say(answer, VERDICT_DELIVERED, NULL);
}

/* There is room. Above recheck_above the mailbox is looked at first, and counted where it
 * was changed; below, it is looked at behind the delivery's back now and then. */
static enum need
decide_grant(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;

	if (is_close(l, q) && !q->unmoved && !q->counts)
		return q->moved ? need_new_count(q) : NEED_PROBE;
	if (l->now - a->looked_at >= LOOK_MS || !a->looked_at) {
		a->looked_at = l->now;
		ledger_begin_probe(l, a);
	}
	return grant(l, q, answer);
}

/* Exact, unmoved, all input read: what is in the way? */
static enum need
refuse(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;
	uint64_t tickets, promised = ledger_open_bytes(a, &tickets);
	int hard;

	if (fits(q, promised, tickets))
		return say(answer, VERDICT_TROUBLE,
			"deliveries that were cut off may still take the room that is "
			"left");
	if (fits(q, 0, 0))
		return say(answer, VERDICT_FULL_FOR_NOW,
			"the mailbox is full with the deliveries that are under way");
	hard = q->request.kind == LEDGER_EXPLAIN
		       ? ledger_full_is_hard(l, a, &q->request.limits)
		       : ledger_full_refused(l, a, &q->request);
	return say(answer, hard ? VERDICT_FULL : VERDICT_FULL_FOR_NOW, NULL);
}

static enum need
no_exact_count(struct question *q, struct ledger_answer *answer)
{
	if (fits(q, q->request.account->reserved, q->request.account->tickets))
		return say(answer, VERDICT_TROUBLE,
			"the mailbox is being changed and could not be counted");
	return say(answer, VERDICT_FULL_FOR_NOW, NULL);
}

/* No room by the number; a refusal rests on more than that. */
static enum need
decide_refusal(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;
	uint64_t tickets, promised = ledger_open_bytes(a, &tickets);

	if (!a->basis || l->now - a->counted_at > BASIS_MS)
		return q->counts < TRIES ? need_new_count(q) : no_exact_count(q, answer);
	if (!q->unmoved || q->unmoved_since != a->counts_applied)
		return NEED_PROBE;
	if (!q->settled)
		return NEED_SETTLING;
	if (a->ended && fits(q, promised, tickets) && q->counts < TRIES)
		return need_new_count(q);
	return refuse(l, q, answer);
}

/* A ticket of the same name: its lda asks again on a later connection, or it is not to be
 * had. 1 where that was answered. */
static int
decide_same_name(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct ticket *t = q->request.kind == LEDGER_RESERVE
				   ? ledger_find_ticket(q->request.account, q->name)
				   : NULL;

	if (!t)
		return 0;
	if (t->bytes != q->request.bytes ||
		t->connection_number >= q->request.connection->number) {
		say(answer, VERDICT_TROUBLE,
			"a later connection has a ticket of that name");
		return 1;
	}
	ledger_take_over(l, t, q->request.connection);
	answer->ticket = t->id;
	say(answer, VERDICT_DELIVERED, NULL);
	return 1;
}

static enum need
decide_room(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;

	if (l->held_until > l->now)
		return say(answer, VERDICT_TROUBLE,
			"quotad waits for deliveries that an earlier one may have "
			"promised room");
	if (decide_same_name(l, q, answer))
		return NEED_NOTHING;
	ledger_full_review(a, &q->request.limits);
	if (!q->request.limits.bytes && !q->request.limits.messages)
		return decide_grant(l, q, answer);
	if (!a->known)
		return q->counts ? no_exact_count(q, answer) : NEED_COUNT;
	if (fits(q, a->reserved, a->tickets))
		return decide_grant(l, q, answer);
	return decide_refusal(l, q, answer);
}

static enum need
decide(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;

	switch (q->request.kind) {
	case LEDGER_GET:
		return a->known || q->counts ? say(answer, VERDICT_DELIVERED, NULL)
					     : NEED_COUNT;
	case LEDGER_RECOUNT:
		answer->was = q->was;
		return q->counts ? say(answer, VERDICT_DELIVERED, NULL)
				 : need_new_count(q);
	default:
		return decide_room(l, q, answer);
	}
}

/* Why the question has the mailbox counted. */
static enum ledger_why
why_count(const struct ledger *l, const struct question *q)
{
	const struct account *a = q->request.account;

	if (q->request.kind == LEDGER_RECOUNT)
		return LEDGER_ASKED;
	if (!a->known && l->held_until)
		return LEDGER_LOST;
	if (!a->known)
		return a->last_why == LEDGER_NEVER ? LEDGER_FIRST : LEDGER_BOOT;
	return fits(q, a->reserved, a->tickets) ? LEDGER_CHANGED : LEDGER_REFUSAL;
}

/* --- waiting ---------------------------------------------------------------------- */

static void
wait_for(struct ledger *l, struct question *q, enum need need)
{
	struct account *a = q->request.account;

	q->need = need;
	q->in_probe = 0;
	if (need == NEED_SETTLING) {
		go_home(q, &l->settling);
		return;
	}
	q->settled = 0;
	go_home(q, &a->waiting);
	if (need == NEED_PROBE)
		ledger_begin_probe(l, a);
	else
		ledger_begin_count(l, a, 0, why_count(l, q));
}

static void
note_verdict(struct ledger *l, const struct question *q, enum verdict verdict)
{
	if (verdict == VERDICT_TROUBLE)
		l->totals.later++;
	else if (verdict != VERDICT_DELIVERED && q->request.kind != LEDGER_EXPLAIN)
		l->totals.refused++;
}

static void
consider(struct ledger *l, struct question *q)
{
	struct ledger_answer answer = {.verdict = VERDICT_TROUBLE};
	char *failure = q->failure;
	enum need need;

	answer.text = failure;
	need = failure ? NEED_NOTHING : decide(l, q, &answer);
	if (need != NEED_NOTHING) {
		wait_for(l, q, need);
		return;
	}
	note_verdict(l, q, answer.verdict);
	q->failure = NULL; /* the answer's text outlives the question */
	reply(l, q, &answer);
	free(failure);
}

/* Decides what is ready. An answer may bring new questions; they wait their turn here. */
void
ledger_run_ready(struct ledger *l)
{
	struct question *q;

	if (l->running)
		return;
	l->running = 1;
	while ((q = TAILQ_FIRST(&l->ready))) {
		TAILQ_REMOVE(&l->ready, q, here);
		q->home = NULL;
		consider(l, q);
	}
	l->running = 0;
}

void
ledger_wake(struct ledger *l, struct question *q)
{
	q->need = NEED_NOTHING;
	go_home(q, &l->ready);
}

static void
no_memory(struct ledger *l, const struct ledger_request *r)
{
	struct ledger_answer answer = {.verdict = VERDICT_TROUBLE, .text = "no memory"};

	l->calls->answer(l->arg, r->cookie, &answer);
}

void
ledger_ask(struct ledger *l, const struct ledger_request *r)
{
	struct question *q = calloc(1, sizeof *q);
	char *name = q && r->name ? strdup(r->name) : NULL;

	if (!q || (r->name && !name)) {
		free(q);
		no_memory(l, r);
		return;
	}
	q->request = *r;
	q->request.name = q->name = name;
	q->asked_at = l->now;
	if (r->kind == LEDGER_CHECK && r->bytes == 0)
		q->request.bytes = 1; /* a message has a byte at least */
	q->after_count = r->account->counts_applied;
	q->was = r->account->used;
	r->connection->waiting++;
	l->totals.waiting++;
	TAILQ_INSERT_TAIL(&l->all, q, all);
	ledger_wake(l, q);
	ledger_run_ready(l);
}

void
ledger_forget(struct ledger *l, const struct ledger_connection *c)
{
	for (struct question *q = TAILQ_FIRST(&l->all), *next; q && c->waiting;
		q = next) {
		next = TAILQ_NEXT(q, all);
		if (q->request.connection == c)
			free_question(l, q);
	}
}

/* An lda waits no longer than quotad_timeout; a person may. */
void
ledger_time_out(struct ledger *l)
{
	struct question *q;

	TAILQ_FOREACH(q, &l->all, all)
	{
		int person = q->request.kind != LEDGER_CHECK &&
			     q->request.kind != LEDGER_RESERVE;

		if (l->now - q->asked_at >= l->rules.answer_ms * (person ? 6 : 1))
			ledger_fail(l, q,
				"counting the mailbox takes longer than quotad_timeout");
	}
	ledger_run_ready(l);
}

int
ledger_wants_settling(const struct ledger *l)
{
	return !TAILQ_EMPTY(&l->settling) || !TAILQ_EMPTY(&l->settled);
}

void
ledger_settle(struct ledger *l)
{
	struct question *q;

	while ((q = TAILQ_FIRST(&l->settled))) {
		q->settled = 1;
		ledger_wake(l, q);
	}
	while ((q = TAILQ_FIRST(&l->settling)))
		go_home(q, &l->settled);
	ledger_run_ready(l);
}
