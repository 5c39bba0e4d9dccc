/*
 * check: what spoils the reports that Postfix writes to senders (RFC 3464): a verdict
 * that becomes another, a time that is over before the verdict is made, a report that
 * nobody writes or that comes to nobody. What a service sets itself in master.cf counts
 * for it.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "postfix/names.h"
#include "verdict.h"

#define DAY                86400
#define QUEUE_LIFETIME_MAX (99 * DAY) /* Postfix takes 100 days, and one is added */

/* A setting as it holds for a service, or, where S is NULL, in main.cf. */
struct use {
	struct check *c;
	const struct postconf_service *s;
	const char *name, *subject, *value;
};

static struct use
use_of(struct check *c, const struct postconf_service *s, const char *name)
{
	const int is_own = s && postconf_override(&c->postfix, s, name);
	struct use u = {c, is_own ? s : NULL, name, name, NULL};

	if (is_own)
		u.subject = check_text(c, "%s/%s/%s", s->name, s->type, name);
	u.value = is_own ? postconf_override(&c->postfix, s, name)
			 : check_postfix_value(c, name);
	return u;
}

static const char *
set(const struct use *u, const char *value)
{
	return u->s ? check_postfix_own(u->c, u->s, u->name, value)
		    : check_postfix_setting(u->c, u->name, value);
}

/* Looks at the setting in main.cf, and where a service of that program has its own. */
static void
look_at(struct check *c, const char *name, const char *program,
	void (*look)(const struct use *u))
{
	const struct use main = use_of(c, NULL, name);

	look(&main);
	for (size_t i = 0; i < c->postfix.service_count; i++) {
		const struct postconf_service *s = &c->postfix.services[i];
		const struct use u = use_of(c, s, name);

		if (u.s && (!program || strcmp(s->command, program) == 0))
			look(&u);
	}
}

/* --- times -------------------------------------------------------------------------- */

/* The longest over_quota of all but defer; 0 where every full mailbox bounces at once. */
static uint64_t
longest(const struct check *c)
{
	return c->has_longest ? c->longest : c->a->conf.over_quota;
}

/* A lifetime in the queue that is longer than over_quota; NULL where there is none. */
static const char *
longer_than(struct check *c, uint64_t over_quota)
{
	char days[AMOUNT_SIZE];

	if (over_quota > QUEUE_LIFETIME_MAX)
		return NULL;
	return check_text(c, "%s", amount_show_time((over_quota / DAY + 1) * DAY, days));
}

/* Whether it is too short for over_quota. */
static int
look_at_lifetime(const struct use *u, enum check_kind kind)
{
	const uint64_t over_quota = longest(u->c);
	const char *longer = longer_than(u->c, over_quota);
	char shown[AMOUNT_SIZE];
	uint64_t lifetime;

	if (over_quota == CONF_DEFER || over_quota == 0 ||
		postconf_time(u->value, 'd', &lifetime) || over_quota < lifetime)
		return 0;
	check_found(u->c, kind, u->subject,
		longer ? set(u, longer)
		       : "Lower over_quota: Postfix keeps nothing for longer than 100d.",
		"it is %s, and over_quota is %s", u->value,
		amount_show_time(over_quota, shown));
	return 1;
}

static void
look_at_queue(const struct use *u)
{
	uint64_t lifetime;

	if (!look_at_lifetime(u, CHECK_QUEUE_LIFETIME) &&
		postconf_time(u->value, 'd', &lifetime) == 0 && lifetime < DAY)
		check_found(u->c, CHECK_QUEUE_SHORT, u->subject, set(u, "5d"), "it is %s",
			u->value);
}

/* Postfix itself lowers it to maximal_queue_lifetime. */
static void
look_at_bounce_queue(const struct use *u)
{
	const struct use all = use_of(u->c,
		postconf_service(&u->c->postfix, "qmgr", NULL), "maximal_queue_lifetime");
	uint64_t lifetime, of_all;

	if (postconf_time(u->value, 'd', &lifetime) == 0 &&
		postconf_time(all.value, 'd', &of_all) == 0 && lifetime < of_all)
		look_at_lifetime(u, CHECK_BOUNCE_LIFETIME);
}

static void
look_at_warning(const struct use *u)
{
	const struct use all = use_of(u->c,
		postconf_service(&u->c->postfix, "qmgr", NULL), "maximal_queue_lifetime");
	uint64_t delay, of_all;

	if (postconf_time(u->value, 'h', &delay) != 0)
		return;
	if (delay == 0)
		check_found(u->c, CHECK_DELAY_WARNING, u->subject, set(u, "4h"),
			"it is %s", u->value);
	else if (postconf_time(all.value, 'd', &of_all) == 0 && of_all > 4 * 3600 &&
		 delay >= of_all)
		check_found(u->c, CHECK_DELAY_WARNING, u->subject, set(u, "4h"),
			"it is %s, and maximal_queue_lifetime %s", u->value, all.value);
}

/* --- verdicts ----------------------------------------------------------------------- */

static void
look_at_soft_bounce(const struct use *u)
{
	if (strcasecmp(u->value, "yes") == 0)
		check_found(u->c, CHECK_SOFT_BOUNCE, u->subject, set(u, "no"), "it is %s",
			u->value);
}

/* A line of a filter: KEY is what lda says, VALUE what Postfix makes of it. */
static void
compare_status(void *arg, const char *key, const char *value)
{
	const struct use *u = arg;
	int is_ours = 0;

	for (int v = 0; v < VERDICTS; v++)
		is_ours |= strncmp(key, verdict_code((enum verdict)v), 5) == 0;
	if (is_ours && value[0] != key[0])
		check_found(u->c, CHECK_STATUS_FILTER, u->subject,
			check_text(u->c, "Take the line for it out of %s.", u->value),
			"it makes \"%s\" of \"%s\"", value, key);
}

/* What lda may say, one a line. */
static const char *
all_outcomes(struct check *c)
{
	const char *all = "";

	for (int v = VERDICT_DELIVERED + 1; v < VERDICTS; v++) {
		char line[VERDICT_LINE_MAX + 1];
		struct outcome o;

		outcome_set(&o, (enum verdict)v, NULL);
		outcome_line(&o, line);
		all = check_text(c, "%s%s", all, line);
	}
	return all;
}

static void
look_at_filter(const struct use *u)
{
	struct use mine = *u;

	if (u->value[0] &&
		names_of_maps(u->value, all_outcomes(u->c), compare_status, &mine))
		check_found(u->c, CHECK_STATUS_FILTER, u->subject,
			"Repair the table: postmap(1) -q says what is wrong.",
			"%s can't be read", u->value);
}

/* --- who writes reports, and who gets them ------------------------------------------ */

static void
check_writers(struct check *c)
{
	static const char *const names[] = {"bounce", "defer", "trace"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct postconf_service *s =
			postconf_service(&c->postfix, names[i], "unix");

		if (s && strcmp(s->command, "bounce") != 0)
			check_found(c, CHECK_BOUNCE_SERVICE, names[i],
				check_text(c, "postconf -F %s/unix/command=bounce%s",
					names[i], check_postfix_reload(c)),
				"its command is %s", s->command);
	}
}

void
check_reports(struct check *c, int has_pipe)
{
	look_at(c, "maximal_queue_lifetime", "qmgr", look_at_queue);
	look_at(c, "bounce_queue_lifetime", "qmgr", look_at_bounce_queue);
	if (longest(c) != 0 || c->defers)
		look_at(c, "delay_warning_time", "cleanup", look_at_warning);
	look_at(c, "soft_bounce", NULL, look_at_soft_bounce);
	if (c->command)
		look_at(c, "local_delivery_status_filter", "local", look_at_filter);
	if (has_pipe)
		look_at(c, "pipe_delivery_status_filter", "pipe", look_at_filter);
	check_writers(c);
}
