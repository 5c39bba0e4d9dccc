/*
 * brimq: how full mailboxes are, as quotad knows it. Ordinary users hear about their own,
 * root and the group of the daemon about all. This file has the command line.
 */
#include "brimq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "conf.h"

#define WATCH_SECONDS 2
#define WATCH_MOST    86400

/* What the options were given; NULL where they were not. */
struct given {
	const char *conf, *socket, *list, *waiting, *recount, *stats, *raw, *domain,
		*sort, *top, *over, *watch, *json, *help;
};

static int
usage(const struct tool_option *options, FILE *to, int status)
{
	fprintf(to, "usage: brimq [OPTION...] [ADDRESS...]\n"
		    "       brimq [OPTION...] --list [PATTERN]\n"
		    "       brimq [OPTION...] --waiting [PATTERN]\n"
		    "       brimq [OPTION...] --recount ADDRESS...\n"
		    "       brimq [OPTION...] --stats\n"
		    "       brimq [OPTION...] --raw REQUEST\n\noptions:\n");
	tool_print_options(options, to);
	return status;
}

/* --- what the options mean ------------------------------------------------- */

static int
take_sort(struct brimq *q, const struct given *g)
{
	if (g->sort && brimq_sort_parse(g->sort, &q->choice.sort))
		return tool_fail(TOOL_USAGE,
			"--sort %s: sort by used, percent, limit, messages or name",
			g->sort);
	if (g->top && !g->sort)
		q->choice.sort = BRIMQ_BY_USED;
	return 0;
}

static int
take_top(struct brimq *q, const struct given *g)
{
	uint64_t n = SIZE_MAX;

	if (g->top && (amount_count(g->top, &n, NULL) || n == 0))
		return tool_fail(
			TOOL_USAGE, "--top %s: how many? a number from 1 on", g->top);
	q->choice.most = n < SIZE_MAX ? (size_t)n : SIZE_MAX;
	return 0;
}

/* "90" or "90%". */
static int
take_over(struct brimq *q, const struct given *g)
{
	char number[24];
	size_t length = g->over ? strcspn(g->over, "%") : 0;

	if (!g->over)
		return 0;
	q->choice.has_least = 1;
	snprintf(number, sizeof number, "%.*s", (int)length, g->over);
	if (length < sizeof number && strlen(g->over) - length <= 1 &&
		amount_count(number, &q->choice.least, NULL) == 0 &&
		q->choice.least <= 1000000)
		return 0;
	return tool_fail(
		TOOL_USAGE, "--over %s: per cent of the limit, such as 90", g->over);
}

/* A word of digits behind --watch is its seconds, though getopt does not take it so. */
static void
take_next_word(struct brimq *q, struct given *g)
{
	if (!g->watch || *g->watch || q->argc == 0 || !*q->argv[0] ||
		q->argv[0][strspn(q->argv[0], "0123456789")])
		return;
	g->watch = *q->argv++;
	q->argc--;
}

static int
take_watch(const struct given *g, uint64_t *seconds)
{
	*seconds = WATCH_SECONDS;
	if (!g->watch || !*g->watch)
		return 0;
	if ((amount_count(g->watch, seconds, NULL) == 0 ||
		    amount_time(g->watch, seconds, NULL) == 0) &&
		*seconds > 0 && *seconds <= WATCH_MOST)
		return 0;
	return tool_fail(TOOL_USAGE, "--watch=%s: a number of seconds from 1 to %d",
		g->watch, WATCH_MOST);
}

/* A domain is all mailboxes whose names end so. The pattern lives as long as the program.
 */
static int
take_domain(struct brimq *q, const struct given *g)
{
	static char *words[2];

	if (!g->domain)
		return 0;
	if (!*g->domain || g->domain[strcspn(g->domain, "@*?[]\\ ")])
		return tool_fail(
			TOOL_USAGE, "--domain %s: that is not a domain", g->domain);
	if (q->argc > 0)
		return tool_fail(TOOL_USAGE,
			"--domain %s lists all of its mailboxes, "
			"and goes with no other name",
			g->domain);
	if (asprintf(&words[0], "*@%s", g->domain) < 0)
		return tool_fail(TOOL_CANT, "no memory");
	for (char *c = words[0]; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	q->argv = words;
	q->argc = 1;
	return 0;
}

/* --- what is to be done ---------------------------------------------------- */

/* Without a name, what chooses among mailboxes chooses among all. */
static const struct brimq_mode *
choose_mode(const struct given *g, int argc)
{
	if (g->waiting)
		return &brimq_waiting;
	if (g->recount)
		return &brimq_recount;
	if (g->stats)
		return &brimq_stats;
	if (g->raw)
		return &brimq_raw;
	if (g->list || g->domain)
		return &brimq_list;
	return argc == 0 && (g->sort || g->top || g->over) ? &brimq_list : &brimq_own;
}

static int
check_mode(const struct brimq_mode *mode, const struct given *g)
{
	if ((g->sort || g->top || g->over || g->domain) && !mode->may_choose)
		return tool_fail(TOOL_USAGE,
			"%s takes no --sort, --top, --over or --domain", mode->option);
	if (g->watch && !mode->may_repeat)
		return tool_fail(TOOL_USAGE, "%s takes no --watch", mode->option);
	return 0;
}

static int
check_words(const struct brimq *q, const struct given *g)
{
	const struct brimq_mode *mode = q->mode;

	if (!!g->list + !!g->waiting + !!g->recount + !!g->stats + !!g->raw > 1)
		return -1;
	return q->argc < mode->least || (mode->most >= 0 && q->argc > mode->most) ? -1
										  : 0;
}

static int
run(struct brimq *q, struct given *g, const struct tool_option *options)
{
	uint64_t seconds;

	take_next_word(q, g);
	q->mode = choose_mode(g, q->argc);
	if (check_words(q, g))
		return usage(options, stderr, TOOL_USAGE);
	if (check_mode(q->mode, g) || take_sort(q, g) || take_top(q, g) ||
		take_over(q, g) || take_watch(g, &seconds) || take_domain(q, g))
		return TOOL_USAGE;
	q->conf = g->conf;
	q->socket = g->socket;
	q->choice.json = g->json != NULL;
	return g->watch ? brimq_watch(q, seconds) : brimq_ask(q);
}

int
main(int argc, char **argv)
{
	struct brimq q = {.client.fd = -1};
	struct given g = {0};
	const struct tool_option options[] = {
		{'c', "config", "FILE", "read settings from FILE, not " CONF_FILE,
			&g.conf},
		{'s', "socket", "SOCKET", "ask the quotad that listens there", &g.socket},
		{0, "list", NULL, "show all mailboxes, or those that match", &g.list},
		{0, "domain", "DOMAIN", "show the mailboxes of a domain", &g.domain},
		{0, "over", "PERCENT", "show those that use more of their limit",
			&g.over},
		{0, "sort", "KEY", "by used, percent, limit, messages or name", &g.sort},
		{0, "top", "N", "show the first N alone, by used if not by --sort",
			&g.top},
		{0, "watch", "[=SECONDS]", "show it again and again", &g.watch},
		{0, "waiting", NULL, "show for whom mail waits, and how much",
			&g.waiting},
		{0, "recount", NULL, "count the mailboxes anew", &g.recount},
		{0, "stats", NULL, "show what quotad has done so far", &g.stats},
		{0, "raw", NULL, "send the request and print the answer as it is",
			&g.raw},
		{0, "json", NULL, "print JSON", &g.json},
		{'h', "help", NULL, "print this", &g.help},
		{0},
	};

	tool_start("brimq");
	if (tool_options(&argc, &argv, options))
		return TOOL_USAGE;
	if (g.help)
		return tool_finish(usage(options, stdout, TOOL_OK));
	q.argc = argc;
	q.argv = argv;
	return tool_finish(run(&q, &g, options));
}
