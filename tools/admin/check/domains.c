/*
 * check: the domains of Postfix against those of Brim. Postfix finds a domain in the
 * first of its four lists that has it, and each list has a transport; transport_maps goes
 * before. What it hands to lda Brim must know; and mail for what Brim has must come to
 * lda.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "postfix/brim_side.h"
#include "postfix/names.h"
#include "privileges.h"
#include "this_host.h"
#include "transports.h"

enum { OWN, ALIAS, MAILBOX, RELAY, CLASSES };

/* In the order in which Postfix looks (trivial-rewrite(8)). */
static const struct class
{
	const char *list, *transport, *recipients;
} classes[CLASSES] = {
	[OWN] = {"mydestination", "local_transport", NULL},
	[ALIAS] = {"virtual_alias_domains", NULL, NULL},
	[MAILBOX] = {"virtual_mailbox_domains", "virtual_transport",
		"virtual_mailbox_maps"},
	[RELAY] = {"relay_domains", "relay_transport", "relay_recipient_maps"},
};

/* A domain of the table whose mail does not come to lda. */
struct suspect {
	char *domain;
	const char *why;
	int has_mailbox;
};

/* Whom the mailboxes of a class must belong to; USER is NULL where anybody's will do. */
struct owner {
	const char *service, *user;
	uid_t uid;
	char *other; /* one that does not, and how many there are */
	uint64_t other_uid;
	size_t others;
};

struct comparison {
	struct check *c;
	struct owner owners[CLASSES];
	struct names lists[CLASSES];
	enum check_route routes[CLASSES];
	struct transports mapped;
	int takes_virtual;        /* lda has domains that are not this host's */
	struct suspect *suspects; /* sorted */
	size_t suspect_count;
};

/* --- reading it all ----------------------------------------------------------------- */

static int
print_domain(void *arg, const struct record *r)
{
	if (r->key[0] != '@')
		return 1;
	fprintf(arg, "%s\n", r->key + 1);
	return 0;
}

/* Every domain of Brim's, one a line. */
static char *
domains_of_brim(const struct check *c)
{
	const char *list = c->a->conf.local_domains;
	char *names = NULL, *name;
	size_t size;
	FILE *to = open_memstream(&names, &size);

	if (!to)
		return NULL;
	users_each(c->users, "@", print_domain, to, NULL);
	while ((name = conf_list_next(&list))) {
		fprintf(to, "%s\n", name);
		free(name);
	}
	return fclose(to) ? NULL : names;
}

static int
read_all(struct comparison *x)
{
	char *asked = domains_of_brim(x->c);
	int result = asked ? brim_side_own(&x->c->postfix, asked, &x->lists[OWN]) : -1;

	for (int i = ALIAS; i < CLASSES && result == 0; i++)
		result = names_read(
			&x->lists[i], check_postfix_value(x->c, classes[i].list), asked);
	if (result == 0)
		result = transports_read(x->c, &x->mapped, asked);
	for (int i = 0; i < CLASSES; i++) {
		const char *name = classes[i].transport;

		if (name)
			x->routes[i] = check_route(x->c, check_postfix_value(x->c, name));
	}
	free(asked);
	return result;
}

/* The list that has the domain; CLASSES where none has. */
static int
class_of(const struct comparison *x, const char *domain)
{
	int i = OWN;

	while (i < CLASSES && !names_have(&x->lists[i], domain))
		i++;
	return i;
}

static enum check_route
route_of(const struct comparison *x, int class, const char *domain)
{
	switch (transports_of(&x->mapped, domain)) {
	case TRANSPORTS_TO_LDA:
		return ROUTE_PIPE;
	case TRANSPORTS_ELSEWHERE:
		return ROUTE_OTHER;
	default:
		return class == CLASSES ? ROUTE_OTHER : x->routes[class];
	}
}

/* --- what Postfix has --------------------------------------------------------------- */

static int
is_in_table(const struct comparison *x, const char *domain)
{
	char text[ADDRESS_MAX + 1], key[ADDRESS_MAX + 1];
	struct record r;
	struct reason why;
	int found;

	if (snprintf(text, sizeof text, "@%s", domain) >= (int)sizeof text ||
		address_key(key, text, NULL))
		return 0;
	found = users_get(x->c->users, key, &r, &why);
	if (found > 0)
		record_clear(&r);
	return found != 0; /* a table that can't be read is another finding */
}

static void
tell_local(struct comparison *x, const char *domain)
{
	struct check *c = x->c;
	char *list = brim_side_local_domains(&c->postfix, &c->a->conf);
	const char *repair =
		list ? check_setting(c, "local_domains", list) : "Name it there.";

	if (list && repair[strlen(repair) - 1] != '.')
		repair = check_text(c, "%s%s", repair, check_reload(c));
	check_found(c, CHECK_DOMAIN, domain, repair,
		"mydestination has it, and local_domains does not");
	free(list);
}

static void
tell_virtual(struct comparison *x, const char *domain, const char *list)
{
	struct check *c = x->c;

	check_found(c, CHECK_DOMAIN, domain,
		check_text(c,
			"Add its mailboxes (%s add NAME@%s ...), or take it out of %s.",
			check_brimadm(c), domain, list),
		"%s has it, and the user table does not", list);
}

/* A domain that is handed to lda: of this host's accounts, or of mailboxes. */
static void
check_known(struct comparison *x, const char *domain, enum check_route route,
	const char *list)
{
	int local = mailbox_domain_is_local(&x->c->a->conf, domain);

	if (route == ROUTE_OTHER || local)
		return;
	if (is_in_table(x, domain) && (route == ROUTE_PIPE || !x->c->has_accounts))
		return;
	if (route == ROUTE_COMMAND)
		tell_local(x, domain);
	else
		tell_virtual(x, domain, list);
}

static void
check_list(struct comparison *x, int class)
{
	const struct names *n = &x->lists[class];

	for (size_t i = 0; i < n->count; i++) {
		const char *domain = n->entries[i].name;
		enum check_route route;

		if (n->entries[i].excluded || !brim_side_is_domain(domain) ||
			class_of(x, domain) != class)
			continue;
		route = route_of(x, class, domain);
		x->takes_virtual |= class != OWN && route != ROUTE_OTHER;
		check_known(x, domain, route, classes[class].list);
	}
}

static void
check_transport_maps(struct comparison *x)
{
	for (size_t i = 0; i < x->mapped.to_lda.count; i++) {
		const char *domain = x->mapped.to_lda.entries[i].name;

		x->takes_virtual = 1;
		if (brim_side_is_domain(domain) && class_of(x, domain) == CLASSES)
			check_known(x, domain, ROUTE_PIPE, "transport_maps");
	}
}

/* --- what Brim has ------------------------------------------------------------------ */

/* Why mail for the domain does not come to lda; NULL where it does, or nobody knows. */
static const char *
find_fault(const struct comparison *x, const char *domain)
{
	int class = class_of(x, domain);
	const char *dot;

	if (class == ALIAS)
		return "virtual_alias_domains has it: Postfix expands its addresses, and "
		       "knows no others";
	if (route_of(x, class, domain) != ROUTE_OTHER)
		return NULL;
	if (class < CLASSES && x->routes[class] != ROUTE_OTHER)
		return "transport_maps sends its mail elsewhere";
	if (class < CLASSES)
		return class == OWN ? "mydestination has it, whose mail is not lda's"
		       : class == MAILBOX
			       ? "virtual_mailbox_domains has it, whose transport runs "
				 "no lda"
			       : "relay_domains has it, whose transport runs no lda";
	for (int i = 0; i < CLASSES; i++)
		if (x->lists[i].partial)
			return NULL;
	for (dot = strchr(domain, '.'); dot; dot = strchr(dot + 1, '.'))
		if (names_have(&x->lists[RELAY], dot + 1))
			return NULL; /* a parent stands for it */
	if (check_route(x->c, check_postfix_value(x->c, "default_transport")) !=
		ROUTE_OTHER)
		return NULL;
	return x->takes_virtual ? "Postfix has it in no list of domains" : NULL;
}

/* A domain in another form than Postfix's may be the same. */
static int
is_international(const char *domain)
{
	for (const char *p = domain; *p; p++)
		if ((unsigned char)*p >= 0x80)
			return 1;
	return strstr(domain, "xn--") != NULL;
}

static int
suspect_domain(void *arg, const struct record *r)
{
	struct comparison *x = arg;
	struct suspect *more;
	const char *why;

	if (r->key[0] != '@')
		return 1;
	if (is_international(r->key) || record_get(r, "alias"))
		return 0;
	why = find_fault(x, r->key + 1);
	if (!why)
		return 0;
	more = realloc(x->suspects, (x->suspect_count + 1) * sizeof *more);
	if (!more)
		return 1;
	x->suspects = more;
	more[x->suspect_count] = (struct suspect){strdup(r->key + 1), why, 0};
	x->suspect_count += more[x->suspect_count].domain != NULL;
	return 0;
}

static int
by_domain(const void *key, const void *suspect)
{
	return strcmp(key, ((const struct suspect *)suspect)->domain);
}

static int
mark_mailbox(void *arg, const struct record *r)
{
	struct comparison *x = arg;
	const char *at = address_domain_key(r->key);
	struct suspect *s = NULL;

	if (at && at > r->key && mailbox_kind_of(r) == MAILBOX_KIND_MAILBOX)
		s = bsearch(at + 1, x->suspects, x->suspect_count, sizeof *s, by_domain);
	if (s)
		s->has_mailbox = 1;
	return 0;
}

static void
check_table_domains(struct comparison *x)
{
	struct check *c = x->c;

	users_each(c->users, "@", suspect_domain, x, NULL);
	if (x->suspect_count)
		users_each(c->users, "", mark_mailbox, x, NULL);
	for (size_t i = 0; i < x->suspect_count; i++) {
		const struct suspect *s = &x->suspects[i];

		if (s->has_mailbox)
			check_found(c, CHECK_DOMAIN_ELSEWHERE, s->domain,
				check_text(c,
					"Let Postfix hand it to lda, or remove its "
					"mailboxes: %s list '*@%s' shows them.",
					check_brimadm(c), s->domain),
				"%s", s->why);
		free(s->domain);
	}
	free(x->suspects);
}

/* What local_domains names and Postfix does not hand over. */
static void
check_local_domains(struct comparison *x)
{
	struct check *c = x->c;
	const char *list = c->a->conf.local_domains;
	char *name;

	while ((name = conf_list_next(&list))) {
		int class = class_of(x, name);

		/* what goes before mailbox_command is another finding */
		if (c->command && class != OWN && name[0] != '[' &&
			!is_international(name) && !x->lists[OWN].partial &&
			route_of(x, class, name) == ROUTE_OTHER && !this_host_has(name))
			check_found(c, CHECK_DOMAIN_ELSEWHERE, name,
				check_text(c,
					"Add it to mydestination, or take it out of "
					"local_domains in %s.",
					check_quote(c, check_conf_file(c))),
				"local_domains has it, and %s%s",
				class == CLASSES ? "no list of Postfix's"
						 : classes[class].list,
				class == CLASSES ? "" : ", whose mail is not lda's, too");
		free(name);
	}
}

/* This host's own domains that a pattern in transport_maps, "*" or ".example.org", takes
 * from lda. What it names as it stands is meant. */
static void
check_own_domains(struct comparison *x)
{
	const struct names *own = &x->lists[OWN];
	struct check *c = x->c;
	const char *first = NULL;
	size_t count = 0;

	if (!c->has_accounts || x->routes[OWN] == ROUTE_OTHER)
		return;
	for (size_t i = 0; i < own->count; i++) {
		const char *domain = own->entries[i].name;

		if (own->entries[i].excluded || !brim_side_is_domain(domain) ||
			names_have(&x->mapped.elsewhere, domain) ||
			!mailbox_domain_is_local(&c->a->conf, domain) ||
			transports_of(&x->mapped, domain) != TRANSPORTS_ELSEWHERE)
			continue;
		first = first ? first : domain;
		count++;
	}
	if (first)
		check_found(c, CHECK_DOMAIN_ELSEWHERE, first,
			check_text(c,
				"Give each a line there that changes nothing, as:  %s  :",
				first),
			"a pattern in transport_maps sends mail for %s elsewhere",
			AMOUNT_OF(count, "domain of mydestination",
				"domains of mydestination"));
}

/* --- whose the mailboxes are -------------------------------------------------------- */

static void
find_owners(struct comparison *x)
{
	struct check *c = x->c;

	for (int i = 0; i < CLASSES; i++) {
		const char *transport =
			classes[i].transport
				? check_postfix_value(c, classes[i].transport)
				: "";
		const struct postconf_service *s = postconf_service(&c->postfix,
			check_text(c, "%.*s", (int)strcspn(transport, ":"), transport),
			"unix");
		const char *lda = s ? check_pipe_lda(c, s) : NULL;
		char *name = lda && !check_is_virtual(lda) ? postconf_argument(s, "user")
							   : NULL;
		struct privileges_user user;
		struct reason why;

		if (name)
			name[strcspn(name, ":")] = '\0';
		if (name && privileges_find_user(name, &user, &why) == 0) {
			x->owners[i].service = s->name;
			x->owners[i].user = check_text(c, "%s", name);
			x->owners[i].uid = user.uid;
		}
		free(name);
	}
}

static int
compare_owner(void *arg, const struct record *r)
{
	struct comparison *x = arg;
	const char *at = address_domain_key(r->key), *text = record_get(r, "uid"),
		   *state = record_get(r, "state");
	struct owner *o;
	uint64_t uid;
	int class;

	if (!at || at == r->key || !text || amount_count(text, &uid, NULL) ||
		(state && strcmp(state, "enabled") != 0) ||
		transports_of(&x->mapped, at + 1) != TRANSPORTS_AS_USUAL)
		return 0;
	class = class_of(x, at + 1);
	o = class < CLASSES ? &x->owners[class] : NULL;
	if (!o || !o->user || uid == o->uid)
		return 0;
	if (o->others++ == 0) {
		o->other = strdup(r->key);
		o->other_uid = uid;
	}
	return 0;
}

static void
check_owners(struct comparison *x)
{
	struct check *c = x->c;
	int has_any = 0;

	find_owners(x);
	for (int i = 0; i < CLASSES; i++)
		has_any = has_any || x->owners[i].user;
	if (has_any)
		users_each(c->users, "", compare_owner, x, NULL);
	for (int i = 0; i < CLASSES; i++) {
		const struct owner *o = &x->owners[i];

		if (o->others)
			check_found(c, CHECK_PIPE_OWNER, o->service,
				"Give the mailboxes that user's uid, and their files to "
				"it; or let lda-virtual deliver to them (README).",
				"%s in %s not of its user %s, uid %u: %s has uid %llu",
				AMOUNT_OF(o->others, "mailbox", "mailboxes"),
				classes[i].list, o->user, (unsigned)o->uid,
				o->other ? o->other : "one",
				(unsigned long long)o->other_uid);
		free(o->other);
	}
}

/* What check_recipients asks for. */
static const char *
recipients_in(const void *arg, const char *domain)
{
	const struct comparison *x = arg;
	int class = class_of(x, domain);

	return route_of(x, class, domain) == ROUTE_OTHER || class == CLASSES
		       ? NULL
		       : classes[class].recipients;
}

void
check_domains(struct check *c)
{
	struct comparison x = {.c = c};

	if (!c->users)
		return;
	if (read_all(&x)) {
		c->failed = 1;
	} else {
		for (int i = 0; i < CLASSES; i++)
			check_list(&x, i);
		check_transport_maps(&x);
		check_table_domains(&x);
		check_local_domains(&x);
		check_own_domains(&x);
		check_owners(&x);
		for (int i = 0; i < CLASSES; i++)
			if (classes[i].recipients && x.takes_virtual)
				check_recipients(
					c, classes[i].recipients, recipients_in, &x);
		if (x.takes_virtual)
			check_targets(c, recipients_in, &x);
	}
	for (int i = 0; i < CLASSES; i++)
		names_free(&x.lists[i]);
	transports_free(&x.mapped);
}
