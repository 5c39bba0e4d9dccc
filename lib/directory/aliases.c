/*
 * An alias must end, within the bound of steps that mailbox_find has, at mailboxes of the
 * table or at addresses elsewhere; a catch-all at one mailbox.
 */
#include "aliases.h"

#include <stdlib.h>
#include <string.h>

#include "mailbox.h"

#define STEPS_MAX 1000 /* of all branches of one alias */

struct walk {
	struct users *table;
	const struct conf *conf;
	const char *start;
	int steps;
	struct reason *why;
};

static enum change_result walk_alias(struct walk *w, const struct record *r, int depth);

/* Whether the domain has a record, or is this host's: 1, 0, -1. */
static int
domain_is_ours(struct walk *w, const char *domain)
{
	char key[ADDRESS_MAX + 2] = "@";
	struct record r;
	int found;

	if (domain[0] == '\0' || mailbox_domain_is_local(w->conf, domain))
		return 1;
	strcpy(key + 1, domain);
	found = strlen(key) <= ADDRESS_MAX ? users_get(w->table, key, &r, w->why) : 0;
	if (found > 0)
		record_clear(&r);
	return found;
}

/* A target without a record may be an address elsewhere. */
static enum change_result
check_elsewhere(struct walk *w, const char *key, const struct address *target)
{
	int ours = domain_is_ours(w, target->domain);

	if (ours < 0)
		return CHANGE_FAILED;
	if (!ours)
		return CHANGE_OK;
	reason_set(w->why,
		"%.80s leads to %.80s, which would not be in the table: change one of "
		"them first",
		key, target->text);
	return CHANGE_REFUSED;
}

/* One target of the alias KEY. */
static enum change_result
walk_target(struct walk *w, const char *key, const char *target, int depth)
{
	struct address address;
	struct record r;
	enum change_result result;
	int found;

	if (address_parse(&address, target, w->conf->recipient_delimiter, w->why))
		return CHANGE_REFUSED;
	found = mailbox_find_record(w->table, w->conf, &address, &r, w->why);
	if (found < 0)
		return CHANGE_FAILED;
	if (found == 0)
		return check_elsewhere(w, key, &address);
	result = walk_alias(w, &r, depth);
	record_clear(&r);
	return result;
}

static int
check_bounds(struct walk *w, const struct record *r, int depth)
{
	if (depth > 0 && strcmp(r->key, w->start) == 0)
		return reason_set(w->why,
			"%.100s leads back to itself: a loop of aliases", w->start);
	if (depth >= MAILBOX_ALIASES_MAX)
		return reason_set(w->why,
			"%.100s leads over more than %d aliases, or into a loop",
			w->start, MAILBOX_ALIASES_MAX);
	if (++w->steps > STEPS_MAX)
		return reason_set(w->why, "%.100s leads over more than %d steps in all",
			w->start, STEPS_MAX);
	return 0;
}

/* Each target of the record, if it is an alias; DEPTH aliases lie before it. */
static enum change_result
walk_alias(struct walk *w, const struct record *r, int depth)
{
	const char *alias = record_get(r, "alias");
	char *targets, *rest, *target;
	enum change_result result = CHANGE_OK;

	if (!alias)
		return CHANGE_OK;
	if (check_bounds(w, r, depth))
		return CHANGE_REFUSED;
	targets = rest = strdup(alias);
	if (!targets) {
		reason_set(w->why, "no memory");
		return CHANGE_FAILED;
	}
	while (!result && (target = strsep(&rest, ",")))
		result = walk_target(w, r->key, target, depth + 1);
	free(targets);
	return result;
}

/* A catch-all is asked as lda will ask for it. */
static enum change_result
check_catchall(struct walk *w, const struct record *r)
{
	const char *target = record_get(r, "catchall");
	struct mailbox m;
	struct outcome o;

	if (!target)
		return CHANGE_OK;
	if (mailbox_find(&m, w->table, w->conf, target, &o)) {
		reason_set(w->why,
			"the catchall of %.80s must lead to a mailbox: %.60s: %.100s",
			r->key, target, o.text);
		return CHANGE_REFUSED;
	}
	mailbox_clear(&m);
	return CHANGE_OK;
}

static int
check_record(void *arg, const struct record *r)
{
	struct walk *w = arg;
	enum change_result result;

	w->start = r->key;
	w->steps = 0;
	result = walk_alias(w, r, 0);
	return (int)(result ? result : check_catchall(w, r));
}

enum change_result
aliases_check(
	struct users *table, const struct conf *conf, const char *key, struct reason *why)
{
	struct walk w = {.table = table, .conf = conf, .why = why};
	struct record r;
	int found = users_get(table, key, &r, why), result;

	if (found < 0)
		return CHANGE_FAILED;
	result = found ? check_record(&w, &r) : CHANGE_OK;
	record_clear(&r);
	return (enum change_result)result;
}

enum change_result
aliases_check_all(struct users *table, const struct conf *conf, struct reason *why)
{
	struct walk w = {.table = table, .conf = conf, .why = why};
	int result = users_each(table, "", check_record, &w, why);

	return result < 0 ? CHANGE_FAILED : (enum change_result)result;
}
