/*
 * check: Brim's policy service in the lists of smtpd(8): that Postfix can ask it, asks it
 * where no answer can relay mail, and goes on without it. Each list is looked at once, as
 * main.cf has it and as each service has its own.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "postfix/plan.h"
#include "postfix/restrictions.h"
#include "postfix/smtp_time.h"

#define WAIT_MAX 30 /* s for a recipient; clients wait 300 (RFC 5321 4.5.3.2.3) */

enum { CLIENT, HELO, SENDER, RELAY, RECIPIENT, DATA, END, LISTS };

static const char *const names[LISTS] = {"smtpd_client_restrictions",
	"smtpd_helo_restrictions", "smtpd_sender_restrictions",
	"smtpd_relay_restrictions", "smtpd_recipient_restrictions",
	"smtpd_data_restrictions", "smtpd_end_of_data_restrictions"};

#define BIT(list) (1U << (list))
#define EARLY     (BIT(CLIENT) | BIT(HELO) | BIT(SENDER))
#define AT_RCPT   (EARLY | BIT(RELAY) | BIT(RECIPIENT))

/* A policy service of Brim's in a list. */
struct use {
	struct check *c;
	const struct postconf_service *s;
	int list;
	const struct restrictions *r;
	size_t at; /* of its argument */
	const char *subject;
	const char *endpoint; /* that it should have; NULL: its own */
};

/* --- repairs ------------------------------------------------------------------------ */

static const char *
keep(struct check *c, char *text)
{
	const char *kept = text ? check_text(c, "%s", text) : "";

	if (!text)
		c->failed = 1;
	free(text);
	return kept;
}

/* "submission/inet/NAME" where the service has its own; else the name. */
static const char *
full_name(struct check *c, const struct postconf_service *s, const char *name)
{
	return postconf_override(&c->postfix, s, name)
		       ? check_text(c, "%s/%s/%s", s->name, s->type, name)
		       : name;
}

/* The value as it is written, if WORD stands in it; else as it is meant. */
static const char *
read_list(const struct use *u, const char *name, const char *word)
{
	struct reason why;
	char *raw = postconf_read_raw(full_name(u->c, u->s, name), &why);
	const char *value = postconf_for(&u->c->postfix, u->s, name);

	if (raw && (!word || strstr(raw, word)))
		value = check_text(u->c, "%s", raw);
	free(raw);
	return value;
}

static const char *
set_list(const struct use *u, const char *name, const char *value)
{
	char *compact;

	if (!postconf_override(&u->c->postfix, u->s, name))
		return check_postfix_setting(u->c, name, value);
	compact = restrictions_compact(value);
	if (!compact)
		return check_text(u->c, "Set %s there to: %s .",
			full_name(u->c, u->s, name), value);
	return check_postfix_own(u->c, u->s, name, keep(u->c, compact));
}

/* With another argument in the place of this one, or without the service. */
static const char *
change(const struct use *u, const char *argument)
{
	const struct restriction *r = &u->r->list[u->at];
	const char *list = read_list(u, r->setting, r->word);

	return set_list(u, r->setting,
		keep(u->c, restrictions_replace(list, r->word, argument, 1)));
}

/* A command that puts the service into the list. */
static const char *
put(struct check *c, const struct postconf_service *s, int list, const char *argument)
{
	const struct use u = {.c = c, .s = s};

	return set_list(&u, names[list],
		keep(c, restrictions_place(read_list(&u, names[list], NULL),
				postconf_for(&c->postfix, s, names[list]), argument, 0)));
}

/* Moves it to its place in the list, or in that of recipients. */
static const char *
move(const struct use *u)
{
	const struct restriction *r = &u->r->list[u->at];
	const char *list = read_list(u, r->setting, r->word), *without, *meant,
		   *rest = "";

	if (r->setting != names[u->list] && strcmp(r->setting, names[u->list]) != 0)
		return check_text(u->c,
			"Put the class %s behind reject_unauth_destination.", r->setting);
	without = keep(u->c, restrictions_replace(list, r->word, NULL, 0));
	meant = keep(
		u->c, restrictions_replace(postconf_for(&u->c->postfix, u->s, r->setting),
			      r->word, NULL, 0));
	if (!(BIT(u->list) & EARLY))
		return set_list(u, r->setting,
			keep(u->c, restrictions_place(without, meant, r->word, 0)));
	list = read_list(u, names[RECIPIENT], NULL);
	if (!strstr(list, r->word))
		rest = check_text(u->c, " && %s", put(u->c, u->s, RECIPIENT, r->word));
	return check_text(u->c, "%s%s", set_list(u, r->setting, without), rest);
}

/* --- one use ------------------------------------------------------------------------ */

static int
is_word(const struct use *u, size_t i, const char *word)
{
	return strcasecmp(u->r->list[i].word, word) == 0;
}

/* The first of the words before END that lets this host's own domains pass, or NULL. */
static const char *
find_pass(const struct use *u, size_t end)
{
	for (size_t i = 0; i < end; i++)
		if (restrictions_pass(u->r->list[i].word))
			return u->r->list[i].word;
	return NULL;
}

static void
check_order(const struct use *u)
{
	const char *delay = check_postfix_value(u->c, "smtpd_delay_reject");

	if (BIT(u->list) & EARLY)
		check_found(u->c, CHECK_POLICY_ORDER, u->subject, move(u),
			strcasecmp(delay, "no") == 0
				? "with smtpd_delay_reject = no it is asked before a "
				  "recipient is known"
				: "it is asked before reject_unauth_destination");
	for (size_t i = u->at + 1;
		BIT(u->list) & (BIT(RELAY) | BIT(RECIPIENT)) && i < u->r->count; i++)
		if (restrictions_guards(u->r->list[i].word) &&
			!is_word(u, i - 1, "warn_if_reject")) {
			/* behind a word that passes it would not be asked */
			if (!find_pass(u, i))
				check_found(u->c, CHECK_POLICY_ORDER, u->subject, move(u),
					"it is in front of %s", u->r->list[i].word);
			return;
		}
}

/* What is behind a word that ends the list, or behind warn_if_reject, refuses nothing. */
static void
check_asked(const struct use *u)
{
	static const char *const ends[] = {"permit", "reject", "defer"};

	const char *pass = find_pass(u, u->at);

	if (pass) {
		check_found(u->c, CHECK_POLICY_UNUSED, u->subject, move(u),
			"it is not asked about this host's own domains, which %s lets "
			"pass before",
			pass);
		return;
	}
	if (u->at > 1 && is_word(u, u->at - 2, "warn_if_reject"))
		check_found(u->c, CHECK_POLICY_UNUSED, u->subject,
			"Take warn_if_reject out in front of it.",
			"behind warn_if_reject its answer is logged, and mail is taken");
	for (size_t i = 0; i + 1 < u->at; i++)
		for (size_t e = 0; e < sizeof ends / sizeof *ends; e++)
			if (is_word(u, i, ends[e])) {
				check_found(u->c, CHECK_POLICY_UNUSED, u->subject,
					move(u), "it is never asked: %s ends the list",
					ends[e]);
				return;
			}
}

/* What the argument says, else the setting. */
static const char *
attribute(const struct use *u, const char *name)
{
	char *own = policy_attribute(u->r->list[u->at].word, name);
	const char *setting = check_text(u->c, "smtpd_policy_service_%s", name);

	return own ? keep(u->c, own) : postconf_for(&u->c->postfix, u->s, setting);
}

/* What is so where mail waits, or passes, without an answer; NULL where neither. */
static const char *
find_wait(const struct use *u)
{
	const char *action = attribute(u, "default_action"),
		   *timeout = attribute(u, "timeout"), *tries = attribute(u, "try_limit");
	uint64_t seconds, wait;

	if (strcasecmp(action, RESTRICTIONS_ACTION) != 0)
		return check_text(u->c,
			"without an answer Postfix says: %s (default_action)", action);
	if (postconf_time(timeout, 's', &seconds))
		return NULL;
	if (strtoul(tries, NULL, 10) < 2)
		return "try_limit is 1: after a restart of quotad Postfix goes on "
		       "without asking";
	wait = seconds * (uint64_t)strtoul(tries, NULL, 10);
	return wait <= WAIT_MAX ? NULL
				: check_text(u->c,
					  "without an answer each recipient waits for "
					  "%llu s (timeout %s, try_limit %s)",
					  (unsigned long long)wait, timeout, tries);
}

/* One repair is for all that is wrong with the argument: of two the second would undo the
 * first. */
static const char *
repair(const struct use *u, const char *wait)
{
	return change(u, keep(u->c, policy_argument(u->r->list[u->at].word, u->endpoint,
					    wait != NULL)));
}

static void
check_use(struct use *u, const char *path)
{
	struct check_socket socket = {.kind = SOCKETS_POLICY,
		.name = path,
		.chroot = postconf_override(&u->c->postfix, u->s, names[u->list])
				  ? sockets_chroot(&u->c->postfix, u->s)
				  : sockets_any_chroot(&u->c->postfix, "smtpd")};
	const char *fault = check_socket_name(u->c, &socket), *wait = find_wait(u);

	u->endpoint = fault ? check_text(u->c, "unix:%s", socket.better) : NULL;
	if (fault)
		check_found(u->c, CHECK_POLICY_REACH, u->subject,
			check_socket_repair(u->c, &socket, repair(u, wait)), "%s", fault);
	else
		check_socket_reach(u->c, &socket);
	check_order(u);
	check_asked(u);
	if (wait)
		check_found(
			u->c, CHECK_POLICY_DOWN, u->subject, repair(u, wait), "%s", wait);
}

/* --- a list ------------------------------------------------------------------------- */

/* The path of the socket where the word I is the argument of Brim's policy service. */
static const char *
find_path(struct check *c, const struct restrictions *r, size_t i)
{
	const char *endpoint;

	if (i == 0 || strcasecmp(r->list[i - 1].word, RESTRICTIONS_POLICY) != 0)
		return NULL;
	endpoint = keep(c, policy_endpoint(r->list[i].word));
	return strncmp(endpoint, "unix:", 5) == 0 &&
			       sockets_is_brims(c->a->conf.policy_listen, endpoint + 5)
		       ? endpoint + 5
		       : NULL;
}

/* Whether the list NAME, one of names, or a class that is used as the list LIST is, has
 * Brim's policy service. */
static int
check_named_list(
	struct check *c, const struct postconf_service *s, int list, const char *name)
{
	struct restrictions r = {0};
	struct use u = {c, s, list, &r, 0, full_name(c, s, name), NULL};
	const char *before = NULL;

	if (restrictions_read(&r, &c->postfix, s, name))
		c->failed = 1;
	for (u.at = 0; u.at < r.count; u.at++) {
		const char *path = find_path(c, &r, u.at);

		if (path && before && strcmp(path, before) == 0)
			check_found(c, CHECK_POLICY_TWICE, u.subject, change(&u, NULL),
				"unix:%s stands there twice", path);
		else if (path)
			check_use(&u, path);
		before = path ? path : before;
	}
	restrictions_free(&r);
	return before != NULL;
}

static int
check_list(struct check *c, const struct postconf_service *s, int list)
{
	return check_named_list(c, s, list, names[list]);
}

/* Whether a list of some smtpd(8) names the class: then it was looked at there. */
static int
is_listed(const struct check *c, const char *class)
{
	for (size_t i = 0; i < c->postfix.service_count; i++)
		for (int list = 0; list < LISTS; list++)
			if (strcmp(c->postfix.services[i].command, "smtpd") == 0 &&
				restrictions_have(
					postconf_for(&c->postfix, &c->postfix.services[i],
						names[list]),
					class))
				return 1;
	return 0;
}

/* The classes that access tables alone name, as the service has them; whether one has
 * Brim's policy service. */
static int
check_classes(struct check *c, const struct postconf_service *s)
{
	const char *list = check_postfix_value(c, "smtpd_restriction_classes");
	char *class;
	int has = 0;

	while ((class = conf_list_next(&list))) {
		if (!is_listed(c, class))
			has |= check_named_list(
				c, s, RECIPIENT, check_text(c, "%s", class));
		free(class);
	}
	return has;
}

/* --- all of them -------------------------------------------------------------------- */

/* The argument with which the policy service is to be asked. */
static const char *
argument(struct check *c, const char **first)
{
	char *list = NULL, *name = sockets_name(&c->postfix, &c->a->conf, SOCKETS_POLICY,
				   sockets_any_chroot(&c->postfix, "smtpd"), &list);
	const char *endpoint = check_text(c, "unix:%s", keep(c, name));

	*first = list ? check_text(c, "%s && { %s } && ",
				check_setting(c, "policy_listen", list), check_restart(c))
		      : "";
	free(list);
	return keep(c, policy_argument(endpoint, NULL, 1));
}

static void
check_size(struct check *c, const struct postconf_service *s)
{
	const char *first, *word = argument(c, &first);

	if (!*first)
		check_found(c, CHECK_POLICY_SIZE, full_name(c, s, names[END]),
			put(c, s, END, word),
			"the policy service is asked about recipients, and not about the "
			"whole message");
}

/* Brim's policy service is in no list of S, which has those of main.cf. */
static void
check_unused(struct check *c, const struct postconf_service *s)
{
	const char *first, *word = argument(c, &first);

	check_found(c, CHECK_POLICY_UNUSED, "policy_listen",
		check_text(c, "%s%s && %s", first, put(c, s, RECIPIENT, word),
			put(c, s, END, word)),
		"it is %s, and Postfix asks nobody there", c->a->conf.policy_listen);
}

/* The policy service is asked about recipients. */
static void
check_unknown(struct check *c)
{
	const struct plan plan = {.conf = &c->a->conf, .now = c->postfix};
	const char *setting = NULL;

	if (!c->a->conf.policy_unknown_passes)
		setting = smtp_time_knows_more(
			&c->postfix, &c->a->conf, plan_find_transports(&plan));
	if (setting)
		check_found(c, CHECK_POLICY_UNKNOWN, "policy_unknown",
			check_text(c, "%s%s", check_setting(c, "policy_unknown", "pass"),
				check_reload(c)),
			"unknown users are refused, and %s of Postfix may know them",
			setting);
}

/* The policy service is asked about whole messages, by smtpd(8) as mail_owner. */
static void
check_policy_users(struct check *c)
{
	const char *users = c->a->conf.policy_users;
	const char *owner = check_postfix_value(c, "mail_owner");

	if (c->a->conf.promise_time == 0 || !owner[0] || conf_list_has(users, owner))
		return;
	check_found(c, CHECK_POLICY_USERS, "policy_users",
		check_text(c, "%s%s",
			check_setting(c, "policy_users",
				check_text(
					c, "%s%s%s", users, users[0] ? " " : "", owner)),
			check_reload(c)),
		"%s, who is the mail_owner of Postfix, is not named there", owner);
}

void
check_policy(struct check *c, int delivers)
{
	unsigned looked = 0, of_main = 0, used = 0, told = 0;
	const struct postconf_service *first = NULL;

	for (size_t i = 0; i < c->postfix.service_count; i++) {
		const struct postconf_service *s = &c->postfix.services[i];
		unsigned has = 0, own = 0;

		if (strcmp(s->command, "smtpd") != 0)
			continue;
		for (int list = 0; list < LISTS; list++) {
			if (postconf_override(&c->postfix, s, names[list])) {
				own |= BIT(list);
				has |= check_list(c, s, list) ? BIT(list) : 0;
			} else if (!(looked & BIT(list))) {
				looked |= BIT(list);
				of_main |= check_list(c, s, list) ? BIT(list) : 0;
			}
		}
		has |= of_main & ~own;
		used |= has;
		if (check_is_behind_filter(c, s)) {
			if (has)
				check_policy_again(c, s, names, has);
			continue;
		}
		if (has & AT_RCPT && !(has & BIT(END)) && !(told & ~own & BIT(END))) {
			told |= BIT(END) & ~own;
			check_size(c, s);
		}
		if (!first || !(own & BIT(RECIPIENT)))
			first = s;
	}
	if (first && check_classes(c, first))
		used |= BIT(RECIPIENT);
	if (used & AT_RCPT)
		check_unknown(c);
	if (used & BIT(END))
		check_policy_users(c);
	if (delivers && first && !used && c->a->conf.policy_listen[0])
		check_unused(c, first);
}
