/*
 * Who the message is for and whom it is from.
 *
 * An MTA gives a delivery more than one name: Postfix's RECIPIENT is exact but for odd
 * bytes, which are '_', and its Delivered-To: on top of the message is uncensored, but is
 * the address before aliases; OpenSMTPD's RECIPIENT is before aliases, and its USER after
 * them; each of them, and Exim, has cut off what it takes for an extension.
 *
 * The first name is tried as it stands. Where the user table does not have it, or has it
 * for another user than lda runs as, the others are tried, and count only for mailboxes
 * of that user. That there is no such user is said when none is left.
 */
#ifndef LDA_RECIPIENT_H
#define LDA_RECIPIENT_H

#include <sys/types.h>

#include "conf.h"
#include "mailbox.h"
#include "message.h"
#include "verdict.h"

#define RECIPIENT_NAMES 8

/* Whose environment it is; that of nobody names no recipient, and is not believed where
 * lda has capabilities: then nothing of the message is read before there is a mailbox. */
enum mta {
	MTA_NONE,
	MTA_OPTION, /* none's: an option alone, as pipe(8) gives it */
	MTA_POSTFIX,
	MTA_EXIM,
	MTA_OPENSMTPD,
	MTA_OTHER
};

/* What the MTA told; the strings are the caller's, and must stay. NULL is what it did not
 * tell. */
struct envelope {
	const char *recipient; /* an option's, else the environment's; NULL: nobody's */
	const char *sender;    /* NULL as "", the null sender */
	enum mta mta;          /* MTA_NONE, MTA_OPTION: what follows was not told */
	const char *address;   /* the recipient by the environment */
	const char *original;  /* before aliases */
	const char
		*extension; /* at the end of the local part; with its delimiter of Exim */
	const char *prefix; /* that Exim has cut off in front */
	const char *account; /* of this host */
	uid_t uid;           /* as which lda runs */
};

struct recipient {
	const char *address; /* as it was given; never NULL once it was taken */
	const char *sender;  /* "" is the null sender; no control bytes, and not longer
			      * than ADDRESS_LONG + 1 */
	struct envelope told;
	char *names[RECIPIENT_NAMES]; /* further ones, in their order; owned */
	const char *top;              /* the message's Delivered-To:, or NULL */
	int has_names;                /* they were put together */
	int is_exact;                 /* none of them hides odd bytes */
	char clean[ADDRESS_LONG + 2];
	char exact[ADDRESS_LONG + 1];
};

/* Takes both from the envelope. */
void recipient_take(struct recipient *r, const struct envelope *e);

/* Finds the mailbox in the user table: 0, -1 with the outcome, or 1 where the MTA has
 * given further names, which must be added first. That it is nobody's is said only where
 * quotad does not know better. */
int recipient_find(const struct recipient *r, const struct conf *c, struct mailbox *m,
	struct outcome *o);

/* Puts the further names together, for which the message's top is read. 0, or -1 with the
 * outcome. */
int recipient_add_names(struct recipient *r, struct message *m, struct outcome *o);

/* Replaces a censored address by the MTA's exact one, from the message's top. 0, or -1
 * with the outcome. */
int recipient_uncensor(struct recipient *r, struct message *m, struct outcome *o);

void recipient_clear(struct recipient *r);

#endif
