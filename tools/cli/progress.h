/*
 * A bar of progress on standard error where that is a terminal, and nothing elsewhere.
 *
 * It is drawn at most ten times a second, the first time after a tenth of one, so that
 * what is quick shows none, and wiped away at the end. End it before any message. It
 * can't fail: a terminal that can't be written to shows no bar.
 */
#ifndef BRIM_PROGRESS_H
#define BRIM_PROGRESS_H

#include <stdint.h>

struct progress {
	const char *what; /* NULL: nothing is shown */
	uint64_t total;   /* 0: not known */
	uint64_t drawn;   /* when, in ms */
	int width;        /* of what stands on the terminal now */
};

/* Begins it; WHAT ("reading users") is kept, TOTAL counts what step does, bytes or
 * records. */
void progress_begin(struct progress *p, uint64_t total, const char *what);

/* DONE of the total by now; cheap enough for every record. */
void progress_step(struct progress *p, uint64_t done);

/* Shows WHAT alone, at once: what follows can't be counted. */
void progress_say(struct progress *p, const char *what);

/* Wipes the bar away. A progress that has ended, or is all zero, may be ended again. */
void progress_end(struct progress *p);

#endif
