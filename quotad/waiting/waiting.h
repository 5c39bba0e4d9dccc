/*
 * Waiting: mail that was refused for lack of room at delivery, and waits in the queue of
 * Postfix. Once its mailbox has room the oldest messages that fit are promised it, so
 * that no new mail takes it first, and the mail server is asked to deliver these, and no
 * other. Where one does not come, as after a postsuper -d, which nobody tells quotad, no
 * room is kept for the next ones of its mailbox until one has come.
 *
 * It is all in memory and bounded, the oldest goes first: what is lost comes when the
 * mail server tries again by itself. Ids are believed of those who may ask about every
 * mailbox, and of others only where the message was accepted at SMTP time for that
 * mailbox: so a user can have nothing released but his own mail, which is released once a
 * minute at most.
 *
 * Nothing tells quotad of mail that a user deletes: so each mailbox for which mail waits
 * is looked at every 5 seconds, a few at a time in turns, and less often where a look
 * takes long. Without anybody to release the mail nothing is looked at.
 */
#ifndef QUOTAD_WAITING_H
#define QUOTAD_WAITING_H

#include <stdint.h>

#include "room.h"

#define WAITING_MAILBOX_MAX  1000   /* ids of a mailbox, */
#define WAITING_MAX          100000 /* and of all */
#define WAITING_EXPECTED_MAX 20000  /* of all that were accepted and not tried yet */
#define WAITING_LOOK_MS      5000   /* from one look at a mailbox to the next */
#define WAITING_LOOKS        8      /* at once */
#define WAITING_LOOKS_SECOND 100    /* begun */
#define WAITING_A_TURN       16     /* messages of a mailbox that are released */
#define WAITING_AGAIN_MS     60000  /* from one release of a message to the next */
#define WAITING_PROMISE_MS   120000
#define WAITING_TRIES        3 /* to release a message that can't be released */
#define WAITING_UNKNOWN                                                                  \
	65536                     /* bytes, of a size that nobody told: lda(8) tells     \
				   * that of all smaller ones */
#define WAITING_EXPECT_MS 3600000 /* until an accepted message is forgotten, */
#define WAITING_FORGET_MS (12 * 3600000) /* and one that was not tried any more */

struct waiting;

/* Who has mail delivered; the answers come later by waiting_released. */
struct waiting_calls {
	/* Whether one more can be released now; it begins to find out where it can't. */
	int (*may_release)(void *arg);
	void (*release)(void *arg, const char *id);
};

struct waiting_totals {
	uint64_t messages, bytes; /* that wait, */
	uint64_t mailboxes;       /* and for how many */
	uint64_t released, not_released;
};

/* ROOM is asked, CALLS with ARG release. NULL without memory. */
struct waiting *waiting_new(
	const struct room *room, const struct waiting_calls *calls, void *arg);
/* Before its ledger. */
void waiting_free(struct waiting **w);

/* --- what happens --- */

/* A whole message was accepted at SMTP time from somebody who is believed: if its
 * delivery is refused it may be remembered. */
void waiting_expect(
	struct waiting *w, const char *mailbox, const char *id, uint64_t bytes);

/* A delivery was refused for now, of 0 BYTES where it does not know its size yet. IDS are
 * the message's, "A,B": the first is that in the queue now. TRUSTED: the asker may ask
 * about every mailbox. */
void waiting_refused(struct waiting *w, const char *mailbox, const char *ids,
	uint64_t bytes, int trusted);

/* It waits no more: its delivery got its ticket, or it was refused for good. */
void waiting_delivered(struct waiting *w, const char *mailbox, const char *ids);

/* There may be more room in the mailbox, or in any (NULL): it is looked at soon. */
void waiting_room(struct waiting *w, const char *mailbox);

/* The mail server was asked to deliver the message, or could not be. */
void waiting_released(struct waiting *w, const char *id, int ok);

/* Sets the clock and does what is due: in each pass, and once a second at least. */
void waiting_tick(struct waiting *w, uint64_t now_ms);

/* --- what is asked --- */

/* Bytes that were refused at delivery and wait for the mailbox. */
uint64_t waiting_bytes(const struct waiting *w, const char *mailbox);

/* Whether so many more may wait for it, where MOST may in all. */
int waiting_takes(
	const struct waiting *w, const char *mailbox, uint64_t bytes, uint64_t most);

void waiting_totals(const struct waiting *w, struct waiting_totals *t);

struct waiting_mailbox {
	uint64_t number; /* grows with each that there is */
	const char *name;
	uint64_t messages, bytes, since_s;
};

/* The next mailbox with mail that waits, behind the one whose number and name M has (0
 * and "": the first), though that may be gone: 1 with it, or 0. The name stays until
 * something happens. */
int waiting_next(const struct waiting *w, struct waiting_mailbox *m);

#endif
