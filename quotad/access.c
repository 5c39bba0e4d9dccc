/*
 * The recipients are asked about one after the other. Each is asked of the room as it was
 * given, since most are mailboxes or nobody's; what leads to no mailbox is looked at
 * again with its targets. A loop goes on where the room answers at once, so that a
 * thousand targets do not make a stack of a thousand calls.
 */
#include "access.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "send_quota.h"
#include "siphash.h"

#define FIRST_TARGETS 20 /* that are looked for before one has answered */

static void go_on(struct access_question *q);

static struct access_question *
question_of(struct room_question *room)
{
	struct access_work *w = (struct access_work *)room;

	return (struct access_question *)((char *)w -
					  offsetof(struct access_question, work));
}

/* --- outcomes ------------------------------------------------------------------- */

/* Takes the outcome of one target: the gentlest stays. */
static void
take(struct access_work *w, const struct outcome *o)
{
	if (!w->has_outcome || verdict_is_gentler(o->verdict, w->gentlest.verdict))
		w->gentlest = *o;
	w->has_outcome = 1;
}

static void
take_verdict(struct access_work *w, enum verdict verdict, const char *text)
{
	struct outcome o;

	if (text != NULL)
		outcome_set(&o, verdict, "%s", text);
	else
		outcome_set(&o, verdict, NULL);
	take(w, &o);
}

/* --- one target ----------------------------------------------------------------- */

/* Whether all are asked, since each is to know of the message. */
static int
is_for_all(const struct access_question *q)
{
	return q->stage == ACCESS_MESSAGE && q->queue_id != NULL;
}

static int
may_promise(const struct access_question *q)
{
	struct clients *clients = q->work.access->clients;

	return is_for_all(q) && q->promise_ms > 0 && clients != NULL &&
	       clients_may_promise(clients, q->client, clock_now_ms());
}

/* A message may come to a mailbox by several recipients, and by several targets of one:
 * each has a promise of its own. The store keeps the hash, so its key is the same always.
 */
static uint64_t
hash_of(const char *recipient, const char *target)
{
	const struct siphash_key all = {0, 0};
	const struct siphash_key one = {siphash(&all, recipient, strlen(recipient)), 0};

	return siphash(&one, target, strlen(target));
}

/* A refusal of an ANNOUNCED size does not start "full since". */
static enum ledger_kind
kind_of(const struct access_question *q)
{
	if (q->leaves_no_trace)
		return LEDGER_EXPLAIN;
	if (q->stage != ACCESS_MESSAGE && q->bytes > ACCESS_ORDINARY_BYTES)
		return LEDGER_ANNOUNCED;
	return may_promise(q) ? LEDGER_PROMISE : LEDGER_CHECK;
}

/* Where the recipient, as it was given, led to no mailbox: what it leads to. The first
 * few mostly have one that says yes, and the others need not be looked up. */
static void
find_targets(struct access_question *q, size_t most)
{
	struct access_work *w = &q->work;
	struct users *users = users_reload_table(w->access->room->users);
	const char *recipient = w->recipients[w->recipient - 1];
	struct outcome o;

	if (users == NULL)
		take_verdict(w, VERDICT_TROUBLE, "no user table could be read yet");
	else if (targets_find_some(
			 &w->targets, most, users, w->access->conf, recipient, &o) == -1)
		take(w, &o);
}

/* Whether a mailbox is full for now, and the message may wait for it in the mail server's
 * queue. Where it is full for good the delivery would end in a bounce. */
static int
may_wait(const struct access_question *q, const struct outcome *o)
{
	const struct access *access = q->work.access;
	const struct room_question *room = &q->work.room;

	return o->verdict == VERDICT_FULL_FOR_NOW && room->account != NULL &&
	       room->smtp_full_waits && access->waiting != NULL &&
	       waiting_takes(access->waiting, ledger_name(room->account), room->bytes,
		       access->conf->wait_max);
}

/* A yes to the whole message: its mail server may know it by its queue id from now on. */
static void
expect(struct access_question *q)
{
	const struct room_question *room = &q->work.room;
	struct waiting *waiting = q->work.access->waiting;

	q->promised += room->promised != 0;
	if (is_for_all(q) && room->account != NULL && waiting != NULL)
		waiting_expect(
			waiting, ledger_name(room->account), q->queue_id, room->bytes);
}

/* A mailbox has answered, or no mailbox was found. A target that was a mailbox, and is
 * none any more, is no reason to refuse anything for good. */
static void
answered(struct room_question *room, const struct outcome *o)
{
	struct access_question *q = question_of(room);
	struct access_work *w = &q->work;
	int led_nowhere =
		room->account == NULL && (o->verdict == VERDICT_NO_SUCH_USER ||
						 o->verdict == VERDICT_MISCONFIGURED);

	if (o->verdict == VERDICT_DELIVERED || may_wait(q, o)) {
		take_verdict(w, VERDICT_DELIVERED, NULL);
		expect(q);
	} else if (!led_nowhere) {
		take(w, o);
	} else if (w->targets.count == 0) {
		find_targets(q, FIRST_TARGETS);
	} else {
		take_verdict(w, VERDICT_TROUBLE, "the user table has changed meanwhile");
	}
	w->is_answered = 1;
	if (!w->is_asking)
		go_on(q);
}

/* Whether the answer has come already. A message of no known size has a byte at least. */
static int
ask_room(struct access_question *q, const char *recipient)
{
	struct access_work *w = &q->work;
	const enum ledger_kind kind = kind_of(q);

	w->asked++;
	w->promise = (struct ledger_promise){.id = q->queue_id,
		.recipient = hash_of(w->recipients[w->recipient - 1], recipient),
		.client = q->client,
		.ms = q->promise_ms};
	w->room = (struct room_question){
		.kind = kind,
		.recipient = recipient,
		.bytes = q->bytes ? q->bytes : 1,
		.promise = kind == LEDGER_PROMISE ? &w->promise : NULL,
		.ids = is_for_all(q) ? q->queue_id : NULL,
		.answered = answered,
	};
	w->is_answered = 0;
	w->is_asking = 1;
	room_ask(w->access->room, &w->room, &w->asker);
	w->is_asking = 0;
	return w->is_answered;
}

/* An alias to a name that a domain of the table lacks is a mistake in the table. */
static void
take_nobody(struct access_work *w, const char *address)
{
	struct outcome o;

	if (w->targets.is_alias) {
		outcome_set(&o, VERDICT_MISCONFIGURED,
			"an alias leads to %.100s, which is not in the table", address);
		take(w, &o);
	} else {
		take_verdict(w, VERDICT_NO_SUCH_USER, NULL);
	}
}

/* Whether the next target, if it had to be asked, has answered. */
static int
next_target(struct access_question *q)
{
	struct access_work *w = &q->work;
	const struct target *t = &w->targets.list[w->target++];

	switch (t->kind) {
	case TARGET_MAILBOX:
		return ask_room(q, t->address);
	case TARGET_ELSEWHERE:
		take_verdict(w, VERDICT_DELIVERED, NULL);
		break;
	case TARGET_NOBODY:
		take_nobody(w, t->address);
		break;
	}
	return 1;
}

/* The first targets have all refused: the others are looked for, too. */
static int
find_others(struct access_question *q)
{
	struct access_work *w = &q->work;

	targets_clear(&w->targets);
	find_targets(q, TARGETS_MAX);
	if (w->target > w->targets.count)
		w->target = w->targets.count; /* of another table */
	return 1;
}

static int
next_recipient(struct access_question *q)
{
	struct access_work *w = &q->work;

	targets_clear(&w->targets);
	w->target = 0;
	return ask_room(q, w->recipients[w->recipient++]);
}

/* --- all of them ---------------------------------------------------------------- */

/* Whoever sends one message to very many shall not stop everybody else meanwhile. */
static int
is_decided(const struct access_question *q)
{
	const struct access_work *w = &q->work;

	return (w->has_outcome && w->gentlest.verdict == VERDICT_DELIVERED &&
		       (!is_for_all(q) || w->asked >= ACCESS_ALL)) ||
	       (w->recipient == q->count && w->target == w->targets.count &&
		       !w->targets.is_cut);
}

/* Whether it is for good, by the record alone, and the table in use is not the newest:
 * the user may have been added just now, or the newest can't be read. At delivery lda
 * looks into that one. */
static int
is_of_an_older_table(const struct access_work *w)
{
	const enum verdict verdict = w->gentlest.verdict;

	return verdict_code(verdict)[0] == '5' && verdict_is_quotads(verdict) == 0 &&
	       !users_reload_is_newest(w->access->room->users);
}

/* Asks on until it must wait, or has the answer. */
static void
go_on(struct access_question *q)
{
	struct access_work *w = &q->work;
	const uint64_t patience_ms = w->access->conf->quotad_timeout * 1000;
	int has_answered = 1;

	while (has_answered && !is_decided(q)) {
		if (w->has_outcome && clock_now_ms() - w->since_ms > patience_ms) {
			take_verdict(w, VERDICT_TROUBLE,
				"its many targets took too long to ask");
			break;
		}
		if (w->target < w->targets.count)
			has_answered = next_target(q);
		else if (w->targets.is_cut)
			has_answered = find_others(q);
		else
			has_answered = next_recipient(q);
		if (w->asked >= ACCESS_MOST)
			take_verdict(w, VERDICT_DELIVERED, NULL);
	}
	if (!has_answered)
		return;
	if (!w->has_outcome)
		take_verdict(w, VERDICT_DELIVERED, NULL);
	else if (is_of_an_older_table(w))
		take_verdict(w, VERDICT_TROUBLE, "there is a newer user table");
	q->answered(q, &w->gentlest);
}

/* --- who sends -------------------------------------------------------------------- */

/* Whether the site takes no mail of the sender: then that is answered. Mail for others,
 * which only passes through, is not ours to refuse. */
static int
refuse_sender(struct access_question *q)
{
	const struct access *access = q->work.access;
	struct users *users = users_reload_table(access->room->users);
	struct outcome o;

	if (users == NULL || access->senders == NULL ||
		!senders_refuse(access->senders, q->sender, &o))
		return 0;
	for (size_t i = 0; i < q->count; i++)
		if (mailbox_address_is_ours(
			    users, access->conf, q->work.recipients[i], NULL) <= 0)
			return 0;
	q->answered(q, &o);
	return 1;
}

static void
may_send(struct room_question *room, const struct outcome *answer)
{
	struct access_question *q = question_of(room);
	struct outcome o;

	if (send_quota_refuse(answer, &o))
		q->answered(q, &o);
	else
		go_on(q);
}

/* Whether the mailbox of the login says first whether its user may send. */
static int
ask_sender(struct access_question *q)
{
	struct access_work *w = &q->work;
	struct outcome o;
	struct login l;
	int applies = send_quota_applies(&l, w->access->room, q->login,
		(const char *const *)w->recipients, q->count, &o);

	if (applies > 0) {
		w->room = (struct room_question){.kind = LEDGER_SEND,
			.recipient = l.mailbox,
			.bytes = l.send_quota,
			.answered = may_send};
		room_ask(w->access->room, &w->room, &w->asker);
	} else if (applies < 0) {
		q->answered(q, &o);
	}
	return applies != 0;
}

/* --- the beginning ---------------------------------------------------------------- */

/* Copies of all, since the room may answer much later: one piece of memory. */
static char **
copy_all(const char *const *texts, size_t count)
{
	size_t size = (count + 1) * sizeof *texts, used = size;
	char **copies;

	for (size_t i = 0; i < count; i++)
		size += strlen(texts[i]) + 1;
	copies = malloc(size);
	for (size_t i = 0; copies != NULL && i < count; i++) {
		copies[i] = strcpy((char *)copies + used, texts[i]);
		used += strlen(texts[i]) + 1;
	}
	return copies;
}

void
access_ask(const struct access *access, struct access_question *q,
	const struct room_asker *asker)
{
	struct access_work *w = &q->work;

	q->promised = 0;
	*w = (struct access_work){
		.access = access, .asker = *asker, .since_ms = clock_now_ms()};
	w->recipients = copy_all(q->recipients, q->count);
	if (w->recipients == NULL) {
		take_verdict(w, VERDICT_TROUBLE, "no memory");
		q->answered(q, &w->gentlest);
		return;
	}
	/* whether mail for the unknown is ours to refuse is unknown, too */
	if (q->count > 0 && refuse_sender(q))
		return;
	if (!ask_sender(q))
		go_on(q);
}

void
access_finish(struct access_question *q)
{
	targets_clear(&q->work.targets);
	free(q->work.recipients);
	q->work.recipients = NULL;
}
