/* A delivery's clock, settings, log line and end. */
#include "delivery.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

void
delivery_init(struct delivery *d, const struct delivery_host *host, int input)
{
	d->host = host;
	d->started_ms = clock_now_ms();
	d->conf.deadline = DELIVERY_SECONDS;
	message_init(&d->message, input);
	store_init(&d->store);
	quota_init(&d->quota, &d->conf);
	host->watch(host->arg, &d->store);
	delivery_set_deadline(d);
}

uint64_t
delivery_time_left(const struct delivery *d)
{
	uint64_t passed = (clock_now_ms() - d->started_ms + 999) / 1000;

	return d->conf.deadline > passed ? d->conf.deadline - passed : 1;
}

int
delivery_read_settings(struct delivery *d, struct outcome *o)
{
	struct reason why;

	if (conf_load(&d->conf, d->conf_file, &why)) {
		d->conf.deadline = DELIVERY_SECONDS;
		outcome_set(o, VERDICT_MISCONFIGURED, "%s", why.text);
		return -1;
	}
	delivery_set_deadline(d);
	return 0;
}

void
delivery_set_deadline(const struct delivery *d)
{
	d->host->prepare(d->host->arg, VERDICT_TROUBLE,
		"the delivery was cut short or took too long", delivery_time_left(d));
}

int
delivery_identify(struct delivery *d)
{
	const char *text;
	size_t length = message_look(&d->message, &text);

	received_ids(d->ids, &d->conf, text, length, d->message.ended);
	quota_identify(&d->quota, d->ids);
	d->has_ids = 1;
	return 0;
}

void
delivery_drain(struct delivery *d, struct outcome *o)
{
	uint64_t bytes = d->store.bytes;

	d->host->prepare(d->host->arg, o->verdict, o->text, delivery_time_left(d));
	if (!d->has_ids) /* refused before it was read */
		delivery_identify(d);
	bytes += message_drain(&d->message);
	if (o->verdict == VERDICT_FULL || o->verdict == VERDICT_FULL_FOR_NOW)
		mailbox_policy(&d->mailbox, &d->conf, bytes, o);
}

/* A value for the log: escaped, so that a line of the log is one event; cut, since the
 * MTA may hand over anything. The caller frees it. */
static char *
log_value(const char *text)
{
	char *cut = strndup(text ? text : "", ADDRESS_MAX);
	char *value = cut ? record_escape(cut) : NULL;

	free(cut);
	return value;
}

void
delivery_log(const struct delivery *d, const struct outcome *o)
{
	char *recipient = log_value(d->recipient.address);
	char *sender = log_value(d->recipient.sender);
	char *mailbox = log_value(d->mailbox.key);

	log_info("recipient=%s mailbox=%s sender=<%s> id=%.*s bytes=%" PRIu64
		 " verdict=%s code=%s ticket=%" PRIu64 " name=%s ms=%" PRIu64 "%s%s%s",
		recipient ? recipient : "", mailbox ? mailbox : "", sender ? sender : "",
		(int)strcspn(d->ids, ","), d->ids, d->store.bytes,
		verdict_name(o->verdict), verdict_code(o->verdict), d->quota.ticket,
		d->store.name, clock_now_ms() - d->started_ms,
		o->verdict == VERDICT_DELIVERED ? "" : " reason=\"",
		o->verdict == VERDICT_DELIVERED ? "" : o->text,
		o->verdict == VERDICT_DELIVERED ? "" : "\"");
	free(recipient);
	free(sender);
	free(mailbox);
}

void
delivery_end(struct delivery *d)
{
	store_close(&d->store);
	quota_end(&d->quota);
	mailbox_clear(&d->mailbox);
	recipient_clear(&d->recipient);
	conf_free(&d->conf);
}
