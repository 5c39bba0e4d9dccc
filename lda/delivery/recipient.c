/* Recipient and sender: cleaned, made exact, looked up. */
#include "recipient.h"

#include <string.h>

#include "absence.h"

/* The sender for a header: control bytes are '_', and what no sender can be is none. */
static const char *
clean_sender(char clean[ADDRESS_MAX + 1], const char *sender)
{
	size_t length = sender ? strlen(sender) : 0;
	char *to = clean;

	if (length > ADDRESS_MAX)
		return "";
	if (length >= 2 && sender[0] == '<' && sender[length - 1] == '>') {
		sender++;
		length -= 2;
	}
	for (size_t i = 0; i < length; i++)
		*to++ = (char)((unsigned char)sender[i] < ' ' || sender[i] == 0x7f
				       ? '_'
				       : sender[i]);
	*to = '\0';
	return strcasecmp(clean, "MAILER-DAEMON") == 0 ? "" : clean;
}

void
recipient_take(struct recipient *r, const struct envelope *e)
{
	memset(r, 0, sizeof *r);
	r->address = e->recipient ? e->recipient : "";
	r->censored = e->censored && strchr(r->address, '_');
	r->sender = clean_sender(r->clean, e->sender);
}

/* Whether the censored address could be this one. */
static int
fits(const char *censored, const char *exact)
{
	for (; *censored && *exact; censored++, exact++)
		if (*censored != '_' && *censored != *exact)
			return 0;
	return *censored == '\0' && *exact == '\0';
}

int
recipient_uncensor(struct recipient *r, struct message *m, struct outcome *o)
{
	if (!r->censored)
		return 0;
	if (message_read_top(m, o))
		return -1;
	if (fits(r->address, m->delivered_to)) {
		strcpy(r->exact, m->delivered_to);
		r->address = r->exact;
	}
	return 0;
}

int
recipient_find(const struct recipient *r, const struct conf *c, struct mailbox *m,
	struct outcome *o)
{
	struct reason why;
	struct users *users = users_open(c->users_db, &why);
	int result;

	if (!users) {
		outcome_set(o, VERDICT_MISCONFIGURED, "%s", why.text);
		return -1;
	}
	result = mailbox_find(m, users, c, r->address, o);
	if (result && o->verdict == VERDICT_NO_SUCH_USER)
		absence_confirm(c, users_stat(users), r->address, o);
	users_close(&users);
	return result;
}
