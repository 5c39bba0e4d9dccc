/*
 * libbrim's functions, each a request to quotad by quota_client. A connection holds the
 * answer and the reason of its last call, so that the caller frees nothing.
 *
 * Only requests of the first quotad are made, so any will do. Fields of an answer that
 * are not known here are left alone. A request that would be new to an old quotad must be
 * made again in its old form after ERR 4.5.2.
 */
#include "brim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "quota_client.h"

#define LATER   "4.3.0"
#define INVALID "4.5.2" /* quotad's code for what it does not take for a request */

struct brim_mailbox {
	struct record fields;
};

struct brim {
	struct quota_client client;
	struct brim_mailbox mailbox;
	int is_listing;
	char code[sizeof((struct quota_answer *)0)->code];
	char error[VERDICT_LINE_MAX];
};

static const char *const fields[] = {
	[BRIM_USED] = "used",
	[BRIM_MESSAGES] = "messages",
	[BRIM_LIMIT] = "limit",
	[BRIM_MESSAGE_LIMIT] = "message_limit",
	[BRIM_RESERVED] = "reserved",
	[BRIM_TICKETS] = "tickets",
	[BRIM_PERCENT] = "percent",
	[BRIM_FULL_FOR] = "full_for",
};

#define NUMBERS (sizeof fields / sizeof *fields)

/* --- how a call ends ---------------------------------------------------------------- */

/* B may be NULL: brim_error and brim_code know why. */
static enum brim_result
end(struct brim *b, enum brim_result result, const char *code, const char *error)
{
	if (b == NULL)
		return result;
	snprintf(b->code, sizeof b->code, "%s", code);
	snprintf(b->error, sizeof b->error, "%s", error);
	return result;
}

static enum brim_result
nonsense(struct brim *b)
{
	quota_close(&b->client);
	return end(b, BRIM_LATER, LATER, "quotad's answer makes no sense");
}

/* What quotad's answer means; MORE lines are for brim_list alone. */
static enum brim_result
take_answer(struct brim *b, const struct quota_answer *a)
{
	static const struct {
		const char *code;
		enum brim_result result;
	} errors[] = {
		{"4.1.1", BRIM_UNKNOWN},
		{"4.7.0", BRIM_FORBIDDEN},
		{INVALID, BRIM_INVALID},
	};

	if (a->kind == QUOTA_OK)
		return end(b, BRIM_OK, "", "");
	if (a->kind == QUOTA_NO)
		return end(b, BRIM_NO, a->code, a->outcome.text);
	if (a->kind == QUOTA_MORE)
		return nonsense(b);
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (strcmp(a->code, errors[i].code) == 0)
			return end(b, errors[i].result, a->code, a->outcome.text);
	return end(b, BRIM_LATER, a->code, a->outcome.text);
}

/* --- a request ---------------------------------------------------------------------- */

/* Begins a call: what the last one left is gone. There is no connection where
 * brim_connect had no memory. */
static enum brim_result
begin(struct brim *b)
{
	if (b == NULL)
		return BRIM_LATER;
	if (b->is_listing)
		return end(b, BRIM_INVALID, INVALID,
			"the connection is in use by brim_list");
	record_clear(&b->mailbox.fields);
	end(b, BRIM_OK, "", "");
	return BRIM_OK;
}

/* A request that can't be a line leaves the connection as it is. */
static enum brim_result
not_sent(struct brim *b, const struct reason *why)
{
	if (b->client.fd < 0)
		return end(b, BRIM_LATER, LATER, why->text);
	return end(b, BRIM_INVALID, INVALID, why->text);
}

static enum brim_result
receive(struct brim *b, struct quota_answer *a)
{
	struct reason why;

	if (quota_receive(&b->client, a, &why) == -1)
		return end(b, BRIM_LATER, LATER, why.text);
	return BRIM_OK;
}

/* "VERB word rest", the word escaped. */
static enum brim_result
send_request(struct brim *b, const char *verb, const char *word, const char *rest)
{
	char *escaped = record_escape(word);
	enum brim_result result = BRIM_OK;
	struct reason why;

	if (escaped == NULL)
		return end(b, BRIM_LATER, LATER, "no memory");
	if (*escaped == '\0')
		result = end(b, BRIM_INVALID, INVALID, "an argument is empty");
	else if (quota_send(&b->client, &why, "%s %s%s", verb, escaped, rest) == -1)
		result = not_sent(b, &why);
	free(escaped);
	return result;
}

/* Sends the request and reads its only answer, whose fields the caller clears. */
static enum brim_result
request(struct brim *b, struct quota_answer *a, const char *verb, const char *word,
	const char *rest)
{
	enum brim_result result = begin(b);

	memset(a, 0, sizeof *a);
	if (result == BRIM_OK)
		result = send_request(b, verb, word, rest);
	if (result == BRIM_OK)
		result = receive(b, a);
	return result == BRIM_OK ? take_answer(b, a) : result;
}

/* --- the connection ----------------------------------------------------------------- */

enum brim_result
brim_connect(
	struct brim **b, const char *socket, const char *daemon_user, unsigned seconds)
{
	struct reason why;

	*b = calloc(1, sizeof **b);
	if (*b == NULL)
		return BRIM_LATER;
	if (quota_connect(&(*b)->client, socket ? socket : BRIM_SOCKET,
		    daemon_user ? daemon_user : BRIM_DAEMON_USER, seconds, &why) == -1)
		return end(*b, BRIM_LATER, LATER, why.text);
	return BRIM_OK;
}

void
brim_close(struct brim **b)
{
	if (b == NULL || *b == NULL)
		return;
	quota_close(&(*b)->client);
	record_clear(&(*b)->mailbox.fields);
	free(*b);
	*b = NULL;
}

const char *
brim_error(const struct brim *b)
{
	return b ? b->error : "no memory";
}

const char *
brim_code(const struct brim *b)
{
	return b ? b->code : LATER;
}

/* --- mailboxes ---------------------------------------------------------------------- */

/* Whether it has a name, and each number that it has is one. */
static int
makes_sense(const struct record *r)
{
	uint64_t n;

	for (size_t i = 0; i < NUMBERS; i++)
		if (record_number(r, fields[i], 0, &n) == -1)
			return 0;
	return record_get(r, "mailbox") != NULL;
}

enum brim_result
brim_ask(struct brim *b, const char *address, const struct brim_mailbox **mailbox)
{
	struct quota_answer a;
	enum brim_result result = request(b, &a, "GET", address, "");

	*mailbox = NULL;
	if (result == BRIM_OK && !makes_sense(&a.fields))
		result = nonsense(b);
	if (result != BRIM_OK) {
		quota_answer_clear(&a);
		return result;
	}
	b->mailbox.fields = a.fields;
	*mailbox = &b->mailbox;
	return BRIM_OK;
}

/* Reads the lines until the last one. Those that EACH does not want are read all the
 * same, since the answer to the next request comes behind them. */
static enum brim_result
receive_list(struct brim *b, int (*each)(void *arg, const struct brim_mailbox *mailbox),
	void *arg)
{
	enum brim_result result;
	struct brim_mailbox mailbox;
	struct quota_answer a;
	int is_wanted = 1;

	while ((result = receive(b, &a)) == BRIM_OK && a.kind == QUOTA_MORE) {
		mailbox.fields = a.fields;
		if (!makes_sense(&a.fields))
			result = nonsense(b);
		else if (is_wanted)
			is_wanted = each(arg, &mailbox) == 0;
		quota_answer_clear(&a);
		if (result != BRIM_OK)
			return result;
	}
	if (result == BRIM_OK)
		result = take_answer(b, &a);
	quota_answer_clear(&a);
	return result;
}

enum brim_result
brim_list(struct brim *b, const char *pattern,
	int (*each)(void *arg, const struct brim_mailbox *mailbox), void *arg)
{
	enum brim_result result = begin(b);

	if (result == BRIM_OK)
		result = send_request(b, "LIST", pattern ? pattern : "*", "");
	if (result != BRIM_OK)
		return result;
	b->is_listing = 1;
	result = receive_list(b, each, arg);
	b->is_listing = 0;
	return result;
}

const char *
brim_name(const struct brim_mailbox *mailbox)
{
	return record_get(&mailbox->fields, "mailbox");
}

uint64_t
brim_get(const struct brim_mailbox *mailbox, enum brim_number number, uint64_t fallback)
{
	uint64_t n;

	if ((size_t)number >= NUMBERS ||
		record_number(&mailbox->fields, fields[number], fallback, &n) == -1)
		return fallback;
	return n;
}

/* --- room --------------------------------------------------------------------------- */

enum brim_result
brim_check(struct brim *b, const char *address, uint64_t bytes)
{
	char rest[AMOUNT_SIZE];
	struct quota_answer a;
	enum brim_result result;

	snprintf(rest, sizeof rest, " %" PRIu64, bytes);
	result = request(b, &a, "CHECK", address, rest);
	quota_answer_clear(&a);
	return result;
}

/* A name that is too long for REST is too long for a line, and so is never sent. */
enum brim_result
brim_reserve(struct brim *b, const char *address, uint64_t bytes, const char *name,
	uint64_t *ticket)
{
	char *escaped = record_escape(name), rest[RECORD_LINE_MAX];
	struct quota_answer a;
	enum brim_result result;
	const char *granted;

	if (escaped == NULL)
		return end(b, BRIM_LATER, LATER, "no memory");
	snprintf(rest, sizeof rest, " %" PRIu64 " name=%s", bytes, escaped);
	free(escaped);
	result = request(b, &a, "RESERVE", address, rest);
	granted = record_get(&a.fields, "ticket");
	if (result == BRIM_OK && (!granted || amount_count(granted, ticket, NULL) == -1))
		result = nonsense(b);
	quota_answer_clear(&a);
	return result;
}

/* Says what became of the ticket. */
static enum brim_result
end_ticket(struct brim *b, const char *verb, uint64_t ticket)
{
	char number[AMOUNT_SIZE];
	struct quota_answer a;
	enum brim_result result;

	snprintf(number, sizeof number, "%" PRIu64, ticket);
	result = request(b, &a, verb, number, "");
	quota_answer_clear(&a);
	return result;
}

enum brim_result
brim_commit(struct brim *b, uint64_t ticket)
{
	return end_ticket(b, "COMMIT", ticket);
}

enum brim_result
brim_cancel(struct brim *b, uint64_t ticket)
{
	return end_ticket(b, "CANCEL", ticket);
}
