/*
 * Who waits, and what is done for them. A mailbox that is due is asked about in steps,
 * each an answer of the room that may come later: whether the smallest message that waits
 * would fit, which looks at the mailbox and leaves no trace; then, the oldest first, each
 * that fits is promised its room and released. While it is asked about it is held, and
 * has no turn.
 */
#include "waiting.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "clock.h"
#include "log.h"
#include "waiters.h"

#define SLOWER     20     /* times as long as a look took, until the next */
#define SLOWEST_MS 600000 /* that is */
#define SOON_MS    1000   /* between two looks at a mailbox that may have room */
#define RECIPIENT  1      /* of a promise: there is one for each message */
#define ID_LEAST   6      /* of ids that brim-release takes */
#define ID_MOST    20

struct waiting {
	struct waiters all;
	const struct room *room;
	const struct waiting_calls *calls;
	void *arg;
	struct ledger_connection connection; /* that the questions are asked on */
	uint64_t now_ms, second_ms;
	unsigned looks, begun; /* now, and in this second */
	uint64_t released, not_released;
};

struct waiting *
waiting_new(const struct room *room, const struct waiting_calls *calls, void *arg)
{
	struct waiting *w = calloc(1, sizeof *w);

	if (w == NULL || waiters_init(&w->all) == -1) {
		free(w);
		return NULL;
	}
	w->room = room;
	w->calls = calls;
	w->arg = arg;
	w->now_ms = clock_now_ms();
	ledger_connect(&w->connection, 0);
	return w;
}

void
waiting_free(struct waiting **w)
{
	if (*w != NULL) {
		ledger_forget((*w)->room->ledger, &(*w)->connection);
		waiters_free(&(*w)->all);
		free(*w);
	}
	*w = NULL;
}

/* --- who waits -------------------------------------------------------------------- */

/* The next id of the list; 0 at its end. */
static int
next_id(const char **ids, char id[LEDGER_ID_MAX + 1])
{
	size_t length;

	do {
		*ids += strspn(*ids, ",");
		length = strcspn(*ids, ",");
		if (length <= LEDGER_ID_MAX) {
			memcpy(id, *ids, length);
			id[length] = '\0';
		}
		*ids += length;
	} while (length > LEDGER_ID_MAX);
	return length > 0;
}

void
waiting_expect(struct waiting *w, const char *mailbox, const char *id, uint64_t bytes)
{
	const struct mailbox_waiters *m = waiters_find_mailbox(&w->all, mailbox);

	if (id[0] != '\0' && strlen(id) <= LEDGER_ID_MAX &&
		waiters_find(&w->all, m, id) == NULL)
		waiters_add(
			&w->all, mailbox, id, WAITERS_EXPECTED, bytes, clock_now_ms());
}

/* The waiter that has one of the ids; of several, which are the same message, one is
 * left.
 */
static struct waiter *
find_one(struct waiting *w, const char *mailbox, const char *ids)
{
	const struct mailbox_waiters *m = waiters_find_mailbox(&w->all, mailbox);
	struct waiter *found = NULL, *e;
	char id[LEDGER_ID_MAX + 1];

	while (next_id(&ids, id)) {
		e = waiters_find(&w->all, m, id);
		if (e != NULL && found == NULL)
			found = e;
		else if (e != NULL && e != found)
			waiters_remove(&w->all, e);
	}
	return found;
}

/* The waiter has the id that the message has in the queue now. */
static struct waiter *
take_id(struct waiting *w, struct waiter *e, const char *mailbox, const char *id,
	uint64_t bytes)
{
	if (e != NULL && strcmp(e->message->id, id) == 0)
		return e;
	if (e != NULL)
		waiters_remove(&w->all, e);
	return waiters_add(&w->all, mailbox, id, WAITERS_EXPECTED, bytes, clock_now_ms());
}

/* A message that was released has come: there is no reason any more to doubt that others
 * for its mailbox will. */
static void
came(struct waiter *e)
{
	if (e->promised_ms != 0)
		e->mailbox->is_doubted = 0;
	e->promised_ms = 0;
}

/* What the message was promised at SMTP time was not enough: others have taken the room.
 * It is in the way of a promise of all that it needs, which it has once there is room. */
static void
end_own_promise(struct waiting *w, const char *mailbox, const char *ids)
{
	struct account *a = ledger_find(w->room->ledger, mailbox);

	if (a != NULL && w->calls->may_release(w->arg))
		ledger_end_promise_of(w->room->ledger, a, ids);
}

void
waiting_refused(struct waiting *w, const char *mailbox, const char *ids, uint64_t bytes,
	int trusted)
{
	const char *const all_ids = ids;
	struct waiter *e = find_one(w, mailbox, ids);
	const uint64_t now = clock_now_ms(), known = e == NULL ? 0 : e->bytes;
	char id[LEDGER_ID_MAX + 1];

	if (bytes == 0)
		bytes = known != 0 ? known : WAITING_UNKNOWN;
	if (trusted && next_id(&ids, id))
		e = take_id(w, e, mailbox, id, bytes);
	if (e == NULL)
		return;
	if (!trusted && bytes < e->bytes)
		bytes = e->bytes; /* a user says what he likes */
	if (e->list != WAITERS_WAITING)
		log_info("waiting for room, id=%s recipient=%s bytes=%" PRIu64,
			e->message->id, mailbox, bytes);
	came(e);
	e->message->tries = 0;
	end_own_promise(w, mailbox, all_ids);
	waiters_move(&w->all, e, WAITERS_WAITING, bytes, now);
	e->mailbox->owner = w;
	if (!e->mailbox->has_turn && !e->mailbox->is_held)
		waiters_take_turn(&w->all, e->mailbox, now + WAITING_LOOK_MS);
}

/* One that was just released is kept for a while, so that it is not released again at
 * once should it be refused once more. */
void
waiting_delivered(struct waiting *w, const char *mailbox, const char *ids)
{
	struct waiter *e = find_one(w, mailbox, ids);
	const uint64_t now = clock_now_ms();

	if (e == NULL)
		return;
	came(e);
	if (e->list == WAITERS_WAITING)
		log_info("waits no more, id=%s recipient=%s waited=%" PRIu64 "s",
			e->message->id, mailbox, (now - e->since_ms) / 1000);
	if (e->message->released_ms != 0 &&
		now - e->message->released_ms < WAITING_AGAIN_MS)
		waiters_move(&w->all, e, WAITERS_EXPECTED, e->bytes, now);
	else
		waiters_remove(&w->all, e);
}

/* Nobody will deliver the message now: its room is for others. */
static void
end_promises(struct waiting *w, const struct queued *q)
{
	const struct ledger_promise promise = {.id = q->id, .recipient = RECIPIENT};
	struct account *a;
	struct waiter *e;

	LIST_FOREACH(e, &q->waiters, of_message) {
		a = e->promised_ms == 0 ? NULL
					: ledger_find(w->room->ledger, e->mailbox->name);
		if (a != NULL)
			ledger_end_promise(w->room->ledger, a, &promise);
		e->promised_ms = 0;
	}
}

void
waiting_released(struct waiting *w, const char *id, int ok)
{
	struct queued *q = waiters_find_message(&w->all, id);

	*(ok ? &w->released : &w->not_released) += 1;
	if (q == NULL)
		return;
	q->is_asked = 0;
	q->is_released = ok;
	q->tries = ok ? 0 : q->tries + 1;
	if (!ok)
		end_promises(w, q);
}

/* --- which of them are next ------------------------------------------------------- */

/* brim-release takes ids of Postfix alone. */
static int
is_postfix_id(const char *id)
{
	size_t length = strlen(id);

	return length >= ID_LEAST && length <= ID_MOST && strchr(id, '-') == NULL;
}

/* Its promise was not used, or it can't be released: it comes, if it is there at all,
 * when the mail server tries again. That is known before the promise is over, or the next
 * one had such a promise. */
static int
is_hopeless(const struct waiter *e, uint64_t now_ms)
{
	const struct queued *q = e->message;

	if (q->is_asked)
		return 0;
	return q->tries >= WAITING_TRIES ||
	       (e->promised_ms != 0 && q->is_released &&
		       now_ms - e->promised_ms >= WAITING_PROMISE_MS - SOON_MS);
}

static int
may_be_released(const struct waiter *e, uint64_t now_ms)
{
	const struct queued *q = e->message;

	if (q->is_asked || (e->promised_ms != 0 && q->is_released) ||
		!is_postfix_id(q->id))
		return 0;
	return q->released_ms == 0 || now_ms - q->released_ms >= WAITING_AGAIN_MS;
}

static void
remove_hopeless(struct waiting *w, struct mailbox_waiters *m)
{
	struct waiter *e = TAILQ_FIRST(&m->queues[WAITERS_WAITING]), *next;

	for (; e != NULL; e = next) {
		next = TAILQ_NEXT(e, of_mailbox);
		if (!is_hopeless(e, w->now_ms))
			continue;
		log_info("waits for the mail server's next try, id=%s recipient=%s",
			e->message->id, m->name);
		m->is_doubted |= e->message->is_released;
		waiters_remove(&w->all, e);
	}
}

static struct waiter *
smallest(const struct waiting *w, const struct mailbox_waiters *m)
{
	struct waiter *e, *least = NULL;

	TAILQ_FOREACH(e, &m->queues[WAITERS_WAITING], of_mailbox)
		if (may_be_released(e, w->now_ms) &&
			(least == NULL || e->bytes < least->bytes))
			least = e;
	return least;
}

/* By the numbers as they are now, which tell nothing of one that may have its promise
 * yet; the ledger has the last word. */
static struct waiter *
oldest_that_fits(const struct waiting *w, const struct mailbox_waiters *m)
{
	const struct ledger_limits *limits = &m->question.limits;
	struct ledger_numbers n;
	struct waiter *e = NULL;
	uint64_t taken;

	ledger_numbers(w->room->ledger, m->question.account, &n);
	taken = amount_add(amount_add(n.used, n.reserved), n.promised);
	if (limits->messages != 0 &&
		n.messages + n.tickets + n.promises >= limits->messages)
		return NULL;
	TAILQ_FOREACH(e, &m->queues[WAITERS_WAITING], of_mailbox)
		if (may_be_released(e, w->now_ms) &&
			(limits->bytes == 0 || e->promised_ms != 0 ||
				amount_add(taken, e->bytes) <= limits->bytes))
			break;
	return e;
}

/* --- a mailbox's turn ------------------------------------------------------------- */

static void answered(struct room_question *q, const struct outcome *o);

static void
ask(struct waiting *w, struct mailbox_waiters *m, enum ledger_kind kind, struct waiter *e)
{
	const struct room_asker asker = {.trusted = 1, .connection = &w->connection};

	m->asked = e;
	m->promise = (struct ledger_promise){.id = e->message->id,
		.recipient = RECIPIENT,
		.ms = WAITING_PROMISE_MS,
		.is_exact = 1};
	m->question = (struct room_question){.kind = kind,
		.recipient = m->name,
		.bytes = e->bytes,
		.promise = kind == LEDGER_PROMISE ? &m->promise : NULL,
		.answered = answered};
	room_ask(w->room, &m->question, &asker);
}

/* A mailbox that takes long to look at is looked at less often. */
static void
end_turn(struct waiting *w, struct mailbox_waiters *m)
{
	const uint64_t now = clock_now_ms(), took = now - m->began_ms;
	uint64_t wait = took * SLOWER < SLOWEST_MS ? took * SLOWER : SLOWEST_MS;

	w->looks--;
	m->asked = NULL;
	m->soonest_ms = now + SOON_MS + took;
	if (waiters_let_go(&w->all, m) == 0 || m->counts[WAITERS_WAITING] == 0)
		return;
	wait = wait > WAITING_LOOK_MS ? wait : WAITING_LOOK_MS;
	if (m->promises_left == 0 && !m->is_doubted)
		wait = 0;
	else if (m->is_wanted)
		wait = m->soonest_ms - now;
	waiters_take_turn(&w->all, m, now + wait);
}

static void
release(struct waiting *w, struct waiter *e)
{
	struct queued *q = e->message;

	e->promised_ms = w->now_ms;
	q->released_ms = w->now_ms;
	q->is_asked = 1;
	q->is_released = 0;
	log_info("room for a message that waits, id=%s recipient=%s bytes=%" PRIu64,
		q->id, e->mailbox->name, e->bytes);
	w->calls->release(w->arg, q->id);
}

/* Where the last one did not come, since somebody has removed it from the queue, say, it
 * may be the same with all others: no room is kept for them until one has come. */
static void
release_next(struct waiting *w, struct mailbox_waiters *m)
{
	struct waiter *e;

	while (m->promises_left > 0 && w->calls->may_release(w->arg) &&
		(e = oldest_that_fits(w, m)) != NULL) {
		m->promises_left--;
		if (!m->is_doubted) {
			ask(w, m, LEDGER_PROMISE, e);
			return;
		}
		release(w, e);
	}
	end_turn(w, m);
}

static void
remove_all(struct waiting *w, struct mailbox_waiters *m)
{
	for (int i = 0; i < WAITERS_LISTS; i++)
		while (m->counts[i] > 0)
			waiters_remove(&w->all, TAILQ_FIRST(&m->queues[i]));
}

/* No room now; or mail for it bounces when it is tried, and need not wait here. */
static void
take_no(struct waiting *w, struct mailbox_waiters *m, const struct outcome *o)
{
	switch (o->verdict) {
	case VERDICT_NO_SUCH_USER:
	case VERDICT_MOVED:
	case VERDICT_DISABLED:
		remove_all(w, m);
		break;
	case VERDICT_TOO_LARGE:
	case VERDICT_REFUSED:
		if (m->asked != NULL)
			waiters_remove(&w->all, m->asked);
		break;
	default:
		if (m->asked != NULL)
			m->asked->promised_ms = 0;
	}
	end_turn(w, m);
}

/* Whoever was asked about may be gone meanwhile, and so may the mailbox in the table. */
static void
answered(struct room_question *q, const struct outcome *o)
{
	struct mailbox_waiters *m =
		(struct mailbox_waiters *)((char *)q -
					   offsetof(struct mailbox_waiters, question));
	struct waiting *w = m->owner;

	w->now_ms = clock_now_ms();
	if (o->verdict != VERDICT_DELIVERED) {
		take_no(w, m, o);
		return;
	}
	if (strcmp(ledger_name(q->account), m->name) != 0) {
		remove_all(w, m); /* its name leads to another now */
		end_turn(w, m);
		return;
	}
	if (q->kind == LEDGER_PROMISE && m->asked != NULL)
		release(w, m->asked);
	release_next(w, m);
}

static void
begin_turn(struct waiting *w, struct mailbox_waiters *m)
{
	struct waiter *e;

	waiters_leave_turn(&w->all, m);
	m->is_held = 1;
	m->is_wanted = 0;
	m->began_ms = w->now_ms;
	m->promises_left = WAITING_A_TURN;
	w->begun++;
	w->looks++;
	remove_hopeless(w, m);
	e = smallest(w, m);
	if (e != NULL)
		ask(w, m, LEDGER_EXPLAIN, e);
	else
		end_turn(w, m);
}

void
waiting_room(struct waiting *w, const char *mailbox)
{
	struct mailbox_waiters *m = NULL;

	if (mailbox != NULL)
		m = waiters_find_mailbox(&w->all, mailbox);
	else
		waiters_be_due(&w->all, w->now_ms + WAITING_LOOK_MS);
	if (m == NULL || m->counts[WAITERS_WAITING] == 0)
		return;
	m->is_wanted = 1;
	if (m->has_turn)
		waiters_take_turn(&w->all, m,
			m->soonest_ms > w->now_ms ? m->soonest_ms : w->now_ms);
}

void
waiting_tick(struct waiting *w, uint64_t now_ms)
{
	struct mailbox_waiters *m;

	w->now_ms = now_ms;
	waiters_forget_old(&w->all, now_ms);
	if (now_ms - w->second_ms >= 1000) {
		w->second_ms = now_ms;
		w->begun = 0;
	}
	while ((m = TAILQ_FIRST(&w->all.turns)) != NULL && m->due_ms <= now_ms &&
		w->looks < WAITING_LOOKS && w->begun < WAITING_LOOKS_SECOND &&
		w->calls->may_release(w->arg))
		begin_turn(w, m);
}

/* --- what is asked ---------------------------------------------------------------- */

uint64_t
waiting_bytes(const struct waiting *w, const char *mailbox)
{
	const struct mailbox_waiters *m = waiters_find_mailbox(&w->all, mailbox);

	return m == NULL ? 0 : m->bytes;
}

int
waiting_takes(const struct waiting *w, const char *mailbox, uint64_t bytes, uint64_t most)
{
	const struct mailbox_waiters *m = waiters_find_mailbox(&w->all, mailbox);

	if (m != NULL && m->counts[WAITERS_WAITING] >= WAITING_MAILBOX_MAX)
		return 0;
	return amount_add(m == NULL ? 0 : m->bytes, bytes) <= most;
}

void
waiting_totals(const struct waiting *w, struct waiting_totals *t)
{
	*t = (struct waiting_totals){
		.messages = w->all.counts[WAITERS_WAITING],
		.bytes = w->all.bytes,
		.mailboxes = w->all.waiting_mailboxes,
		.released = w->released,
		.not_released = w->not_released,
	};
}

int
waiting_next(const struct waiting *w, struct waiting_mailbox *m)
{
	const struct mailbox_waiters *found = waiters_find_mailbox(&w->all, m->name);
	const struct waiter *oldest;

	/* where the last one is there, nobody before it need be looked at */
	if (found == NULL || found->number != m->number)
		found = TAILQ_FIRST(&w->all.all);
	while (found != NULL &&
		(found->number <= m->number || found->counts[WAITERS_WAITING] == 0))
		found = TAILQ_NEXT(found, all);
	if (found == NULL)
		return 0;
	oldest = TAILQ_FIRST(&found->queues[WAITERS_WAITING]);
	*m = (struct waiting_mailbox){.number = found->number,
		.name = found->name,
		.messages = found->counts[WAITERS_WAITING],
		.bytes = found->bytes,
		.since_s = (w->now_ms - oldest->since_ms) / 1000};
	return 1;
}
