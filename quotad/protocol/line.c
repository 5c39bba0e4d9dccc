/*
 * The line protocol. Each of the table's functions ends in an answer or in room_ask,
 * after which the request may be gone already.
 *
 * Whoever may not ask about a mailbox is told the same of any name, in the table or not.
 * What is not known here (a recipient, say: this table may be a moment older than lda's)
 * is 4.3.0 to a delivery, never a refusal.
 */
#include "line.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "ask_access.h"
#include "explain.h"
#include "line_fields.h"
#include "line_request.h"
#include "numbers.h"
#include "record.h"
#include "waiting/waiting.h"

#define WORDS_MAX 8 /* of a line: more than any request has */

#define FORBIDDEN "ERR 4.7.0 not yours to ask about\n"
#define NO_NUMBER "the size must be a number of bytes"
#define NO_TICKET "this connection has no such ticket"

enum who { ANYONE, TRUSTED };

struct line_command {
	const char *name;
	int least, most;     /* arguments */
	enum who who;        /* ANYONE: about mailboxes of its own uid */
	int tells_all;       /* yes tells refusals, too */
	const char *unknown; /* code where there is no mailbox */
	void (*perform)(struct line_request *l, char **argument);
	/* writes the answer yes; NULL where the room is not asked */
	void (*yes)(struct line_request *l, const struct outcome *o);
	const char *usage;
};

/* --- answers ---------------------------------------------------------------------- */

void
line_malformed(struct line_request *l, const char *text)
{
	request_fault(l->request);
	request_answer(l->request, "ERR 4.5.2 %s\n", text);
}

void
line_error(struct line_request *l, const char *text)
{
	request_answer(l->request, "ERR %s %s\n", verdict_code(VERDICT_TROUBLE), text);
}

static void
refuse(struct line_request *l, const struct outcome *o)
{
	char line[VERDICT_LINE_MAX + 1];

	switch (o->verdict) {
	case VERDICT_NO_SUCH_USER:
		request_answer(l->request, "ERR %s %s\n", l->command->unknown, o->text);
		break;
	case VERDICT_TROUBLE:
	case VERDICT_MISCONFIGURED:
		request_answer(
			l->request, "ERR %s %s\n", verdict_code(o->verdict), o->text);
		break;
	default:
		outcome_line(o, line); /* with its line's end */
		request_answer(l->request, "NO %s %s", verdict_name(o->verdict), line);
	}
}

/* A message with queue ids was refused for now, or waits no more. */
static void
note_waiting(const struct line_request *l, const struct outcome *o)
{
	const struct room_question *q = &l->question;
	struct waiting *waiting = l->line->waiting;

	if (l->ids == NULL || q->account == NULL || waiting == NULL)
		return;
	if (o->verdict == VERDICT_FULL_FOR_NOW)
		waiting_refused(waiting, ledger_name(q->account), l->ids, q->bytes,
			request_asker(l->request).trusted);
	else if (o->verdict == VERDICT_FULL ||
		 (o->verdict == VERDICT_DELIVERED && q->kind == LEDGER_RESERVE))
		waiting_delivered(waiting, ledger_name(q->account), l->ids);
}

static void
answered(struct room_question *q, const struct outcome *o)
{
	struct line_request *l = (struct line_request *)q;

	note_waiting(l, o);
	if (q->forbidden)
		request_answer(l->request, FORBIDDEN);
	else if (o->verdict == VERDICT_DELIVERED ||
		 (l->command->tells_all && q->account != NULL))
		l->command->yes(l, o);
	else
		refuse(l, o);
}

static void
answer_ok(struct line_request *l, const struct outcome *o)
{
	(void)o;
	request_answer(l->request, "OK\n");
}

static void
answer_ticket(struct line_request *l, const struct outcome *o)
{
	(void)o;
	request_answer(l->request, "OK ticket=%" PRIu64 "\n", l->question.ticket);
}

static struct ledger_numbers
numbers(const struct line_request *l, const struct account *a)
{
	struct ledger_numbers n;

	ledger_numbers(l->line->room->ledger, a, &n);
	return n;
}

static void
answer_recounted(struct line_request *l, const struct outcome *o)
{
	(void)o;
	request_answer(l->request, "OK used=%" PRIu64 " was=%" PRIu64 "\n",
		numbers(l, l->question.account).used, l->question.was);
}

static void
answer_numbers(struct line_request *l, const struct outcome *o)
{
	const struct room_question *q = &l->question;
	const struct ledger_numbers n = numbers(l, q->account);
	char text[NUMBERS_SIZE];

	(void)o;
	if (numbers_text(text, ledger_name(q->account), &n, &q->limits, q->state, 1) ==
		-1)
		line_error(l, "no memory");
	else
		request_answer(l->request, "OK %s\n", text);
}

/* The last line: what the next message would get. */
static void
answer_explanation(struct line_request *l, const struct outcome *o)
{
	const struct ledger_numbers n = numbers(l, l->question.account);
	char *text = l->explanation ? record_escape(o->text) : NULL;

	if (text == NULL)
		line_error(l, "no memory");
	else
		request_answer(l->request,
			"%sOK next=%s code=%s text=%s used=%" PRIu64 " messages=%" PRIu64
			"\n",
			l->explanation, verdict_name(o->verdict),
			verdict_code(o->verdict), text, n.used, n.messages);
	free(text);
}

/* --- about messages --------------------------------------------------------------- */

static void
ask(struct line_request *l, enum ledger_kind kind, const char *recipient)
{
	const struct room_asker asker = request_asker(l->request);

	l->question.kind = kind;
	l->question.recipient = recipient;
	if (l->question.ids != NULL)
		l->ids = strdup(l->question.ids);
	l->question.answered = answered;
	room_ask(l->line->room, &l->question, &asker);
}

/* CHECK <recipient> <bytes> [<sender>] [place=<hash>] [directory=<hash>] [ids=<ids>] */
static void
check(struct line_request *l, char **argument)
{
	struct room_question *q = &l->question;

	line_fields_take_last(q, argument + 2);
	q->sender = argument[2];
	if (amount_count(argument[1], &q->bytes, NULL) == -1)
		line_malformed(l, NO_NUMBER);
	else if (argument[2] != NULL && argument[3] != NULL)
		line_malformed(l, l->command->usage);
	else
		ask(l, LEDGER_CHECK, argument[0]);
}

/* RESERVE <recipient> <bytes> name=<basename> [place=<hash>] [directory=<hash>]
 * [ids=<ids>] */
static void
reserve(struct line_request *l, char **argument)
{
	const char *wrong = line_fields_take(&l->question, argument + 2);

	if (wrong == NULL && amount_count(argument[1], &l->question.bytes, NULL) == -1)
		wrong = NO_NUMBER;
	if (wrong != NULL)
		line_malformed(l, wrong);
	else
		ask(l, LEDGER_RESERVE, argument[0]);
}

/* COMMIT <ticket> */
static void
commit(struct line_request *l, char **argument)
{
	const struct room_asker asker = request_asker(l->request);
	struct account *a;
	uint64_t ticket;

	if (amount_count(argument[0], &ticket, NULL) == -1)
		line_malformed(l, "a ticket is a number");
	else if (ledger_commit(l->line->room->ledger, asker.connection, ticket, &a) == -1)
		line_error(l, NO_TICKET);
	else
		request_answer(l->request, "OK used=%" PRIu64 "\n", numbers(l, a).used);
}

/* CANCEL <ticket> */
static void
cancel(struct line_request *l, char **argument)
{
	const struct room_asker asker = request_asker(l->request);
	uint64_t ticket;

	if (amount_count(argument[0], &ticket, NULL) == -1)
		line_malformed(l, "a ticket is a number");
	else if (ledger_cancel(l->line->room->ledger, asker.connection, ticket) == -1)
		line_error(l, NO_TICKET);
	else
		request_answer(l->request, "OK\n");
}

/* --- about mailboxes -------------------------------------------------------------- */

/* GET <recipient> */
static void
get(struct line_request *l, char **argument)
{
	ask(l, LEDGER_GET, argument[0]);
}

/* RECOUNT <mailbox> [empty] */
static void
recount(struct line_request *l, char **argument)
{
	const struct room_asker asker = request_asker(l->request);

	l->question.is_meant = argument[1] != NULL;
	if (argument[1] != NULL && strcmp(argument[1], "empty") != 0)
		line_malformed(l, l->command->usage);
	else if (argument[1] != NULL && !asker.trusted)
		request_answer(l->request, FORBIDDEN);
	else
		ask(l, LEDGER_RECOUNT, argument[0]);
}

/* What the ledger holds, as it is before the question what the next message would get
 * makes it look at the mailbox. */
static void
write_explanation(struct room_question *q)
{
	struct line_request *l = (struct line_request *)q;

	l->explanation = explain_lines(l->line->room->ledger, q->account, &q->limits);
}

/* EXPLAIN <recipient> [<bytes>] */
static void
explain(struct line_request *l, char **argument)
{
	l->question.bytes = 1;
	l->question.found = write_explanation;
	if (argument[1] != NULL &&
		amount_count(argument[1], &l->question.bytes, NULL) == -1)
		line_malformed(l, NO_NUMBER);
	else
		ask(l, LEDGER_EXPLAIN, argument[0]);
}

/* LIST [<pattern>] */
static void
list(struct line_request *l, char **argument)
{
	line_list(l, argument[0] ? argument[0] : "*");
}

/* WAITING [<pattern>] */
static void
waiting(struct line_request *l, char **argument)
{
	line_list_waiting(l, argument[0] ? argument[0] : "*");
}

/* TABLE <identity>: tells nothing of what stands in a table, so anybody may ask. */
static void
table(struct line_request *l, char **argument)
{
	static const char *const states[] = {
		[USERS_RELOAD_UNKNOWN] = "unknown",
		[USERS_RELOAD_CHECKING] = "checking",
		[USERS_RELOAD_REFUSED] = "refused",
		[USERS_RELOAD_USED] = "used",
	};

	request_answer(l->request, "OK state=%s\n",
		states[users_reload_state(l->line->room->users, argument[0])]);
}

/* STATS */
static void
stats(struct line_request *l, char **argument)
{
	(void)argument;
	line_statistics(l);
}

/* --- the table -------------------------------------------------------------------- */

static const struct line_command commands[] = {
	{"CHECK", 2, 6, ANYONE, 0, "4.3.0", check, answer_ok,
		"CHECK <recipient> <bytes> [<sender>] [place=<hash>] [directory=<hash>] "
		"[ids=<ids>]"},
	{"RESERVE", 3, 2 + LINE_FIELDS, ANYONE, 0, "4.3.0", reserve, answer_ticket,
		"RESERVE <recipient> <bytes> name=<basename> [place=<hash>] "
		"[directory=<hash>] [ids=<ids>]"},
	{"COMMIT", 1, 1, ANYONE, 0, NULL, commit, NULL, "COMMIT <ticket>"},
	{"CANCEL", 1, 1, ANYONE, 0, NULL, cancel, NULL, "CANCEL <ticket>"},
	{"GET", 1, 1, ANYONE, 0, "4.1.1", get, answer_numbers, "GET <recipient>"},
	{"LIST", 0, 1, TRUSTED, 0, NULL, list, NULL, "LIST [<pattern>]"},
	{"RECOUNT", 1, 2, ANYONE, 0, "4.1.1", recount, answer_recounted,
		"RECOUNT <mailbox> [empty]"},
	{"EXPLAIN", 1, 2, TRUSTED, 1, "4.1.1", explain, answer_explanation,
		"EXPLAIN <recipient> [<bytes>]"},
	{"ACCESS", 2, 6, TRUSTED, 0, NULL, ask_access, NULL, ASK_ACCESS_USAGE},
	{"WAITING", 0, 1, ANYONE, 0, NULL, waiting, NULL, "WAITING [<pattern>]"},
	{"TABLE", 1, 1, ANYONE, 0, NULL, table, NULL, "TABLE <identity>"},
	{"STATS", 0, 0, TRUSTED, 0, NULL, stats, NULL, "STATS"},
};

static const struct line_command *
find_command(const char *name)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Splits the line at its spaces and decodes the words: their number, or -1 where there
 * are too many, an empty one, or one that is not well written. */
static int
split(char *line, char *words[WORDS_MAX + 1])
{
	int count = 0;
	char *word;

	while ((word = strsep(&line, " ")) != NULL) {
		if (count == WORDS_MAX || *word == '\0' || record_unescape(word) == -1)
			return -1;
		words[count++] = word;
	}
	words[count] = NULL;
	return count;
}

static int
is_printable(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (line[i] < ' ' || line[i] > '~')
			return 0;
	return 1;
}

/* Who may use the command at all; about which mailbox is for the room to say. */
static int
may_use(const struct line_command *c, const struct room_asker *asker)
{
	return !asker->nobody && (c == NULL || c->who == ANYONE || asker->trusted);
}

static void
perform_line(struct line_request *l, char *line, size_t length)
{
	const struct room_asker asker = request_asker(l->request);
	char *words[WORDS_MAX + 1];
	int arguments = is_printable(line, length) ? split(line, words) - 1 : -1;
	const struct line_command *c = arguments >= 0 ? find_command(words[0]) : NULL;

	l->command = c;
	if (!may_use(c, &asker))
		request_answer(l->request, FORBIDDEN);
	else if (arguments < 0)
		line_malformed(l,
			"not a request: words with one space between, other bytes "
			"as %XX");
	else if (c == NULL)
		line_malformed(l, "no such request");
	else if (arguments < c->least || arguments > c->most)
		line_malformed(l, c->usage);
	else
		c->perform(l, words + 1);
}

/* --- the protocol ----------------------------------------------------------------- */

static enum protocol_read
read_line(struct evbuffer *bytes, char **line, size_t *length)
{
	*line = evbuffer_readln(bytes, length, EVBUFFER_EOL_LF);
	if (*line == NULL)
		return evbuffer_get_length(bytes) > RECORD_LINE_MAX ? PROTOCOL_NONSENSE
								    : PROTOCOL_INCOMPLETE;
	if (*length <= RECORD_LINE_MAX && memchr(*line, '\0', *length) == NULL)
		return PROTOCOL_MESSAGE;
	free(*line);
	*line = NULL;
	return PROTOCOL_NONSENSE;
}

/* COMMIT or CANCEL. */
static int
ends_ticket(const char *line)
{
	return strncmp(line, "COMMIT ", 7) == 0 || strncmp(line, "CANCEL ", 7) == 0;
}

static void
perform(void *service, struct request *r, char *line, size_t length)
{
	struct line_request *l = calloc(1, sizeof *l);

	request_set_state(r, l);
	if (l == NULL) {
		request_answer(r, "ERR 4.3.0 no memory\n");
		return;
	}
	l->request = r;
	l->line = service;
	if (line != NULL)
		perform_line(l, line, length);
	else
		request_answer(r, "ERR 4.5.2 a line is at most %d bytes of ASCII\n",
			RECORD_LINE_MAX);
}

static void
add_piece(void *service, struct request *r)
{
	struct line_request *l = request_state(r);

	(void)service;
	l->add_piece(l);
}

static void
finish(struct request *r)
{
	struct line_request *l = request_state(r);

	if (l == NULL)
		return;
	ask_access_free(&l->access);
	free(l->explanation);
	free(l->ids);
	free(l->pattern);
	free(l->last);
	free(l);
}

static void
turn_away(char *to, size_t size, const char *text)
{
	snprintf(to, size, "ERR 4.3.0 %s\n", text);
}

const struct protocol line_protocol = {
	.name = "line",
	.read = read_line,
	.is_end = ends_ticket,
	.perform = perform,
	.add_piece = add_piece,
	.finish = finish,
	.turn_away = turn_away,
};
