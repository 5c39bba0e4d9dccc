/*
 * The content of a file of settings: its bytes, and its owner, mode and times, which are
 * written with them. Only regular files of up to 16 MiB, and no links, are read.
 */
#ifndef BRIMADM_POSTFIX_CONTENT_H
#define BRIMADM_POSTFIX_CONTENT_H

#include <stddef.h>
#include <sys/stat.h>

#include "reason.h"

#define CONTENT_NAME_BYTES 288 /* a file's name has 255 */

struct content {
	char *bytes; /* with room for one more; NULL where there is no file */
	size_t length;
	struct stat st;
};

/* NAMEsuffix, in BUF. */
const char *content_name(
	const char *name, const char *suffix, char buf[CONTENT_NAME_BYTES]);

/* 1 with the content, whose bytes the caller frees, 0 where there is no such file, -1. */
int content_read(int folder, const char *name, struct content *c, struct reason *why);

/* Writes it to the disk. 0, or -1 with the reason. */
int content_write(
	int folder, const char *name, const struct content *c, struct reason *why);

/* 1 if both are there and have the same bytes. */
int content_same(const struct content *a, const struct content *b);

/* Whether this is what is kept of a file that was not there. */
int content_was_missing(const struct content *before);

#endif
