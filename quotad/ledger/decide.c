/*
 * What questions are answered. decide() looks at a question as things stand and either
 * answers it or says what it must wait for: a probe, a count, or that all input that was
 * pending has been read. Each of these wakes it, and it is decided anew.
 */
#include <stdlib.h>

#include "amount.h"
#include "parts.h"

#define NOT_COUNTED "the mailbox is being changed and could not be counted"

/* --- deciding --- */

static enum wait
answer_with(struct ledger_answer *answer, enum verdict verdict, const char *text)
{
	answer->verdict = verdict;
	answer->text = text;
	return WAIT_NOTHING;
}

/* Whether the message fits beside so much. */
static int
fits_beside(const struct question *q, uint64_t bytes, uint64_t messages)
{
	const struct ledger_limits *limit = &q->request.limits;

	return (!limit->bytes || amount_add(bytes, q->request.bytes) <= limit->bytes) &&
	       (!limit->messages || amount_add(messages, 1) <= limit->messages);
}

/* What is charged beside what is used. */
enum {
	OPEN_TICKETS = 1,
	TICKETS = 2 | OPEN_TICKETS, /* the orphans, too */
	PROMISES = 4,               /* but the one that the message has itself */
	ALL = TICKETS | PROMISES
};

static struct charge
beside(const struct question *q, int which)
{
	const struct account *a = q->request.account;
	const struct held held = account_held(a);
	struct charge sum = {.messages = 0};
	uint64_t tickets = 0;

	if ((which & TICKETS) == OPEN_TICKETS)
		sum.used = account_open_bytes(a, &tickets);
	else if (which & TICKETS)
		sum = (struct charge){.used = held.reserved, .messages = held.tickets};
	sum.messages += tickets;
	if (!(which & PROMISES))
		return sum;
	sum.used = amount_add(sum.used, held.promised - (q->own ? q->own->bytes : 0));
	sum.messages += held.promises - (q->own ? 1 : 0);
	return sum;
}

/* Whether it fits beside what is used and those. */
static int
fits(const struct question *q, int which)
{
	const struct charge *charged = &q->request.account->charged;
	const struct charge others = beside(q, which);

	return fits_beside(q, amount_add(charged->used, others.used),
		amount_add(charged->messages, others.messages));
}

static int
is_above(uint64_t n, uint64_t limit, uint64_t per_cent)
{
	return limit && n > (unsigned __int128)limit * per_cent / 100;
}

static int
is_near_limit(const struct ledger *l, const struct question *q)
{
	const struct ledger_limits *limit = &q->request.limits;
	const struct account *a = q->request.account;
	const struct charge others = beside(q, ALL);
	uint64_t bytes =
		amount_add(amount_add(a->charged.used, others.used), q->request.bytes);
	uint64_t messages =
		amount_add(amount_add(a->charged.messages, others.messages), 1);

	return is_above(bytes, limit->bytes, l->rules.recheck_per_cent) ||
	       is_above(messages, limit->messages, l->rules.recheck_per_cent);
}

/* A count that serves must begin from now on. */
static enum wait
wait_for_new_count(struct question *q)
{
	q->after_count = q->request.account->counts_begun;
	return WAIT_COUNT;
}

/* The message's promise becomes its ticket: nobody else can have the room between. */
static enum wait
grant(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct ticket *t;

	if (q->request.kind == LEDGER_PROMISE)
		answer->promised = promises_keep(l, q);
	if (q->request.kind == LEDGER_RESERVE) {
		t = ticket_open(l, &q->request, q->name);
		if (!t)
			return answer_with(answer, VERDICT_TROUBLE,
				"the usage store can't be written");
		answer->ticket = t->id;
		answer->promised = q->own != NULL;
		if (q->own)
			promises_use(l, q->own, t);
		l->totals.granted++;
	}
	return answer_with(answer, VERDICT_DELIVERED, NULL);
}

/* Behind whoever asks, who does not wait for it. */
static void
look_now_and_then(struct ledger *l, struct account *a)
{
	if (l->now - a->looked_at >= LOOK_MS || !a->looked_at) {
		a->looked_at = l->now;
		counts_probe(l, a);
	}
}

/* There is room. Above recheck_above the mailbox is looked at first, and counted where it
 * was changed; below, it is looked at now and then. */
static enum wait
decide_grant(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;

	if (is_near_limit(l, q) && q->probed != UNMOVED && !q->counts)
		return q->probed == MOVED ? wait_for_new_count(q) : WAIT_PROBE;
	look_now_and_then(l, a);
	return grant(l, q, answer);
}

/* Whether a refusal is one of a message that was there. */
static int
leaves_trace(const struct question *q)
{
	return q->request.kind == LEDGER_CHECK || q->request.kind == LEDGER_RESERVE ||
	       q->request.kind == LEDGER_PROMISE;
}

/* Exact, unmoved, all input read: what is in the way? */
static enum wait
refuse(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;
	int hard;

	if (promises_are_cut_off(q))
		return answer_with(answer, VERDICT_TROUBLE,
			"a delivery of this message was cut off, and may still take the "
			"room that was promised to it");
	if (fits(q, TICKETS))
		return answer_with(answer, VERDICT_FULL_FOR_NOW,
			"the mailbox is full with messages that are on their way");
	if (fits(q, OPEN_TICKETS | PROMISES))
		return answer_with(answer, VERDICT_TROUBLE,
			"deliveries that were cut off, or that began before the table "
			"changed, may still take the room that is left");
	if (fits(q, 0))
		return answer_with(answer, VERDICT_FULL_FOR_NOW,
			"the mailbox is full with the deliveries that are under way");
	hard = leaves_trace(q) ? full_refused(l, a, &q->request)
			       : full_is_hard(l, a, &q->request.limits);
	return answer_with(answer, hard ? VERDICT_FULL : VERDICT_FULL_FOR_NOW, NULL);
}

/* The mailbox is changed all the time. It is full for now only if there is no room beside
 * what was surely there and the deliveries under way; by its files, as any refusal. */
static enum wait
no_exact_count(struct question *q, struct ledger_answer *answer)
{
	const struct account *a = q->request.account;
	const struct charge others = beside(q, OPEN_TICKETS | PROMISES);

	if (a->may_be_twice ||
		fits_beside(q, amount_add(a->activity->sure, others.used),
			amount_add(a->activity->sure_messages, others.messages)))
		return answer_with(answer, VERDICT_TROUBLE, NOT_COUNTED);
	if (a->sure_by_files)
		return answer_with(answer, VERDICT_FULL_FOR_NOW, NULL);
	q->by_files = 1;
	return wait_for_new_count(q);
}

/* A ticket that was granted since may be that of an lda which is gone already. */
static int
owners_were_read(const struct question *q)
{
	const struct ticket *t;

	LIST_FOREACH(t, &q->request.account->activity->tickets, of_account)
		if (t->state == LEDGER_OPEN && t->id >= q->read_before)
			return 0;
	return 1;
}

/* No room by the number; a refusal rests on more than that. The names are counted first,
 * since that is soon done and may find room; then the files. */
static enum wait
decide_refusal(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;
	int serves = a->count_serves && l->now - a->counted_at <= COUNT_SERVES_MS;

	if (!serves || !a->by_files) {
		q->by_files = serves || q->counts;
		return q->counts < TRIES ? wait_for_new_count(q)
					 : no_exact_count(q, answer);
	}
	if (q->probed != UNMOVED || q->probed_count != account_counts_applied(a))
		return WAIT_PROBE;
	if (!owners_were_read(q))
		return WAIT_INPUT;
	if (a->activity->ended && fits(q, OPEN_TICKETS | PROMISES) && q->counts < TRIES)
		return wait_for_new_count(q);
	return refuse(l, q, answer);
}

/* The message would be written where the account's number is not of. Where nothing is
 * counted for a limit that is another's business only. */
static int
is_elsewhere(struct ledger *l, const struct question *q)
{
	const struct ledger_request *r = &q->request;

	return r->directory && r->directory != r->account->directory &&
	       (r->limits.bytes || r->limits.messages ||
		       places_rival(l, r->account, r->directory));
}

/* It is counted once anew; then the place leads elsewhere. */
static enum wait
decide_elsewhere(struct question *q, struct ledger_answer *answer)
{
	if (q->is_counted_anew)
		return answer_with(answer, VERDICT_TROUBLE,
			"the mailbox's path leads to another directory now");
	q->is_counted_anew = 1;
	return wait_for_new_count(q);
}

/* Another mailbox has what the place leads to, or has had it. */
static enum wait
decide_rivalry(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	const struct account *a = q->request.account;
	int is_new = l->now - a->count_began_at < RIVAL_MS;

	if (a->rivalry == SURE_RIVAL && (is_new || q->counts))
		return answer_with(answer, VERDICT_MISCONFIGURED,
			"another mailbox of the user table has the same directory");
	if (q->counts < TRIES)
		return wait_for_new_count(q);
	return answer_with(answer, VERDICT_TROUBLE,
		"another mailbox may still have this mailbox's directory");
}

/* A ticket of the same name: its lda asks again on a later connection, or else gets no
 * second one. 1 where that was answered. */
static int
decide_same_name(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct ticket *t = q->request.kind == LEDGER_RESERVE
				   ? ticket_find(q->request.account, q->name)
				   : NULL;

	if (!t)
		return 0;
	if (t->connection_number >= q->request.connection->number) {
		answer_with(answer, VERDICT_TROUBLE,
			"this or a later connection has a ticket of that name");
		return 1;
	}
	if (t->bytes != q->request.bytes) {
		answer_with(answer, VERDICT_TROUBLE,
			"a ticket of that name has another number of bytes");
		return 1;
	}
	ticket_take_over(l, t, q->request.connection);
	answer->ticket = t->id;
	answer_with(answer, VERDICT_DELIVERED, NULL);
	return 1;
}

/* An account has so many orphans and no more: whoever reserves room and goes away, again
 * and again, would fill memory and store. */
static int
has_too_many_orphans(const struct question *q)
{
	const struct ledger_request *r = &q->request;

	return r->kind == LEDGER_RESERVE &&
	       (r->account->activity->orphans >= ORPHANS_MAX ||
		       (r->limits.orphans &&
			       r->account->activity->orphans >= r->limits.orphans));
}

/* One count is waited for that may end them, but not time and again where it can't. */
static enum wait
decide_orphans(const struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	const struct account *a = q->request.account;
	int lately = a->counts_begun && l->now - a->count_began_at < ORPHAN_COUNT_MS;

	if (!q->counts && a->failed_counts == 0 &&
		a->activity->ended > a->activity->orphans / 2)
		return wait_for_new_count(q);
	if (!q->counts && (a->counting || !lately))
		return WAIT_COUNT;
	return answer_with(answer, VERDICT_TROUBLE,
		"too many deliveries to this mailbox were cut off");
}

/* Whether the Maildir had mail and is missing. An lda has looked; whoever has not, is
 * told after a count. */
static int
is_missing(const struct ledger *l, const struct question *q)
{
	const struct ledger_request *r = &q->request;

	if (r->directory)
		r->account->is_missing = 0;
	else if (r->is_missing && memory_maybe_mail(l, r->account))
		r->account->is_missing = 1;
	return r->account->is_missing;
}

/* A new one would be hidden under the mount point, and so would what is delivered. */
static enum wait
decide_missing(struct question *q, struct ledger_answer *answer)
{
	return q->request.is_missing || q->counts
		       ? answer_with(answer, VERDICT_TROUBLE, VERDICT_MISSING_TEXT)
		       : wait_for_new_count(q);
}

static enum wait
decide_room(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;
	int elsewhere = is_elsewhere(l, q);

	if (is_missing(l, q))
		return decide_missing(q, answer);
	if (l->held_until > l->now)
		return answer_with(answer, VERDICT_TROUBLE,
			"quotad waits for deliveries that an earlier one may have "
			"promised room");
	if (decide_same_name(l, q, answer))
		return WAIT_NOTHING;
	if (has_too_many_orphans(q))
		return decide_orphans(l, q, answer);
	full_review(a, &q->request.limits);
	if (!q->request.limits.bytes && !q->request.limits.messages && !elsewhere)
		return decide_grant(l, q, answer);
	if (a->rivalry != NO_RIVAL)
		return decide_rivalry(l, q, answer);
	if (!a->known)
		return q->counts ? no_exact_count(q, answer) : WAIT_COUNT;
	if (elsewhere)
		return decide_elsewhere(q, answer);
	if (fits(q, ALL))
		return decide_grant(l, q, answer);
	return decide_refusal(l, q, answer);
}

/* Nothing is said of a place but the one that was asked about. 1 where that was
 * answered. */
static int
decide_place(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;

	places_review_rules(l, a);
	if (q->table != l->table)
		places_look_up_again(l, q);
	if (places_are_same(a->place, q->request.place) && !q->is_overtaken)
		return 0;
	if (a->is_second)
		answer_with(answer, VERDICT_MISCONFIGURED,
			"another mailbox of the user table has the same place");
	else
		answer_with(answer, VERDICT_TROUBLE,
			"the user table has another place for this mailbox now");
	return 1;
}

/* Whether the look that the question wants was done just now. Whoever asks alone never
 * has less than a look of its own; of many at once each has one that is not old. */
static int
has_recent_look(struct ledger *l, const struct account *a)
{
	if (l->now - l->gets_since >= GETS_MS) {
		l->gets_since = l->now;
		l->gets_looks = 0;
	}
	if (l->gets_looks >= GETS_LOOKS && a->unmoved_at &&
		l->now - a->unmoved_at <= GETS_MS)
		return 1;
	l->gets_looks++;
	return 0;
}

/* Whoever has just deleted mail is told the number without it: the mailbox is looked at,
 * and counted where it has moved. A look that takes long or fails (then the question has
 * a failure) is no reason to tell nothing. An lda ends without waiting for its COMMIT:
 * whoever asks afterwards is told the number with that message in it. */
static enum wait
decide_get(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	int is_known = q->request.account->known;

	if (is_known && !q->counts && !q->failure && q->probed == NOT_PROBED &&
		has_recent_look(l, q->request.account))
		q->probed = UNMOVED;
	if (q->counts || (is_known && (q->failure || q->probed == UNMOVED)))
		return q->failure || owners_were_read(q)
			       ? answer_with(answer, VERDICT_DELIVERED, NULL)
			       : WAIT_INPUT;
	if (!is_known)
		return WAIT_COUNT;
	return q->probed == MOVED ? wait_for_new_count(q) : WAIT_PROBE;
}

/* No more is there than may be, as far as is known; near the limit that is looked at. */
static enum wait
decide_may_send(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;

	if (is_above(a->charged.used, q->request.bytes, l->rules.recheck_per_cent) &&
		q->probed != UNMOVED && !q->counts && !q->failure)
		return q->probed == MOVED ? wait_for_new_count(q) : WAIT_PROBE;
	look_now_and_then(l, a);
	return answer_with(answer, VERDICT_DELIVERED, NULL);
}

/* As decide_refusal, but what counts is what is there: deliveries under way are not. */
static enum wait
decide_send(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	struct account *a = q->request.account;
	int serves = a->count_serves && l->now - a->counted_at <= COUNT_SERVES_MS;

	if (a->known && a->charged.used <= q->request.bytes)
		return decide_may_send(l, q, answer);
	if (is_missing(l, q))
		return decide_missing(q, answer);
	if (a->rivalry != NO_RIVAL)
		return decide_rivalry(l, q, answer);
	if (!a->known || !serves || !a->by_files) {
		q->by_files = a->known && (serves || q->counts);
		return q->counts < TRIES
			       ? wait_for_new_count(q)
			       : answer_with(answer, VERDICT_TROUBLE, NOT_COUNTED);
	}
	if (q->probed != UNMOVED || q->probed_count != account_counts_applied(a))
		return WAIT_PROBE;
	return owners_were_read(q) ? answer_with(answer, VERDICT_FULL, NULL) : WAIT_INPUT;
}

/* Whether the last number answers the question, though the mailbox can't be looked at. */
static int
has_number(const struct question *q)
{
	const struct account *a = q->request.account;

	return a->known && (q->request.kind == LEDGER_GET ||
				   (q->request.kind == LEDGER_SEND &&
					   a->charged.used <= q->request.bytes));
}

static enum wait
decide(struct ledger *l, struct question *q, struct ledger_answer *answer)
{
	q->own = promises_own(q);
	if (q->failure && !has_number(q))
		return answer_with(answer, VERDICT_TROUBLE, q->failure);
	if (decide_place(l, q, answer))
		return WAIT_NOTHING;
	switch (q->request.kind) {
	case LEDGER_GET:
		return decide_get(l, q, answer);
	case LEDGER_RECOUNT:
		answer->was = q->was;
		return q->counts ? answer_with(answer, VERDICT_DELIVERED, NULL)
				 : wait_for_new_count(q);
	case LEDGER_SEND:
		return decide_send(l, q, answer);
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
	if (has_too_many_orphans(q))
		return LEDGER_ORPHANS;
	if (q->request.kind == LEDGER_GET)
		return LEDGER_CHANGED;
	if (q->request.kind == LEDGER_SEND)
		return a->charged.used > q->request.bytes ? LEDGER_REFUSAL
							  : LEDGER_CHANGED;
	return fits(q, ALL) ? LEDGER_CHANGED : LEDGER_REFUSAL;
}

/* --- waiting and answering --- */

static void
wait_for(struct ledger *l, struct question *q, enum wait wait)
{
	struct account *a = q->request.account;

	q->waits_for = wait;
	q->in_probe = 0;
	if (wait == WAIT_INPUT) {
		question_move(q, &l->settling);
		return;
	}
	q->read_before = 0;
	question_move(q, &a->activity->waiting);
	if (wait == WAIT_PROBE)
		counts_probe(l, a);
	else
		counts_begin(l, a, q->by_files, why_count(l, q));
}

static void
note_verdict(struct ledger *l, const struct question *q, enum verdict verdict)
{
	if (verdict == VERDICT_TROUBLE)
		l->totals.later++;
	else if (verdict != VERDICT_DELIVERED && q->request.kind != LEDGER_EXPLAIN &&
		 q->request.kind != LEDGER_SEND)
		l->totals.refused++;
}

static void
consider(struct ledger *l, struct question *q)
{
	struct ledger_answer answer = {.verdict = VERDICT_TROUBLE};
	void *cookie = q->request.cookie;
	char *failure = q->failure;
	enum wait wait;

	wait = decide(l, q, &answer);
	if (wait != WAIT_NOTHING) {
		wait_for(l, q, wait);
		return;
	}
	note_verdict(l, q, answer.verdict);
	q->failure = NULL; /* the answer's text outlives the question */
	question_free(l, q);
	l->calls->answer(l->arg, cookie, &answer);
	free(failure);
}

/* An answer may bring new questions; they wait their turn here. */
void
decide_ready(struct ledger *l)
{
	struct question *q;

	if (l->deciding)
		return;
	l->deciding = 1;
	while ((q = TAILQ_FIRST(&l->ready)))
		consider(l, q);
	l->deciding = 0;
}
