/*
 * check: settings of Postfix that keep mail from coming to lda at all, whatever lda would
 * say: transports whose mail waits, services that nobody starts, and error(8) or another
 * delivery in the place of lda.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "check.h"
#include "postfix/names.h"

/* Without these no transport gets mail, or no sender hears of it. */
static const char *const common[] = {
	"qmgr", "cleanup", "rewrite", "bounce", "defer", "trace", NULL};

/* --- transports --------------------------------------------------------------------- */

static int
is_named(const char *transport, const char *service)
{
	const size_t n = strcspn(transport, ":");

	return strlen(service) == n && strncmp(transport, service, n) == 0;
}

/* Whether the transport runs lda, and Postfix hands mail to it; what tables say nobody
 * looks up here. */
static int
is_used(struct check *c, const char *name)
{
	static const char *const settings[] = {"local_transport", "virtual_transport",
		"relay_transport", "default_transport", "mailbox_transport"};
	static const char *const tables[] = {"transport_maps", "mailbox_transport_maps",
		"sender_dependent_default_transport_maps"};
	int used = 0;

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		used |= is_named(check_postfix_value(c, settings[i]), name);
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		used |= check_postfix_value(c, tables[i])[0] != '\0';
	return used && !strchr(name, ':') && check_route(c, name) != ROUTE_OTHER;
}

/* Adds the word to the list, with a comma alone: a blank has no place in master.cf. */
static const char *
add(struct check *c, const char *list, const char *word)
{
	return check_text(c, "%s%s%s", list, *list ? "," : "", word);
}

/* --- mail that waits ---------------------------------------------------------------- */

static void
check_deferred(struct check *c, const struct postconf_service *qmgr)
{
	static const char name[] = "defer_transports";
	const char *own = postconf_override(&c->postfix, qmgr, name),
		   *value = own ? own : check_postfix_value(c, name), *kept = "",
		   *ours = "";
	size_t n;

	for (const char *p = value; (p = names_next(p, &n), n); p += n) {
		const char *word = check_text(c, "%.*s", (int)n, p);

		if (is_used(c, word))
			ours = add(c, ours, word);
		else
			kept = add(c, kept, word);
	}
	if (*ours)
		check_found(c, CHECK_DEFER_TRANSPORTS,
			own ? check_text(c, "%s/%s/%s", qmgr->name, qmgr->type, name)
			    : name,
			check_postfix_own(c, qmgr, name, kept),
			"it has %s, which runs lda", ours);
}

/* --- services that nobody starts ---------------------------------------------------- */

/* Whether the pattern, without "!", is for the service: "name/type", as of old
 * "name.type", or "type". */
static int
is_pattern_for(struct check *c, const char *pattern, const struct postconf_service *s)
{
	if (strcasecmp(pattern, s->type) == 0)
		return 1;
	return strcasecmp(pattern, check_text(c, "%s/%s", s->name, s->type)) == 0 ||
	       strcasecmp(pattern, check_text(c, "%s.%s", s->name, s->type)) == 0;
}

/* The first pattern that is for the service, if it switches it off; NULL where none does.
 */
static const char *
find_pattern(struct check *c, const char *list, const struct postconf_service *s)
{
	size_t n;

	for (const char *p = list; (p = names_next(p, &n), n); p += n) {
		const char *word = check_text(c, "%.*s", (int)n, p);
		const size_t not = strspn(word, "!");

		if (is_pattern_for(c, word + not, s))
			return not % 2 ? NULL : word;
	}
	return NULL;
}

static int
is_needed(struct check *c, const struct postconf_service *s)
{
	for (size_t i = 0; common[i]; i++)
		if (strcmp(s->name, common[i]) == 0)
			return 1;
	return is_used(c, s->name);
}

static const char *
without(struct check *c, const char *list, const char *word)
{
	const char *kept = "";
	size_t n;

	for (const char *p = list; (p = names_next(p, &n), n); p += n)
		if (strlen(word) != n || strncmp(p, word, n) != 0)
			kept = add(c, kept, check_text(c, "%.*s", (int)n, p));
	return kept;
}

static void
check_disabled(struct check *c)
{
	static const char name[] = "master_service_disable";
	const char *list = check_postfix_value(c, name), *off = "", *pattern;

	for (size_t i = 0; *list && i < c->postfix.service_count; i++) {
		const struct postconf_service *s = &c->postfix.services[i];

		if (strcmp(s->type, "inet") == 0 || !is_needed(c, s) ||
			!find_pattern(c, list, s))
			continue;
		off = add(c, off, check_text(c, "%s/%s", s->name, s->type));
		while ((pattern = find_pattern(c, list, s)))
			list = without(c, list, pattern);
	}
	/* one repair is for all: it is one setting */
	if (*off)
		check_found(c, CHECK_SERVICE_DISABLED, name,
			check_postfix_setting(c, name, list), "it switches off %s", off);
}

/* --- another transport in the place of lda's ---------------------------------------- */

static const char *
reset(struct check *c, const struct postconf_service *s, const char *name)
{
	if (s && postconf_override(&c->postfix, s, name))
		return check_text(c, "postconf -PX %s/%s/%s%s", s->name, s->type, name,
			check_postfix_reload(c));
	return check_text(c, "postconf -X %s%s", name, check_postfix_reload(c));
}

/* The program behind the transport; NULL where there is no such service. */
static const char *
program_of(struct check *c, const char *transport)
{
	const struct postconf_service *s = postconf_service(&c->postfix,
		check_text(c, "%.*s", (int)strcspn(transport, ":"), transport), "unix");

	return s ? s->command : NULL;
}

static int
delivers_nothing(const char *program)
{
	return !program || strcmp(program, "error") == 0 ||
	       strcmp(program, "discard") == 0;
}

/* Accounts of the table whose mail local(8) never sees. What local(8) does with it is
 * another finding. */
static void
check_local_transport(struct check *c, const struct postconf_service *rewrite)
{
	static const char name[] = "local_transport";
	const char *value = rewrite ? postconf_for(&c->postfix, rewrite, name)
				    : check_postfix_value(c, name);
	const char *program = program_of(c, value);

	if (!c->has_accounts || check_route(c, value) != ROUTE_OTHER ||
		(program && strcmp(program, "local") == 0))
		return;
	if (delivers_nothing(program))
		check_found(c, CHECK_TRANSPORT_ERROR, name, reset(c, rewrite, name),
			"it is %s, which delivers nothing, and the table has accounts of "
			"this host",
			value);
	else if (c->command)
		check_found(c, CHECK_BEFORE_COMMAND, name, reset(c, rewrite, name),
			"it is %s", value);
}

/* Where there is mail for others alone in the queue, reports are among it. */
static void
check_default_transport(struct check *c, const struct postconf_service *rewrite)
{
	static const char name[] = "default_transport";
	const char *value = rewrite ? postconf_for(&c->postfix, rewrite, name)
				    : check_postfix_value(c, name);

	if (delivers_nothing(program_of(c, value)) && program_of(c, value))
		check_found(c, CHECK_DEFAULT_TRANSPORT, name,
			check_text(c,
				"Let it be so if no mail comes from elsewhere, or: %s .",
				reset(c, rewrite, name)),
			"it is %s", value);
}

void
check_stopped(struct check *c)
{
	static const struct postconf_service none = {.name = "", .type = ""};
	const struct postconf_service *qmgr = postconf_service(&c->postfix, "qmgr", NULL);
	const struct postconf_service *rewrite =
		postconf_service(&c->postfix, "rewrite", "unix");

	check_deferred(c, qmgr ? qmgr : &none);
	check_disabled(c);
	check_local_transport(c, rewrite);
	check_default_transport(c, rewrite);
}
