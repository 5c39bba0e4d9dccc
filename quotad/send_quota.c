/* Who may be too full to send, and to whom. */
#include "send_quota.h"

#include <string.h>

#include "targets.h"

#define REFUSAL                                                                          \
	"your mailbox is over its limit for sending; delete mail or empty the trash, "   \
	"then send again"

/* Of a domain of ours, or without one. */
static int
is_postmaster(const struct room *room, struct users *users, const char *recipient)
{
	struct address a;

	return address_parse(&a, recipient, "", NULL) == 0 &&
	       strcmp(a.local, "postmaster") == 0 &&
	       mailbox_address_is_ours(users, room->conf, recipient, NULL) > 0;
}

/* Whether it leads to this mailbox, and to nobody else. */
static int
leads_to(const struct room *room, struct users *users, const char *recipient,
	const char *mailbox)
{
	struct targets t = {0};
	struct outcome o;
	int is_its = targets_find(&t, users, room->conf, recipient, &o) == 0;

	for (size_t i = 0; i < t.count && is_its; i++)
		is_its = t.list[i].kind == TARGET_MAILBOX &&
			 strcmp(t.list[i].address, mailbox) == 0;
	targets_clear(&t);
	return is_its;
}

int
send_quota_applies(struct login *l, const struct room *room, const char *login,
	const char *const *recipients, size_t count, struct outcome *o)
{
	struct users *users = users_reload_table(room->users);
	struct reason why;
	int found;

	if (login == NULL || *login == '\0')
		return 0;
	if (users == NULL) {
		outcome_set(o, VERDICT_TROUBLE, "no user table could be read yet");
		return -1;
	}
	found = login_find(l, users, room->conf, login, &why);
	if (found == -1)
		outcome_set(o, VERDICT_MISCONFIGURED, "%s", why.text);
	if (found <= 0 || l->send_quota == 0)
		return found < 0 ? -1 : 0;
	for (size_t i = 0; i < count; i++)
		if (is_postmaster(room, users, recipients[i]) ||
			leads_to(room, users, recipients[i], l->mailbox))
			return 0;
	return 1;
}

int
send_quota_refuse(const struct outcome *answer, struct outcome *o)
{
	switch (answer->verdict) {
	case VERDICT_DELIVERED:
	case VERDICT_NO_SUCH_USER: /* the table has changed: it is nobody's any more */
		return 0;
	case VERDICT_FULL:
		outcome_set(o, VERDICT_FULL, REFUSAL);
		return 1;
	default:
		*o = *answer;
		return 1;
	}
}
