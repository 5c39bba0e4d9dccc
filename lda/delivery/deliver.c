/*
 * The story of a delivery: one step a line, up to the first that fails. What a failure is
 * called is decided where it happens.
 */
#include <stddef.h>

#include "delivery.h"

#define LOOK_UP_SECONDS 10 /* a damaged table can make libdb spin or crash */

static int
find_mailbox(struct delivery *d, struct outcome *o)
{
	uint64_t left = delivery_time_left(d);
	int result;

	d->host->prepare(d->host->arg, VERDICT_MISCONFIGURED,
		"the user table is damaged, or could not be read in time",
		left < LOOK_UP_SECONDS ? left : LOOK_UP_SECONDS);
	result = recipient_find(&d->recipient, &d->conf, &d->mailbox, o);
	delivery_set_deadline(d);
	return result;
}

static int
become_recipient(struct delivery *d, struct outcome *o)
{
	return d->host->become(d->host->arg, &d->mailbox, o);
}

/* Stops at the first byte too many; what is left is read, but not stored. */
static int
copy_message(struct delivery *d, struct outcome *o)
{
	const char *data;
	size_t length;
	int more;

	while ((more = message_next(&d->message, d->recipient.sender,
			d->recipient.address, &data, &length, o)) > 0)
		if (store_write(&d->store, data, length, o) ||
			mailbox_policy(&d->mailbox, &d->conf, d->store.bytes, o))
			return -1;
	return more;
}

static int
store_message(struct delivery *d, struct outcome *o)
{
	struct recipient *r = &d->recipient;
	struct store *s = &d->store;
	struct quota *q = &d->quota;

	return delivery_read_settings(d, o) ||                /* brim.conf */
	       recipient_uncensor(r, &d->message, o) ||       /* for whom, exactly */
	       find_mailbox(d, o) ||                          /* users.db */
	       become_recipient(d, o) ||                      /* and nobody else */
	       mailbox_policy(&d->mailbox, &d->conf, 0, o) || /* disabled? moved? */
	       quota_check(q, &d->mailbox, o) ||              /* asks: full? */
	       store_open(s, &d->mailbox, o) ||               /* the mailbox */
	       message_read_top(&d->message, o) ||            /* standard input */
	       quota_checked(q, o) ||                         /* not full */
	       store_begin(s, o) ||                           /* not yet a message */
	       copy_message(d, o) ||                          /* all of it */
	       store_choose_name(s, o) ||                     /* its size is known */
	       quota_reserve(q, s->name, s->bytes) ||         /* room for this? */
	       store_sync(s, o) ||                            /* bytes on disk */
	       quota_reserved(q, o) ||                        /* there is */
	       quota_still_reserved(q, o) ||                  /* and still is */
	       store_link(s, o) ||                            /* stored */
	       quota_commit(q);                               /* and counted */
}

void
deliver(struct delivery *d, struct outcome *o)
{
	outcome_set(o, VERDICT_TROUBLE, NULL);
	if (store_message(d, o) == 0)
		outcome_set(o, VERDICT_DELIVERED, NULL);
	else if (!d->store.may_be_there) /* else quotad charges it until it has counted */
		quota_cancel(&d->quota);
}
