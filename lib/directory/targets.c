/* The tree of aliases behind an address, walked to its leaves. */
#include "targets.h"

#include <stdlib.h>
#include <string.h>

#include "mailbox.h"

#define STEPS_MAX (2 * TARGETS_MAX) /* look-ups in all, whatever branches there are */

struct walk {
	struct users *users;
	const struct conf *conf;
	struct targets *to;
	size_t most;
	int steps;
	struct outcome *outcome;
};

/* What lies between the address that was asked about and this one. */
struct path {
	int aliases, catch_alls;
	const char
		*caught_by; /* the domain whose catch-all names this address, or NULL */
};

/* 0, -1 with the outcome, or 1: enough has been found. */
static int walk(struct walk *w, const char *text, struct path path);

static int
misconfigured(struct walk *w, const struct reason *why)
{
	outcome_set(w->outcome, VERDICT_MISCONFIGURED, "%s", why->text);
	return -1;
}

static int
no_memory(struct walk *w)
{
	outcome_set(w->outcome, VERDICT_TROUBLE, "no memory");
	return -1;
}

static int
add(struct walk *w, enum target_kind kind, const char *address)
{
	struct targets *t = w->to;
	struct target *grown;
	char *copy;

	if (t->count == w->most && w->most < TARGETS_MAX) {
		t->is_cut = 1;
		return 1;
	}
	if (t->count == TARGETS_MAX) {
		outcome_set(w->outcome, VERDICT_MISCONFIGURED,
			"an alias leads to more than %d addresses", TARGETS_MAX);
		return -1;
	}
	/* room for 1, 2, 4, 8... */
	if ((t->count & (t->count - 1)) == 0) {
		grown = reallocarray(
			t->list, t->count ? 2 * t->count : 1, sizeof *t->list);
		if (!grown)
			return no_memory(w);
		t->list = grown;
	}
	copy = strdup(address);
	if (!copy)
		return no_memory(w);
	t->list[t->count++] = (struct target){.kind = kind, .address = copy};
	return 0;
}

/* --- the walk ------------------------------------------------------------------- */

/* Nobody has the address; DOMAIN is the record of its domain, or empty. What a catch-all
 * names must be a mailbox. In a domain of this host's accounts the MTA may know others
 * (/etc/aliases), whatever record the table has of the domain. */
static int
add_nobody(struct walk *w, const char *text, const struct address *a,
	const struct record *domain, const struct path *path)
{
	struct reason why;
	int accounts = 1;

	if (path->caught_by) {
		reason_set(&why, "%.100s leads to %.100s, which is not in the table",
			path->caught_by, text);
		return misconfigured(w, &why);
	}
	if (domain->key)
		accounts = mailbox_domain_has_accounts(
			w->users, w->conf, domain->key + 1, &why);
	if (accounts != 0)
		return accounts < 0 ? misconfigured(w, &why)
				    : add(w, TARGET_ELSEWHERE, text);
	mailbox_nobody(w->users, w->conf, 1, a, domain->key + 1, w->outcome);
	if (w->outcome->verdict != VERDICT_NO_SUCH_USER)
		return -1;
	return add(w, TARGET_NOBODY, text);
}

/* What can't be a key: the table has it under none. */
static int
walk_malformed(struct walk *w, const char *text, const struct path *path)
{
	const char *at = address_domain_key(text);
	struct record domain = {0};
	struct reason why;
	int result;

	if (at && mailbox_find_domain(w->users, at + 1, &domain, &why) < 0)
		result = misconfigured(w, &why);
	else
		result = add_nobody(w, text, NULL, &domain, path);
	record_clear(&domain);
	return result;
}

/* Each of the alias's targets. */
static int
walk_alias(struct walk *w, const char *key, const char *alias, struct path path)
{
	char *targets, *rest, *target;
	int result = 0;

	w->to->is_alias = 1;
	path.caught_by = NULL;
	if (path.aliases++ == MAILBOX_ALIASES_MAX) {
		outcome_set(w->outcome, VERDICT_MISCONFIGURED,
			"more than %d aliases, or a loop, at %.100s", MAILBOX_ALIASES_MAX,
			key);
		return -1;
	}
	targets = rest = strdup(alias);
	if (!targets)
		return no_memory(w);
	while (!result && (target = strsep(&rest, ",")))
		result = walk(w, target, path);
	free(targets);
	return result;
}

static int
walk_catch_all(struct walk *w, const char *key, const char *target, struct path path)
{
	w->to->is_alias = 1;
	path.caught_by = key;
	if (path.catch_alls++ < MAILBOX_ALIASES_MAX && !strchr(target, ','))
		return walk(w, target, path);
	outcome_set(w->outcome, VERDICT_MISCONFIGURED,
		"more than %d catch-alls, a loop, or several targets, at %.100s",
		MAILBOX_ALIASES_MAX, key);
	return -1;
}

/* R is the address's record, or that of its last domain (or empty) where it has none. */
static int
walk_record(struct walk *w, const char *text, const struct address *a, int found,
	const struct record *r, struct path path)
{
	const char *alias = found ? record_get(r, "alias") : NULL;
	const char *catch_all = found ? NULL : record_get(r, "catchall");

	if (alias)
		return walk_alias(w, r->key, alias, path);
	if (catch_all)
		return walk_catch_all(w, r->key, catch_all, path);
	return found ? add(w, TARGET_MAILBOX, r->key) : add_nobody(w, text, a, r, &path);
}

static int
walk(struct walk *w, const char *text, struct path path)
{
	char shorter[ADDRESS_MAX + 1];
	const char *delimiters = w->conf->recipient_delimiter;
	struct address a;
	struct record r;
	struct reason why;
	int found, result;

	if (w->steps++ == STEPS_MAX) {
		outcome_set(w->outcome, VERDICT_MISCONFIGURED,
			"an alias leads over more than %d steps", STEPS_MAX);
		return -1;
	}
	if (address_parse(&a, mailbox_cut_extension(shorter, text, delimiters),
		    delimiters, &why))
		return walk_malformed(w, text, &path);
	found = mailbox_find_in_domains(w->users, w->conf, &a, &r, &why);
	if (found < 0)
		result = misconfigured(w, &why);
	else
		result = walk_record(w, text, &a, found, &r, path);
	record_clear(&r);
	return result;
}

/* --- the calls ------------------------------------------------------------------ */

int
targets_find_some(struct targets *t, size_t most, struct users *u, const struct conf *c,
	const char *address, struct outcome *o)
{
	struct walk w = {.users = u, .conf = c, .to = t, .most = most, .outcome = o};

	*t = (struct targets){0};
	if (walk(&w, address, (struct path){0}) != -1)
		return 0;
	targets_clear(t);
	return -1;
}

int
targets_find(struct targets *t, struct users *u, const struct conf *c,
	const char *address, struct outcome *o)
{
	return targets_find_some(t, TARGETS_MAX, u, c, address, o);
}

/* Whose a target is can be told by its own look-up alone. */
static int
add_all(struct walk *w, const char *alias)
{
	char *targets, *rest, *target;
	int result = 0;

	w->to->is_alias = 1;
	targets = rest = strdup(alias);
	if (!targets)
		return no_memory(w);
	while (!result && (target = strsep(&rest, ",")))
		result = add(w, TARGET_ELSEWHERE, target);
	free(targets);
	return result;
}

int
targets_of_alias(struct targets *t, struct users *u, const struct conf *c,
	const char *address, struct outcome *o)
{
	struct walk w = {
		.users = u, .conf = c, .to = t, .most = TARGETS_MAX, .outcome = o};
	char shorter[ADDRESS_MAX + 1];
	struct address a;
	struct record r;
	struct reason why;
	const char *alias;
	int found, result = 0;

	*t = (struct targets){0};
	address = mailbox_cut_extension(shorter, address, c->recipient_delimiter);
	if (address_parse(&a, address, c->recipient_delimiter, &why))
		return 0;
	found = mailbox_find_in_domains(u, c, &a, &r, &why);
	alias = found > 0 ? record_get(&r, "alias") : NULL;
	if (found < 0)
		result = misconfigured(&w, &why);
	else if (alias)
		result = add_all(&w, alias);
	record_clear(&r);
	if (result)
		targets_clear(t);
	return result;
}

void
targets_clear(struct targets *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->list[i].address);
	free(t->list);
	*t = (struct targets){0};
}
