/*
 * libbrim: what a program that is not Brim's, an IMAP server or a panel, asks quotad: how
 * full mailboxes are, and room for a message. See libbrim(3).
 *
 * Sizes are bytes, times are seconds, texts are NUL-terminated. Addresses may hold any
 * byte. The library keeps nothing between calls but in a connection, prints nothing,
 * never exits and raises no signal. One thread at a time uses a connection; any number of
 * connections may be in use at once.
 */
#ifndef BRIM_BRIM_H
#define BRIM_BRIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where quotad listens and the user that it runs as, unless brim.conf says otherwise. */
#define BRIM_SOCKET      "/run/brim/quotad.sock"
#define BRIM_DAEMON_USER "brim"

struct brim; /* a connection to quotad; brim_connect makes it, brim_close frees it */
struct brim_mailbox; /* what is known of a mailbox */

/* How a call ended. For all but BRIM_OK, brim_error and brim_code say more. */
enum brim_result {
	BRIM_OK = 0,
	BRIM_NO = 1,        /* this mailbox can't take the message */
	BRIM_UNKNOWN = 2,   /* there is no such mailbox */
	BRIM_FORBIDDEN = 3, /* the caller may not ask that, or not about this mailbox */
	BRIM_INVALID = 4,   /* quotad takes no such request: an argument is wrong */
	BRIM_LATER = 5 /* quotad can't be asked, or can't tell now: try again later */
};

/* The numbers of a mailbox. Later versions may add some at the end. */
enum brim_number {
	BRIM_USED = 0,          /* bytes; not known before the first count */
	BRIM_MESSAGES = 1,      /* not known before the first count */
	BRIM_LIMIT = 2,         /* bytes; 0 is no limit */
	BRIM_MESSAGE_LIMIT = 3, /* messages; 0 is no limit */
	BRIM_RESERVED = 4,      /* bytes that deliveries under way have reserved */
	BRIM_TICKETS = 5,       /* such deliveries */
	BRIM_PERCENT = 6,       /* used, of the nearer limit; not known without a limit */
	BRIM_FULL_FOR = 7       /* seconds that it has refused mail; else not known */
};

/*
 * Connects to the quotad that listens at SOCKET and runs as root or as DAEMON_USER; NULL
 * means the two names above. SECONDS, at most 3600, bounds this call and each later wait
 * for quotad. *B is to be closed even after a failure, which brim_error(*B) tells; it is
 * NULL only where there is no memory, and each other call with NULL is
 * BRIM_LATER.
 */
enum brim_result brim_connect(
	struct brim **b, const char *socket, const char *daemon_user, unsigned seconds);

/* Ends the connection, frees it and sets *B to NULL; *B may be NULL already. What is
 * reserved and neither committed nor cancelled stays charged until the mailbox has been
 * counted. */
void brim_close(struct brim **b);

/* Why the last call on the connection failed, in one line; "" where it did not. The text
 * is the connection's, until its next call. B may be NULL: there is no memory. */
const char *brim_error(const struct brim *b);

/* The enhanced status code (RFC 3463) of that failure: "5.2.2" and other codes of class 5
 * are for good, "4.2.2" and others of class 4 for now; "" where the call did not fail. */
const char *brim_code(const struct brim *b);

/* How full the mailbox of ADDRESS is, counted if it has to be. *MAILBOX is the
 * connection's, until its next call. */
enum brim_result brim_ask(
	struct brim *b, const char *address, const struct brim_mailbox **mailbox);

/* Calls EACH for every mailbox whose name matches PATTERN (glob(7); NULL means all),
 * uncounted, until EACH returns other than 0. MAILBOX is EACH's until it returns; calls
 * on the same connection from within EACH are BRIM_INVALID. */
enum brim_result brim_list(struct brim *b, const char *pattern,
	int (*each)(void *arg, const struct brim_mailbox *mailbox), void *arg);

/* The mailbox's name in the user table, an address or an account. */
const char *brim_name(const struct brim_mailbox *mailbox);

/* One of its numbers, or FALLBACK where that is not known. */
uint64_t brim_get(
	const struct brim_mailbox *mailbox, enum brim_number number, uint64_t fallback);

/* Whether the mailbox of ADDRESS would take a message of BYTES now; nothing is reserved.
 * 0 means that the size is not known yet. */
enum brim_result brim_check(struct brim *b, const char *address, uint64_t bytes);

/*
 * Reserves room for a message of BYTES that will be a file called NAME in the mailbox of
 * ADDRESS: unique, no '/' or ':' in it, no '.' in front. *TICKET is good for this
 * connection alone. Then: write the file in tmp/, sync it, link it to new/NAME, sync the
 * directory, brim_commit; or remove what there is of it, and brim_cancel.
 */
enum brim_result brim_reserve(struct brim *b, const char *address, uint64_t bytes,
	const char *name, uint64_t *ticket);

/* The message has its name in the mailbox. It is delivered even if this call fails. */
enum brim_result brim_commit(struct brim *b, uint64_t ticket);

/* The message is not in the mailbox, and never will be under that name. */
enum brim_result brim_cancel(struct brim *b, uint64_t ticket);

#ifdef __cplusplus
}
#endif

#endif
