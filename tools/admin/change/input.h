/*
 * Lines of a file, or of standard input, with their numbers: what load, apply and the
 * imports read. A terminal sees how far it is.
 */
#ifndef BRIMADM_INPUT_H
#define BRIMADM_INPUT_H

#include <stdio.h>

#include "brimadm.h"
#include "cli/progress.h"

struct input {
	FILE *file;
	const char *name;
	char *line;
	size_t size, length; /* LENGTH without the line's end */
	unsigned long number;
	int cut_off; /* the last line has no end */
	struct progress progress;
	uint64_t total, done; /* bytes; TOTAL is 0 where it is not known */
};

/* Opens argv[0]; standard input where there is none, or "-". */
int input_open(struct brimadm *a, struct input *in, int argc, char **argv);
void input_close(struct input *in);

/* 1 with the next line, 0 at the end, -1 with the reason. */
int input_next(struct brimadm *a, struct input *in);

/* Puts file and line in front of the reason; returns the status. */
int input_fault(struct brimadm *a, const struct input *in, int status);

#endif
