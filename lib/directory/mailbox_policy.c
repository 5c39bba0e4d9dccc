/* What a mailbox's record alone says to a message: moved, disabled, too large. */
#include "mailbox.h"

#include "address_ascii.h"
#include "amount.h"

static int
refuse_size(struct outcome *o, uint64_t limit, const char *what)
{
	char size[AMOUNT_SIZE];

	outcome_set(o, VERDICT_TOO_LARGE, "the message is larger than %s, the %s",
		amount_show(limit, size), what);
	return -1;
}

static int
refuse_moved(const struct mailbox *m, struct outcome *o)
{
	char text[VERDICT_LINE_MAX];

	if (!m->moved_to)
		outcome_set(o, VERDICT_DISABLED, "the mailbox has moved");
	else if (address_ascii(text, sizeof text - 64, m->moved_to))
		outcome_set(o, VERDICT_MOVED, NULL); /* half an address is another one */
	else
		outcome_set(
			o, VERDICT_MOVED, "the mailbox has moved, new address: %s", text);
	return -1;
}

int
mailbox_policy(
	const struct mailbox *m, const struct conf *c, uint64_t bytes, struct outcome *o)
{
	switch (m->state) {
	case MAILBOX_ENABLED:
		break;
	case MAILBOX_DISABLED:
		outcome_set(o, VERDICT_DISABLED, "the mailbox is disabled");
		return -1;
	case MAILBOX_SUSPENDED:
		outcome_set(
			o, VERDICT_SUSPENDED, "the mailbox takes no mail at the moment");
		return -1;
	case MAILBOX_MOVED:
		return refuse_moved(m, o);
	}
	if (c->message_size_limit && bytes > c->message_size_limit)
		return refuse_size(o, c->message_size_limit, "limit of this server");
	if (m->quota && bytes > m->quota)
		return refuse_size(o, m->quota, "whole quota of this mailbox");
	return 0;
}
