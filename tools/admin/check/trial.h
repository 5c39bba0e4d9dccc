/*
 * A delivery's calls, tried in a mailbox as its owner, by a child that becomes the owner
 * for good: what lda would do there, and what each call answers. The file is none that a
 * mail program shows or quotad counts: its name begins with a dot. It is removed; where
 * the child is killed before, the next trial removes it.
 */
#ifndef BRIMADM_TRIAL_H
#define BRIMADM_TRIAL_H

#include "mailbox.h"
#include "publish.h"

#define TRIAL_MS 10000 /* for all of it; then the file system does not answer */

/* What failed. */
enum trial_step {
	TRIAL_PASSED,
	TRIAL_SILENT, /* it was not done in time; what it left is not known */
	TRIAL_KILLED, /* so was who tried, or it crashed: the reason says by what */
	TRIAL_BECOME, /* this has a reason; the others have errno */
	TRIAL_OPEN,   /* so has this */
	TRIAL_NEW,
	TRIAL_TMP,
	TRIAL_MAKE,
	TRIAL_WRITE,
	TRIAL_SYNC,
	TRIAL_NAME,
	TRIAL_SYNC_NEW,
};

struct trial {
	enum trial_step failed;
	int error; /* errno, or 0 */
	struct reason why;
	enum publish_way way;
	int sync_error, sync_new_error; /* fsync's alone; 0: it works */
	int is_left; /* the file, or one of an earlier trial, could not be removed */
	size_t was_removed;  /* files of earlier trials, which were killed */
	unsigned long magic; /* of the file system, as statfs has it; 0: not known */
};

/* Opens the mailbox, which must be a Maildir, and its new/; WRITES: then tries the rest.
 */
void trial_run(struct trial *t, const struct mailbox *m, int writes);

/* What it was, for people. */
const char *trial_step_name(enum trial_step step);

#endif
