/*
 * An alias must end, within the bound of steps that mailbox_find has, at mailboxes of the
 * table or at addresses elsewhere; a catch-all at one mailbox; an alias domain at a
 * domain of the table or of this host, and it has no mailboxes of its own.
 */
#include "aliases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox.h"

#define STEPS_MAX 1000 /* of all branches of one alias */
#define NO_DOMAIN 100  /* behind the last of the domains: no enum change_result */

struct walk {
	struct users *table;
	const struct conf *conf;
	const char *start;
	int steps;
	char **domains; /* those that are aliases, in order */
	size_t domain_count;
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
	found = mailbox_find_in_domains(w->table, w->conf, &address, &r, w->why);
	if (found < 0)
		return CHANGE_FAILED;
	result = found ? walk_alias(w, &r, depth) : check_elsewhere(w, key, &address);
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

/* --- alias domains -------------------------------------------------------------- */

/* The domain that KEY (@domain) is an alias of, in TO; empty where it is none. */
static enum change_result
next_domain(struct walk *w, const char *key, char to[ADDRESS_MAX + 1])
{
	struct record r;
	int found = users_get(w->table, key, &r, w->why);
	const char *alias = found > 0 ? record_get(&r, "alias") : NULL;

	to[0] = '\0';
	if (alias)
		snprintf(to, ADDRESS_MAX + 1, "%s", alias);
	record_clear(&r);
	if (found < 0)
		return CHANGE_FAILED;
	if (found || mailbox_domain_is_local(w->conf, key + 1))
		return CHANGE_OK;
	reason_set(w->why,
		"%.100s leads to %.100s, which would not be in the table: change one of "
		"them first",
		w->start, key);
	return CHANGE_REFUSED;
}

/* Where the alias domain leads in the end. */
static enum change_result
check_domain(struct walk *w, const struct record *r)
{
	char at[ADDRESS_MAX + 1], to[ADDRESS_MAX + 1];
	enum change_result result = CHANGE_OK;
	int steps = 0;

	w->start = r->key;
	snprintf(to, sizeof to, "%s", record_get(r, "alias"));
	while (!result && to[0]) {
		strcpy(at, to);
		if (strcmp(at, r->key) == 0 || ++steps > MAILBOX_ALIASES_MAX) {
			reason_set(w->why,
				"%.100s leads back to itself, or over more than %d "
				"alias domains",
				r->key, MAILBOX_ALIASES_MAX);
			return CHANGE_REFUSED;
		}
		result = next_domain(w, at, to);
	}
	return result;
}

/* Checks the domain, and keeps its key if it is an alias. */
static int
take_domain(void *arg, const struct record *r)
{
	struct walk *w = arg;
	enum change_result result;
	char **grown;

	if (r->key[0] != '@')
		return NO_DOMAIN;
	if (mailbox_kind_of(r) != MAILBOX_KIND_ALIAS_DOMAIN)
		return 0;
	result = check_domain(w, r);
	if (result)
		return (int)result;
	grown = reallocarray(w->domains, w->domain_count + 1, sizeof *grown);
	if (grown) {
		w->domains = grown;
		grown[w->domain_count] = strdup(r->key);
	}
	if (grown && grown[w->domain_count++])
		return 0;
	reason_set(w->why, "no memory");
	return CHANGE_FAILED;
}

static int
by_key(const void *key, const void *member)
{
	const char *text = *(char *const *)member;

	return text ? strcmp(key, text) : 1;
}

/* lda would find such a mailbox, and other names of the domain in the other one: nobody
 * could tell whose an address is. */
static enum change_result
check_own_mailbox(struct walk *w, const struct record *r)
{
	const char *at = w->domain_count ? address_domain_key(r->key) : NULL;

	if (!at || mailbox_kind_of(r) != MAILBOX_KIND_MAILBOX ||
		!bsearch(at, w->domains, w->domain_count, sizeof *w->domains, by_key))
		return CHANGE_OK;
	reason_set(w->why,
		"%.100s is a mailbox, and a domain with mailboxes of its own can't be an "
		"alias of another: remove it, or the alias of %.100s",
		r->key, at);
	return CHANGE_REFUSED;
}

/* --- a record, or all ----------------------------------------------------------- */

static int
check_record(void *arg, const struct record *r)
{
	struct walk *w = arg;
	enum change_result result = check_own_mailbox(w, r);

	if (result || r->key[0] == '@')
		return (int)(result ? result : check_catchall(w, r));
	w->start = r->key;
	w->steps = 0;
	return (int)walk_alias(w, r, 0);
}

enum change_result
aliases_check(struct users *table, const struct conf *conf, const char *key, int *deep,
	struct reason *why)
{
	struct walk w = {.table = table, .conf = conf, .why = why};
	struct record r;
	int found = users_get(table, key, &r, why), result;

	if (found < 0)
		return CHANGE_FAILED;
	result = found ? check_record(&w, &r) : CHANGE_OK;
	record_clear(&r);
	if (w.steps > 1)
		*deep = 1;
	return (enum change_result)result;
}

static int
check_domain_record(void *arg, const struct record *r)
{
	return r->key[0] == '@' ? (int)check_catchall(arg, r) : NO_DOMAIN;
}

enum change_result
aliases_check_catchalls(struct users *table, const struct conf *conf, struct reason *why)
{
	struct walk w = {.table = table, .conf = conf, .why = why};
	int result = users_each(table, "@", check_domain_record, &w, why);

	if (result == NO_DOMAIN)
		return CHANGE_OK;
	return result < 0 ? CHANGE_FAILED : (enum change_result)result;
}

enum change_result
aliases_check_all(struct users *table, const struct conf *conf, struct reason *why)
{
	static const char *const leading[] = {"alias=", "catchall=", NULL};
	struct walk w = {.table = table, .conf = conf, .why = why};
	/* the domains first: aliases are followed into them */
	int result = users_each(table, "@", take_domain, &w, why);

	/* mailboxes matter only where a domain is an alias */
	if (result == 0 || result == NO_DOMAIN)
		result = users_each_with(table, "", w.domain_count ? NULL : leading,
			check_record, &w, why);
	for (size_t i = 0; i < w.domain_count; i++)
		free(w.domains[i]);
	free(w.domains);
	return result < 0 ? CHANGE_FAILED : (enum change_result)result;
}
