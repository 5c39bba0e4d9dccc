/*
 * main.cf and master.cf, changed together and taken back byte for byte.
 *
 * The change is made in a staged folder beside them, which postconf -c edits. The old
 * files are kept as NAME.brim-before, the new ones once more as NAME.brim-after, all on
 * disk before the new ones are renamed into place. So after a crash each of the two is
 * the old one or the new one, whole, and undo takes both back. Nobody else's edits are
 * lost: a file that is neither of its copies is left alone.
 */
#ifndef BRIMADM_POSTFIX_FILES_H
#define BRIMADM_POSTFIX_FILES_H

#include "reason.h"

struct postfix_files {
	char *folder;
	char *staged;  /* the staged folder's path */
	int fd;        /* of the folder; holds its lock */
	int staged_fd; /* -1 without it */
};

enum postfix_state {
	POSTFIX_FREE,    /* no copies: nothing to take back */
	POSTFIX_APPLIED, /* each file is one of its copies */
	POSTFIX_EDITED   /* somebody has changed one since */
};

/* Opens the folder and locks it against another brimadm. 0, or -1 with the reason. */
int postfix_files_open(struct postfix_files *f, const char *folder, struct reason *why);

/* Removes the staged folder, and lets go of the lock. */
void postfix_files_close(struct postfix_files *f);

/* 0 with the state, or -1 with the reason. */
int postfix_files_state(
	const struct postfix_files *f, enum postfix_state *state, struct reason *why);

/* Makes the staged folder with copies of NAMEsuffix as main.cf and master.cf ("" for the
 * files themselves), each ending in a line break: postconf -e would join its line to a
 * last one without. In the place of any that was staged before. */
int postfix_files_stage(struct postfix_files *f, const char *suffix, struct reason *why);

/* Sets the time of the staged main.cf back: postconf waits while it is younger than a
 * second. */
void postfix_files_set_back(const struct postfix_files *f);

/* Puts what is staged in the place of the files, and keeps them. */
int postfix_files_commit(const struct postfix_files *f, struct reason *why);

/* Puts the kept files back. Only in POSTFIX_APPLIED. */
int postfix_files_undo(const struct postfix_files *f, struct reason *why);

#endif
