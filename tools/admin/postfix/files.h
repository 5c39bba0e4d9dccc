/*
 * main.cf and master.cf, and brim.conf with them, changed together and taken back byte
 * for byte.
 *
 * The change is made in a staged folder beside the files, which postconf -c edits;
 * brim.conf has one beside itself. The old files are kept as NAME.brim-before, the new
 * ones once more as NAME.brim-after, all on disk before the new ones are renamed into
 * place. So after a crash each of them is the old one or the new one, whole, and undo
 * takes all back. Nobody else's edits are lost: a file that is neither of its copies is
 * left alone. A brim.conf that was not there is kept as an empty file that nobody may
 * read. Several Postfix folders may have one brim.conf: for which of them it was changed
 * is kept beside it, and no other takes that back.
 */
#ifndef BRIMADM_POSTFIX_FILES_H
#define BRIMADM_POSTFIX_FILES_H

#include <stddef.h>
#include <sys/stat.h>

#include "reason.h"

#define POSTFIX_FILES_BEFORE ".brim-before"
#define POSTFIX_FILES_AFTER  ".brim-after"
#define POSTFIX_FILES_FOR    ".brim-for" /* of brim.conf: Postfix's folder */

/* There while files are taken back, so that the rest of them is after a crash. */
#define POSTFIX_FILES_UNDOING "main.cf.brim-undoing"

/* The files of one folder. */
struct postfix_place {
	char *folder;
	char *staged;  /* the staged folder's path */
	int fd;        /* of the folder; holds its lock; -1: not open */
	int staged_fd; /* -1 without it */
	const char *const *names;
	size_t count;
};

struct postfix_files {
	struct postfix_place postfix;
	struct postfix_place brim; /* open if brim.conf is changed or was */
	char *conf;            /* the path of brim.conf, no link; NULL until it is open */
	const char *conf_name; /* its last part */
};

enum postfix_state {
	POSTFIX_FREE,    /* no copies: nothing to take back */
	POSTFIX_APPLIED, /* each file is one of its copies */
	POSTFIX_EDITED,  /* somebody has changed one since */
	POSTFIX_LOST     /* somebody has removed what was kept of one */
};

/* Opens Postfix's folder and locks it against another brimadm. 0, or -1 with the reason.
 */
int postfix_files_open(struct postfix_files *f, const char *folder, struct reason *why);

/* Opens the folder of brim.conf, too, following a link to the file, and makes it if need
 * be. Not again where it is open. */
int postfix_files_open_conf(
	struct postfix_files *f, const char *conf, struct reason *why);

/* Opens it if brim.conf has copies there that were made for this folder of Postfix's. */
int postfix_files_find_conf(
	struct postfix_files *f, const char *conf, struct reason *why);

/* Removes the staged folders, and lets go of the locks. */
void postfix_files_close(struct postfix_files *f);

/* 0 with the state, or -1 with the reason. In POSTFIX_LOST *WHY is the path of what is
 * missing. */
int postfix_files_state(
	const struct postfix_files *f, enum postfix_state *state, struct reason *why);

/* Makes the staged folder with copies of NAMEsuffix as main.cf and master.cf ("" for the
 * files themselves), each ending in a line break: postconf -e would join its line to a
 * last one without. In the place of any that was staged before. */
int postfix_files_stage(struct postfix_files *f, const char *suffix, struct reason *why);

/* The bytes of NAMEsuffix of brim.conf, which the caller frees; empty where it is not
 * there. NULL with the reason. */
char *postfix_files_read_conf(
	const struct postfix_files *f, const char *suffix, struct reason *why);

/* Stages the text as the new brim.conf. */
int postfix_files_stage_conf(
	struct postfix_files *f, const char *text, size_t length, struct reason *why);

/* Sets the time of the staged main.cf back: postconf waits while it is younger than a
 * second. */
void postfix_files_set_back(const struct postfix_files *f);

/* Puts what is staged in the place of the files, and keeps them. */
int postfix_files_commit(const struct postfix_files *f, struct reason *why);

/* Puts the kept files back. Only in POSTFIX_APPLIED. */
int postfix_files_undo(const struct postfix_files *f, struct reason *why);

#endif
