/*
 * The request ACCESS. The sender is what a stranger has written, so its place is fixed:
 * the third argument is the sender, whatever it looks like, unless it is the very text of
 * a stage or of trace=no.
 */
#include "ask_access.h"

#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "amount.h"
#include "line_request.h"

struct line_access {
	struct access_question question; /* at SMTP time */
	struct room_question delivery;   /* stage=delivery */
	struct line_request *l;
	const char *recipient;
	int is_delivery;
};

/* --- the answer ------------------------------------------------------------------- */

static void
tell(struct line_request *l, const struct outcome *o)
{
	switch (o->verdict) {
	case VERDICT_DELIVERED:
		request_answer(l->request, "OK\n");
		break;
	case VERDICT_TROUBLE:
	case VERDICT_MISCONFIGURED:
		request_answer(
			l->request, "ERR %s %s\n", verdict_code(o->verdict), o->text);
		break;
	default:
		request_answer(l->request, "NO %s %s %s\n", verdict_name(o->verdict),
			verdict_smtp(o->verdict), o->text);
	}
}

static void
access_answered(struct access_question *q, const struct outcome *o)
{
	tell(((struct line_access *)q)->l, o);
}

static void
delivery_answered(struct room_question *q, const struct outcome *o)
{
	struct line_access *a =
		(struct line_access *)((char *)q -
				       offsetof(struct line_access, delivery));

	tell(a->l, o);
}

/* --- the fields ------------------------------------------------------------------- */

static int
take_stage(struct line_access *a, const char *value)
{
	static const char *const stages[] = {
		[ACCESS_RCPT] = "rcpt",
		[ACCESS_DATA] = "data",
		[ACCESS_MESSAGE] = "message",
	};

	a->is_delivery = strcmp(value, "delivery") == 0;
	for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
		if (strcmp(value, stages[i]) == 0) {
			a->question.stage = (enum access_stage)i;
			return 0;
		}
	return a->is_delivery ? 0 : -1;
}

static int
take_trace(struct line_access *a, const char *value)
{
	if (strcmp(value, "no") != 0)
		return -1;
	a->question.leaves_no_trace = 1;
	return 0;
}

static int
take_login(struct line_access *a, const char *value)
{
	a->question.login = value;
	return 0;
}

static const struct field {
	const char *name;
	int (*take)(struct line_access *a, const char *value);
	const char *rule;
} fields[] = {
	{"stage=", take_stage,
		"stage= must be rcpt, data, message or delivery, and be there once"},
	{"trace=", take_trace, "trace= must be no, and be there once"},
	/* last: a sender may begin like this */
	{"login=", take_login, "login= must be there once"},
};

#define FIELDS ((int)(sizeof fields / sizeof *fields))

/* Takes the field, which must be one of the first COUNT: its number, or -1. */
static int
take_field(struct line_access *a, const char *text, int count)
{
	for (int i = 0; i < count; i++) {
		size_t length = strlen(fields[i].name);

		if (strncmp(text, fields[i].name, length) == 0)
			return fields[i].take(a, text + length) == 0 ? i : -1;
	}
	return -1;
}

/* The rule that the text, which can't be taken, breaks. */
static const char *
rule_of(const char *text)
{
	for (int i = 0; i < FIELDS; i++)
		if (strncmp(text, fields[i].name, strlen(fields[i].name)) == 0)
			return fields[i].rule;
	return "behind the sender, which is told first or not at all, stand stage=, "
	       "login= and trace= alone";
}

/* The sender, if there is one, and the fields: what is wrong with them, or NULL where
 * nothing is. */
static const char *
take_fields(struct line_access *a, char **argument)
{
	int taken[FIELDS] = {0}, i;

	if (*argument == NULL)
		return NULL;
	i = take_field(a, *argument, FIELDS - 1);
	if (i >= 0)
		taken[i]++;
	else
		a->question.sender = strcmp(*argument, "<>") == 0 ? "" : *argument;
	while (*++argument != NULL) {
		i = take_field(a, *argument, FIELDS);
		if (i == -1 || taken[i]++)
			return rule_of(*argument);
	}
	return NULL;
}

/* --- the request ------------------------------------------------------------------ */

/* The answer that a delivery would get, with no trace of the question. */
static void
ask_delivery(struct line_access *a, const struct room_asker *asker)
{
	a->delivery = (struct room_question){
		.kind = LEDGER_EXPLAIN,
		.recipient = a->recipient,
		.bytes = a->question.bytes ? a->question.bytes : 1,
		.answered = delivery_answered,
	};
	room_ask(a->l->line->room, &a->delivery, asker);
}

void
ask_access(struct line_request *l, char **argument)
{
	const struct room_asker asker = request_asker(l->request);
	struct line_access *a = calloc(1, sizeof *a);
	const char *wrong;

	l->access = a;
	if (a == NULL) {
		line_error(l, "no memory");
		return;
	}
	a->l = l;
	a->recipient = argument[0];
	a->question.recipients = &a->recipient;
	a->question.count = 1;
	a->question.answered = access_answered;
	wrong = amount_count(argument[1], &a->question.bytes, NULL) == -1
			? "the second argument must be a number of bytes"
			: take_fields(a, argument + 2);
	if (wrong != NULL)
		line_malformed(l, wrong);
	else if (a->is_delivery)
		ask_delivery(a, &asker);
	else
		access_ask(l->line->access, &a->question, &asker);
}

void
ask_access_free(struct line_access **a)
{
	if (*a != NULL)
		access_finish(&(*a)->question);
	free(*a);
	*a = NULL;
}
