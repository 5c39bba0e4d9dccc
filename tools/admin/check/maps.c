/*
 * check: Brim's maps in the settings of Postfix: that it can look up there, by the name
 * of the map that the setting is for, and once.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "maps.h"
#include "postfix/names.h"

#define SOCKETMAP "socketmap:unix:"
#define PROXY     "proxy:"

/* In which setting which map means something; NULL: none does. */
static const struct place {
	const char *setting, *map, *programs;
} places[] = {
	{"virtual_mailbox_maps", "mailbox", "smtpd virtual"},
	{"local_recipient_maps", "mailbox", "smtpd"},
	{"relay_recipient_maps", "mailbox", "smtpd"},
	{"virtual_alias_maps", "alias", "smtpd cleanup trivial-rewrite"},
	{"virtual_alias_domains", "alias", "smtpd trivial-rewrite"}, /* by default */
	{"virtual_mailbox_domains", "domain", "smtpd trivial-rewrite"},
	{"relay_domains", "domain", "smtpd trivial-rewrite"},
	{"relocated_maps", "relocated", "smtpd trivial-rewrite"},
	{"transport_maps", "transport", "smtpd trivial-rewrite"},
	{"virtual_uid_maps", NULL, ""},
	{"virtual_gid_maps", NULL, ""},
	{"alias_maps", NULL, ""},
	{"canonical_maps", NULL, ""},
	{"recipient_canonical_maps", NULL, ""},
	{"sender_canonical_maps", NULL, ""},
	{"recipient_bcc_maps", NULL, ""},
	{"sender_bcc_maps", NULL, ""},
	{"smtpd_sender_login_maps", NULL, ""},
	{"mailbox_command_maps", NULL, ""},
};

#define PLACES (sizeof places / sizeof *places)

/* A map of Brim's in a setting. */
struct use {
	struct check *c;
	const struct postconf_service *s; /* whose own setting it is, or any */
	const struct place *place;
	const char *element; /* as it stands there */
	const char *path, *map;
	const char *subject;
	int is_proxy;
};

static int
take_apart(struct use *u)
{
	const char *at = u->element, *colon;

	u->is_proxy = strncmp(at, PROXY, strlen(PROXY)) == 0;
	if (u->is_proxy)
		at += strlen(PROXY);
	if (strncmp(at, SOCKETMAP, strlen(SOCKETMAP)) != 0)
		return 0;
	at += strlen(SOCKETMAP);
	colon = strrchr(at, ':');
	u->path =
		check_text(u->c, "%.*s", colon ? (int)(colon - at) : (int)strlen(at), at);
	u->map = colon ? colon + 1 : "";
	return sockets_is_brims(u->c->a->conf.map_listen, u->path);
}

/* --- repairs ------------------------------------------------------------------------ */

/* The value with NEW in the place of the element (NULL: without it); if it stands there
 * twice, of the last. */
static const char *
replaced(struct check *c, const char *value, const char *element, const char *new)
{
	const char *text = "", *last = NULL;
	size_t n, length = strlen(element);

	for (const char *p = value; (p = names_next(p, &n), n); p += n)
		if (n == length && strncmp(p, element, n) == 0)
			last = p;
	for (const char *p = value; (p = names_next(p, &n), n); p += n) {
		const char *one = p == last ? new : check_text(c, "%.*s", (int)n, p);

		if (one)
			text = check_text(c, "%s%s%s", text, *text ? " " : "", one);
	}
	return text;
}

static const char *
change(const struct use *u, const char *new)
{
	const char *name = u->place->setting,
		   *value = postconf_for(&u->c->postfix, u->s, name);
	struct reason why;
	char *raw = postconf_read_raw(u->subject, &why);

	if (raw && strstr(raw, u->element))
		value = check_text(u->c, "%s", raw);
	free(raw);
	value = replaced(u->c, value, u->element, new);
	if (strcmp(u->subject, name) != 0 && strchr(value, ' '))
		return check_text(u->c, "Set %s in master.cf to: %s .", name, value);
	return check_postfix_own(u->c, u->s, name, value);
}

static const char *
element_of(const struct use *u, const char *path, const char *map)
{
	return check_text(
		u->c, "%s" SOCKETMAP "%s:%s", u->is_proxy ? PROXY : "", path, map);
}

/* --- one use ------------------------------------------------------------------------ */

static int
is_offered(const char *map)
{
	for (size_t i = 0; maps_name(i); i++)
		if (strcmp(maps_name(i), map) == 0)
			return 1;
	return 0;
}

static void
check_name(const struct use *u)
{
	const char *right = u->place->map;

	if (right && strcmp(u->map, right) == 0)
		return;
	check_found(u->c, CHECK_MAP_NAME, u->subject,
		change(u, right ? element_of(u, u->path, right) : NULL),
		!is_offered(u->map) ? "quotad has no map \"%s\""
		: right             ? "the map %s is not for this setting"
				    : "the map %s, as all of Brim's, is not for this "
				      "setting",
		u->map);
}

static void
check_reachable(const struct use *u)
{
	const char *programs = u->is_proxy ? "proxymap" : u->place->programs, *fault;
	struct check_socket socket = {.kind = SOCKETS_MAP, .name = u->path};

	socket.chroot = strcmp(u->subject, u->place->setting) != 0
				? sockets_chroot(&u->c->postfix, u->s)
				: sockets_any_chroot(&u->c->postfix, programs);
	fault = check_socket_name(u->c, &socket);
	if (fault)
		check_found(u->c, CHECK_MAP_REACH, u->subject,
			check_socket_repair(u->c, &socket,
				change(u, element_of(u, socket.better, u->map))),
			"%s", fault);
	else
		check_socket_reach(u->c, &socket);
}

/* --- a setting ---------------------------------------------------------------------- */

/* Accounts have aliases that are none of Brim's. */
static void
check_aliases(struct check *c, const struct use *u, const char *value)
{
	const char *aliases = check_postfix_value(c, "alias_maps");
	size_t n;

	if (strcmp(u->place->setting, "local_recipient_maps") != 0)
		return;
	for (; (aliases = names_next(aliases, &n), n); aliases += n)
		if (!strstr(value, check_text(c, "%.*s", (int)n, aliases))) {
			check_found(c, CHECK_MAP_ALIASES, u->subject,
				check_postfix_own(c, u->s, u->place->setting,
					check_text(c, "%s $alias_maps", value)),
				"it has not %.*s of alias_maps", (int)n, aliases);
			return;
		}
}

/* The number of Brim's maps in the setting as it holds for the service. */
static size_t
check_setting_of(struct check *c, const struct postconf_service *s, const struct place *p)
{
	const char *own = postconf_override(&c->postfix, s, p->setting),
		   *value = own ? own : check_postfix_value(c, p->setting), *seen = "";
	struct use u = {.c = c,
		.s = s,
		.place = p,
		.subject = own ? check_text(c, "%s/%s/%s", s->name, s->type, p->setting)
			       : p->setting};
	size_t n, count = 0;

	for (const char *at = value; (at = names_next(at, &n), n); at += n) {
		const char *line;

		u.element = check_text(c, "%.*s", (int)n, at);
		if (!take_apart(&u))
			continue;
		line = check_text(c, "\n%s:%s\n", u.path, u.map);
		if (strstr(seen, line)) {
			check_found(c, CHECK_MAP_TWICE, u.subject, change(&u, NULL),
				"%s stands there twice", u.element);
			continue;
		}
		seen = check_text(c, "%s%s", seen, line);
		check_name(&u);
		check_reachable(&u);
		if (count++ == 0)
			check_aliases(c, &u, value);
	}
	return count;
}

/* --- all of them -------------------------------------------------------------------- */

static void
check_dependence(struct check *c, const char *settings)
{
	check_found(c, CHECK_MAP_DOWN, settings,
		"Let it be so, or write the addresses into a file that Postfix reads "
		"without quotad, as hash:/etc/postfix/virtual_mailboxes; brimadm list "
		"shows them.",
		"its look-ups are quotad's");
}

void
check_brims_maps(struct check *c, int delivers)
{
	static const struct postconf_service none = {.name = "", .type = ""};
	const char *used = "";

	for (size_t i = 0; i < PLACES; i++) {
		size_t count = check_setting_of(c, &none, &places[i]);

		for (size_t s = 0; s < c->postfix.service_count; s++)
			if (postconf_override(&c->postfix, &c->postfix.services[s],
				    places[i].setting))
				count += check_setting_of(
					c, &c->postfix.services[s], &places[i]);
		if (count && strcmp(places[i].setting, "virtual_alias_domains") != 0)
			used = check_text(
				c, "%s%s%s", used, *used ? ", " : "", places[i].setting);
	}
	if (*used)
		check_dependence(c, used);
	else if (delivers && c->a->conf.map_listen[0])
		check_found(c, CHECK_MAP_UNUSED, "map_listen",
			check_text(c,
				"%s postfix maps shows the settings, and with --apply "
				"makes them.",
				check_brimadm(c)),
			"it is %s, and Postfix looks nothing up there",
			c->a->conf.map_listen);
}
