/*
 * What one message counts with. Its name is a hint (",S="), which a user's program can
 * write: a count by files asks each file. A file at least as large as its name says
 * counts with its own size; a smaller one with what its name says only where its content
 * begins as a known compression or encryption does, so that a forged beginning hides
 * nothing.
 */
#ifndef LIB_MAILDIR_MEASURE_H
#define LIB_MAILDIR_MEASURE_H

#include <stdint.h>

#include "reason.h"

struct measured {
	uint64_t bytes; /* that it counts with */
	uint64_t told;  /* what its name says, if NAMED */
	int named;
	int by_name; /* the file was not asked for its size */
};

/* Measures the entry NAME of the directory, of TYPE (a dirent's). 1 with *m, 0 if it is
 * no message or has gone, -1 with the reason. */
int measure(int dir, const char *name, unsigned char type, int by_files,
	struct measured *m, struct reason *why);

#endif
