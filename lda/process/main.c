/*
 * lda, and lda-virtual: one message from standard input into the mailbox of one
 * recipient.
 *
 * Prints nothing and ends with 0 where the message is stored; otherwise one line, and one
 * of the exit statuses in lib/base/verdict.c. Whatever it doesn't understand is "try
 * again".
 */
#include <unistd.h>

#include "arguments.h"
#include "delivery/delivery.h"
#include "emergency.h"
#include "guard.h"
#include "identity.h"
#include "log.h"
#include "start.h"

#define LOG_MS 200 /* that a line may wait for the log daemon */

/* This process, as its one delivery sees it. */
static const struct delivery_host host = {
	.prepare = emergency_prepare,
	.watch = emergency_watch,
	.become = identity_become,
	.guard = guard_begin,
};

static void
handle(struct delivery *d, int argc, char **argv, struct outcome *o)
{
	struct arguments a;
	int result = arguments_take(&a, argc, argv, o);

	d->conf_file = a.conf_file;
	recipient_take(&d->recipient, &a.envelope);
	if (result == 0)
		deliver(d, o);
	if (o->verdict == VERDICT_DELIVERED)
		guard_stored();
	else
		delivery_drain(d, o);
	delivery_log(d, o);
	delivery_end(d);
	arguments_clear(&a);
}

static void
answer(const struct outcome *o)
{
	char line[VERDICT_LINE_MAX + 1];
	size_t length = outcome_line(o, line);

	emergency_over();
	emergency_write(line, length);
}

int
main(int argc, char **argv)
{
	struct outcome o;

	log_open_syslog("brim-lda");
	log_wait(LOG_MS);
	if (start_clean(&o) == 0 && identity_settle(&o) == 0) {
		delivery_init(&the_delivery, &host, STDIN_FILENO);
		handle(&the_delivery, argc, argv, &o);
	}
	answer(&o);
	return verdict_exit_status(o.verdict);
}
