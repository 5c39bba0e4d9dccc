/*
 * brimq: how full mailboxes are, as quotad knows it. Ordinary users hear about their own,
 * root and the group of the daemon about all.
 */
#include "brimq.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "record.h"

#define UNKNOWN "4.1.1" /* quotad's code for no such mailbox */

struct brimq {
	struct quota_client client;
	struct brimq_show show;
	int json, recount;
	int missing; /* a mailbox that was asked about is not there */
};

/* What a mode does with the words that are left. */
struct mode {
	int least, most; /* words; -1: any number */
	int (*run)(struct brimq *q, int argc, char **argv);
};

/* --- asking ----------------------------------------------------------------------- */

static int
cant_ask(const struct reason *why)
{
	return tool_fail(TOOL_CANT, "%s", why->text);
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
take_mailbox(struct brimq *q, const struct quota_answer *a, const char *mailbox)
{
	int result;

	if (a->kind != QUOTA_OK)
		return take_error(q, a, mailbox);
	result = q->recount ? brimq_show_recount(&q->show, mailbox, &a->fields)
			    : brimq_show_mailbox(&q->show, &a->fields);
	return result ? tool_fail(
				TOOL_CANT, "%s: quotad's answer makes no sense", mailbox)
		      : TOOL_OK;
}

static int
ask_mailbox(struct brimq *q, const char *mailbox)
{
	struct quota_answer a;
	struct reason why;
	int status = send_word(q, q->recount ? "RECOUNT" : "GET", mailbox);

	if (status)
		return status;
	if (quota_receive(&q->client, &a, &why))
		return cant_ask(&why);
	status = take_mailbox(q, &a, mailbox);
	quota_answer_clear(&a);
	return status;
}

/* --- the modes -------------------------------------------------------------------- */

static int
end_show(struct brimq *q, int status)
{
	brimq_show_end(&q->show);
	if (status)
		return status;
	return q->missing || q->show.over ? TOOL_NO : TOOL_OK;
}

/* All are asked about, though one can't be told. */
static int
run_mailboxes(struct brimq *q, int argc, char **argv)
{
	int status = TOOL_OK;

	if (brimq_show_begin(&q->show, q->json, q->recount))
		return tool_fail(TOOL_CANT, "no memory");
	for (int i = 0; i < argc && q->client.fd >= 0; i++)
		if (ask_mailbox(q, argv[i]))
			status = TOOL_CANT;
	return end_show(q, status);
}

static int
run_own(struct brimq *q, int argc, char **argv)
{
	const struct passwd *user;

	if (argc > 0)
		return run_mailboxes(q, argc, argv);
	user = getpwuid(getuid());
	if (!user)
		return tool_fail(TOOL_CANT, "uid %u has no name; give an address",
			(unsigned)getuid());
	return run_mailboxes(q, 1, (char *[]){user->pw_name, NULL});
}

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
			status = tool_fail(
				TOOL_CANT, "%s: quotad's answer makes no sense", what);
		quota_answer_clear(&a);
	} while (kind == QUOTA_MORE);
	return status;
}

static int
show_listed(void *arg, const struct record *fields)
{
	return brimq_show_mailbox(arg, fields);
}

static int
run_list(struct brimq *q, int argc, char **argv)
{
	int status = send_word(q, "LIST", argc > 0 ? argv[0] : "");

	if (status)
		return status;
	if (brimq_show_begin(&q->show, q->json, 0))
		return tool_fail(TOOL_CANT, "no memory");
	return end_show(q, read_all(q, "list", show_listed, &q->show));
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
run_stats(struct brimq *q, int argc, char **argv)
{
	struct statistics s = {.all = json_object(), .json = q->json};
	int status = send_word(q, "STATS", "");

	(void)argc;
	(void)argv;
	if (!status)
		status = read_all(q, "stats", show_statistic, &s);
	if (q->json && !status)
		tool_json_print(s.all);
	else
		json_decref(s.all);
	return status;
}

/* --- the command line ------------------------------------------------------------- */

static int
usage(const struct tool_option *options, FILE *to, int status)
{
	fprintf(to, "usage: brimq [OPTION...] [ADDRESS...]\n"
		    "       brimq [OPTION...] --list [PATTERN]\n"
		    "       brimq [OPTION...] --recount ADDRESS...\n"
		    "       brimq [OPTION...] --stats\n\noptions:\n");
	tool_print_options(options, to);
	return status;
}

/* A person waits longer than a delivery: for a count of a large mailbox. */
static int
run(struct brimq *q, const struct mode *mode, const char *file, const char *socket,
	int argc, char **argv)
{
	struct reason why;
	struct conf conf;
	int status;

	if (conf_load(&conf, file, &why))
		return cant_ask(&why);
	if (quota_connect(&q->client, socket ? socket : conf.socket, conf.daemon_user,
		    7 * conf.quotad_timeout, &why))
		status = cant_ask(&why);
	else
		status = mode->run(q, argc, argv);
	quota_close(&q->client);
	conf_free(&conf);
	return status;
}

static const struct mode modes[] = {
	{0, -1, run_own}, {0, 1, run_list}, {1, -1, run_mailboxes}, {0, 0, run_stats}};

static const struct mode *
choose_mode(const char *list, const char *recount, const char *stats, int argc)
{
	const struct mode *mode = list      ? &modes[1]
				  : recount ? &modes[2]
				  : stats   ? &modes[3]
					    : &modes[0];

	if (!!list + !!recount + !!stats > 1 || argc < mode->least ||
		(mode->most >= 0 && argc > mode->most))
		return NULL;
	return mode;
}

int
main(int argc, char **argv)
{
	struct brimq q = {.client.fd = -1};
	const char *conf = NULL, *socket = NULL, *json = NULL, *list = NULL,
		   *recount = NULL, *stats = NULL, *help = NULL;
	const struct tool_option options[] = {
		{'c', "config", "FILE", "read settings from FILE, not " CONF_FILE, &conf},
		{'s', "socket", "SOCKET", "ask the quotad that listens there", &socket},
		{0, "list", NULL, "show all mailboxes, or those that match", &list},
		{0, "recount", NULL, "count the mailboxes anew", &recount},
		{0, "stats", NULL, "show what quotad has done so far", &stats},
		{0, "json", NULL, "print JSON", &json},
		{'h', "help", NULL, "print this", &help},
		{0},
	};
	const struct mode *mode;

	tool_start("brimq");
	if (tool_options(&argc, &argv, options))
		return TOOL_USAGE;
	if (help)
		return tool_finish(usage(options, stdout, TOOL_OK));
	mode = choose_mode(list, recount, stats, argc);
	if (!mode)
		return usage(options, stderr, TOOL_USAGE);
	q.json = json != NULL;
	q.recount = recount != NULL;
	return tool_finish(run(&q, mode, conf, socket, argc, argv));
}
