/* CHECK, RESERVE, COMMIT and CANCEL, and the rule about asking once more. */
#include "quota.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "log.h"

#define ATTEMPTS 2

void
quota_init(struct quota *q, const struct conf *c)
{
	q->conf = c;
	q->client.fd = -1;
	q->mailbox = NULL;
	q->ids = "";
	q->age = QUOTAD_IS_NEW;
	q->attempts = q->is_asked = q->has_ticket = 0;
	q->client.lacks_daemon_user = 0;
	q->error.text[0] = '\0';
}

/* quota_close for a struct that was never connected is allowed: fd is -1. */
static int
open_connection(struct quota *q)
{
	quota_close(&q->client);
	return quota_connect(&q->client, q->conf->socket, q->conf->daemon_user,
		q->conf->quotad_timeout, &q->error);
}

int
quota_begin(struct quota *q, const struct mailbox *m, struct outcome *o)
{
	q->place = mailbox_place(m->path, m->uid);
	q->mailbox = record_escape(m->key);
	if (q->mailbox)
		return 0;
	outcome_set(o, VERDICT_TROUBLE, "no memory");
	return -1;
}

void
quota_identify(struct quota *q, const char *ids)
{
	q->ids = ids;
}

static int
sends_ids(const struct quota *q)
{
	return *q->ids && q->age == QUOTAD_IS_NEW;
}

#define MISSING " directory=0000000000000000"

static void
send_check(struct quota *q, const char *more)
{
	quota_send(&q->client, &q->error,
		"CHECK %s %" PRIu64 " place=%016" PRIx64 "%s%s%s", q->mailbox, q->bytes,
		q->place, more, sends_ids(q) ? " ids=" : "", sends_ids(q) ? q->ids : "");
}

int
quota_check(struct quota *q, uint64_t bytes, int is_missing)
{
	q->bytes = bytes;
	if (open_connection(q) == 0)
		send_check(q, is_missing ? MISSING : "");
	return 0;
}

/* What CHECK tells: NO and DOUBT have set the outcome; for TOO_MUCH quotad is too old. */
enum check { YES, NO, DOUBT, UNKNOWN, TOO_MUCH };

static enum check
read_check(struct quota *q, struct outcome *o)
{
	struct quota_answer a;
	enum check check = UNKNOWN;

	if (q->client.fd < 0 || quota_receive(&q->client, &a, &q->error))
		return UNKNOWN;
	if (a.kind == QUOTA_OK) {
		check = YES;
	} else if (a.kind == QUOTA_NO) {
		check = NO;
		outcome_from_quotad(o, a.outcome.verdict, a.outcome.text);
	} else if (a.kind == QUOTA_ERR && quota_is_too_old(&a)) {
		check = TOO_MUCH;
		reason_set(&q->error, "quotad: %s", a.outcome.text);
	} else if (a.kind == QUOTA_ERR) {
		check = DOUBT;
		outcome_from_quotad(o, a.outcome.verdict, a.outcome.text);
	} else {
		reason_set(&q->error, "quotad's answer makes no sense");
		quota_close(&q->client);
	}
	quota_answer_clear(&a);
	return check;
}

static int
fail(const struct quota *q, struct outcome *o)
{
	outcome_set(o,
		q->client.lacks_daemon_user ? VERDICT_MISCONFIGURED : VERDICT_TROUBLE,
		"%s", q->error.text);
	return -1;
}

int
quota_checked(struct quota *q, int is_missing, struct outcome *o)
{
	enum check check = read_check(q, o);

	if (check == TOO_MUCH && sends_ids(q)) {
		q->age = QUOTAD_LACKS_IDS;
		send_check(q, is_missing ? MISSING : "");
		check = read_check(q, o);
	}
	if (check == TOO_MUCH && is_missing) {
		send_check(q, "");
		check = read_check(q, o);
	}
	if (check == YES || (check != NO && !is_missing))
		return 0;
	if (check == NO || check == DOUBT)
		return -1;
	fail(q, o);
	outcome_set(o, o->verdict,
		"the mailbox is missing, and quotad does not tell whether it had mail: "
		"%s",
		q->error.text);
	return -1;
}

static int
send_reserve(struct quota *q)
{
	char where[sizeof " place= directory=" + 2 * 16] = "";

	q->attempts++;
	if (q->client.fd < 0 && open_connection(q))
		return -1;
	if (q->age != QUOTAD_LACKS_PLACES)
		snprintf(where, sizeof where,
			" place=%016" PRIx64 " directory=%016" PRIx64, q->place,
			q->directory);
	if (quota_send(&q->client, &q->error, "RESERVE %s %" PRIu64 " name=%s%s%s%s",
		    q->mailbox, q->bytes, q->name, where, sends_ids(q) ? " ids=" : "",
		    sends_ids(q) ? q->ids : ""))
		return -1;
	q->is_asked = 1;
	return 0;
}

int
quota_reserve(struct quota *q, const char *name, uint64_t directory, uint64_t bytes)
{
	q->name = name;
	q->directory = directory;
	q->bytes = bytes;
	if (send_reserve(q))
		quota_close(&q->client);
	return 0;
}

enum grant { GRANTED, REFUSED, NO_ANSWER };

static enum grant
take_ticket(struct quota *q, const struct quota_answer *a)
{
	const char *ticket = record_get(&a->fields, "ticket");

	if (a->kind != QUOTA_OK || !ticket || amount_count(ticket, &q->ticket, NULL)) {
		reason_set(&q->error, "quotad's answer makes no sense");
		quota_close(&q->client);
		return NO_ANSWER;
	}
	q->has_ticket = 1;
	return GRANTED;
}

/* It is asked again, without what came last and so it may not know. */
static enum grant
note_older(struct quota *q)
{
	q->age = sends_ids(q) ? QUOTAD_LACKS_IDS : QUOTAD_LACKS_PLACES;
	q->attempts = 0;
	return NO_ANSWER;
}

static enum grant
read_grant(struct quota *q, struct outcome *o)
{
	enum grant grant = REFUSED;
	struct quota_answer a;

	q->is_asked = 0;
	if (q->client.fd < 0 || quota_receive(&q->client, &a, &q->error))
		return NO_ANSWER;
	if (quota_is_too_old(&a) && q->age != QUOTAD_LACKS_PLACES)
		grant = note_older(q);
	else if (a.kind == QUOTA_NO || a.kind == QUOTA_ERR)
		outcome_from_quotad(o, a.outcome.verdict, a.outcome.text);
	else
		grant = take_ticket(q, &a);
	quota_answer_clear(&a);
	return grant;
}

/* quotad gives no answer: the message waits, unless the administrator set otherwise. */
static int
go_without(struct quota *q, struct outcome *o)
{
	if (q->conf->quotad_down_delivers) {
		log_warning("delivered without quotad mailbox=%s name=%s reason=\"%s\"",
			q->mailbox, q->name, q->error.text);
		return 0;
	}
	return fail(q, o);
}

/* GRANT is the answer to the last RESERVE. */
static int
settle(struct quota *q, enum grant grant, struct outcome *o)
{
	while (grant == NO_ANSWER && q->attempts < ATTEMPTS) {
		quota_close(&q->client);
		grant = send_reserve(q) ? NO_ANSWER : read_grant(q, o);
	}
	if (grant == NO_ANSWER)
		return go_without(q, o);
	return grant == GRANTED ? 0 : -1;
}

int
quota_reserved(struct quota *q, struct outcome *o)
{
	return settle(q, read_grant(q, o), o);
}

int
quota_still_reserved(struct quota *q, struct outcome *o)
{
	struct pollfd p = {.fd = q->client.fd, .events = POLLIN | POLLRDHUP};

	if (!q->has_ticket || poll(&p, 1, 0) == 0)
		return 0;
	q->has_ticket = 0;
	reason_set(&q->error, "quotad has lost the ticket");
	return settle(q, NO_ANSWER, o);
}

/* Tells quotad what became of the ticket; if that can't be sent nothing else is done. */
static void
end_ticket(struct quota *q, const char *verb)
{
	if (q->has_ticket &&
		quota_send(&q->client, &q->error, "%s %" PRIu64, verb, q->ticket))
		log_warning("%s failed mailbox=%s name=%s reason=\"%s\"", verb,
			q->mailbox, q->name, q->error.text);
	q->has_ticket = 0;
}

int
quota_commit(struct quota *q)
{
	end_ticket(q, "COMMIT");
	return 0;
}

void
quota_cancel(struct quota *q)
{
	struct outcome grant;

	if (q->is_asked)
		read_grant(q, &grant);
	end_ticket(q, "CANCEL");
}

void
quota_end(struct quota *q)
{
	quota_close(&q->client);
	free(q->mailbox);
	q->mailbox = NULL;
}
