/* Recipient and sender: taken, mended, looked up. */
#include "recipient.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/identity.h"

/* Exim has the address in parts, the extension's separator included. It sets RECIPIENT,
 * too, but to the address before its routing. */
static const char *
from_environment(struct recipient *r)
{
	const char *local = getenv("LOCAL_PART"), *domain = getenv("DOMAIN");
	const char *suffix = getenv("LOCAL_PART_SUFFIX");
	const char *recipient = getenv("RECIPIENT");

	if (local && domain) {
		if (asprintf(&r->joined, "%s%s@%s", local, suffix ? suffix : "", domain) <
			0)
			r->joined = NULL;
		return r->joined;
	}
	r->censored = recipient && strchr(recipient, '_');
	return recipient;
}

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

int
recipient_take(struct recipient *r, const char *option_d, const char *option_f,
	struct outcome *o)
{
	memset(r, 0, sizeof *r);
	if (!option_f && program.takes_environment)
		option_f = getenv("SENDER");
	r->sender = clean_sender(r->clean, option_f);
	r->address = option_d;
	if (!option_d && program.takes_environment)
		r->address = from_environment(r);
	if (r->address)
		return 0;
	r->address = "";
	outcome_set(o, VERDICT_MISCONFIGURED, "no recipient: %s",
		program.takes_environment
			? "neither -d nor the MTA's environment names one"
			: "-d names none, and nothing else is believed");
	return -1;
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

static int
check_mailbox(const struct mailbox *m, struct outcome *o)
{
	size_t length = strlen(m->path);

	if (length > 0 && m->path[length - 1] == '/')
		return 0;
	outcome_set(o, VERDICT_MISCONFIGURED,
		"mail= does not end in /, and only a Maildir can be delivered to");
	return -1;
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
	users_close(&users);
	return result ? -1 : check_mailbox(m, o);
}

void
recipient_clear(struct recipient *r)
{
	free(r->joined);
	memset(r, 0, sizeof *r);
}
