/* The tables: which lists get the policy service, and which settings which map. */
#include "smtp_time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "others.h"
#include "restrictions.h"
#include "sockets.h"

#define GUARD "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"

static const char rcpt[] = "smtpd_recipient_restrictions";

/* The value as it is written; "" where Postfix is not there. The caller frees it. */
static char *
read_raw(const struct plan *p, const char *name)
{
	struct reason why;
	char *value = p->now.folder ? postconf_read_raw(name, &why) : NULL;

	return value ? value : strdup("");
}

/* --- the policy service ------------------------------------------------------------- */

/* Whether the list has a policy service that is Brim's, and whether a guard. */
static int
look(const struct plan *p, const struct postconf_service *s, const char *name,
	int *has_guard)
{
	struct restrictions r = {0};
	int has = 0;

	restrictions_read(&r, &p->now, s, name);
	for (size_t i = 0; i < r.count; i++) {
		char *endpoint = NULL;

		*has_guard |= restrictions_guards(r.list[i].word) ||
			      strcasecmp(r.list[i].word, "reject") == 0 ||
			      strcasecmp(r.list[i].word, "defer") == 0;
		if (i && strcasecmp(r.list[i - 1].word, RESTRICTIONS_POLICY) == 0)
			endpoint = policy_endpoint(r.list[i].word);
		has |= endpoint && strncmp(endpoint, "unix:", 5) == 0 &&
		       sockets_is_brims(p->conf->policy_listen, endpoint + 5);
		free(endpoint);
	}
	restrictions_free(&r);
	return has;
}

/* Logins are asked about before they are let pass: a user above its send_quota. */
static int
is_for_logins(const char *list)
{
	return restrictions_have(list, "permit_sasl_authenticated") &&
	       restrictions_have(list, "reject") &&
	       !restrictions_have(list, "reject_unauth_destination") &&
	       !restrictions_have(list, "defer_unauth_destination");
}

/* The list as it is written, RAW, and as it is MEANT, with Brim's policy service in it,
 * under ARGUMENT; IS_OWN: of a service. A new string; NULL without memory, and where
 * master.cf can't have it. */
static char *
add_policy(const char *raw, const char *meant, const char *argument, int is_own)
{
	char *list = restrictions_place(
		     raw, meant, argument, is_own && is_for_logins(meant)),
	     *compact = is_own && list ? restrictions_compact(list) : NULL;

	if (!is_own)
		return list;
	free(list);
	return compact;
}

/* Whether the service is for this host alone, as one that takes mail back from a filter.
 */
static int
is_inside(const struct postconf_service *s)
{
	static const char *const inside[] = {"127.", "localhost:", "[::1]:", "::1:"};

	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
		if (strncmp(s->name, inside[i], strlen(inside[i])) == 0)
			return 1;
	return 0;
}

/* OWN is the service whose list it is; NULL for that of main.cf. */
static int
set_list(const struct plan *p, const struct postconf_service *own, const char *name,
	const char *argument, plan_setting *each, void *arg)
{
	static const struct postconf_service none = {.name = "", .type = ""};
	char *key = NULL, *raw = NULL, *value = NULL;
	const char *meant = postconf_for(&p->now, own ? own : &none, name);
	int has_guard = 0, result = 0;

	if (look(p, own ? own : &none, name, &has_guard))
		return 0;
	if (!own && name == rcpt)
		look(p, &none, "smtpd_relay_restrictions", &has_guard);
	else
		has_guard = 1;
	if ((own ? asprintf(&key, "%s/%s/%s", own->name, own->type, name)
		 : asprintf(&key, "%s", name)) >= 0)
		raw = read_raw(p, key);
	if (raw && !has_guard && p->now.folder) { /* else Postfix would not start */
		char *guarded;

		if (asprintf(&guarded, "%s%s" GUARD, raw, raw[0] ? ", " : "") >= 0) {
			free(raw);
			meant = raw = guarded;
		}
	}
	if (raw)
		value = add_policy(raw, meant, argument, own != NULL);
	if (value)
		result = each(arg, key, value,
			name == rcpt ? "Each recipient is judged while the sender is "
				       "still there. DUNNO: if quotad is\n# down, mail "
				       "is taken, and judged when it is delivered."
				     : "The whole message, with its real size: not every "
				       "client announces it.");
	free(key);
	free(raw);
	free(value);
	return result;
}

/* The list NAME of main.cf, and of the services that have one of their own. */
static int
set_lists(const struct plan *p, const char *name, const char *argument,
	plan_setting *each, void *arg)
{
	int result = set_list(p, NULL, name, argument, each, arg);

	for (size_t i = 0; i < p->now.service_count && !result; i++) {
		const struct postconf_service *s = &p->now.services[i];

		if (strcmp(s->command, "smtpd") == 0 && !is_inside(s) &&
			postconf_override(&p->now, s, name))
			result = set_list(p, s, name, argument, each, arg);
	}
	return result;
}

static int
set_policy(const struct plan *p, plan_setting *each, void *arg)
{
	char *list,
		*name = sockets_name(&p->now, p->conf, SOCKETS_POLICY,
			sockets_any_chroot(&p->now, "smtpd"), &list),
		*endpoint = NULL, *argument = NULL;
	int result = 0;

	if (name && asprintf(&endpoint, "unix:%s", name) >= 0)
		argument = policy_argument(endpoint, NULL, 1);
	if (argument)
		result = set_lists(p, rcpt, argument, each, arg);
	if (argument && !result)
		result = set_lists(
			p, "smtpd_end_of_data_restrictions", argument, each, arg);
	free(list);
	free(name);
	free(endpoint);
	free(argument);
	return result;
}

/* --- the maps ----------------------------------------------------------------------- */

static const struct map {
	const char *setting, *map;
	const char *replaces; /* the value that says nothing of the site's own */
	const char *instead;  /* behind the map then */
	const char *reason;
	unsigned transports;
	int is_kept; /* a value of the site's own is enough */
} maps[] = {
	{"local_recipient_maps", "mailbox", "proxy:unix:passwd.byname $alias_maps",
		" $alias_maps",
		"An account without a mailbox is refused while the sender is still "
		"there.",
		PLAN_LOCAL, 0},
	{"virtual_mailbox_domains", "domain", "$virtual_mailbox_maps", "",
		"The domains of the user table.", PLAN_PIPE | PLAN_VIRTUAL, 1},
	{"virtual_mailbox_maps", "mailbox", "$virtual_maps", "",
		"An unknown address is refused while the sender is still there.",
		PLAN_PIPE | PLAN_VIRTUAL, 0},
	{"virtual_alias_maps", "alias", "$virtual_maps", "",
		"Aliases of the user table, those of many targets, too.", PLAN_ALL, 0},
	{"relocated_maps", "relocated", "", "", "Who has moved, and where to.", PLAN_ALL,
		0},
};

static int
has_map(const struct plan *p, const struct map *m)
{
	const char *value = postconf_get(&p->now, m->setting);
	char *end;
	int has = 0;

	if (asprintf(&end, ":%s", m->map) < 0)
		return 1;
	for (size_t n; value && (value = names_next(value, &n), n); value += n) {
		char *element = strndup(value, n), *name;

		if (element && (name = strstr(element, "socketmap:unix:"))) {
			char *colon = strrchr(name, ':');
			int is_name;

			is_name = strcmp(colon, end) == 0;
			*colon = '\0';
			has |= is_name && sockets_is_brims(p->conf->map_listen,
						  name + strlen("socketmap:unix:"));
		}
		free(element);
	}
	free(end);
	return has;
}

/* Whether the value says nothing of the site's own, or only that accounts are known. */
static int
is_replaced(const struct plan *p, const struct map *m, const char *raw)
{
	if (raw[0])
		return strcmp(raw, m->replaces) == 0;
	return strcmp(m->setting, "local_recipient_maps") != 0 ||
	       !smtp_time_takes_unknown(&p->now);
}

/* A default that names another setting means what that has, without Brim's maps: the key
 * of those is another. */
static int
set_map(const struct plan *p, const struct map *m, const char *socket, plan_setting *each,
	void *arg)
{
	char *raw = read_raw(p, m->setting), *kept = NULL, *value = NULL;
	int is_default = raw && is_replaced(p, m, raw), result = 0;

	if (is_default)
		kept = m->replaces[0] == '$'
			       ? smtp_time_others(
					 postconf_get(&p->now, m->setting), p->conf)
			       : strdup("");
	else if (raw && raw[0] && !m->is_kept)
		kept = strdup(raw);
	if (kept &&
		asprintf(&value, "%s%ssocketmap:unix:%s:%s%s", kept, kept[0] ? " " : "",
			socket, m->map, is_default ? m->instead : "") < 0)
		value = NULL;
	if (value)
		result = each(arg, m->setting, value, m->reason);
	free(raw);
	free(kept);
	free(value);
	return result;
}

static int
set_maps(const struct plan *p, plan_setting *each, void *arg)
{
	const char *programs = "smtpd cleanup trivial-rewrite";
	char *list, *socket = sockets_name(&p->now, p->conf, SOCKETS_MAP,
			    sockets_any_chroot(&p->now, programs), &list);
	int result = 0;

	for (size_t i = 0; socket && i < sizeof maps / sizeof *maps && !result; i++)
		if (maps[i].transports & p->transports && !has_map(p, &maps[i]))
			result = set_map(p, &maps[i], socket, each, arg);
	free(list);
	free(socket);
	return result;
}

/* --- addresses that Postfix alone knows ----------------------------------------------
 */

char *
smtp_time_others(const char *list, const struct conf *conf)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	const char *between = "";

	if (!to)
		return NULL;
	for (size_t n; list && (list = names_next(list, &n), n); list += n) {
		char *element = strndup(list, n);

		if (element && !sockets_is_brims_map(conf, element)) {
			fprintf(to, "%s%s", between, element);
			between = ", ";
		}
		free(element);
	}
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

int
smtp_time_takes_unknown(const struct postconf *now)
{
	static const char *const takers[] = {
		"luser_relay", "fallback_transport", "fallback_transport_maps"};

	for (size_t i = 0; i < sizeof takers / sizeof *takers; i++) {
		const char *value = postconf_get(now, takers[i]);

		if (value && value[0])
			return 1;
	}
	return 0;
}

/* Whether the list has a map of Brim's, or one that is not. */
static int
has_map_of(const char *list, const struct conf *conf, int brim)
{
	int has = 0;

	for (size_t n; !has && (list = names_next(list, &n), n); list += n) {
		char *element = strndup(list, n);

		has = brim == (element && sockets_is_brims_map(conf, element));
		free(element);
	}
	return has;
}

const char *
smtp_time_knows_more(
	const struct postconf *now, const struct conf *conf, unsigned transports)
{
	static const char mailboxes[] = "virtual_mailbox_maps";
	const char *list = postconf_get(now, mailboxes);

	static const struct {
		const char *name;
		int brim; /* its map there says that only some mailboxes are Brim's */
	} settings[] = {{"virtual_alias_maps", 0}, {"canonical_maps", 0},
		{"recipient_canonical_maps", 0}, {"luser_relay", 0},
		{"transport_maps", 1}};

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		const char *value = postconf_get(now, settings[i].name);

		if (value && has_map_of(value, conf, settings[i].brim))
			return settings[i].name;
	}
	return list && others_have_mailboxes(now, conf, list, transports) ? mailboxes
									  : NULL;
}

/* --- both --------------------------------------------------------------------------- */

int
smtp_time_each(const struct plan *p, plan_setting *each, void *arg)
{
	int result = 0;

	if (p->parts & PLAN_POLICY)
		result = set_policy(p, each, arg);
	if (p->parts & PLAN_MAPS && !result)
		result = set_maps(p, each, arg);
	return result;
}

int
smtp_time_each_of_brim(const struct plan *p, plan_setting *each, void *arg)
{
	static const struct {
		unsigned part;
		enum sockets_kind kind;
		const char *programs, *reason;
	} sockets[] = {
		{PLAN_POLICY, SOCKETS_POLICY, "smtpd",
			"Where Postfix asks the policy service."},
		{PLAN_MAPS, SOCKETS_MAP, "smtpd cleanup trivial-rewrite",
			"Where Postfix looks up mailboxes, aliases and domains."},
	};
	int result = 0;

	for (size_t i = 0; i < sizeof sockets / sizeof *sockets && !result; i++) {
		char *list = NULL, *name = NULL;

		if (p->parts & sockets[i].part)
			name = sockets_name(&p->now, p->conf, sockets[i].kind,
				sockets_any_chroot(&p->now, sockets[i].programs), &list);
		if (list)
			result = each(arg, sockets_setting(sockets[i].kind), list,
				sockets[i].reason);
		free(name);
		free(list);
	}
	if (p->parts & PLAN_POLICY && !result && !p->conf->policy_unknown_passes &&
		smtp_time_knows_more(&p->now, p->conf, p->transports))
		result = each(arg, "policy_unknown", "pass",
			"Postfix has tables of its own that may know the address.");
	return result;
}
