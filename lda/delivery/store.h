/*
 * Where a message is written: for now a Maildir (lda/maildir.c).
 *
 * The file has no name while it is written (or one in tmp/, where the file system can't
 * have nameless files); it is synced, gets its name in new/, and the directory is synced.
 * Whatever fails before that leaves nothing behind.
 */
#ifndef LDA_STORE_H
#define LDA_STORE_H

#include <stdint.h>

#include "maildir.h"
#include "verdict.h"

struct store {
	int directory; /* the Maildir; -1 where it is not open, as below */
	int new;
	int tmp; /* only where tmp/ is needed */
	int file;
	char tmp_name[MAILDIR_NAME_SIZE]; /* the file's in tmp/, or "" */
	char name[MAILDIR_NAME_SIZE];     /* the message's in new/, or "" */
	uint64_t bytes;                   /* written so far */
	int may_be_there; /* it was named, and could be neither kept nor removed */
};

void store_init(struct store *s);

/* Opens the mailbox, which must belong to this user alone; makes it where it is missing
 * and its parent belongs to this user. 0, or -1 with the outcome, as the others. */
int store_open(struct store *s, const char *path, struct outcome *o);

/* Makes the file. */
int store_begin(struct store *s, struct outcome *o);

int store_write(struct store *s, const char *data, size_t length, struct outcome *o);

/* Chooses the message's name, now that its size is known. */
int store_choose_name(struct store *s, struct outcome *o);

/* Syncs the file. */
int store_sync(struct store *s, struct outcome *o);

/* Gives the message its name, and syncs the directory. After a failure it has none. */
int store_link(struct store *s, struct outcome *o);

/* Throws the file away (what store_link has named stays), and closes all. */
void store_close(struct store *s);

#endif
