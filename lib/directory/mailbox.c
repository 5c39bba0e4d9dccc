/* Mailboxes: the look-up; what a record alone says to a message. */
#include "mailbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "this_host.h"

#define LATER_CUTS 8 /* of an address that nobody has, each of them is a look-up */

/* Whether the list has the domain, whose labels, or address, it may have in another form.
 */
static int
lists_domain(const char *list, const char *domain)
{
	char text[ADDRESS_MAX + 2], key[ADDRESS_MAX + 1];
	char *name;
	int has = conf_list_has(list, domain);

	if (!strstr(domain, "xn--") && domain[0] != '[')
		return has;
	while (!has && (name = conf_list_next(&list))) {
		snprintf(text, sizeof text, "@%s", name);
		has = address_key(key, text, NULL) == 0 && strcmp(key + 1, domain) == 0;
		free(name);
	}
	return has;
}

/* Whether the settings name the domain: where they name none, they mean the host's name.
 */
static int
is_named(const struct conf *c, const char *domain)
{
	return c->local_domains[0] ? lists_domain(c->local_domains, domain)
				   : this_host_is(domain);
}

int
mailbox_domain_is_local(const struct conf *c, const char *domain)
{
	return is_named(c, domain) || this_host_has(domain);
}

static int
misconfigured(struct outcome *o, const struct reason *why)
{
	outcome_set(o, VERDICT_MISCONFIGURED, "%s", why->text);
	return -1;
}

int
mailbox_find_domain(
	struct users *u, const char *domain, struct record *r, struct reason *why)
{
	char text[ADDRESS_MAX + 1] = "@", key[ADDRESS_MAX + 1], older[ADDRESS_MAX + 1];
	size_t length = strlen(domain);
	int found = 0;

	memset(r, 0, sizeof *r);
	if (length == 0 || length >= ADDRESS_MAX)
		return 0;
	memcpy(text + 1, domain, length + 1);
	if (address_key_older(older, text, NULL))
		return 0;
	if (address_key(key, text, NULL) || strcmp(key, older) != 0)
		found = users_get(u, older, r, why);
	if (found || address_key(key, text, NULL))
		return found;
	return users_get(u, key, r, why);
}

/* The address's domain, so that mailbox_find_domain sees both of its forms. */
static const char *
given_domain(const struct address *a)
{
	const char *at = address_domain_key(a->older);

	return at ? at + 1 : a->domain;
}

/* What is this host's without being named may be a virtual domain of the same name: where
 * the table has it, it is. */
int
mailbox_domain_has_accounts(
	struct users *u, const struct conf *c, const char *domain, struct reason *why)
{
	struct record r;
	int virtual;

	if (domain[0] == '\0' || is_named(c, domain))
		return 1;
	if (!this_host_has(domain))
		return 0;
	virtual = mailbox_find_domain(u, domain, &r, why);
	record_clear(&r);
	return virtual < 0 ? -1 : !virtual;
}

/* The keys under which the address may stand, the first one that does wins; *FULL of them
 * are whole addresses. A local part with an '@' of its own (it was quoted) is no bare
 * name: it could be another key. */
static size_t
list_keys(const struct address *a, const char *keys[4], size_t *full)
{
	size_t n = 0;

	if (a->domain[0]) {
		keys[n++] = a->text;
		if (a->extension)
			keys[n++] = a->base;
	}
	*full = n;
	if (a->domain[0] && strchr(a->local, '@'))
		return n;
	keys[n++] = a->local;
	if (a->extension)
		keys[n++] = a->user;
	return n;
}

/* A name may have a delimiter of its own, as mary-ann: where the table has no name that
 * ends at the first one, as Postfix cuts, those that end at a later one are tried, the
 * longest first. ACCOUNTS: under a bare name, too. */
static int
find_longer(struct users *u, const struct conf *c, const struct address *a, int accounts,
	struct record *r, struct reason *why)
{
	const char *at = address_domain_key(a->text);
	const char *first = a->extension, *end = a->local + strlen(a->local);
	char key[ADDRESS_MAX + 1];
	int found = 0;

	for (int tries = 0; found == 0 && tries < LATER_CUTS && first && --end > first;) {
		const size_t length = (size_t)(end - a->local);

		if (!strchr(c->recipient_delimiter, *end))
			continue;
		tries++;
		memcpy(key, a->local, length);
		strcpy(key + length, at ? at : "");
		if (at)
			found = users_get(u, key, r, why);
		key[length] = '\0';
		if (found == 0 && accounts)
			found = users_get(u, key, r, why);
	}
	return found;
}

static int
find_keys(struct users *u, const struct conf *c, const struct address *a,
	struct record *r, struct reason *why)
{
	const char *keys[4];
	size_t full, n = list_keys(a, keys, &full);
	int found = 0, accounts = 1;

	for (size_t i = 0; i < n && found == 0; i++) {
		if (i == full)
			accounts = mailbox_domain_has_accounts(u, c, a->domain, why);
		if (accounts <= 0)
			break;
		found = users_get(u, keys[i], r, why);
	}
	if (found || accounts < 0)
		return found ? found : -1;
	return find_longer(u, c, a, accounts && n > full, r, why);
}

/* A key in its older form comes first: that table leads where it always did. */
int
mailbox_find_record(struct users *u, const struct conf *c, const struct address *a,
	struct record *r, struct reason *why)
{
	struct address older;
	int found = 0;

	if (a->older[0] &&
		address_parse_older(&older, a->older, c->recipient_delimiter, NULL) == 0)
		found = find_keys(u, c, &older, r, why);
	return found ? found : find_keys(u, c, a, r, why);
}

/* The address of the same local part, extension included, in the domain that TO names: 0,
 * or -1 where no address is that long. */
static int
enter_domain(const struct conf *c, struct address *a, const char *to)
{
	char text[2 * ADDRESS_MAX + 2];
	struct address there; /* it can't be copied: its extension points into itself */

	snprintf(text, sizeof text, "%s%s", a->local, to);
	if (address_parse(&there, text, c->recipient_delimiter, NULL))
		return -1;
	return address_parse(a, text, c->recipient_delimiter, NULL);
}

/* An alias domain costs nothing where the address has a record: domains are read only for
 * those that have none, which may have a catch-all. */
int
mailbox_find_in_domains(struct users *u, const struct conf *c, struct address *a,
	struct record *r, struct reason *why)
{
	for (int i = 0; i <= MAILBOX_ALIASES_MAX; i++) {
		const char *to;
		int found = mailbox_find_record(u, c, a, r, why);

		if (found)
			return found;
		if (mailbox_find_domain(u, given_domain(a), r, why) < 0)
			return -1;
		to = r->key ? record_get(r, "alias") : NULL;
		if (to && to[0] != '@')
			return reason_set(
				why, "the record of %.100s: alias is no domain", r->key);
		if (!to || enter_domain(c, a, to))
			return 0;
		record_clear(r);
	}
	return reason_set(why, "more than %d alias domains, or a loop, at %.100s",
		MAILBOX_ALIASES_MAX, a->domain);
}

/* Whether an older brimadm may have put the address under another key than today's. */
static int
has_older_form(const struct address *a)
{
	const char *text = a->text;

	while (*text && (unsigned char)*text < 0x80)
		text++;
	return *text || a->older[0] || strstr(a->domain, "xn--") ||
	       strpbrk(a->local, " \"(),:;<>@[\\]");
}

/* There is no such user, if the table has the address under no older key either; always
 * -1. */
static int
no_such_user(struct users *u, const struct address *a, struct outcome *o)
{
	struct reason why;
	int older = a && has_older_form(a) ? users_has_older_keys(u, &why) : 0;

	if (older < 0)
		return misconfigured(o, &why);
	if (older)
		outcome_set(o, VERDICT_MISCONFIGURED,
			"the user table has addresses in the form of an older brimadm, "
			"and this may be one of them: brimadm dump >FILE && brimadm load "
			"--replace FILE makes them new");
	else
		outcome_set(o, VERDICT_NO_SUCH_USER, NULL);
	return -1;
}

/* A name of this host, without a domain, that the table does not have; a domain of this
 * host's is only the name again. Whether it has names of that form at all? */
static int
no_account(
	struct users *u, const struct address *a, const char *domain, struct outcome *o)
{
	struct reason why;
	int some = users_has_bare_names(u, &why), whole = 0;

	if (some > 0 && !domain[0] && a)
		whole = users_has_local_part(u, a->user, &why);
	if (some < 0 || whole < 0)
		return misconfigured(o, &why);
	if (whole)
		outcome_set(o, VERDICT_MISCONFIGURED,
			"the user table has %.100s@ with a domain alone: the MTA must "
			"give the whole address",
			a->user);
	else if (!some && !domain[0])
		outcome_set(o, VERDICT_MISCONFIGURED,
			"the user table has no name without a domain: the MTA must give "
			"the whole address");
	else if (!some)
		outcome_set(o, VERDICT_MISCONFIGURED,
			"the user table has no account of this host, %.100s", domain);
	else
		return no_such_user(u, a, o);
	return -1;
}

/* That there is no such user is said only where the domain is ours and the table has
 * names of that form; all else may be a mistake of the administrator's. */
int
mailbox_nobody(struct users *u, const struct conf *c, int owned, const struct address *a,
	const char *domain, struct outcome *o)
{
	struct reason why;
	int some = users_has_records(u, &why);

	if (some < 0)
		return misconfigured(o, &why);
	if (!some)
		outcome_set(o, VERDICT_MISCONFIGURED, "the user table is empty");
	else if (owned)
		return no_such_user(u, a, o);
	else if (!domain[0] || mailbox_domain_is_local(c, domain))
		return no_account(u, a, domain, o);
	else
		outcome_set(o, VERDICT_MISCONFIGURED,
			"the user table knows no domain %.100s", domain);
	return -1;
}

/* What address_parse refuses can't be in the table. */
static int
refuse_malformed(struct users *u, const struct conf *c, const char *text,
	const struct reason *why, struct outcome *o)
{
	const char *at = address_domain_key(text), *domain = at ? at + 1 : "";
	struct record r;
	struct reason fault;
	int owned;

	if (text[0] == '\0' || (at && !domain[0]))
		return misconfigured(o, why);
	owned = mailbox_find_domain(u, domain, &r, &fault);
	record_clear(&r);
	if (owned < 0)
		return misconfigured(o, &fault);
	return mailbox_nobody(u, c, owned, NULL, domain, o);
}

/* Other bytes than the extension are not lost on the way: what address_parse would refuse
 * stays. */
const char *
mailbox_cut_extension(
	char shorter[ADDRESS_MAX + 1], const char *text, const char *delimiters)
{
	const char *at = address_domain_key(text);
	const size_t length = strlen(text), domain = at ? strlen(at) : 0;
	size_t user;

	if (length <= ADDRESS_MAX || !delimiters[0])
		return text;
	user = 1 + strcspn(text + 1, delimiters);
	if (user >= length - domain || user + domain > ADDRESS_MAX)
		return text;
	for (size_t i = user; i < length; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return text;
	memcpy(shorter, text, user);
	memcpy(shorter + user, at ? at : "", domain + 1);
	return shorter;
}

/* One step along an alias or a catch-all: R becomes what TARGET leads to. What a
 * catch-all leads to may be caught by another domain's: R is that domain's then. */
static int
follow(struct users *u, const struct conf *c, struct record *r, const char *target,
	struct reason *why)
{
	struct address a;
	struct reason fault;
	struct record next;
	int found;

	if (strchr(target, ','))
		return reason_set(why,
			"%.100s has several targets: the MTA must expand it "
			"(virtual_alias_maps)",
			r->key);
	if (address_parse(&a, target, c->recipient_delimiter, &fault))
		return reason_set(
			why, "the target of %.100s: %.150s", r->key, fault.text);
	found = mailbox_find_in_domains(u, c, &a, &next, why);
	if (!found && record_get(r, "catchall"))
		found = next.key && record_get(&next, "catchall") &&
			strcmp(next.key, r->key) != 0;
	if (found <= 0)
		record_clear(&next);
	if (found < 0)
		return -1;
	if (!found)
		return reason_set(why,
			"%.100s leads to %.100s, which is not in the table", r->key,
			a.text);
	record_clear(r);
	*r = next;
	return 0;
}

static int
follow_all(struct users *u, const struct conf *c, struct record *r, struct reason *why)
{
	for (int i = 0; i < MAILBOX_ALIASES_MAX; i++) {
		const char *target = record_get(r, "alias");

		if (!target)
			return 0;
		if (follow(u, c, r, target, why))
			return -1;
	}
	if (!record_get(r, "alias"))
		return 0;
	return reason_set(why, "more than %d aliases, or a loop, at %.100s",
		MAILBOX_ALIASES_MAX, r->key);
}

/* R is the domain's record, or empty: 0 with its catch-all's, or -1 with the outcome. */
static int
catch_all(struct users *u, const struct conf *c, const struct address *a,
	struct record *r, struct outcome *o)
{
	struct reason why;
	const char *target = record_get(r, "catchall");

	for (int i = 0; target && i < MAILBOX_ALIASES_MAX; i++) {
		if (follow(u, c, r, target, &why))
			return misconfigured(o, &why);
		target = record_get(r, "catchall");
		if (!target)
			return 0;
	}
	if (target) {
		reason_set(&why, "more than %d catch-alls, or a loop, at %.100s",
			MAILBOX_ALIASES_MAX, r->key);
		return misconfigured(o, &why);
	}
	return mailbox_nobody(u, c, r->key != NULL, a, a->domain, o);
}

/* Fills the mailbox, and looks for its domain's defaults only where they matter. */
static int
fill(struct mailbox *m, struct users *u, const struct conf *c, const struct record *r,
	struct reason *why)
{
	const char *at = address_domain_key(r->key);
	struct record domain = {0};
	int result = 0;

	if (at && !(record_get(r, "quota") && record_get(r, "messages") &&
			  record_get(r, "over_quota") && record_get(r, "smtp_full")))
		result = mailbox_find_domain(u, at + 1, &domain, why);
	if (result >= 0)
		result = mailbox_from_record(m, r, result ? &domain : NULL, c, why);
	record_clear(&domain);
	return result;
}

int
mailbox_find(struct mailbox *m, struct users *u, const struct conf *c,
	const char *address_text, struct outcome *o)
{
	char shorter[ADDRESS_MAX + 1];
	const char *text =
		mailbox_cut_extension(shorter, address_text, c->recipient_delimiter);
	struct address a;
	struct record r;
	struct reason why;
	enum mailbox_match match = MAILBOX_MATCH;
	int found, result = -1;

	memset(m, 0, sizeof *m);
	if (address_parse(&a, text, c->recipient_delimiter, &why))
		return refuse_malformed(u, c, text, &why, o);
	found = mailbox_find_in_domains(u, c, &a, &r, &why);
	if (found == 0)
		match = catch_all(u, c, &a, &r, o) ? MAILBOX_NO_MATCH : MAILBOX_CAUGHT;
	else if (found < 0)
		match = MAILBOX_UNREADABLE;
	if (found < 0 || (match != MAILBOX_NO_MATCH &&
				 (follow_all(u, c, &r, &why) || fill(m, u, c, &r, &why))))
		misconfigured(o, &why);
	else if (match != MAILBOX_NO_MATCH)
		result = 0;
	m->match = match;
	record_clear(&r);
	return result;
}
