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

struct question *
question_new(struct ledger *l, const struct ledger_request *r)
{
	struct question *q = calloc(1, sizeof *q);
	char *name = q && r->name ? strdup(r->name) : NULL;

	if (!q || (r->name && !name)) {
		free(q);
		return NULL;
	}
	q->request = *r;
	q->request.name = q->name = name;
	q->asked_at = l->now;
	if (r->kind == LEDGER_CHECK && r->bytes == 0)
		q->request.bytes = 1; /* a message has a byte at least */
	q->after_count = r->account->counts_applied;
	q->was = r->account->charged.used;
	r->connection->waiting++;
	l->totals.waiting++;
	TAILQ_INSERT_TAIL(&l->all, q, all);
	question_wake(l, q);
	return q;
}

void
question_free(struct ledger *l, struct question *q)
{
	TAILQ_REMOVE(q->list, q, here);
	TAILQ_REMOVE(&l->all, q, all);
	q->request.connection->waiting--;
	l->totals.waiting--;
	free(q->name);
	free(q->failure);
	free(q);
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

/* An lda waits no longer than quotad_timeout; a person may. */
void
questions_time_out(struct ledger *l)
{
	struct question *q;

	TAILQ_FOREACH(q, &l->all, all) {
		int person = q->request.kind != LEDGER_CHECK &&
			     q->request.kind != LEDGER_RESERVE;

		if (l->now - q->asked_at < l->rules.answer_ms * (person ? 6 : 1))
			continue;
		question_fail(l, q, person ? PERSON_TOO_LONG : TOO_LONG);
	}
}
