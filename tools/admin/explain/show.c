/*
 * The page of brimadm explain, for a person at three in the morning: directories, sums,
 * what lies between them, the last count, tickets, and what the next message would get.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explain.h"

#define LABEL     "%-12s "
#define TIME_SIZE 48
#define BYTES(n)  AMOUNT_OF((n), "byte", "bytes")

static const struct {
	const char *name, *sentence;
} reasons[] = {
	{"first", "nothing was known of the mailbox"},
	{"boot", "its number was of an earlier boot, or was not exact"},
	{"lost-store", "the usage store had been lost"},
	{"changed", "its directories had been changed"},
	{"refusal", "mail is refused only after a count"},
	{"recount", "somebody asked for it"},
	{"orphans", "deliveries that were cut off held room"},
	{"round", "it was its turn in the slow round"},
};

static const char *
reason_of(const char *name)
{
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (strcmp(reasons[i].name, name) == 0)
			return reasons[i].sentence;
	return name;
}

/* "3d 4h", two units at most, for people. */
static const char *
show_time(uint64_t seconds, char buf[TIME_SIZE])
{
	static const struct {
		uint64_t seconds, part;
		char unit, part_unit;
	} rows[] = {{86400, 3600, 'd', 'h'}, {3600, 60, 'h', 'm'}, {60, 1, 'm', 's'}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (seconds >= rows[i].seconds) {
			snprintf(buf, TIME_SIZE, "%" PRIu64 "%c %" PRIu64 "%c",
				seconds / rows[i].seconds, rows[i].unit,
				seconds % rows[i].seconds / rows[i].part,
				rows[i].part_unit);
			return buf;
		}
	snprintf(buf, TIME_SIZE, "%" PRIu64 "s", seconds);
	return buf;
}

/* A name from elsewhere, as in the user table. */
static void
print_text(const char *label, const char *text)
{
	char *escaped = record_escape(text);

	printf(LABEL "%s\n", label, escaped ? escaped : "");
	free(escaped);
}

static void
print_sum(
	const char *label, uint64_t bytes, uint64_t n, const char *one, const char *many)
{
	char buf[AMOUNT_SIZE];

	printf(LABEL "%s (%s), %s\n", label, BYTES(bytes), amount_show(bytes, buf),
		AMOUNT_OF(n, one, many));
}

/* "+12 bytes" or "-12 bytes": what must be added to FROM to have TO. */
static const char *
show_step(uint64_t from, uint64_t to, char buf[AMOUNT_OF_SIZE])
{
	buf[0] = to < from ? '-' : '+';
	snprintf(buf + 1, AMOUNT_OF_SIZE - 1, "%s",
		BYTES(to < from ? from - to : to - from));
	return buf;
}

/* --- directories ------------------------------------------------------------------ */

static const char *
show_number(uint64_t n, char buf[AMOUNT_SIZE])
{
	snprintf(buf, AMOUNT_SIZE, "%" PRIu64, n);
	return buf;
}

static const char *
state_of(const struct explain_directory *d)
{
	if (d->ignored)
		return "ignored";
	if (d->changed == 1)
		return "changed";
	return d->changed == 0 ? "unchanged" : "";
}

static char *
name_of(const struct explain_directory *d)
{
	char *name;
	int main_folder = strcmp(d->folder, ".") == 0;

	return asprintf(&name, "%s%s%s", main_folder ? "" : d->folder,
		       main_folder ? "" : "/", d->part) < 0
		       ? NULL
		       : name;
}

static void
add_row(struct tool_table *t, const struct explain_directory *d)
{
	const struct count_part *p = &d->found;
	char n[4][AMOUNT_SIZE], *name = name_of(d);
	const char *cells[] = {name, show_number(p->messages, n[0]),
		show_number(p->bytes, n[1]), show_number(p->named_bytes, n[2]),
		show_number(p->bytes - p->named_bytes, n[3]), state_of(d)};

	/* without memory a row is missing, and the sums below tell */
	tool_table_row(t, cells);
	free(name);
}

static void
show_directories(const struct explain *e)
{
	static const struct tool_column columns[] = {{"DIRECTORY", 0}, {"FILES", 1},
		{"BYTES", 1}, {"BY NAME", 1}, {"BY SIZE", 1}, {"SINCE THE COUNT", 0}};
	struct tool_table *t = tool_table_new(columns, 6);

	for (size_t i = 0; t && i < e->directory_count; i++)
		add_row(t, &e->directories[i]);
	tool_table_print(&t);
	putchar('\n');
}

static void
show_wrong_names(uint64_t files, uint64_t bytes, const char *how)
{
	printf(LABEL "%s %s %s than %s, which the slow round and a refusal count\n", "",
		AMOUNT_OF(files, "of them is", "of them are"), BYTES(bytes), how,
		files == 1 ? "its name says" : "their names say");
}

static void
show_link(const char *path)
{
	char *escaped = record_escape(path);

	printf(LABEL "%s: it is a link, and none is followed in a mailbox\n",
		"not counted", escaped ? escaped : "");
	free(escaped);
}

static void
show_files(const struct explain *e)
{
	if (e->unread.text[0]) {
		printf(LABEL "can't be read\n", "the files");
		return;
	}
	if (e->missing)
		printf(LABEL "there is no such Maildir yet\n", "");
	else
		show_directories(e);
	for (size_t i = 0; i < e->link_count; i++)
		show_link(e->links[i]);
	print_sum("the files", e->bytes, e->messages, "message", "messages");
	if (e->larger)
		show_wrong_names(e->larger, e->excess, "larger");
	if (e->smaller)
		show_wrong_names(e->smaller, e->shortfall, "smaller");
	if (e->moving)
		printf(LABEL "the mailbox was being changed while it was read\n", "");
}

/* --- what lies between ------------------------------------------------------------ */

static size_t
count_changed(const struct explain *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->directory_count; i++)
		n += !e->directories[i].ignored && e->directories[i].changed == 1;
	return n;
}

static void say(json_t *reasons_found, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
say(json_t *reasons_found, const char *format, ...)
{
	char text[REASON_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	json_array_append_new(reasons_found, tool_json_text(text));
}

/* What is left once the tickets' files are taken out. */
static void
find_rest(const struct explain *e, uint64_t counted, json_t *found)
{
	const struct explain_ledger *l = &e->ledger;
	const uint64_t files = e->larger + e->smaller;

	if (counted == e->bytes)
		return;
	if ((e->excess || e->shortfall) &&
		counted ==
			amount_subtract(amount_add(e->bytes, e->excess), e->shortfall)) {
		say(found, "%s: %s more, %" PRIu64 " less than %s",
			AMOUNT_OF(files, "file was counted by its size",
				"files were counted by their sizes"),
			BYTES(e->excess), e->shortfall,
			files == 1 ? "its name says" : "their names say");
		return;
	}
	if (counted > e->bytes)
		say(found, "%s not there any more",
			AMOUNT_OF(counted - e->bytes, "byte is", "bytes are"));
	else
		say(found, "%s come from others than lda",
			AMOUNT_OF(e->bytes - counted, "byte has", "bytes have"));
	if (e->moving)
		say(found, "the mailbox was being changed while it was read");
	if (!l->counted_exact)
		say(found, "the last count was not exact");
	else if (count_changed(e) == 0 && !e->missing)
		say(found, "no directory that counts has changed since, so the number "
			   "is wrong: brimq --recount repairs it");
	else
		say(found, "quotad counts before it refuses for lack of room, and in "
			   "the background; brimq --recount counts now");
}

json_t *
explain_reasons(const struct explain *e)
{
	const struct explain_ledger *l = &e->ledger;
	json_t *found = json_array();

	if (!l->known) {
		say(found, "quotad has no exact count of this boot, and counts before it "
			   "uses the number");
		return found;
	}
	if (e->there)
		say(found, "%s in files of deliveries that are still charged as tickets",
			AMOUNT_OF(e->there_bytes, "byte is", "bytes are"));
	find_rest(e, amount_add(l->used, e->there_bytes), found);
	return found;
}

static void
show_difference(const struct explain *e)
{
	json_t *found = explain_reasons(e);
	char buf[AMOUNT_OF_SIZE];

	if (e->bytes == e->ledger.used)
		printf(LABEL "none\n", "difference");
	else
		printf(LABEL "%s, from the ledger to the files\n", "difference",
			show_step(e->ledger.used, e->bytes, buf));
	for (size_t i = 0; i < json_array_size(found); i++)
		printf(LABEL "%s\n", "", json_string_value(json_array_get(found, i)));
	json_decref(found);
}

/* --- the ledger ------------------------------------------------------------------- */

static void
show_limits(const struct explain_ledger *l)
{
	char buf[AMOUNT_SIZE];

	if (l->limit)
		printf(LABEL "%s (%s)\n", "limit", BYTES(l->limit),
			amount_show(l->limit, buf));
	if (l->message_limit)
		printf(LABEL "%s\n", "limit",
			AMOUNT_OF(l->message_limit, "message", "messages"));
	if (!l->limit && !l->message_limit)
		printf(LABEL "none\n", "limit");
}

static void
show_last_count(const struct explain_ledger *l)
{
	char buf[TIME_SIZE], step[AMOUNT_OF_SIZE];

	if (l->counting)
		printf(LABEL "one is under way\n", "count");
	if (strcmp(l->counted_why, "never") == 0) {
		printf(LABEL "never\n", "last count");
		return;
	}
	printf(LABEL "%s ago, %s: %s\n", "last count",
		show_time(l->counted_ago_ms / 1000, buf),
		l->counted_exact ? "exact" : "not exact", reason_of(l->counted_why));
	if (l->counted_was == l->counted_found)
		printf(LABEL "it corrected nothing\n", "");
	else
		printf(LABEL "it corrected %" PRIu64 " to %" PRIu64 ", by %s\n", "",
			l->counted_was, l->counted_found,
			show_step(l->counted_was, l->counted_found, step));
}

static void
show_full(const struct explain_ledger *l)
{
	char buf[TIME_SIZE];

	if (!l->full_for)
		return;
	printf(LABEL "for %s; the smallest message refused had %s\n", "full",
		show_time(l->full_for, buf), BYTES(l->full_smallest));
	if (l->over_quota == CONF_DEFER)
		printf(LABEL "mail for it is deferred, however long\n", "");
	else if (l->full_for >= l->over_quota)
		printf(LABEL "over_quota has passed: mail for it bounces\n", "");
	else
		printf(LABEL "mail for it bounces in %s, if it stays so\n", "",
			show_time(l->over_quota - l->full_for, buf));
}

static void
show_ledger(const struct explain *e)
{
	const struct explain_ledger *l = &e->ledger;

	print_sum("the ledger", l->used, l->messages, "message", "messages");
	if (!e->unread.text[0])
		show_difference(e);
	if (l->tickets)
		print_sum("promised", l->reserved, l->tickets, "ticket", "tickets");
	if (l->promises)
		print_sum("accepted", l->promised, l->promises,
			"message that is on its way", "messages that are on their way");
	show_limits(l);
	show_last_count(l);
	show_full(l);
	if (l->held_ms)
		printf(LABEL "no room is promised for %" PRIu64
			     " s, since tickets may be lost\n",
			"held", l->held_ms / 1000 + 1);
}

const char *
explain_ticket_state(const struct explain_ticket *t)
{
	if (strcmp(t->state, "open") == 0)
		return "open";
	return strcmp(t->state, "ended") == 0 ? "orphan" : "orphan-maybe-alive";
}

static void
show_tickets(const struct explain *e)
{
	static const struct tool_column columns[] = {{"TICKET OF", 0}, {"BYTES", 1},
		{"SECONDS", 1}, {"STATE", 0}, {"FILE", 0}};
	struct tool_table *t = e->ticket_count ? tool_table_new(columns, 5) : NULL;

	if (t)
		putchar('\n');
	for (size_t i = 0; t && i < e->ticket_count; i++) {
		const struct explain_ticket *k = &e->tickets[i];
		char n[2][AMOUNT_SIZE];
		const char *cells[] = {k->name, show_number(k->bytes, n[0]),
			show_number(k->age, n[1]), explain_ticket_state(k),
			k->is_there ? "there" : "not-there"};

		tool_table_row(t, cells);
	}
	tool_table_print(&t);
	if (e->tickets_left_out)
		printf("and %" PRIu64 " more\n", e->tickets_left_out);
	if (e->ticket_count)
		putchar('\n');
}

static void
show_next(const struct explain_ledger *l)
{
	int taken = strcmp(l->next, "delivered") == 0;

	if (l->used_then != l->used)
		printf(LABEL "quotad has counted: its number is %s\n", "just now",
			BYTES(l->used_then));
	if (taken)
		printf(LABEL "a message of 1 byte would be delivered\n", "next message");
	else
		printf(LABEL "%s %s (%s)\n", "next message", l->code, l->text, l->next);
}

void
explain_show(const struct explain *e)
{
	print_text("mailbox", e->mailbox.key);
	print_text("path", e->mailbox.path);
	putchar('\n');
	show_files(e);
	if (!e->ledger.asked) {
		printf(LABEL "not known: quotad did not answer\n", "the ledger");
		return;
	}
	show_ledger(e);
	show_tickets(e);
	show_next(&e->ledger);
}
