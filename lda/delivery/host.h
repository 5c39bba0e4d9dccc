/*
 * What a delivery asks of the process that it runs in. A process may be one message
 * (lda), or run many deliveries, one a thread: so a delivery sets no alarm and no signal
 * handler, reads no environment, changes no user id, and never ends the process.
 */
#ifndef LDA_HOST_H
#define LDA_HOST_H

#include <stdint.h>

#include "mailbox.h"
#include "verdict.h"

struct store;

struct delivery_host {
	/* If the delivery is cut short from now on (by a signal, a crash, or because so
	 * many seconds have passed), this is its outcome. */
	void (*prepare)(void *arg, enum verdict v, const char *text, uint64_t seconds);

	/* If it is cut short, store_end_now decides whether the message is stored. The
	 * store stays where it is until the host gives the delivery up. */
	void (*watch)(void *arg, struct store *s);

	/* From now on files are the mailbox's owner's: 0, or -1 with the outcome. It may
	 * then be somebody in between, and must touch nothing. */
	int (*become)(void *arg, const struct mailbox *m, struct outcome *o);

	/* From now on calls on the file system of PATH are made, and one may never
	 * return: 0, maybe in another process and without the time limit of prepare; or
	 * -1 with the outcome, where there was no answer in so many seconds. */
	int (*guard)(void *arg, const char *path, uint64_t seconds, struct outcome *o);

	void *arg;
};

#endif
