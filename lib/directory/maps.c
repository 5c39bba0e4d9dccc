/* Maps: one function each, by a table of their names. Most look at the key's own record
 * and at nothing that it leads to: the MTA asks again for that. */
#include "maps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_ascii.h"
#include "mailbox.h"

#define VALUE_MAX 99000 /* bytes: Postfix takes 100000 in all (socketmap_table(5)) */

struct query {
	struct users *users;
	const struct conf *conf;
	const char *key;
	char *value;
	struct outcome *outcome;
};

static enum maps_answer
fail(struct query *q, const char *text)
{
	outcome_set(q->outcome, VERDICT_MISCONFIGURED, "%s", text);
	return MAPS_ERROR;
}

static enum maps_answer
no_memory(struct query *q)
{
	outcome_set(q->outcome, VERDICT_TROUBLE, "no memory");
	return MAPS_ERROR;
}

static enum maps_answer
give(struct query *q, const char *value)
{
	q->value = strdup(value);
	return q->value ? MAPS_FOUND : no_memory(q);
}

/* What the key leads to at once: its record, or that of its domain, or none. R is cleared
 * by the caller. 1 where it is the key's own, 0, -1. */
static int
find_record(struct query *q, struct address *a, struct record *r, struct reason *why)
{
	const char *delimiters = q->conf->recipient_delimiter;
	char shorter[ADDRESS_MAX + 1];

	memset(r, 0, sizeof *r);
	if (address_parse(a, mailbox_cut_extension(shorter, q->key, delimiters),
		    delimiters, NULL))
		return 0; /* the table can't have it */
	return mailbox_find_in_domains(q->users, q->conf, a, r, why);
}

/* --- mailbox: known is what a delivery takes, and what leads anywhere ------------- */

static enum maps_answer
find_mailbox(struct query *q)
{
	char text[ADDRESS_MAX + 1];
	struct mailbox m;
	int found = mailbox_find(&m, q->users, q->conf, q->key, q->outcome);

	if (found == 0) {
		/* a name that is no ASCII would be more than the MTA need know */
		found = address_ascii(text, sizeof text, m.key);
		mailbox_clear(&m);
		return give(q, found ? "known" : text);
	}
	if (m.match == MAILBOX_MATCH)
		return give(q, "known"); /* an alias that the MTA expands */
	return q->outcome->verdict == VERDICT_NO_SUCH_USER ? MAPS_NOT_FOUND : MAPS_ERROR;
}

/* --- alias ------------------------------------------------------------------------ */

/* Whether a local part can stand without quotes (RFC 5321 section 4.1.2, Dot-string; RFC
 * 6531 section 3.3). */
static int
is_dot_string(const char *local)
{
	const size_t length = strlen(local);

	if (length == 0 || local[0] == '.' || local[length - 1] == '.')
		return 0;
	for (const char *c = local; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f ||
			strchr("()<>[]:;@\\,\"", *c) || (*c == '.' && c[1] == '.'))
			return 0;
	return 1;
}

static void
print_local(FILE *to, const char *local)
{
	if (is_dot_string(local)) {
		fputs(local, to);
		return;
	}
	fputc('"', to);
	for (; *local; local++) {
		if (*local == '"' || *local == '\\')
			fputc('\\', to);
		fputc(*local, to);
	}
	fputc('"', to);
}

/* The extension that the record's key does not have, with its delimiter, to be handed on;
 * NULL without. One that would need quotes is the sender's invention and goes no further.
 */
static const char *
unmatched_extension(const struct address *a, const struct record *r)
{
	const char *at = address_domain_key(r->key), *extension;
	const size_t length = at ? (size_t)(at - r->key) : strlen(r->key);

	if (!a->extension || strcmp(r->key, a->text) == 0 ||
		strcmp(r->key, a->local) == 0)
		return NULL;
	extension = a->extension - 1;
	if (length < strlen(a->local) && a->local + length > extension)
		extension = a->local + length; /* the name has a delimiter, too */
	return is_dot_string(extension + 1) ? extension : NULL;
}

/* What goes into the answer for each target. */
struct expansion {
	struct query *query;
	const struct record *record; /* the alias, or its domain */
	const struct address *asked;
	const char *extension; /* for targets of ours; NULL without */
	FILE *to;
};

/* Whether extensions are taken off addresses of the domain here: 1, 0, -1. */
static int
is_ours(const struct query *q, const char *domain, struct reason *why)
{
	struct record r;
	int found;

	if (domain[0] == '\0' || mailbox_domain_is_local(q->conf, domain))
		return 1;
	found = mailbox_find_domain(q->users, domain, &r, why);
	record_clear(&r);
	return found;
}

/* Which domain an account's name gets: "@DOMAIN", empty where the settings name none. The
 * one that was asked about, if it has accounts. Left alone the name would get myorigin of
 * Postfix, which need not be a domain of this host's (postconf(5), append_at_myorigin).
 * 0, or -1. */
static int
domain_of_accounts(
	const struct expansion *e, char key[ADDRESS_MAX + 1], struct reason *why)
{
	const char *asked = e->asked->domain, *list = e->query->conf->local_domains;
	char text[ADDRESS_MAX + 2], *name = NULL;
	int has = asked[0] ? mailbox_domain_has_accounts(
				     e->query->users, e->query->conf, asked, why)
			   : 0;

	key[0] = '\0';
	if (has < 0)
		return -1;
	if (asked[0] && !has && (name = conf_list_next(&list)) == NULL)
		return 0;
	snprintf(text, sizeof text, "@%s", name ? name : asked);
	free(name);
	if (text[1] && address_key(key, text, NULL))
		key[0] = '\0';
	return 0;
}

/* An extension is kept where it is ours to take off again, as Postfix keeps one that its
 * own tables did not match (propagate_unmatched_extensions). Another host may know none,
 * and would bounce the message. */
static int
print_target(struct expansion *e, const char *target, struct reason *why)
{
	char local[2 * ADDRESS_MAX + 1];
	char domain[ADDRESS_MAX + 1];
	const char *at = address_domain_key(target);
	struct address a;
	int ours = 0;

	if (address_parse(&a, target, e->query->conf->recipient_delimiter, why))
		return -1;
	if (e->extension && !a.extension)
		ours = is_ours(e->query, a.domain, why);
	if (ours < 0)
		return -1;
	snprintf(local, sizeof local, "%.*s%s",
		(int)(at ? (size_t)(at - target) : strlen(target)), target,
		ours ? e->extension : "");
	print_local(e->to, local);
	if (at)
		fprintf(e->to, "@%s", a.domain);
	else if (domain_of_accounts(e, domain, why))
		return -1;
	else
		fputs(domain, e->to);
	return 0;
}

static int
print_targets(struct expansion *e, const char *list, struct reason *why)
{
	char one[ADDRESS_MAX + 2];

	for (const char *p = list;; p++) {
		size_t length = strcspn(p, ",");

		snprintf(one, sizeof one, "%.*s", (int)length, p);
		if (print_target(e, one, why))
			return -1;
		p += length;
		if (*p == '\0')
			return 0;
		fputc(',', e->to);
	}
}

/* The targets, with commas between. Where extensions would make them too many bytes they
 * go without. */
static enum maps_answer
expand(struct query *q, struct expansion *e, const char *list)
{
	struct reason why;
	size_t size;
	int failed;

	e->to = open_memstream(&q->value, &size);
	if (!e->to)
		return no_memory(q);
	failed = print_targets(e, list, &why);
	if (fclose(e->to))
		return no_memory(q);
	if (failed)
		return fail(q, why.text);
	if (size <= VALUE_MAX)
		return MAPS_FOUND;
	if (!e->extension)
		return fail(q, "the alias is larger than Postfix takes");
	free(q->value);
	e->extension = NULL;
	return expand(q, e, list);
}

/* The MTA expands what stands in the answer in its turn. The address of a mailbox is no
 * alias, so a catch-all takes no mail from it. */
static enum maps_answer
find_alias(struct query *q)
{
	struct address a;
	struct record r;
	struct reason why;
	struct expansion e = {.query = q, .record = &r, .asked = &a};
	enum maps_answer answer = MAPS_NOT_FOUND;
	int found = find_record(q, &a, &r, &why);
	const char *list = NULL;

	if (r.key) {
		list = record_get(&r, found > 0 ? "alias" : "catchall");
		e.extension = found > 0 ? unmatched_extension(&a, &r) : NULL;
	}
	if (found < 0)
		answer = fail(q, why.text);
	else if (list)
		answer = expand(q, &e, list);
	record_clear(&r);
	return answer;
}

/* --- domain ----------------------------------------------------------------------- */

/* A domain of this host's accounts is for mydestination: Postfix must have it there or
 * here, and not in both. */
static enum maps_answer
find_domain(struct query *q)
{
	struct record r;
	struct reason why;
	enum maps_answer answer = MAPS_NOT_FOUND;
	int found = mailbox_find_domain(q->users, q->key, &r, &why), accounts = 0;

	if (found > 0)
		accounts =
			mailbox_domain_has_accounts(q->users, q->conf, r.key + 1, &why);
	if (found < 0 || accounts < 0)
		answer = fail(q, why.text);
	else if (found && !accounts)
		answer = give(q, r.key + 1);
	record_clear(&r);
	return answer;
}

/* --- relocated, transport --------------------------------------------------------- */

/* What relocated_maps answer goes into the MTA's reply, which is ASCII. */
static enum maps_answer
find_relocated(struct query *q)
{
	char text[VERDICT_LINE_MAX];
	struct address a;
	struct record r;
	struct reason why;
	enum maps_answer answer = MAPS_NOT_FOUND;
	int found = find_record(q, &a, &r, &why);
	const char *state = found > 0 ? record_get(&r, "state") : NULL;
	const char *to = found > 0 ? record_get(&r, "moved_to") : NULL;

	if (found < 0)
		answer = fail(q, why.text);
	else if (to && state && strcmp(state, "moved") == 0 &&
		 mailbox_kind_of(&r) == MAILBOX_KIND_MAILBOX &&
		 address_ascii(text, sizeof text, to) == 0 && text[0])
		answer = give(q, text);
	record_clear(&r);
	return answer;
}

/* A service alone keeps the next hop, which is the domain (transport(5)). */
static enum maps_answer
give_transport(struct query *q)
{
	const char *service = q->conf->map_transport;

	if (service[0] == '\0')
		return MAPS_NOT_FOUND;
	if (asprintf(&q->value, "%s%s", service, strchr(service, ':') ? "" : ":") < 0)
		return no_memory(q);
	return MAPS_FOUND;
}

/* Accounts of this host are local(8)'s, whose transport is the default. */
static enum maps_answer
find_transport(struct query *q)
{
	struct address a;
	struct record r;
	struct reason why;
	enum maps_answer answer = MAPS_NOT_FOUND;
	int found = find_record(q, &a, &r, &why);

	if (found < 0)
		answer = fail(q, why.text);
	else if (found && address_domain_key(r.key) &&
		 mailbox_kind_of(&r) == MAILBOX_KIND_MAILBOX)
		answer = give_transport(q);
	record_clear(&r);
	return answer;
}

/* --- all of them ------------------------------------------------------------------ */

static const struct map {
	const char *name;
	enum maps_answer (*find)(struct query *q);
} maps[] = {
	{"mailbox", find_mailbox},
	{"alias", find_alias},
	{"domain", find_domain},
	{"relocated", find_relocated},
	{"transport", find_transport},
};

#define MAPS (sizeof maps / sizeof *maps)

const char *
maps_name(size_t i)
{
	return i < MAPS ? maps[i].name : NULL;
}

/* An empty table may be the wrong one: that it has no such name proves nothing. */
static enum maps_answer
not_found(struct query *q)
{
	struct reason why;
	int some = users_has_records(q->users, &why);

	if (some > 0)
		return MAPS_NOT_FOUND;
	return fail(q, some < 0 ? why.text : "the user table is empty");
}

enum maps_answer
maps_find(const char *name, struct users *u, const struct conf *c, const char *key,
	char **value, struct outcome *o)
{
	struct query q = {.users = u, .conf = c, .key = key, .outcome = o};
	enum maps_answer answer = MAPS_ERROR;
	size_t i = 0;

	while (i < MAPS && strcmp(maps[i].name, name) != 0)
		i++;
	if (i == MAPS)
		return fail(&q, "there is no map of that name");
	if (key[0] == '\0')
		return fail(&q, "the key is empty");
	answer = maps[i].find(&q);
	if (answer == MAPS_NOT_FOUND)
		answer = not_found(&q);
	if (answer == MAPS_FOUND)
		*value = q.value;
	else
		free(q.value);
	return answer;
}
