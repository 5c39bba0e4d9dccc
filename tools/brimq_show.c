/* What brimq shows. */
#include "brimq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"

#define BAR 20 /* characters of the bar */

static const struct tool_column columns[] = {
	{"MAILBOX", 0},
	{"USED", 1},
	{"LIMIT", 1},
	{"%", 1},
	{"", 0},
	{"MESSAGES", 1},
	{"STATE", 0},
	{"FOR", 0},
};

static const struct tool_column recount_columns[] = {
	{"MAILBOX", 0},
	{"USED", 1},
	{"WAS", 1},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The numbers of one mailbox; those of KNOWN only where quotad has counted it. */
struct numbers {
	int known, has_percent;
	uint64_t used, messages, percent;
	uint64_t limit, message_limit, full_for;
};

int
brimq_show_begin(struct brimq_show *s, int json, int recounted)
{
	memset(s, 0, sizeof *s);
	s->json = json;
	if (json)
		return 0;
	s->table = recounted ? tool_table_new(recount_columns, COUNT(recount_columns))
			     : tool_table_new(columns, COUNT(columns));
	return s->table ? 0 : -1;
}

static int
read_numbers(const struct record *fields, struct numbers *n)
{
	memset(n, 0, sizeof *n);
	n->known = record_get(fields, "used") != NULL;
	n->has_percent = record_get(fields, "percent") != NULL;
	if (record_number(fields, "used", 0, &n->used) ||
		record_number(fields, "messages", 0, &n->messages) ||
		record_number(fields, "percent", 0, &n->percent) ||
		record_number(fields, "limit", 0, &n->limit) ||
		record_number(fields, "message_limit", 0, &n->message_limit) ||
		record_number(fields, "full_for", 0, &n->full_for))
		return -1;
	return record_get(fields, "mailbox") ? 0 : -1;
}

static int
is_over(const struct numbers *n)
{
	return n->known && ((n->limit && n->used > n->limit) ||
				   (n->message_limit && n->messages > n->message_limit));
}

/* --- JSON ------------------------------------------------------------------------- */

/* Every field as quotad names it; those that are numbers as numbers. The mailbox's name
 * goes in front where the answer does not have it (NULL where it does). */
static json_t *
json_of(const char *mailbox, const struct record *fields)
{
	json_t *object = json_object();

	if (mailbox)
		json_object_set_new(object, "mailbox", tool_json_text(mailbox));
	for (size_t i = 0; i < fields->count; i++) {
		const struct record_field *f = &fields->fields[i];
		uint64_t n;
		int is_number = strcmp(f->name, "mailbox") != 0 &&
				amount_count(f->value, &n, NULL) == 0 && n <= INT64_MAX;

		json_object_set_new(object, f->name,
			is_number ? json_integer((json_int_t)n)
				  : tool_json_text(f->value));
	}
	return object;
}

static int
show_json(struct brimq_show *s, const char *mailbox, const struct record *fields)
{
	json_t *object = json_of(mailbox, fields);

	if (!object)
		return -1;
	tool_json_item(object, &s->items);
	return 0;
}

/* --- the table -------------------------------------------------------------------- */

static const char *
show_bar(const struct numbers *n, char bar[BAR + 3])
{
	size_t full = n->percent >= 100 ? BAR : (size_t)n->percent * BAR / 100;

	if (!n->has_percent)
		return "";
	bar[0] = '[';
	memset(bar + 1, '#', full);
	memset(bar + 1 + full, '.', BAR - full);
	strcpy(bar + 1 + BAR, "]");
	return bar;
}

static const char *
show_state(const struct numbers *n)
{
	if (!n->known)
		return "uncounted";
	if (n->full_for)
		return "full";
	return is_over(n) ? "over" : "";
}

static int
show_row(struct brimq_show *s, const char *mailbox, const struct numbers *n)
{
	char used[AMOUNT_SIZE], limit[AMOUNT_SIZE], percent[AMOUNT_SIZE], bar[BAR + 3],
		messages[2 * AMOUNT_SIZE], full_for[AMOUNT_SIZE];
	const char *const cells[COUNT(columns)] = {
		mailbox,
		n->known ? amount_show(n->used, used) : "?",
		n->limit ? amount_show(n->limit, limit) : "-",
		percent,
		show_bar(n, bar),
		messages,
		show_state(n),
		n->full_for ? amount_show_time(n->full_for, full_for) : "",
	};
	int at = 0;

	percent[0] = '\0';
	if (n->has_percent)
		snprintf(percent, sizeof percent, "%" PRIu64, n->percent);
	if (n->known)
		at = snprintf(messages, sizeof messages, "%" PRIu64, n->messages);
	else
		at = snprintf(messages, sizeof messages, "?");
	if (n->message_limit)
		snprintf(messages + at, sizeof messages - (size_t)at, "/%" PRIu64,
			n->message_limit);
	return tool_table_row(s->table, cells);
}

/* --- what is called --------------------------------------------------------------- */

int
brimq_show_mailbox(struct brimq_show *s, const struct record *fields)
{
	struct numbers n;

	if (read_numbers(fields, &n))
		return -1;
	s->over |= is_over(&n);
	return s->json ? show_json(s, NULL, fields)
		       : show_row(s, record_get(fields, "mailbox"), &n);
}

int
brimq_show_recount(struct brimq_show *s, const char *mailbox, const struct record *fields)
{
	char used_text[AMOUNT_SIZE], was_text[AMOUNT_SIZE];
	const char *cells[COUNT(recount_columns)] = {mailbox, used_text, was_text};
	uint64_t used, was;

	if (record_number(fields, "used", 0, &used) ||
		record_number(fields, "was", 0, &was))
		return -1;
	if (s->json)
		return show_json(s, mailbox, fields);
	amount_show(used, used_text);
	amount_show(was, was_text);
	return tool_table_row(s->table, cells);
}

void
brimq_show_end(struct brimq_show *s)
{
	if (s->json)
		tool_json_end(s->items);
	else
		tool_table_print(&s->table);
}

void
brimq_show_statistic(json_t *all, int json, const struct record *fields)
{
	json_t *one;

	if (json) {
		one = json_of(NULL, fields);
		json_object_update(all, one);
		json_decref(one);
		return;
	}
	for (size_t i = 0; i < fields->count; i++)
		printf("%-16s %s\n", fields->fields[i].name, fields->fields[i].value);
}
