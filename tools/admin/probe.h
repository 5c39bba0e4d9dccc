/*
 * Whether a mailbox's file system answers: one that never does (a network's, a user's
 * own) holds for ever whoever looks at it, and can't be left but by death. So a child
 * looks first. What answers the child and not its parent is not found by this.
 */
#ifndef BRIMADM_PROBE_H
#define BRIMADM_PROBE_H

#include <sys/types.h>

#define PROBE_MS 3000 /* for one mailbox */

struct probe {
	pid_t child; /* 0: none */
	int fd;      /* to the child */
	int failed;  /* how many mailboxes did not answer */
};

/* Whether the mailbox, or what is in its place, answers in time. After the first few that
 * did not, the others have less. Where no child can be made, it is taken to answer. */
int probe_answers(struct probe *p, const char *path);

/* Whether the link, wherever it leads, is known to lead to a directory. */
int probe_leads_to_directory(struct probe *p, const char *path);

/* Ends the child. */
void probe_end(struct probe *p);

#endif
