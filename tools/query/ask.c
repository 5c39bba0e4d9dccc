/* What brimq asks quotad, and what it makes of the answers. */
#include "brimq.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"

#define UNKNOWN "4.1.1" /* quotad's code for no such mailbox */

static int
cant_ask(const struct reason *why)
{
	return tool_fail(TOOL_CANT, "%s", why->text);
}

static int
no_sense(const char *what)
{
	return tool_fail(TOOL_CANT, "%s: quotad's answer makes no sense", what);
}

static int
send_word(struct brimq *q, const char *request, const char *word)
{
	char *escaped = record_escape(word);
	struct reason why;
	int result;

	if (!escaped)
		return tool_fail(TOOL_CANT, "no memory");
	result = quota_send(
		&q->client, &why, "%s%s%s", request, *escaped ? " " : "", escaped);
	free(escaped);
	return result ? cant_ask(&why) : TOOL_OK;
}

/* --- mailboxes that are named ------------------------------------------------------- */

/* What quotad would not or could not tell. */
static int
take_error(struct brimq *q, const struct quota_answer *a, const char *what)
{
	tool_warn("%s: %s", what, a->outcome.text);
	if (strcmp(a->code, UNKNOWN) != 0)
		return TOOL_CANT;
	q->missing = 1;
	return TOOL_OK;
}

static int
take_mailbox(struct brimq *q, struct brimq_show *s, const struct quota_answer *a,
	const char *mailbox)
{
	int result;

	if (a->kind != QUOTA_OK)
		return take_error(q, a, mailbox);
	result = q->mode == &brimq_recount ? brimq_show_recount(s, mailbox, &a->fields)
					   : brimq_show_mailbox(s, &a->fields);
	return result ? no_sense(mailbox) : TOOL_OK;
}

static int
ask_mailbox(struct brimq *q, struct brimq_show *s, const char *mailbox)
{
	struct quota_answer a;
	struct reason why;
	int status = send_word(q, q->mode == &brimq_recount ? "RECOUNT" : "GET", mailbox);

	if (status)
		return status;
	if (quota_receive(&q->client, &a, &why))
		return cant_ask(&why);
	status = take_mailbox(q, s, &a, mailbox);
	quota_answer_clear(&a);
	return status;
}

static int
end_show(const struct brimq *q, struct brimq_show *s, int status)
{
	if (brimq_show_end(s))
		status = tool_fail(TOOL_CANT, "no memory");
	if (status)
		return status;
	return q->missing || s->over ? TOOL_NO : TOOL_OK;
}

/* All are asked about, though one can't be told. */
static int
ask_mailboxes(struct brimq *q, int count, char *const *mailboxes)
{
	struct brimq_show s;
	int status = TOOL_OK;

	if (brimq_show_begin(&s, &q->choice,
		    q->mode == &brimq_recount ? BRIMQ_RECOUNTED : BRIMQ_NUMBERS))
		return tool_fail(TOOL_CANT, "no memory");
	for (int i = 0; i < count && q->client.fd >= 0; i++)
		if (ask_mailbox(q, &s, mailboxes[i]))
			status = TOOL_CANT;
	return end_show(q, &s, status);
}

static int
run_mailboxes(struct brimq *q)
{
	return ask_mailboxes(q, q->argc, q->argv);
}

static int
run_own(struct brimq *q)
{
	const struct passwd *user;

	if (q->argc > 0)
		return run_mailboxes(q);
	user = getpwuid(getuid());
	if (!user)
		return tool_fail(TOOL_CANT, "uid %u has no name; give an address",
			(unsigned)getuid());
	return ask_mailboxes(q, 1, (char *[]){user->pw_name, NULL});
}

/* --- answers of many lines ------------------------------------------------- */

/* Reads "* " lines until the last one, calling EACH: TOOL_OK or TOOL_CANT. */
static int
read_all(struct brimq *q, const char *what,
	int (*each)(void *arg, const struct record *fields), void *arg)
{
	struct quota_answer a;
	struct reason why;
	enum quota_kind kind;
	int status = TOOL_OK;

	do {
		if (quota_receive(&q->client, &a, &why))
			return cant_ask(&why);
		kind = a.kind;
		if (kind == QUOTA_ERR || kind == QUOTA_NO)
			status = tool_fail(TOOL_CANT, "%s: %s", what, a.outcome.text);
		else if (kind == QUOTA_MORE && each(arg, &a.fields))
			status = no_sense(what);
		quota_answer_clear(&a);
	} while (kind == QUOTA_MORE && !ferror(stdout));
	return status;
}

static int
show_listed(void *arg, const struct record *fields)
{
	return brimq_show_mailbox(arg, fields);
}

static int
show_waiting(void *arg, const struct record *fields)
{
	return brimq_show_waiting(arg, fields);
}

static int
list(struct brimq *q, const char *request, enum brimq_answers answers,
	int (*each)(void *arg, const struct record *fields))
{
	struct brimq_show s;
	int status = send_word(q, request, q->argc > 0 ? q->argv[0] : "");

	if (status)
		return status;
	if (brimq_show_begin(&s, &q->choice, answers))
		return tool_fail(TOOL_CANT, "no memory");
	status = read_all(q, q->mode->option + 2, each, &s);
	return end_show(q, &s, status);
}

static int
run_list(struct brimq *q)
{
	return list(q, "LIST", BRIMQ_NUMBERS, show_listed);
}

static int
run_waiting(struct brimq *q)
{
	return list(q, "WAITING", BRIMQ_WAITING, show_waiting);
}

struct statistics {
	json_t *all;
	int json;
};

static int
show_statistic(void *arg, const struct record *fields)
{
	struct statistics *s = arg;

	brimq_show_statistic(s->all, s->json, fields);
	return 0;
}

static int
run_stats(struct brimq *q)
{
	struct statistics s = {.all = json_object(), .json = q->choice.json};
	int status = send_word(q, "STATS", "");

	if (!status)
		status = read_all(q, "stats", show_statistic, &s);
	if (s.json && !status)
		tool_json_print(s.all);
	else
		json_decref(s.all);
	return status;
}

/* --- a request as it is ---------------------------------------------------- */

static int
starts_with(const char *line, const char *word)
{
	size_t length = strlen(word);

	return strncmp(line, word, length) == 0 &&
	       (line[length] == ' ' || line[length] == '\0');
}

static int
run_raw(struct brimq *q)
{
	struct reason why;
	const char *line;

	if (quota_send(&q->client, &why, "%s", q->argv[0]))
		return cant_ask(&why);
	do {
		line = quota_receive_line(&q->client, &why);
		if (!line)
			return cant_ask(&why);
		puts(line);
	} while (starts_with(line, "*"));
	if (starts_with(line, "OK"))
		return TOOL_OK;
	return starts_with(line, "NO") ? TOOL_NO : TOOL_CANT;
}

/* --- one round ------------------------------------------------------------- */

const struct brimq_mode brimq_own = {NULL, 0, -1, 1, 1, run_own};
const struct brimq_mode brimq_list = {"--list", 0, 1, 1, 1, run_list};
const struct brimq_mode brimq_waiting = {"--waiting", 0, 1, 0, 1, run_waiting};
const struct brimq_mode brimq_recount = {"--recount", 1, -1, 0, 0, run_mailboxes};
const struct brimq_mode brimq_stats = {"--stats", 0, 0, 0, 1, run_stats};
const struct brimq_mode brimq_raw = {"--raw", 1, 1, 0, 0, run_raw};

/* A person waits longer than a delivery: for a count of a large mailbox. */
int
brimq_ask(struct brimq *q)
{
	struct reason why;
	struct conf conf;
	int status;

	if (conf_load(&conf, q->conf, &why))
		return cant_ask(&why);
	q->missing = 0;
	if (quota_connect(&q->client, q->socket ? q->socket : conf.socket,
		    conf.daemon_user, 7 * conf.quotad_timeout, &why))
		status = cant_ask(&why);
	else
		status = q->mode->run(q);
	quota_close(&q->client);
	conf_free(&conf);
	return status;
}
