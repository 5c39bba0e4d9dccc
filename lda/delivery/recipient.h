/*
 * Who the message is for and whom it is from.
 *
 * Postfix writes odd bytes in its environment as '_'; its own Delivered-To: on top of the
 * message is exact, and is taken where it fits. Nothing else in a message is believed.
 */
#ifndef LDA_RECIPIENT_H
#define LDA_RECIPIENT_H

#include "conf.h"
#include "mailbox.h"
#include "message.h"
#include "verdict.h"

/* What the MTA told; the strings are the caller's, and must stay. */
struct envelope {
	const char *recipient; /* NULL if it named none */
	const char *sender;    /* NULL as "", the null sender */
	int censored;          /* odd bytes of the recipient are '_' */
};

struct recipient {
	const char *address; /* as it was given; never NULL once it was taken */
	const char *sender;  /* "" is the null sender; no control bytes */
	int censored;        /* '_' in the address may be any byte */
	char exact[ADDRESS_MAX + 1];
	char clean[ADDRESS_MAX + 1];
};

/* Takes both from the envelope. */
void recipient_take(struct recipient *r, const struct envelope *e);

/* Replaces a censored address by the exact one, which may mean to read the message's top.
 * 0, or -1 with the outcome. */
int recipient_uncensor(struct recipient *r, struct message *m, struct outcome *o);

/* Finds the mailbox in the user table: 0, or -1 with the outcome. That it is nobody's is
 * said only where quotad does not know better. */
int recipient_find(const struct recipient *r, const struct conf *c, struct mailbox *m,
	struct outcome *o);

#endif
