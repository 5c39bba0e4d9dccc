/*
 * check: Brim's policy service behind a content filter, by which mail comes back that
 * Postfix has asked about before. (Before the queue, behind smtpd_proxy_filter, it is the
 * other way round: there the smtpd that the filter sends to has the queue id, and the
 * client is still connected.)
 */
#include <string.h>

#include "check.h"

/* Whether some service, or all, give mail to a content filter. */
static int
has_filter(const struct check *c)
{
	const struct postconf *p = &c->postfix;

	if (check_postfix_value(c, "content_filter")[0])
		return 1;
	for (size_t i = 0; i < p->service_count; i++) {
		const char *own = postconf_override(p, &p->services[i], "content_filter");

		if (own && own[0])
			return 1;
	}
	return 0;
}

int
check_is_behind_filter(const struct check *c, const struct postconf_service *s)
{
	static const char *const loopback[] = {"127.", "localhost:", "[::1]:", "::1:"};
	int is_loopback = 0;

	for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++)
		is_loopback |= strncmp(s->name, loopback[i], strlen(loopback[i])) == 0;
	return is_loopback && strcmp(s->type, "inet") == 0 &&
	       postconf_for(&c->postfix, s, "content_filter")[0] == '\0' && has_filter(c);
}

/* A service must have a list that stops what it would relay. */
static const char *
empty_list(const char *name)
{
	return strcmp(name, "smtpd_recipient_restrictions") == 0 ||
			       strcmp(name, "smtpd_relay_restrictions") == 0
		       ? "permit_mynetworks,reject"
		       : "";
}

void
check_policy_again(struct check *c, const struct postconf_service *s,
	const char *const *lists, unsigned bits)
{
	const char *repair = "", *names = "";

	for (size_t i = 0; bits >> i; i++) {
		if (!(bits >> i & 1))
			continue;
		repair = check_text(c, "%s%spostconf -Pe %s", repair,
			*repair ? " && " : "",
			check_quote(c, check_text(c, "%s/%s/%s=%s", s->name, s->type,
					       lists[i], empty_list(lists[i]))));
		names = check_text(c, "%s%s%s", names, *names ? ", " : "", lists[i]);
	}
	check_found(c, CHECK_POLICY_AGAIN, check_text(c, "%s/%s", s->name, s->type),
		check_text(c, "%s%s", repair, check_postfix_reload(c)),
		"mail comes back to it from a content filter, and it asks again, by %s",
		names);
}
