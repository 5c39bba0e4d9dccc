/*
 * All that one delivery knows and holds, from what the MTA told to its log line. Nothing
 * of it is the process's: several may run in one process, each in a thread.
 */
#ifndef LDA_DELIVERY_H
#define LDA_DELIVERY_H

#include <stdint.h>

#include "conf.h"
#include "host.h"
#include "mailbox.h"
#include "message.h"
#include "quota.h"
#include "received.h"
#include "recipient.h"
#include "store.h"
#include "verdict.h"

#define DELIVERY_SECONDS 300 /* the deadline until the settings say another */

/* A fresh process pays for each page: what most deliveries leave alone stands last. */
struct delivery {
	const struct delivery_host *host;
	const char *conf_file; /* NULL for the usual one */
	uint64_t started_ms;   /* of the monotonic clock */
	struct conf conf;
	struct mailbox mailbox;
	struct store store;
	int has_ids; /* they were taken from the message; it may have none */
	char ids[RECEIVED_SIZE];
	struct message message;
	struct quota quota;
	struct recipient recipient;
};

/* Starts the clock; from then on the deadline holds. The struct must be all zero, and
 * holds nothing yet. INPUT is where the message comes from. */
void delivery_init(struct delivery *d, const struct delivery_host *host, int input);

/* Reads brim.conf; from then on its deadline holds. 0, or -1 with the outcome. */
int delivery_read_settings(struct delivery *d, struct outcome *o);

/* Seconds until the deadline, at least 1. */
uint64_t delivery_time_left(const struct delivery *d);

/* Tells the host when the deadline is, and what the outcome is then. */
void delivery_set_deadline(const struct delivery *d);

/* Takes the queue ids from the message before any of it is handed out, and tells them to
 * what asks quotad. Always 0: it may have none. */
int delivery_identify(struct delivery *d);

/* Delivers the message, or leaves nothing behind; the outcome tells which, and why. Its
 * story is deliver.c. */
void deliver(struct delivery *d, struct outcome *o);

/* Reads what is left of a message that was not delivered: an MTA may take an unread
 * message for a failure of another kind. Of one that was refused because the mailbox is
 * full the size is known only now: it may be too large for it ever, full or not. */
void delivery_drain(struct delivery *d, struct outcome *o);

/* Writes the one line of the log, always with the same names. */
void delivery_log(const struct delivery *d, const struct outcome *o);

/* Closes and frees everything. A message that was linked stays. */
void delivery_end(struct delivery *d);

#endif
