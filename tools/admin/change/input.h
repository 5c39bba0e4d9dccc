/*
 * Lines of a file, or of standard input, with their numbers: what load, apply and the
 * imports read. A terminal sees how far it is.
 *
 * Files that an editor of another system wrote are read as well: a byte order mark in
 * front is no part of the first line, and CR LF ends a line as LF does. UTF-16 is
 * refused.
 */
#ifndef BRIMADM_INPUT_H
#define BRIMADM_INPUT_H

#include <stdio.h>

#include "brimadm.h"
#include "cli/progress.h"

#define INPUT_NOTHING (-2)

struct input {
	FILE *file;
	const char *name;
	char *line;
	size_t size, length; /* LENGTH without the line's end */
	unsigned long number;
	int cut_off; /* the last line has no end */
	int ahead;   /* the first line was read as it was opened: what input_next says; or
		      * INPUT_NOTHING */
	struct progress progress;
	uint64_t total, done; /* bytes; TOTAL is 0 where it is not known */
};

/* Opens argv[0], or standard input where there is none, or "-"; waits for its first line.
 * A status. */
int input_open(struct brimadm *a, struct input *in, int argc, char **argv);
void input_close(struct input *in);

/* 1 with the next line, 0 at the end, -1 with the reason. */
int input_next(struct brimadm *a, struct input *in);

/* Takes off what is no part of a line: a mark in front of the first, a CR at the end. 0,
 * or -1 with the reason where the first is UTF-16, or has all of the others in it. */
int input_trim(char *line, size_t *length, int first, struct reason *why);

/* change_check_paths, with file and line in front of the reason; a status. */
int input_check_paths(struct brimadm *a, struct input *in);

/* Puts file and line in front of the reason; returns the status. */
int input_fault(struct brimadm *a, const struct input *in, int status);

#endif
