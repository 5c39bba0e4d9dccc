/*
 * Where a message is written. The path in the record decides of which type it is; a type
 * is a struct of functions in a file of its own (maildir.c).
 *
 * While it is written a message is no part of the mailbox. Whatever fails before it is
 * linked leaves nothing behind; once it is linked its bytes and its entry are on disk.
 */
#ifndef LDA_STORE_H
#define LDA_STORE_H

#include <stdatomic.h>
#include <stdint.h>

#include "mailbox.h"
#include "verdict.h"

#define STORE_NAME_SIZE 256

/* What an emergency has to do. */
enum store_phase {
	STORE_IDLE,  /* nothing: no message is there */
	STORE_BEGUN, /* it asks the type, whose state is whole and stays so */
	STORE_STORED /* nothing: the message is there for good */
};

struct store {
	const struct store_type *type; /* NULL where it is not open, as below */
	void *state;                   /* the type's own */
	atomic_int phase;
	char name[STORE_NAME_SIZE]; /* the message's, or "" */
	uint64_t bytes;             /* written so far */
	int is_missing;             /* the mailbox is made when the message begins */
	uint64_t directory;         /* that is open, as walk_identity has it; 0: none */
	int may_be_there; /* it was linked, and could be neither kept nor removed */
};

/* Functions return 0, or -1 with the outcome. */
struct store_type {
	/* Opens the mailbox, which must belong to OWNER alone; or finds that it is
	 * missing, and says so. PATH must stay. */
	int (*open)(struct store *s, const char *path, uid_t owner, struct outcome *o);

	/* Makes ready for the first byte, and sets STORE_BEGUN; first makes a mailbox
	 * that is missing, if its parent belongs to OWNER. */
	int (*begin)(struct store *s, struct outcome *o);

	/* Writes all of it, and counts the bytes. */
	int (*write)(struct store *s, const char *data, size_t length, struct outcome *o);

	/* Chooses the message's unique name, which tells its size. */
	int (*choose_name)(struct store *s, uint64_t bytes, struct outcome *o);

	/* Brings the bytes to disk, or as far that link needs one sync more. */
	int (*sync)(struct store *s, struct outcome *o);

	/* Makes it a message of the mailbox, on disk, and sets STORE_STORED. */
	int (*link)(struct store *s, struct outcome *o);

	/* Throws away what was not linked, and frees the state. */
	void (*close)(struct store *s);

	/* In a signal handler between begin and close, for the last time: removes what
	 * was not linked, or brings to disk what was. Whether the message is stored. */
	int (*end_now)(struct store *s);
};

extern const struct store_type store_maildir;

/* The type that takes this path; NULL with the reason if none does. */
const struct store_type *store_type_of(const char *path, struct reason *why);

void store_init(struct store *s);

/* Chooses the type, and opens the mailbox, whose path must stay. */
int store_open(struct store *s, const struct mailbox *m, struct outcome *o);

/* Of a mailbox that was missing: opens it if it is there now. 1, or 0 where it is not;
 * then it is closed. */
int store_open_again(struct store *s, const struct mailbox *m);

/* As the type's. */
int store_begin(struct store *s, struct outcome *o);
int store_write(struct store *s, const char *data, size_t length, struct outcome *o);
int store_choose_name(struct store *s, uint64_t bytes, struct outcome *o);
int store_sync(struct store *s, struct outcome *o);
int store_link(struct store *s, struct outcome *o);

/* Async-signal-safe, at any time: the end of a delivery that is cut short. Whether the
 * message is stored; if not, nothing is left behind. */
int store_end_now(struct store *s);

/* Closes what is open; a message that was linked stays. */
void store_close(struct store *s);

#endif
