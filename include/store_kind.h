/*
 * The kinds of mailboxes on disk, and which of them a path names. Whoever reads, counts
 * or writes a mailbox asks here rather than looking at the path.
 */
#ifndef BRIM_STORE_KIND_H
#define BRIM_STORE_KIND_H

#include "reason.h"

enum store_kind {
	STORE_KIND_MAILDIR, /* "/" at the end */
	STORE_KINDS
};

/* Finds the kind: 0, or -1 with the reason for a path that no kind takes. */
int store_kind_of(const char *path, enum store_kind *kind, struct reason *why);

#endif
