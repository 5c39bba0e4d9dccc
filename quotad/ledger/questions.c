/* Questions that wait: for their turn, for a probe or a count of their mailbox, or until
 * all input that was pending has been read. */
#include <stdlib.h>
#include <string.h>

#include "parts.h"

void
question_move(struct question *q, struct questions *list)
{
	if (q->list)
		TAILQ_REMOVE(q->list, q, here);
	q->list = list;
	TAILQ_INSERT_TAIL(list, q, here);
}

static enum asker
asker_of(const struct question *q)
{
	switch (q->request.kind) {
	case LEDGER_CHECK:
	case LEDGER_ANNOUNCED:
	case LEDGER_RESERVE:
	case LEDGER_SEND:
	case LEDGER_PROMISE:
		return DELIVERY;
	default:
		return PERSON;
	}
}

/* The question's own copies of what it points to: 0, or -1 without memory. */
static int
copy(struct question *q, const struct ledger_request *r)
{
	const char *ids = r->promise ? r->promise->id : r->ids;

	q->request = *r;
	q->request.name = q->name = r->name ? strdup(r->name) : NULL;
	q->request.ids = q->ids = ids ? strdup(ids) : NULL;
	if ((r->name && !q->name) || (ids && !q->ids))
		return -1;
	if (!r->promise)
		return 0;
	q->promise = *r->promise;
	q->promise.id = q->ids;
	q->request.promise = &q->promise;
	return 0;
}

static void
free_question(struct question *q)
{
	if (!q)
		return;
	free(q->name);
	free(q->ids);
	free(q->failure);
	free(q);
}

struct question *
question_new(struct ledger *l, const struct ledger_request *r)
{
	struct question *q = calloc(1, sizeof *q);

	if (!q || copy(q, r) == -1 || account_begin_activity(r->account) == -1) {
		free_question(q);
		return NULL;
	}
	q->asked_at = l->now;
	q->table = l->table;
	if (asker_of(q) == DELIVERY && r->bytes == 0)
		q->request.bytes = 1; /* a message has a byte at least */
	q->after_count = account_counts_applied(r->account);
	q->was = r->account->charged.used;
	r->account->activity->questions++;
	r->connection->waiting++;
	l->totals.waiting++;
	TAILQ_INSERT_TAIL(&r->connection->asked, q, of_connection);
	TAILQ_INSERT_TAIL(&l->all[asker_of(q)], q, all);
	question_wake(l, q);
	return q;
}

void
question_free(struct ledger *l, struct question *q)
{
	TAILQ_REMOVE(q->list, q, here);
	TAILQ_REMOVE(&l->all[asker_of(q)], q, all);
	TAILQ_REMOVE(&q->request.connection->asked, q, of_connection);
	q->request.account->activity->questions--;
	account_end_activity(q->request.account);
	q->request.connection->waiting--;
	l->totals.waiting--;
	free_question(q);
}

void
questions_free_all(struct ledger *l)
{
	struct question *q;

	for (int asker = DELIVERY; asker <= PERSON; asker++)
		while ((q = TAILQ_FIRST(&l->all[asker]))) {
			TAILQ_REMOVE(&l->all[asker], q, all);
			free_question(q);
		}
}

void
question_wake(struct ledger *l, struct question *q)
{
	q->waits_for = WAIT_NOTHING;
	question_move(q, &l->ready);
}

void
question_fail(struct ledger *l, struct question *q, const char *text)
{
	free(q->failure);
	q->failure = strdup(text);
	question_wake(l, q);
}

#define TOO_LONG        "counting the mailbox takes longer than quotad_timeout"
#define PERSON_TOO_LONG "counting the mailbox takes longer than six times quotad_timeout"

/* Whoever asks for numbers has those that are known, if looking takes so long. */
static void
end_long_looks(struct ledger *l)
{
	struct question *q;

	TAILQ_FOREACH(q, &l->all[PERSON], all) {
		if (l->now - q->asked_at < GET_LOOK_MS)
			break;
		if (q->request.kind == LEDGER_GET && q->request.account->known)
			question_fail(l, q, "looking at the mailbox takes too long");
	}
}

/* An lda waits no longer than quotad_timeout; a person may. */
void
questions_time_out(struct ledger *l)
{
	static const struct {
		uint64_t times;
		const char *text;
	} most[] = {[DELIVERY] = {1, TOO_LONG}, [PERSON] = {6, PERSON_TOO_LONG}};
	struct question *q;

	end_long_looks(l);
	for (int asker = DELIVERY; asker <= PERSON; asker++)
		TAILQ_FOREACH(q, &l->all[asker], all) {
			uint64_t waited = l->now - q->asked_at;

			if (waited < l->rules.answer_ms * most[asker].times)
				break;
			question_fail(l, q, most[asker].text);
		}
}
