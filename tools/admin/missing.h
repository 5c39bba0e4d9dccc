/*
 * Maildirs that are missing, and what quotad knows of them: one that had mail is not made
 * anew, since its file system may not be mounted.
 */
#ifndef BRIMADM_MISSING_H
#define BRIMADM_MISSING_H

#include "probe.h"
#include "quota_client.h"

/* Whether there is no such Maildir, or no new/ in it. One whose file system does not
 * answer is not known to be missing. */
int missing_on_disk(struct probe *p, const char *path);

/* What quotad knows of a mailbox. */
struct missing_known {
	int is_known;        /* it was counted, */
	uint64_t directory;  /* this one, as walk_identity has it (0: none) */
	int tells_directory; /* which an older quotad does not tell */
	int had_mail;        /* there was mail when it was looked at last, */
	int is_missing;      /* and now there is no Maildir */
};

/* Asks for it: 0, or -1 with the reason. */
int missing_ask(struct quota_client *q, const char *key, struct missing_known *k,
	struct reason *why);

/* Whether quotad knows of mail in the mailbox when it was looked at last: 1 or 0, or -1
 * with the reason. */
int missing_had_mail(struct quota_client *q, const char *key, struct reason *why);

#endif
