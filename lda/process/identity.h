/*
 * What lda and lda-virtual do differently. They are linked from the same files but for
 * one: identity_same.c, or identity_become.c, which alone needs libcap.
 *
 * lda was started as the recipient and stays that user. lda-virtual was started as a user
 * of its own with the capabilities to become another; it becomes the recipient for good
 * before it touches anything of the recipient's, and takes nothing from its caller but
 * the two options that name recipient and sender.
 */
#ifndef LDA_IDENTITY_H
#define LDA_IDENTITY_H

#include "mailbox.h"
#include "verdict.h"

struct program {
	const char *options; /* for getopt */
	const char *usage;
	int takes_environment; /* whether the MTA may name the recipient there */
};

extern const struct program program;

/* This process has one user and one group from here on, whatever else it was started
 * with: 0, or -1 with the outcome. */
int identity_settle(struct outcome *o);

/* From here on this process is the mailbox's owner and nobody else: 0, or -1 with the
 * outcome. It may then be somebody in between, and must touch nothing. */
int identity_become(void *arg, const struct mailbox *m, struct outcome *o);

#endif
