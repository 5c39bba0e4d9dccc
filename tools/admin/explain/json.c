/* brimadm explain --json: the same, with sizes in bytes and times in seconds. */
#include <string.h>

#include "explain.h"

static void
set_number(json_t *to, const char *name, uint64_t n)
{
	json_object_set_new(to, name, tool_json_number(n));
}

static void
set_text(json_t *to, const char *name, const char *text)
{
	json_object_set_new(to, name, tool_json_text(text));
}

static void
set_name(json_t *to, const char *name, const char *text)
{
	json_object_set_new(to, name, tool_json_name(text));
}

static json_t *
directory_json(const struct explain_directory *d)
{
	const struct count_part *p = &d->found;
	json_t *o = json_object();

	set_name(o, "folder", d->folder);
	set_text(o, "part", d->part);
	set_number(o, "messages", p->messages);
	set_number(o, "bytes", p->bytes);
	set_number(o, "by_name", p->named_bytes);
	set_number(o, "by_size", p->bytes - p->named_bytes);
	set_number(o, "larger", p->larger);
	set_number(o, "excess", p->excess);
	set_number(o, "smaller", p->smaller);
	set_number(o, "shortfall", p->shortfall);
	set_number(o, "seen_twice", p->again);
	json_object_set_new(o, "ignored", json_boolean(d->ignored));
	json_object_set_new(o, "changed_since_count",
		d->changed < 0 ? json_null() : json_boolean(d->changed));
	return o;
}

static json_t *
files_json(const struct explain *e)
{
	json_t *o = json_object(), *list = json_array(), *links = json_array();

	if (e->unread.text[0])
		set_text(o, "error", e->unread.text);
	for (size_t i = 0; i < e->directory_count; i++)
		json_array_append_new(list, directory_json(&e->directories[i]));
	for (size_t i = 0; i < e->link_count; i++)
		json_array_append_new(links, tool_json_name(e->links[i]));
	set_number(o, "bytes", e->bytes);
	set_number(o, "messages", e->messages);
	set_number(o, "larger", e->larger);
	set_number(o, "excess", e->excess);
	set_number(o, "smaller", e->smaller);
	set_number(o, "shortfall", e->shortfall);
	json_object_set_new(o, "missing", json_boolean(e->missing));
	json_object_set_new(o, "changed_meanwhile", json_boolean(e->moving));
	json_object_set_new(o, "directories", list);
	json_object_set_new(o, "links_not_counted", links);
	return o;
}

static json_t *
count_json(const struct explain_ledger *l)
{
	json_t *o;

	if (strcmp(l->counted_why, "never") == 0)
		return json_null();
	o = json_object();
	set_text(o, "why", l->counted_why);
	set_number(o, "seconds_ago", l->counted_ago_ms / 1000);
	json_object_set_new(o, "exact", json_boolean(l->counted_exact));
	set_number(o, "was", l->counted_was);
	set_number(o, "found", l->counted_found);
	return o;
}

static json_t *
full_json(const struct explain_ledger *l)
{
	json_t *o;

	if (!l->full_for)
		return json_null();
	o = json_object();
	set_number(o, "seconds", l->full_for);
	set_number(o, "smallest_refused", l->full_smallest);
	json_object_set_new(o, "bounces_in",
		l->over_quota == CONF_DEFER
			? json_null()
			: tool_json_number(amount_subtract(l->over_quota, l->full_for)));
	return o;
}

static json_t *
ledger_json(const struct explain_ledger *l)
{
	json_t *o = json_object();

	if (!l->asked) {
		set_text(o, "error", l->why_not.text);
		return o;
	}
	json_object_set_new(o, "exact", json_boolean(l->known));
	set_number(o, "used", l->used);
	set_number(o, "messages", l->messages);
	set_number(o, "reserved", l->reserved);
	set_number(o, "tickets", l->tickets);
	set_number(o, "promised", l->promised);
	set_number(o, "promises", l->promises);
	set_number(o, "limit", l->limit);
	set_number(o, "message_limit", l->message_limit);
	json_object_set_new(o, "counting", json_boolean(l->counting));
	json_object_set_new(o, "last_count", count_json(l));
	json_object_set_new(o, "full", full_json(l));
	return o;
}

static json_t *
tickets_json(const struct explain *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < e->ticket_count; i++) {
		const struct explain_ticket *t = &e->tickets[i];
		json_t *o = json_object();

		set_name(o, "name", t->name);
		set_number(o, "bytes", t->bytes);
		set_number(o, "seconds", t->age);
		set_text(o, "state", explain_ticket_state(t));
		json_object_set_new(o, "earlier_quotad", json_boolean(t->earlier));
		json_object_set_new(o, "file_is_there", json_boolean(t->is_there));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *
next_json(const struct explain_ledger *l)
{
	json_t *o = json_object();

	set_text(o, "verdict", l->next);
	set_text(o, "code", l->code);
	set_text(o, "text", l->text);
	set_number(o, "used", l->used_then);
	return o;
}

void
explain_show_json(const struct explain *e)
{
	json_t *all = json_object();

	set_name(all, "mailbox", e->mailbox.key);
	set_name(all, "path", e->mailbox.path);
	json_object_set_new(all, "files", files_json(e));
	json_object_set_new(all, "ledger", ledger_json(&e->ledger));
	if (e->ledger.asked) {
		json_object_set_new(all, "tickets", tickets_json(e));
		set_number(all, "tickets_left_out", e->tickets_left_out);
		json_object_set_new(all, "next_message", next_json(&e->ledger));
	}
	if (e->ledger.asked && !e->unread.text[0])
		json_object_set_new(all, "difference", explain_reasons(e));
	tool_json_print(all);
}
