/* The policy service: which question a request is, and which action its answer. */
#include "policy.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "policy_instances.h"
#include "policy_request.h"

#define PASS        "DUNNO"
#define ANSWER_PASS "action=" PASS "\n\n"

/* Postfix closes a connection that was idle for smtpd_policy_service_max_idle (300 s) or
 * is older than max_ttl (1000 s), but only between two SMTP sessions; one that is closed
 * here before costs it a try. */
#define IDLE_MS 1800000

/* A request that is being answered. */
struct asked {
	struct access_question question; /* first: access.c gives it back */
	struct request *request;
	const struct policy *policy;
	char *recipient; /* at RCPT */
	int is_first;    /* the message has no queue id yet */
	/* of a whole message that is believed; else NULL */
	char *queue_id, *client;
	char instance[]; /* and these texts behind it */
};

/* --- answers ---------------------------------------------------------------------- */

/* Of a message the log has it, for whoever looks for it there. */
static void
answer(const struct asked *a, const char *action)
{
	const struct access_question *q = &a->question;

	if (a->queue_id != NULL)
		log_info("policy: message id=%s client=%s recipients=%zu bytes=%" PRIu64
			 " promised=%zu action=%s",
			a->queue_id, a->client, q->count, q->bytes, q->promised, action);
	request_answer(a->request, "action=%s\n\n", action);
}

/* What went wrong is for the log. */
static void
answer_error(struct asked *a, const struct outcome *o)
{
	char reply[OUTCOME_REPLY_SIZE];

	log_warning("policy: %s answered with %s: %s", a->instance,
		a->policy->conf->policy_error_passes ? "DUNNO" : verdict_smtp(o->verdict),
		o->text);
	outcome_reply(o, reply);
	answer(a, a->policy->conf->policy_error_passes ? PASS : reply);
}

/* A recipient that was refused is no part of the message. */
static void
remember(const struct asked *a)
{
	if (a->recipient != NULL && a->policy->instances != NULL)
		policy_instances_add(a->policy->instances, a->instance, a->recipient,
			a->is_first, clock_now_ms());
}

static void
answered(struct access_question *q, const struct outcome *o)
{
	struct asked *a = (struct asked *)q;
	char reply[OUTCOME_REPLY_SIZE];

	switch (o->verdict) {
	case VERDICT_DELIVERED:
		remember(a);
		answer(a, PASS);
		break;
	case VERDICT_TROUBLE:
	case VERDICT_MISCONFIGURED:
		if (a->policy->conf->policy_error_passes)
			remember(a);
		answer_error(a, o);
		break;
	case VERDICT_NO_SUCH_USER:
		/* Postfix may know it, or refuse it itself. It is not remembered: a
		 * message that has it has one more than are known, and is passed. */
		if (a->policy->conf->policy_unknown_passes) {
			answer(a, PASS);
			break;
		}
		/* fall through */
	default:
		outcome_reply(o, reply);
		answer(a, reply);
	}
}

/* --- questions -------------------------------------------------------------------- */

/* Which stage it is: 0, or -1 where nothing is to be said in that one. Without a state it
 * is taken for RCPT. */
static int
find_stage(const struct policy_request *q, enum access_stage *stage)
{
	static const struct {
		const char *state;
		enum access_stage stage;
	} stages[] = {{"RCPT", ACCESS_RCPT}, {"DATA", ACCESS_DATA},
		{"END-OF-MESSAGE", ACCESS_MESSAGE}};

	*stage = ACCESS_RCPT;
	if (q->state == NULL)
		return 0;
	for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
		if (strcmp(stages[i].state, q->state) == 0) {
			*stage = stages[i].stage;
			return 0;
		}
	return -1;
}

/* Whether a whole message is in the queue under that id by the word of one of
 * policy_users, with the account of its client. */
static int
is_believed(const struct policy *p, struct request *r, const struct policy_request *q,
	uint64_t *client)
{
	const struct room_asker asker = request_asker(r);
	size_t length = q->queue_id != NULL ? strlen(q->queue_id) : 0;

	return length > 0 && length <= LEDGER_ID_MAX &&
	       strspn(q->queue_id, LEDGER_ID_BYTES) == length && p->clients != NULL &&
	       !asker.nobody &&
	       clients_identify(p->clients, asker.uid, q->client, client);
}

/* Copies a text, NULL as an empty one, to *END, which is its end then. */
static char *
put(char **end, const char *text)
{
	char *copy = *end;

	*end = stpcpy(copy, text != NULL ? text : "") + 1;
	return copy;
}

static struct asked *
new_asked(const struct policy *p, struct request *r, const struct policy_request *q,
	enum access_stage stage)
{
	const char *const texts[] = {q->instance, q->recipient, q->queue_id, q->client};
	size_t size = sizeof(struct asked);
	struct asked *a;
	char *end;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		size += texts[i] != NULL ? strlen(texts[i]) + 1 : 1;
	a = calloc(1, size);
	if (a == NULL)
		return NULL;
	end = a->instance;
	put(&end, q->instance);
	if (stage == ACCESS_RCPT)
		a->recipient = put(&end, q->recipient);
	a->is_first = q->queue_id != NULL && q->queue_id[0] == '\0';
	a->request = r;
	a->policy = p;
	a->question = (struct access_question){.stage = stage,
		.sender = q->sender,
		.login = q->login,
		.bytes = q->bytes,
		.answered = answered};
	if (stage == ACCESS_MESSAGE && is_believed(p, r, q, &a->question.client)) {
		a->queue_id = put(&end, q->queue_id);
		a->client = put(&end, q->client);
		a->question.queue_id = a->queue_id;
		a->question.promise_ms = p->conf->promise_time * 1000;
	}
	return a;
}

/* Takes the recipients that the message's instance is known to have: 0, or -1 where some
 * are not known. *list is to be freed, the texts are the memory's. */
static int
find_recipients(const struct policy *p, const struct policy_request *q,
	struct access_question *question, const char ***list)
{
	size_t count;
	const char *next = p->instances == NULL || q->instance == NULL
				   ? NULL
				   : policy_instances_find(p->instances, q->instance,
					     q->recipients, &count, clock_now_ms());

	if (next == NULL)
		return -1;
	*list = reallocarray(NULL, count, sizeof **list);
	if (*list == NULL)
		return -1;
	for (size_t i = 0; i < count; i++, next += strlen(next) + 1)
		(*list)[i] = next;
	question->recipients = *list;
	question->count = count;
	return 0;
}

/* Whether the sender alone can be judged: who logs in is mostly permitted before anybody
 * asks about a recipient (permit_sasl_authenticated), and of several none is named later.
 */
static int
is_of_a_sender(const struct policy_request *q)
{
	return q->recipients > 1 && q->login != NULL && q->login[0] != '\0';
}

static void
ask(const struct policy *p, struct request *r, const struct policy_request *q,
	enum access_stage stage)
{
	const struct room_asker asker = request_asker(r);
	int has_one = q->recipient != NULL && q->recipient[0] != '\0';
	struct asked *a = NULL;
	const char **list = NULL;

	if (has_one || stage != ACCESS_RCPT)
		a = new_asked(p, r, q, stage);
	if (a != NULL)
		request_set_state(r, a);
	if (a != NULL && has_one) {
		a->question.recipients = &q->recipient;
		a->question.count = 1;
	}
	if (a == NULL || (!has_one && find_recipients(p, q, &a->question, &list) == -1 &&
				 !is_of_a_sender(q)))
		request_answer(r, ANSWER_PASS);
	else
		access_ask(p->access, &a->question, &asker);
	free(list);
	if (stage == ACCESS_MESSAGE && p->instances != NULL && q->instance != NULL)
		policy_instances_forget(p->instances, q->instance);
}

/* --- the protocol ----------------------------------------------------------------- */

static enum protocol_read
read_request(struct evbuffer *bytes, char **message, size_t *length)
{
	size_t has = evbuffer_get_length(bytes);
	const unsigned char *all = evbuffer_pullup(
		bytes, has < POLICY_REQUEST_MAX ? (ev_ssize_t)has : POLICY_REQUEST_MAX);
	ssize_t n = all == NULL ? -1 : policy_request_length((const char *)all, has);

	*message = NULL;
	if (n == 0)
		return PROTOCOL_INCOMPLETE;
	if (n == -1 || (*message = malloc((size_t)n + 1)) == NULL)
		return PROTOCOL_NONSENSE;
	evbuffer_remove(bytes, *message, (size_t)n);
	(*message)[n] = '\0';
	*length = (size_t)n;
	return PROTOCOL_MESSAGE;
}

/* Once: whoever writes such a request writes many. */
static void
tell_number(struct policy *p, const struct request *r, const struct policy_request *q)
{
	if (q->no_number == NULL || p->has_told_number)
		return;
	p->has_told_number = 1;
	log_warning("policy: %s= is no number in a request from uid %u: it is taken for "
		    "0, and not told again",
		q->no_number, request_asker(r).uid);
}

static void
perform(void *service, struct request *r, char *message, size_t length)
{
	struct policy_request q;
	enum access_stage stage;

	(void)length;
	if (message == NULL) {
		log_warning("policy: a request that can't be read, from uid %u: the "
			    "connection ends",
			request_asker(r).uid);
		request_answer(r, "%s", "");
		return;
	}
	policy_request_read(&q, message);
	tell_number(service, r, &q);
	if ((q.request != NULL && strcmp(q.request, "smtpd_access_policy") != 0) ||
		find_stage(&q, &stage) == -1)
		request_answer(r, ANSWER_PASS);
	else
		ask(service, r, &q, stage);
}

static void
finish(struct request *r)
{
	struct asked *a = request_state(r);

	if (a != NULL)
		access_finish(&a->question);
	free(a);
}

/* It gets no answer, and asks again. */
static void
turn_away(char *to, size_t size, const char *text)
{
	(void)size;
	to[0] = '\0';
	log_warning("policy: a connection is not taken: %s", text);
}

const struct protocol policy_protocol = {
	.name = "policy",
	.idle_ms = IDLE_MS,
	.read = read_request,
	.perform = perform,
	.finish = finish,
	.turn_away = turn_away,
};
