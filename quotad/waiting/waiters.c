/* The messages that wait, their mailboxes and their bounds. */
#include "waiters.h"

#include <stdlib.h>
#include <string.h>

static int
message_has_id(const void *item, const void *id, size_t length)
{
	const struct queued *q = item;

	return strncmp(q->id, id, length) == 0 && q->id[length] == '\0';
}

static int
mailbox_has_name(const void *item, const void *name, size_t length)
{
	const struct mailbox_waiters *m = item;

	return strncmp(m->name, name, length) == 0 && m->name[length] == '\0';
}

int
waiters_init(struct waiters *all)
{
	*all = (struct waiters){0};
	for (int i = 0; i < WAITERS_LISTS; i++)
		TAILQ_INIT(&all->queues[i]);
	TAILQ_INIT(&all->all);
	TAILQ_INIT(&all->turns);
	if (hash_init(&all->messages, message_has_id) == -1)
		return -1;
	if (hash_init(&all->mailboxes, mailbox_has_name) == 0)
		return 0;
	hash_free(&all->messages);
	return -1;
}

void
waiters_free(struct waiters *all)
{
	struct mailbox_waiters *m;

	TAILQ_FOREACH(m, &all->all, all)
		m->is_held = 0;
	for (int i = 0; i < WAITERS_LISTS; i++)
		while (!TAILQ_EMPTY(&all->queues[i]))
			waiters_remove(all, TAILQ_FIRST(&all->queues[i]));
	while ((m = TAILQ_FIRST(&all->all)) != NULL)
		waiters_let_go(all, m);
	hash_free(&all->messages);
	hash_free(&all->mailboxes);
}

/* --- finding ---------------------------------------------------------------------- */

struct mailbox_waiters *
waiters_find_mailbox(const struct waiters *all, const char *name)
{
	return hash_find(&all->mailboxes, name, strlen(name));
}

struct queued *
waiters_find_message(const struct waiters *all, const char *id)
{
	return hash_find(&all->messages, id, strlen(id));
}

struct waiter *
waiters_find(const struct waiters *all, const struct mailbox_waiters *m, const char *id)
{
	const struct queued *q = m == NULL ? NULL : waiters_find_message(all, id);
	struct waiter *e = NULL;

	if (q != NULL)
		LIST_FOREACH(e, &q->waiters, of_message)
			if (e->mailbox == m)
				break;
	return e;
}

/* --- mailboxes and messages ------------------------------------------------------- */

static struct mailbox_waiters *
make_mailbox(struct waiters *all, const char *name)
{
	size_t length = strlen(name);
	struct mailbox_waiters *m = waiters_find_mailbox(all, name);

	if (m != NULL)
		return m;
	m = calloc(1, sizeof *m + length + 1);
	if (m == NULL)
		return NULL;
	memcpy(m->name, name, length);
	for (int i = 0; i < WAITERS_LISTS; i++)
		TAILQ_INIT(&m->queues[i]);
	if (hash_add(&all->mailboxes, name, length, m) != 1) {
		free(m);
		return NULL;
	}
	m->number = ++all->next_number;
	TAILQ_INSERT_TAIL(&all->all, m, all);
	return m;
}

int
waiters_let_go(struct waiters *all, struct mailbox_waiters *m)
{
	m->is_held = 0;
	for (int i = 0; i < WAITERS_LISTS; i++)
		if (m->counts[i] > 0)
			return 1;
	waiters_leave_turn(all, m);
	TAILQ_REMOVE(&all->all, m, all);
	hash_remove(&all->mailboxes, m->name, strlen(m->name));
	free(m);
	return 0;
}

static struct queued *
make_message(struct waiters *all, const char *id)
{
	size_t length = strlen(id);
	struct queued *q = waiters_find_message(all, id);

	if (q != NULL)
		return q;
	q = calloc(1, sizeof *q + length + 1);
	if (q == NULL)
		return NULL;
	memcpy(q->id, id, length);
	LIST_INIT(&q->waiters);
	if (hash_add(&all->messages, id, length, q) == 1)
		return q;
	free(q);
	return NULL;
}

static void
let_go_message(struct waiters *all, struct queued *q)
{
	if (!LIST_EMPTY(&q->waiters))
		return;
	hash_remove(&all->messages, q->id, strlen(q->id));
	free(q);
}

/* --- waiters ---------------------------------------------------------------------- */

/* So that no sum of all ends. */
static uint64_t
bounded(uint64_t bytes)
{
	return bytes < WAITER_BYTES_MAX ? bytes : WAITER_BYTES_MAX;
}

static void
enter(struct waiters *all, struct waiter *e, enum waiter_list list)
{
	struct mailbox_waiters *m = e->mailbox;

	e->list = list;
	TAILQ_INSERT_TAIL(&m->queues[list], e, of_mailbox);
	TAILQ_INSERT_TAIL(&all->queues[list], e, of_all);
	m->counts[list]++;
	all->counts[list]++;
	if (list != WAITERS_WAITING)
		return;
	m->bytes += e->bytes;
	all->bytes += e->bytes;
	all->waiting_mailboxes += m->counts[list] == 1;
}

static void
leave(struct waiters *all, struct waiter *e)
{
	struct mailbox_waiters *m = e->mailbox;

	TAILQ_REMOVE(&m->queues[e->list], e, of_mailbox);
	TAILQ_REMOVE(&all->queues[e->list], e, of_all);
	m->counts[e->list]--;
	all->counts[e->list]--;
	if (e->list != WAITERS_WAITING)
		return;
	m->bytes -= e->bytes;
	all->bytes -= e->bytes;
	all->waiting_mailboxes -= m->counts[e->list] == 0;
}

void
waiters_remove(struct waiters *all, struct waiter *e)
{
	struct mailbox_waiters *m = e->mailbox;

	leave(all, e);
	LIST_REMOVE(e, of_message);
	let_go_message(all, e->message);
	if (m->asked == e)
		m->asked = NULL;
	free(e);
	if (!m->is_held)
		waiters_let_go(all, m);
}

/* There is one too many, perhaps. */
static void
keep_bounds(struct waiters *all, const struct mailbox_waiters *m, enum waiter_list list)
{
	const size_t most = list == WAITERS_WAITING ? WAITING_MAX : WAITING_EXPECTED_MAX;

	if (m->counts[list] > WAITING_MAILBOX_MAX)
		waiters_remove(all, TAILQ_FIRST(&m->queues[list]));
	if (all->counts[list] > most)
		waiters_remove(all, TAILQ_FIRST(&all->queues[list]));
}

struct waiter *
waiters_add(struct waiters *all, const char *mailbox, const char *id,
	enum waiter_list list, uint64_t bytes, uint64_t now_ms)
{
	struct mailbox_waiters *m = make_mailbox(all, mailbox);
	struct queued *q = m == NULL ? NULL : make_message(all, id);
	struct waiter *e = q == NULL ? NULL : calloc(1, sizeof *e);

	if (e == NULL) {
		if (q != NULL)
			let_go_message(all, q);
		if (m != NULL && !m->is_held)
			waiters_let_go(all, m);
		return NULL;
	}
	e->mailbox = m;
	e->message = q;
	e->bytes = bounded(bytes);
	e->since_ms = e->heard_ms = now_ms;
	LIST_INSERT_HEAD(&q->waiters, e, of_message);
	enter(all, e, list);
	keep_bounds(all, m, list);
	return e;
}

void
waiters_move(struct waiters *all, struct waiter *e, enum waiter_list list, uint64_t bytes,
	uint64_t now_ms)
{
	e->heard_ms = now_ms;
	if (e->list == list && list == WAITERS_WAITING) {
		all->bytes += bounded(bytes) - e->bytes;
		e->mailbox->bytes += bounded(bytes) - e->bytes;
	}
	if (e->list == list) {
		e->bytes = bounded(bytes);
		TAILQ_REMOVE(&all->queues[list], e, of_all);
		TAILQ_INSERT_TAIL(&all->queues[list], e, of_all);
		return;
	}
	leave(all, e);
	e->bytes = bounded(bytes);
	e->since_ms = now_ms;
	enter(all, e, list);
	keep_bounds(all, e->mailbox, list);
}

void
waiters_forget_old(struct waiters *all, uint64_t now_ms)
{
	static const uint64_t most[] = {
		[WAITERS_EXPECTED] = WAITING_EXPECT_MS,
		[WAITERS_WAITING] = WAITING_FORGET_MS,
	};
	struct waiter *e, *next;

	for (int i = 0; i < WAITERS_LISTS; i++)
		for (e = TAILQ_FIRST(&all->queues[i]);
			e != NULL && now_ms - e->heard_ms >= most[i]; e = next) {
			next = TAILQ_NEXT(e, of_all);
			waiters_remove(all, e);
		}
}

/* --- turns ------------------------------------------------------------------------ */

/* Most are due last. */
void
waiters_take_turn(struct waiters *all, struct mailbox_waiters *m, uint64_t due_ms)
{
	struct mailbox_waiters *before;

	waiters_leave_turn(all, m);
	before = TAILQ_LAST(&all->turns, mailbox_list);
	while (before != NULL && before->due_ms > due_ms)
		before = TAILQ_PREV(before, mailbox_list, turn);
	m->due_ms = due_ms;
	m->has_turn = 1;
	if (before == NULL)
		TAILQ_INSERT_HEAD(&all->turns, m, turn);
	else
		TAILQ_INSERT_AFTER(&all->turns, before, m, turn);
}

void
waiters_leave_turn(struct waiters *all, struct mailbox_waiters *m)
{
	if (m->has_turn)
		TAILQ_REMOVE(&all->turns, m, turn);
	m->has_turn = 0;
}

void
waiters_be_due(struct waiters *all, uint64_t due_ms)
{
	struct mailbox_waiters *m;

	TAILQ_FOREACH_REVERSE(m, &all->turns, mailbox_list, turn)
	{
		if (m->due_ms <= due_ms)
			break;
		m->due_ms = due_ms;
	}
}
