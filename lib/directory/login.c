/* Logins: the record that has it, and what that, its domain or the settings allow. */
#include "login.h"

#include <string.h>

#include "mailbox.h"

/* The record of the mailbox: 1, 0, -1. R is cleared by the caller. */
static int
find_mailbox(struct users *u, const struct conf *c, const char *login, struct record *r,
	struct reason *why)
{
	char key[ADDRESS_MAX + 1];
	struct address a;
	int found = users_login(u, login, key, why);

	memset(r, 0, sizeof *r);
	if (found)
		return found < 0 ? -1 : users_get(u, key, r, why);
	if (address_parse(&a, login, "", NULL))
		return 0;
	found = mailbox_find_in_domains(u, c, &a, r, why);
	return found > 0 ? mailbox_kind_of(r) == MAILBOX_KIND_MAILBOX : found;
}

/* Of the record, if that has one: 1, 0, -1. */
static int
take_quota(const struct record *r, uint64_t *bytes, struct reason *why)
{
	if (!record_get(r, "send_quota"))
		return 0;
	if (record_number(r, "send_quota", 0, bytes))
		return reason_set(
			why, "the record of %.100s: send_quota is not a number", r->key);
	return 1;
}

static int
find_quota(struct users *u, const struct conf *c, const struct record *r, uint64_t *bytes,
	struct reason *why)
{
	const char *at = address_domain_key(r->key);
	int found = take_quota(r, bytes, why);
	struct record domain = {0};

	if (!found && at) {
		found = users_get(u, at, &domain, why);
		if (found > 0)
			found = take_quota(&domain, bytes, why);
		record_clear(&domain);
	}
	if (!found)
		*bytes = c->send_quota;
	return found < 0 ? -1 : 0;
}

int
login_find(struct login *l, struct users *u, const struct conf *c, const char *login,
	struct reason *why)
{
	struct record r;
	int found = find_mailbox(u, c, login, &r, why);

	*l = (struct login){.send_quota = 0};
	if (found > 0) {
		strcpy(l->mailbox, r.key);
		found = find_quota(u, c, &r, &l->send_quota, why) ? -1 : 1;
	}
	record_clear(&r);
	return found;
}
