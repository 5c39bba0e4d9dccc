/*
 * Asking quotad for room: whether there is any, a ticket for exactly these bytes under
 * this name, and what became of it.
 *
 * Requests go out early and their answers are read late, so that quotad works while this
 * process does. A quotad that can't be reached, does not answer, answers what makes no
 * sense, or has lost the ticket, is asked for the ticket once more, on a new connection
 * under the same name; then the message waits, or, with quotad_down = deliver, is
 * delivered without. Each attempt takes quotad_timeout at most.
 */
#ifndef LDA_QUOTA_H
#define LDA_QUOTA_H

#include <stdint.h>

#include "conf.h"
#include "mailbox.h"
#include "quota_client.h"
#include "verdict.h"

struct quota {
	const struct conf *conf;
	char *mailbox;  /* as it is written on the wire; owned */
	uint64_t place; /* the mailbox's, by this process's table */
	enum {
		QUOTAD_IS_NEW,
		QUOTAD_LACKS_IDS,   /* this one knows no ids= */
		QUOTAD_LACKS_PLACES /* nor place= and directory= */
	} age;
	const char *ids;    /* by which the MTA knows the message; the caller's */
	const char *name;   /* of the message; the caller's */
	uint64_t directory; /* in which it is stored */
	uint64_t bytes;
	int attempts; /* RESERVEs so far */
	int is_asked; /* the answer to the last one was not read */
	int has_ticket;
	uint64_t ticket;
	struct reason error; /* the last one in talking to quotad */
	struct quota_client client;
};

void quota_init(struct quota *q, const struct conf *c);

/* Takes note of the mailbox that is asked about below. 0, or -1 with the outcome. */
int quota_begin(struct quota *q, const struct mailbox *m, struct outcome *o);

/* What is asked about from now on is a message with these queue ids, which have commas
 * between and must stay; "" where it has none. */
void quota_identify(struct quota *q, const char *ids);

/* Sends CHECK; IS_MISSING: that there is no mailbox is told, too. Always 0: a quotad that
 * is down shows when the room is reserved. */
int quota_check(struct quota *q, uint64_t bytes, int is_missing);

/* Reads the answer: -1 with the outcome if the mailbox does not take so much now. Where
 * there is no answer it is 0, but for one that is missing: quotad alone knows whether it
 * had mail, so without an answer it must not be made, whatever quotad_down says. */
int quota_checked(struct quota *q, int is_missing, struct outcome *o);

/* Sends RESERVE for a message in the open DIRECTORY (as walk_identity has it). NAME must
 * stay. Always 0: a quotad that is down shows in the answer. */
int quota_reserve(struct quota *q, const char *name, uint64_t directory, uint64_t bytes);

/* Reads the answer: 0 with a ticket (or where quotad may be done without), or -1 with the
 * outcome. */
int quota_reserved(struct quota *q, struct outcome *o);

/* Right before the message gets its name: whether the ticket is still there. */
int quota_still_reserved(struct quota *q, struct outcome *o);

/* The message is there. Sent, not waited for, and always 0: if it doesn't get through, a
 * count finds the message. */
int quota_commit(struct quota *q);

/* It won't be. Waits for the answer to RESERVE first, since a ticket that nobody gives
 * back costs quotad a count. Does nothing without a ticket. */
void quota_cancel(struct quota *q);

void quota_end(struct quota *q);

#endif
