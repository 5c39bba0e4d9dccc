/* Room: who may ask, what the mailbox's record says by itself, and then the ledger. */
#include "room.h"

#include <stddef.h>
#include <string.h>

#include "clock.h"

static void
set(struct outcome *o, enum verdict verdict, const char *text)
{
	if (text != NULL)
		outcome_set(o, verdict, "%s", text);
	else
		outcome_set(o, verdict, NULL);
}

static void
answer(struct room_question *q, enum verdict verdict, const char *text)
{
	struct outcome o;

	set(&o, verdict, text);
	q->answered(q, &o);
}

static void
forbid(struct room_question *q)
{
	q->forbidden = 1;
	answer(q, VERDICT_TROUBLE, "not yours to ask about");
}

int
room_may_ask(const struct room_asker *asker, uid_t owner)
{
	return !asker->nobody && (asker->trusted || asker->uid == owner);
}

struct ledger_limits
room_limits(const struct mailbox *m)
{
	return (struct ledger_limits){
		.bytes = m->quota,
		.messages = m->messages,
		.over_quota = m->over_quota,
	};
}

struct ledger_place
room_place(const struct mailbox *m)
{
	return (struct ledger_place){.path = mailbox_place(m->path, 0), .owner = m->uid};
}

/* The recipient's mailbox, which the caller clears: 0; or -1, and the question has been
 * answered. */
static int
find(const struct room *room, struct room_question *q, const struct room_asker *asker,
	struct mailbox *m)
{
	struct users *users = users_reload_table(room->users);
	struct outcome o;
	int found;

	if (users == NULL) {
		answer(q, VERDICT_TROUBLE, "no user table could be read yet");
		return -1;
	}
	found = mailbox_find(m, users, room->conf, q->recipient, &o);
	if (found == -1) {
		if (asker->trusted && !asker->nobody)
			q->answered(q, &o);
		else
			forbid(q);
		return -1;
	}
	if (!room_may_ask(asker, m->uid))
		forbid(q);
	else if (q->has_place && q->place != mailbox_place(m->path, m->uid))
		answer(q, VERDICT_TROUBLE,
			"quotad's user table has another place for this mailbox");
	else
		return 0;
	mailbox_clear(m);
	return -1;
}

/* Of the user, or for the mailbox; orphans, which are nobody's any more, have a limit of
 * their own in the ledger. A ticket of that name is taken over, or that is refused:
 * either way there is no further one. */
static int
has_too_many(const struct room *room, const struct room_question *q,
	const struct room_asker *asker)
{
	struct ledger_numbers n;

	ledger_numbers(room->ledger, q->account, &n);
	if (asker->tickets < asker->ticket_limit &&
		n.tickets - n.orphans < asker->ticket_limit)
		return 0;
	return !ledger_has_ticket(q->account, q->name);
}

int
room_look_up(void *arg, const struct account *a, struct ledger_place *place,
	struct ledger_limits *limits)
{
	const struct room *room = arg;
	struct users *users = users_reload_table(room->users);
	struct mailbox m;
	struct outcome o;
	int is_its;

	if (users == NULL ||
		mailbox_find(&m, users, room->conf, ledger_name(a), &o) == -1)
		return -1;
	is_its = strcmp(m.key, ledger_name(a)) == 0;
	*place = room_place(&m);
	*limits = room_limits(&m);
	mailbox_clear(&m);
	return is_its ? 0 : -1;
}

int
room_is_removed(void *arg, const struct account *a)
{
	const struct room *room = arg;
	struct users *users = users_reload_table(room->users);
	struct record r = {0};
	struct reason why;
	int found, removed;

	if (users == NULL)
		return 0;
	found = users_get(users, ledger_name(a), &r, &why);
	removed =
		found == 0 || (found == 1 && mailbox_kind_of(&r) != MAILBOX_KIND_MAILBOX);
	record_clear(&r);
	return removed;
}

static void
ask_ledger(const struct room *room, struct room_question *q,
	const struct room_asker *asker, struct ledger_place place)
{
	const struct ledger_request r = {
		.kind = q->kind,
		.account = q->account,
		.connection = asker->connection,
		.limits = q->limits,
		.bytes = q->bytes,
		.name = q->name,
		.place = place,
		.directory = q->directory,
		.is_missing = q->is_missing,
		.is_meant = q->is_meant,
		.promise = q->promise,
		.ids = q->ids,
		.cookie = q,
	};

	ledger_ask(room->ledger, &r);
}

/* Whether it is about a message, and not about the mailbox's numbers. */
static int
is_about_message(enum ledger_kind kind)
{
	return kind == LEDGER_CHECK || kind == LEDGER_ANNOUNCED ||
	       kind == LEDGER_RESERVE || kind == LEDGER_EXPLAIN || kind == LEDGER_PROMISE;
}

/* Answers what the mailbox's limits say, but does not refuse for good by those of an
 * older table: the newest may have raised them. */
static void
answer_by_limits(
	const struct room *room, struct room_question *q, const struct outcome *o)
{
	if (verdict_code(o->verdict)[0] == '5' && verdict_is_quotads(o->verdict) == 1 &&
		!users_reload_is_newest(room->users))
		answer(q, VERDICT_TROUBLE, "there is a newer user table");
	else
		q->answered(q, o);
}

/* Answers, or asks the ledger. */
static void
decide(const struct room *room, struct room_question *q, const struct room_asker *asker,
	const struct mailbox *m)
{
	const struct ledger_place place = room_place(m);
	struct outcome o;

	q->account = ledger_account(room->ledger, m->key);
	q->limits = room_limits(m);
	q->limits.orphans = asker->ticket_limit;
	q->state = m->state;
	q->smtp_full_waits = m->smtp_full_waits != 0;
	if (q->account == NULL) {
		answer(q, VERDICT_TROUBLE, "no memory");
		return;
	}
	/* the last tick may be long ago, and a question waits from now on */
	ledger_clock(room->ledger, clock_now_ms());
	ledger_bind(room->ledger, q->account, place);
	if (q->found != NULL)
		q->found(q);
	if (is_about_message(q->kind) &&
		mailbox_policy(m, room->conf, q->bytes, &o) == -1)
		answer_by_limits(room, q, &o);
	else if (q->kind == LEDGER_RESERVE && has_too_many(room, q, asker))
		answer(q, VERDICT_TROUBLE, "too many deliveries at once");
	else
		ask_ledger(room, q, asker, place);
}

void
room_ask(const struct room *room, struct room_question *q, const struct room_asker *asker)
{
	struct mailbox m;

	q->account = NULL;
	q->forbidden = q->promised = 0;
	q->ticket = q->was = 0;
	if (find(room, q, asker, &m) == -1)
		return;
	decide(room, q, asker, &m);
	mailbox_clear(&m);
}

void
room_decided(void *room, void *question, const struct ledger_answer *a)
{
	struct room_question *q = question;
	struct outcome o;

	q->ticket = a->ticket;
	q->was = a->was;
	q->promised = a->promised;
	set(&o, a->verdict, a->text);
	answer_by_limits(room, q, &o);
}
