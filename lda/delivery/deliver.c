/*
 * The story of a delivery: one step a line, up to the first that fails. What a failure is
 * called is decided where it happens.
 */
#include <stddef.h>

#include "delivery.h"

#define LOOK_UP_SECONDS 10 /* of a table that is damaged, or whose disk hangs */

static int
look_up(struct delivery *d, struct outcome *o)
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

/* Most names are in the table as they stand. */
static int
find_mailbox(struct delivery *d, struct outcome *o)
{
	int result = look_up(d, o);

	if (result > 0) /* the MTA has given other names, too */
		result = recipient_add_names(&d->recipient, &d->message, o) ||
			 look_up(d, o);
	return result;
}

static int
become_recipient(struct delivery *d, struct outcome *o)
{
	return d->host->become(d->host->arg, &d->mailbox, o);
}

/* The store's calls may hang where a network is behind them. */
static int
guard_store(struct delivery *d, struct outcome *o)
{
	int result =
		d->host->guard(d->host->arg, d->mailbox.path, delivery_time_left(d), o);

	delivery_set_deadline(d);
	return result;
}

/* Stops at the first byte too many; what is left is read, but not stored. */
static int
copy_message(struct delivery *d, struct outcome *o)
{
	const char *data;
	size_t length;
	int more;

	while ((more = message_next(&d->message, &data, &length, o)) > 0)
		if (store_write(&d->store, data, length, o) ||
			mailbox_policy(&d->mailbox, &d->conf, d->store.bytes, o))
			return -1;
	return more;
}

/* A refusal comes before the first sync, so it has cost no disk. */
static int
write_short(struct delivery *d, uint64_t bytes, struct outcome *o)
{
	struct store *s = &d->store;
	struct quota *q = &d->quota;

	return store_choose_name(s, bytes, o) ||                 /* it tells the size */
	       quota_reserve(q, s->name, s->directory, bytes) || /* asks: room? */
	       store_begin(s, o) ||                              /* not yet a message */
	       copy_message(d, o) ||                             /* all of it */
	       quota_reserved(q, o) ||                           /* there is */
	       store_sync(s, o);                                 /* bytes on disk */
}

/* quotad knows that it comes; its room is asked for once its size is known. */
static int
write_checked(struct delivery *d, struct outcome *o)
{
	struct store *s = &d->store;
	struct quota *q = &d->quota;

	return store_begin(s, o) ||                 /* not yet a message */
	       copy_message(d, o) ||                /* all of it */
	       store_choose_name(s, s->bytes, o) || /* its size is known */
	       quota_reserve(q, s->name, s->directory, s->bytes) || /* asks: room? */
	       store_sync(s, o) ||                                  /* bytes on disk */
	       quota_reserved(q, o);                                /* there is */
}

static int
check(struct delivery *d, uint64_t bytes, struct outcome *o)
{
	struct quota *q = &d->quota;

	return quota_check(
		       q, bytes, d->store.is_missing) || /* asks: full? had it mail? */
	       quota_checked(q, d->store.is_missing, o); /* no */
}

static int
write_there(struct delivery *d, uint64_t bytes, struct outcome *o)
{
	return bytes ? write_short(d, bytes, o) : check(d, 0, o) || write_checked(d, o);
}

/* A mailbox that is missing is made once quotad has agreed, and not before: it may have
 * had mail, and its file system not be mounted. Or another delivery has made it since
 * this one looked; then there is mail in it that quotad knows of. */
static int
write_message(struct delivery *d, struct outcome *o)
{
	uint64_t bytes = message_size(&d->message);

	if (!d->store.is_missing)
		return write_there(d, bytes, o);
	if (check(d, bytes, o) == 0)
		return write_checked(d, o);
	if (o->verdict != VERDICT_TROUBLE || !store_open_again(&d->store, &d->mailbox))
		return -1;
	return write_there(d, bytes, o);
}

static int
store_message(struct delivery *d, struct outcome *o)
{
	struct recipient *r = &d->recipient;
	struct message *m = &d->message;
	struct mailbox *to = &d->mailbox;

	return delivery_read_settings(d, o) ||                     /* brim.conf */
	       find_mailbox(d, o) ||                               /* users.db */
	       become_recipient(d, o) ||                           /* and nobody else */
	       mailbox_policy(to, &d->conf, 0, o) ||               /* disabled? moved? */
	       quota_begin(&d->quota, to, o) ||                    /* whose room */
	       guard_store(d, o) ||                                /* may it hang? */
	       store_open(&d->store, to, o) ||                     /* the mailbox */
	       recipient_uncensor(r, m, o) ||                      /* its exact name */
	       message_begin(m, r->sender, r->address, o) ||       /* standard input */
	       delivery_identify(d) ||                             /* its queue ids */
	       mailbox_policy(to, &d->conf, message_size(m), o) || /* too large? */
	       write_message(d, o) ||                /* on disk, with room */
	       quota_still_reserved(&d->quota, o) || /* and still with room */
	       store_link(&d->store, o) ||           /* stored */
	       quota_commit(&d->quota);              /* and counted */
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
