/*
 * All that one delivery knows and holds, from its arguments to its log line.
 */
#ifndef LDA_DELIVERY_H
#define LDA_DELIVERY_H

#include <stdint.h>

#include "conf.h"
#include "mailbox.h"
#include "message.h"
#include "quota.h"
#include "recipient.h"
#include "store.h"
#include "verdict.h"

#define DELIVERY_SECONDS 300 /* the deadline until the settings say another */

struct delivery {
	const char *conf_file; /* NULL for the usual one */
	uint64_t started_ms;   /* of the monotonic clock */
	struct recipient recipient;
	struct conf conf;
	struct mailbox mailbox;
	struct message message;
	struct store store;
	struct quota quota;
};

/* Starts the clock. The struct must be all zero, and holds nothing yet. */
void delivery_init(struct delivery *d);

/* Reads brim.conf; from then on its deadline holds. 0, or -1 with the outcome. */
int delivery_read_settings(struct delivery *d, struct outcome *o);

/* Seconds until the deadline, at least 1. */
uint64_t delivery_time_left(const struct delivery *d);

/* Prepares for the deadline and for signals: what is said then. */
void delivery_watch(const struct delivery *d);

/* Reads what is left of a message that was not delivered: an MTA may take an unread
 * message for a failure of another kind. */
void delivery_drain(struct delivery *d, const struct outcome *o);

/* Writes the one line of the log, always with the same names. */
void delivery_log(const struct delivery *d, const struct outcome *o);

/* Closes and frees everything. A message that has its name stays. */
void delivery_end(struct delivery *d);

/* Delivers the message, or leaves nothing behind; the outcome says which, and why. Its
 * story is lda/deliver.c. */
void deliver(struct delivery *d, struct outcome *o);

#endif
