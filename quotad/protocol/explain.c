/* The lines of EXPLAIN. */
#include "explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf.h"
#include "record.h"

struct lines {
	FILE *to;
	uint64_t tickets, left_out;
	int failed;
};

static void
write_escaped(struct lines *lines, const char *name, const char *value)
{
	char *escaped = record_escape(value);

	if (escaped != NULL)
		fprintf(lines->to, " %s=%s", name, escaped);
	else
		lines->failed = 1;
	free(escaped);
}

static void
write_number(struct lines *lines, const char *name, uint64_t n)
{
	fprintf(lines->to, " %s=%" PRIu64, name, n);
}

static void
write_last_count(struct lines *lines, const struct ledger_last_count *last)
{
	fprintf(lines->to, " counted_why=%s", ledger_why_name(last->why));
	if (last->why == LEDGER_NEVER)
		return;
	write_number(lines, "counted_ago_ms", last->ago_ms);
	write_number(lines, "counted_exact", last->exact != 0);
	write_number(lines, "counted_was", last->was);
	write_number(lines, "counted_found", last->found);
}

static void
write_full(struct lines *lines, const struct ledger_numbers *n)
{
	if (n->full_for == 0)
		return;
	write_number(lines, "full_for", n->full_for);
	write_number(lines, "full_used", n->full_used);
	write_number(lines, "full_smallest", n->full_smallest);
}

static void
write_limits(struct lines *lines, const struct ledger_limits *limits)
{
	write_number(lines, "limit", limits->bytes);
	write_number(lines, "message_limit", limits->messages);
	if (limits->over_quota == CONF_DEFER)
		fputs(" over_quota=defer", lines->to);
	else
		write_number(lines, "over_quota", limits->over_quota);
}

static void
write_mailbox(struct lines *lines, const struct ledger *l, const struct account *a,
	const struct ledger_limits *limits)
{
	struct ledger_numbers n;

	ledger_numbers(l, a, &n);
	fputc('*', lines->to);
	write_escaped(lines, "mailbox", ledger_name(a));
	write_number(lines, "known", n.known != 0);
	write_number(lines, "used", n.used);
	write_number(lines, "messages", n.messages);
	write_number(lines, "reserved", n.reserved);
	write_number(lines, "tickets", n.tickets);
	write_number(lines, "promised", n.promised);
	write_number(lines, "promises", n.promises);
	write_limits(lines, limits);
	write_full(lines, &n);
	write_number(lines, "counting", n.counting != 0);
	write_number(lines, "had_mail", n.had_mail || n.maybe_mail);
	write_number(lines, "missing", n.missing != 0);
	fprintf(lines->to, " directory=%016" PRIx64, n.directory);
	write_last_count(lines, &n.last);
	write_number(lines, "held_ms", ledger_held_ms(l));
	fputc('\n', lines->to);
}

static void
write_ticket(void *arg, const struct ledger_ticket *t)
{
	static const char *const states[] = {
		[LEDGER_OPEN] = "open",
		[LEDGER_ENDED] = "ended",
		[LEDGER_UNSURE] = "unsure",
	};
	struct lines *lines = arg;

	if (lines->tickets == EXPLAIN_TICKETS) {
		lines->left_out++;
		return;
	}
	lines->tickets++;
	fprintf(lines->to, "* ticket=%" PRIu64 " bytes=%" PRIu64 " state=%s", t->id,
		t->bytes, states[t->state]);
	write_number(lines, "age", t->age_ms / 1000);
	write_number(lines, "earlier", t->earlier != 0);
	write_escaped(lines, "name", t->name);
	fputc('\n', lines->to);
}

char *
explain_lines(const struct ledger *l, const struct account *a,
	const struct ledger_limits *limits)
{
	char *text = NULL;
	size_t length;
	struct lines lines = {.to = open_memstream(&text, &length)};

	if (lines.to == NULL)
		return NULL;
	write_mailbox(&lines, l, a, limits);
	ledger_show_tickets(l, a, write_ticket, &lines);
	if (lines.left_out > 0)
		fprintf(lines.to, "* tickets_left_out=%" PRIu64 "\n", lines.left_out);
	if (fclose(lines.to) == 0 && !lines.failed)
		return text;
	free(text);
	return NULL;
}
