/*
 * Every outcome that a delivery, a check or a look-up can have, with all that tells it:
 * exit status, enhanced status code (RFC 3463), reply at SMTP time, name on the socket.
 * The only such list in the program; whether a verdict is soft (the MTA tries again) or
 * hard (it bounces) is a property of this table and of nothing else.
 *
 * Postfix obeys the printed code where other MTAs obey the exit status, so both always
 * agree; 75 is the only status that every MTA takes for "try again".
 */
#ifndef BRIM_VERDICT_H
#define BRIM_VERDICT_H

#include <stddef.h>

enum verdict {
	VERDICT_DELIVERED,
	VERDICT_NO_SUCH_USER,
	VERDICT_MOVED,         /* the new address is in the text */
	VERDICT_DISABLED,      /* for good */
	VERDICT_SUSPENDED,     /* for now */
	VERDICT_FULL_FOR_NOW,  /* the MTA keeps the message and tries again */
	VERDICT_FULL,          /* the MTA bounces it */
	VERDICT_TOO_LARGE,     /* larger than this mailbox may ever take */
	VERDICT_REFUSED,       /* by policy */
	VERDICT_NO_DISK,       /* the file system is full, not the mailbox */
	VERDICT_TROUBLE,       /* an error of ours; so is whatever is unknown */
	VERDICT_MISCONFIGURED, /* an error that an administrator must repair */
	VERDICTS
};

#define VERDICT_LINE_MAX  400 /* bytes, line break included */
#define VERDICT_TRY_AGAIN 75  /* the exit status that every MTA takes for it */

/* A verdict with the text that goes with it. */
struct outcome {
	enum verdict verdict;
	char text[VERDICT_LINE_MAX];
};

/* "full-for-now": its name in the socket protocol and in the log. */
const char *verdict_name(enum verdict v);

/* Finds the verdict of that name: 0, or -1 if there is none. */
int verdict_parse(const char *name, enum verdict *v);

/* Whether lda takes it from quotad as it is, since it speaks of room: 1 or 0. All else
 * lda knows from its own look-up; if quotad answers it, one of the two tables is a moment
 * older. Below 0: the row of the table leaves it out. */
int verdict_is_quotads(enum verdict v);

/* The exit status of lda: one of 0, 67, 69, 75, 77. */
int verdict_exit_status(enum verdict v);

/* "5.2.2", the enhanced status code; "2.0.0" for VERDICT_DELIVERED. */
const char *verdict_code(enum verdict v);

/* "552 5.2.2", the reply at SMTP time; "DUNNO" for VERDICT_DELIVERED. */
const char *verdict_smtp(enum verdict v);

/* Whether A does less harm than B, where one answer must do for several mailboxes: a yes,
 * then an error of ours (which may have been a yes), then "try again", then the rest. */
int verdict_is_gentler(enum verdict a, enum verdict b);

/* Sets verdict and text. A NULL format takes the verdict's own text; what is not
 * printable (printable_text) becomes '?', what is too long is cut, so any address may be
 * quoted. */
void outcome_set(struct outcome *o, enum verdict v, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What lda makes of quotad's refusal: what quotad may answer as it is, all else an error.
 */
void outcome_from_quotad(struct outcome *o, enum verdict v, const char *text);

/* Writes "X.Y.Z text\n" and returns its length, at most VERDICT_LINE_MAX; all ASCII.
 * The line of VERDICT_DELIVERED is empty (length 0), since an MTA may take any output for
 * a fault. */
size_t outcome_line(const struct outcome *o, char line[VERDICT_LINE_MAX + 1]);

#define OUTCOME_REPLY_SIZE (VERDICT_LINE_MAX + 16)

/* Writes what an MTA is to say at SMTP time, "552 5.2.2 text", or "DUNNO". A stranger is
 * told that there is an error of ours, and not which: that is for the log. It is ASCII,
 * without ": ", since Postfix could take a word before that for the name of a table. */
void outcome_reply(const struct outcome *o, char reply[OUTCOME_REPLY_SIZE]);

/* What is said of a Maildir that had mail when it was looked at last and is not there. */
#define VERDICT_MISSING_TEXT                                                             \
	"the mailbox had mail and is missing now: is its file system mounted?"

#endif
