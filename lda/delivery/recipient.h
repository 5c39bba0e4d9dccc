/*
 * Who the message is for and whom it is from, as the MTA says it: in arguments or in its
 * environment.
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

struct recipient {
	const char *address; /* as it was given; never NULL once it was taken */
	const char *sender;  /* "" is the null sender; no control bytes */
	int censored;        /* '_' in the address may be any byte */
	char *joined;        /* an address that had to be put together; owned */
	char exact[ADDRESS_MAX + 1];
	char clean[ADDRESS_MAX + 1];
};

/* Takes both from the options (NULL where they were not given) or the environment, where
 * that may name them. -1
 * with the outcome where there is no recipient. The strings must stay. */
int recipient_take(struct recipient *r, const char *option_d, const char *option_f,
	struct outcome *o);

/* Mends what Postfix censored, which may mean to read the message's top. */
int recipient_uncensor(struct recipient *r, struct message *m, struct outcome *o);

/* Finds the mailbox in the user table, one that can be delivered to: 0, or -1 with the
 * outcome. */
int recipient_find(const struct recipient *r, const struct conf *c, struct mailbox *m,
	struct outcome *o);

void recipient_clear(struct recipient *r);

#endif
