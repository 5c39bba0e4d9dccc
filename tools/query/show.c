/* What brimq shows. */
#include "brimq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"

static const struct tool_column columns[] = {
	{"MAILBOX", 0},
	{"USED", TOOL_RIGHT},
	{"LIMIT", TOOL_RIGHT},
	{"%", TOOL_RIGHT | TOOL_COLOURED},
	{"", TOOL_BAR | TOOL_COLOURED},
	{"MESSAGES", TOOL_RIGHT},
	{"STATE", TOOL_COLOURED},
	{"FOR", 0},
};

static const struct tool_column recount_columns[] = {
	{"MAILBOX", 0},
	{"USED", TOOL_RIGHT},
	{"WAS", TOOL_RIGHT},
};

static const struct tool_column waiting_columns[] = {
	{"MAILBOX", 0},
	{"MESSAGES", TOOL_RIGHT},
	{"BYTES", TOOL_RIGHT},
	{"FOR", 0},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

int
brimq_show_begin(struct brimq_show *s, const struct brimq_choice *choice,
	enum brimq_answers answers)
{
	static const struct {
		const struct tool_column *columns;
		size_t count;
	} tables[BRIMQ_ANSWERS] = {
		[BRIMQ_NUMBERS] = {columns, COUNT(columns)},
		[BRIMQ_RECOUNTED] = {recount_columns, COUNT(recount_columns)},
		[BRIMQ_WAITING] = {waiting_columns, COUNT(waiting_columns)},
	};
	struct tool_terminal t;

	memset(s, 0, sizeof *s);
	s->choice = *choice;
	s->pick.sort = choice->sort;
	s->pick.most = choice->most;
	if (choice->json)
		return 0;
	s->table = tool_table_new(tables[answers].columns, tables[answers].count);
	if (!s->table)
		return -1;
	tool_terminal_look(&t);
	tool_table_fit(s->table, &t);
	return 0;
}

static int
read_numbers(const struct record *fields, struct brimq_numbers *n)
{
	memset(n, 0, sizeof *n);
	n->missing = record_get(fields, "missing") != NULL;
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
is_more(uint64_t n, uint64_t limit, uint64_t percent)
{
	return limit && (unsigned __int128)n * 100 > (unsigned __int128)limit * percent;
}

int
brimq_is_over(const struct brimq_numbers *n, uint64_t percent)
{
	return n->known && (is_more(n->used, n->limit, percent) ||
				   is_more(n->messages, n->message_limit, percent));
}

/* --- JSON ------------------------------------------------------------------------- */

/* Every field as quotad names it; those that are numbers as numbers. The mailbox's name
 * goes in front where the answer does not have it (NULL where it does). */
static json_t *
json_of(const char *mailbox, const struct record *fields)
{
	json_t *object = json_object();

	if (mailbox)
		json_object_set_new(object, "mailbox", tool_json_name(mailbox));
	for (size_t i = 0; i < fields->count; i++) {
		const struct record_field *f = &fields->fields[i];
		uint64_t n;
		int is_number = strcmp(f->name, "mailbox") != 0 &&
				amount_count(f->value, &n, NULL) == 0;

		json_object_set_new(object, f->name,
			is_number ? tool_json_number(n) : tool_json_name(f->value));
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

/* The record's state, where quotad tells one, says more than any number. */
static const char *
show_state(const struct brimq_numbers *n, const char *state)
{
	if (state && strcmp(state, "enabled") != 0)
		return state;
	if (n->missing)
		return "missing";
	if (!n->known)
		return "uncounted";
	if (n->full_for)
		return "full";
	return brimq_is_over(n, 100) ? "over" : "";
}

static enum tool_colour
colour_of(const struct brimq_numbers *n)
{
	if (n->missing || n->full_for || brimq_is_over(n, 100) || n->percent >= 100)
		return TOOL_RED;
	if (!n->has_percent)
		return TOOL_PLAIN;
	return n->percent >= 80 ? TOOL_YELLOW : TOOL_GREEN;
}

static void
show_messages(const struct brimq_numbers *n, char text[2 * AMOUNT_SIZE])
{
	char number[AMOUNT_SIZE] = "?", limit[AMOUNT_SIZE] = "";

	if (n->known)
		snprintf(number, sizeof number, "%" PRIu64, n->messages);
	if (n->message_limit)
		snprintf(limit, sizeof limit, "/%" PRIu64, n->message_limit);
	snprintf(text, 2 * AMOUNT_SIZE, "%s%s", number, limit);
}

static int
show_row(struct brimq_show *s, const struct record *fields, const struct brimq_numbers *n)
{
	char used[AMOUNT_SIZE], limit[AMOUNT_SIZE], percent[AMOUNT_SIZE] = "",
						    messages[2 * AMOUNT_SIZE],
						    full_for[AMOUNT_SIZE];
	const char *const cells[COUNT(columns)] = {
		record_get(fields, "mailbox"),
		n->known ? amount_show(n->used, used) : "?",
		n->limit ? amount_show(n->limit, limit) : "-",
		percent,
		percent, /* as a bar */
		messages,
		show_state(n, record_get(fields, "state")),
		n->full_for ? amount_show_time(n->full_for, full_for) : "",
	};

	if (n->has_percent)
		snprintf(percent, sizeof percent, "%" PRIu64, n->percent);
	show_messages(n, messages);
	return tool_table_coloured_row(s->table, cells, colour_of(n));
}

/* --- what is called --------------------------------------------------------------- */

static int
show_now(void *arg, const struct record *fields)
{
	struct brimq_show *s = arg;
	struct brimq_numbers n;

	if (read_numbers(fields, &n))
		return -1;
	s->over |= brimq_is_over(&n, 100);
	return s->choice.json ? show_json(s, NULL, fields) : show_row(s, fields, &n);
}

int
brimq_show_mailbox(struct brimq_show *s, const struct record *fields)
{
	struct brimq_numbers n;

	if (read_numbers(fields, &n))
		return -1;
	if (s->choice.has_least && !brimq_is_over(&n, s->choice.least))
		return 0;
	if (s->choice.sort == BRIMQ_AS_THEY_COME && s->choice.most == SIZE_MAX)
		return show_now(s, fields);
	return brimq_pick_add(&s->pick, &n, fields);
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
	if (s->choice.json)
		return show_json(s, mailbox, fields);
	amount_show(used, used_text);
	amount_show(was, was_text);
	return tool_table_row(s->table, cells);
}

int
brimq_show_waiting(struct brimq_show *s, const struct record *fields)
{
	char number[AMOUNT_SIZE], bytes_text[AMOUNT_SIZE], since_text[AMOUNT_SIZE];
	const char *cells[COUNT(waiting_columns)] = {
		record_get(fields, "mailbox"), number, bytes_text, since_text};
	uint64_t messages, bytes, since;

	if (!cells[0] || record_number(fields, "messages", 0, &messages) ||
		record_number(fields, "bytes", 0, &bytes) ||
		record_number(fields, "since", 0, &since))
		return -1;
	if (s->choice.json)
		return show_json(s, NULL, fields);
	snprintf(number, sizeof number, "%" PRIu64, messages);
	amount_show(bytes, bytes_text);
	amount_show_time(since, since_text);
	return tool_table_row(s->table, cells);
}

int
brimq_show_end(struct brimq_show *s)
{
	int result = brimq_pick_end(&s->pick, show_now, s);

	if (s->choice.json)
		tool_json_end(s->items);
	else
		tool_table_print(&s->table);
	return result;
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
