/*
 * No sending when full: whoever logs in to send and has more in the own mailbox than
 * send_quota allows is told so while the program that sends is connected.
 *
 * Who such a user is, and to whom mail passes all the same, is said here: to postmaster
 * (RFC 5321 section 4.5.1), who can help, and to the mailbox itself. Several recipients
 * of whom none is known are taken for others. How much is in the mailbox the ledger says,
 * by LEDGER_SEND.
 */
#ifndef QUOTAD_SEND_QUOTA_H
#define QUOTAD_SEND_QUOTA_H

#include "login.h"
#include "room.h"

/* Whether the ledger must be asked how much is in the mailbox of the login (NULL or "":
 * not logged in): 1 with L; 0 where mail of it to these recipients passes; -1 with the
 * outcome, an error of ours. */
int send_quota_applies(struct login *l, const struct room *room, const char *login,
	const char *const *recipients, size_t count, struct outcome *o);

/* What the ledger's answer means to who wants to send: 1 with the outcome where that is
 * no, or an error of ours; 0 where it passes. */
int send_quota_refuse(const struct outcome *answer, struct outcome *o);

#endif
