/*
 * Aliases and catch-alls, looked at once the whole change is in the copy, so that lines
 * of a load or apply may stand in any order. An alias must end, within the table's bound
 * of steps, at mailboxes of the table or at addresses elsewhere; a catch-all at one
 * mailbox.
 */
#include "brimadm.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 1000 /* of all branches of one alias */

struct walk {
	struct brimadm *a;
	struct users *table;
	const char *start;
	int steps;
};

static int walk_alias(struct walk *w, const struct record *r, int depth);

static int
domain_is_ours(struct walk *w, const char *domain)
{
	char key[ADDRESS_MAX + 2] = "@";
	struct record r;
	int found;

	if (domain[0] == '\0' || mailbox_domain_is_local(&w->a->conf, domain))
		return 1;
	strcpy(key + 1, domain);
	found = strlen(key) <= ADDRESS_MAX ? users_get(w->table, key, &r, &w->a->why) : 0;
	if (found > 0)
		record_clear(&r);
	return found;
}

/* One target of the alias KEY. */
static int
walk_target(struct walk *w, const char *key, const char *target, int depth)
{
	struct address address;
	struct record r;
	int found, status;

	if (address_parse(&address, target, w->a->conf.recipient_delimiter, &w->a->why))
		return TOOL_USAGE;
	found = mailbox_find_record(w->table, &w->a->conf, &address, &r, &w->a->why);
	if (found == 0) {
		found = domain_is_ours(w, address.domain);
		if (found > 0)
			return brimadm_refuse(w->a, TOOL_USAGE,
				"%.80s leads to %.80s, which would not be in the table: "
				"change one of them first",
				key, address.text);
		return found ? TOOL_CANT : TOOL_OK;
	}
	if (found < 0)
		return TOOL_CANT;
	status = walk_alias(w, &r, depth);
	record_clear(&r);
	return status;
}

static int
check_bounds(struct walk *w, const struct record *r, int depth)
{
	if (depth > 0 && strcmp(r->key, w->start) == 0)
		return brimadm_refuse(w->a, TOOL_USAGE,
			"%.100s leads back to itself: a loop of aliases", w->start);
	if (depth >= MAILBOX_ALIASES_MAX)
		return brimadm_refuse(w->a, TOOL_USAGE,
			"%.100s leads over more than %d aliases, or into a loop",
			w->start, MAILBOX_ALIASES_MAX);
	if (++w->steps > STEPS_MAX)
		return brimadm_refuse(w->a, TOOL_USAGE,
			"%.100s leads over more than %d steps in all", w->start,
			STEPS_MAX);
	return TOOL_OK;
}

/* Each target of the record, if it is an alias; DEPTH aliases lie before it. */
static int
walk_alias(struct walk *w, const struct record *r, int depth)
{
	const char *alias = record_get(r, "alias");
	char *targets, *rest, *target;
	int status = alias ? check_bounds(w, r, depth) : TOOL_OK;

	if (status || !alias)
		return status;
	targets = rest = strdup(alias);
	if (!targets)
		return brimadm_refuse(w->a, TOOL_CANT, "no memory");
	while (!status && (target = strsep(&rest, ",")))
		status = walk_target(w, r->key, target, depth + 1);
	free(targets);
	return status;
}

/* A catch-all is asked as lda will ask for it. */
static int
check_catchall(struct walk *w, const struct record *r)
{
	const char *target = record_get(r, "catchall");
	struct mailbox m;
	struct outcome o;

	if (!target)
		return TOOL_OK;
	if (mailbox_find(&m, w->table, &w->a->conf, target, &o))
		return brimadm_refuse(w->a, TOOL_USAGE,
			"the catchall of %.80s must lead to a mailbox: %.60s: %.100s",
			r->key, target, o.text);
	mailbox_clear(&m);
	return TOOL_OK;
}

static int
check_record(void *arg, const struct record *r)
{
	struct walk *w = arg;
	int status;

	w->start = r->key;
	w->steps = 0;
	status = walk_alias(w, r, 0);
	return status ? status : check_catchall(w, r);
}

static int
check_touched(struct walk *w)
{
	int status = TOOL_OK;

	for (size_t i = 0; i < w->a->led_count && !status; i++) {
		struct record r;
		int found = users_get(w->table, w->a->led[i], &r, &w->a->why);

		if (found < 0)
			return TOOL_CANT;
		status = found ? check_record(w, &r) : TOOL_OK;
		record_clear(&r);
	}
	return status;
}

int
brimadm_check_aliases(struct brimadm *a)
{
	struct walk w = {.a = a};
	int status;

	w.table = users_edit_table(a->edit, &a->why);
	if (!w.table)
		return TOOL_CANT;
	if (!a->removed)
		return check_touched(&w);
	status = users_each(w.table, "", check_record, &w, &a->why);
	return status < 0 ? TOOL_CANT : status;
}
