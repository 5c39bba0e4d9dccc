/*
 * What the MTA told this process: options, and for what they leave open the environment
 * that Postfix, Exim and others set for a mailbox command.
 */
#ifndef LDA_ARGUMENTS_H
#define LDA_ARGUMENTS_H

#include "delivery/recipient.h"
#include "verdict.h"

struct arguments {
	const char *conf_file; /* -c, or NULL */
	struct envelope envelope;
	char *joined; /* a recipient that had to be put together; owned */
	int is_batch; /* Exim's environment is about several recipients, and names none */
};

/* Reads them, and empties the environment. 0, or -1 with the outcome where an option is
 * wrong or nothing names a recipient; the envelope has then what was found. */
int arguments_take(struct arguments *a, int argc, char **argv, struct outcome *o);

void arguments_clear(struct arguments *a);

#endif
