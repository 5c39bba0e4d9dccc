/*
 * Which places had mail when they were looked at last. That belongs to the path, whatever
 * address has it, or none: it is an address's while that has the place, and is kept for
 * the path alone while no account has it. So an address that is renamed, becomes an alias
 * or gets another path while the file system is away, and comes back, finds it again.
 *
 * It ends where the Maildir is found empty, and by the administrator's word: recount
 * --empty, or that the mailbox was removed, which the table tells by the path with its
 * own generation. What has mail_in was known by a table of the generation before that
 * number, so a removal in that one or later ends it, however late it is heard of.
 *
 * At most MEMORIES_MAX places without an account are kept, the latest ones.
 */
#include <stdlib.h>

#include "parts.h"

#define MEMORIES_MAX (1 << 20) /* as many as the mailboxes of a large table */

static int
memory_has_path(const void *memory, const void *path, size_t length)
{
	(void)length;
	return ((const struct memory *)memory)->path == *(const uint64_t *)path;
}

int
memory_init(struct ledger *l)
{
	TAILQ_INIT(&l->in_order);
	return hash_init(&l->memories, memory_has_path);
}

void
memory_free(struct ledger *l)
{
	struct memory *m;

	while ((m = TAILQ_FIRST(&l->in_order))) {
		TAILQ_REMOVE(&l->in_order, m, here);
		free(m);
	}
	hash_free(&l->memories);
}

/* --- places without an account ---------------------------------------------------- */

static void
save(struct ledger *l, uint64_t path, uint64_t mail_in)
{
	if (l->calls->save_place)
		l->calls->save_place(l->arg, path, mail_in);
}

static void
drop(struct ledger *l, struct memory *m)
{
	hash_remove(&l->memories, &m->path, sizeof m->path);
	TAILQ_REMOVE(&l->in_order, m, here);
	save(l, m->path, 0);
	free(m);
}

int
ledger_load_place(struct ledger *l, uint64_t path, uint64_t mail_in)
{
	struct memory *m = hash_find(&l->memories, &path, sizeof path);

	if (m) {
		m->mail_in = mail_in > m->mail_in ? mail_in : m->mail_in;
		return 0;
	}
	if (l->memories.count >= MEMORIES_MAX)
		drop(l, TAILQ_FIRST(&l->in_order));
	m = calloc(1, sizeof *m);
	if (!m || hash_add(&l->memories, &path, sizeof path, m) != 1) {
		free(m);
		return -1;
	}
	m->path = path;
	m->mail_in = mail_in;
	TAILQ_INSERT_TAIL(&l->in_order, m, here);
	return 0;
}

void
ledger_each_place(const struct ledger *l,
	void (*each)(void *arg, uint64_t path, uint64_t mail_in), void *arg)
{
	const struct memory *m;

	TAILQ_FOREACH(m, &l->in_order, here)
		each(arg, m->path, m->mail_in);
}

/* --- an account's ----------------------------------------------------------------- */

static uint64_t
generation(const struct ledger *l)
{
	return l->calls->generation ? l->calls->generation(l->arg) : 0;
}

uint64_t
memory_now(const struct ledger *l)
{
	return generation(l) + 1;
}

void
memory_note(struct account *a, uint64_t mail_in)
{
	a->had_mail = 1;
	a->mail_in = mail_in > a->mail_in ? mail_in : a->mail_in;
}

/* The generation in which what was in the account's place was removed; 0: in none. */
static uint64_t
removed_in(const struct ledger *l, const struct account *a)
{
	return a->place.path && l->calls->removed_in
		       ? l->calls->removed_in(l->arg, a->place.path)
		       : 0;
}

/* Its message may be there: nobody has told yet. */
static int
may_be_stored(const struct account *a, const struct ticket *t, uint64_t removed)
{
	return t->state != LEDGER_OPEN && t->path.number == a->place.path &&
	       t->mail_in > removed && t->id >= a->activity->meant_before;
}

int
memory_maybe_mail(const struct ledger *l, const struct account *a)
{
	const struct ticket *t;
	uint64_t removed;

	if (a->had_mail)
		return 1;
	if (!a->activity || a->activity->orphans == 0)
		return 0;
	removed = removed_in(l, a);
	LIST_FOREACH(t, &a->activity->tickets, of_account)
		if (may_be_stored(a, t, removed))
			return 1;
	return 0;
}

void
memory_end(struct ledger *l, struct account *a)
{
	a->had_mail = a->is_missing = 0;
	a->activity->meant_before = l->next_id + 1;
}

/* A table that is older than what is known, a backup's, counts its generations anew. */
void
memory_review(struct ledger *l, struct account *a)
{
	uint64_t now = generation(l), removed = removed_in(l, a);

	a->reviewed_in = l->table;
	if (now && a->mail_in > now + 1)
		a->mail_in = now + 1;
	if (!a->had_mail || !removed || a->mail_in > removed)
		return;
	a->had_mail = a->is_missing = 0;
	l->calls->save_account(l->arg, a);
}

void
memory_leave(struct ledger *l, struct account *a)
{
	memory_review(l, a);
	if (a->place.path && memory_maybe_mail(l, a)) {
		uint64_t mail_in = a->mail_in ? a->mail_in : 1;
		uint64_t removed = removed_in(l, a);
		const struct ticket *t;

		for (t = account_tickets(a); t; t = LIST_NEXT(t, of_account))
			if (may_be_stored(a, t, removed) && t->mail_in > mail_in)
				mail_in = t->mail_in;
		if (ledger_load_place(l, a->place.path, mail_in) == 0)
			save(l, a->place.path, mail_in);
	}
	a->had_mail = a->is_missing = 0;
	a->mail_in = 0;
	if (a->activity)
		a->activity->meant_before = 0;
}

void
memory_take(struct ledger *l, struct account *a)
{
	struct memory *m = hash_find(&l->memories, &a->place.path, sizeof a->place.path);

	if (m) {
		memory_note(a, m->mail_in);
		drop(l, m);
	}
	memory_review(l, a);
}
