/*
 * The files that a log was rotated to, as logrotate names them: FILE.9 to FILE.1, or,
 * with dateext, FILE-20261126 and the like; each may be packed.
 */
#ifndef TRACE_ROTATED_H
#define TRACE_ROTATED_H

#include "reason.h"

/* The program that unpacks a file of that name; NULL where it is not packed. */
const char *rotated_unpacker(const char *path);

/* Calls READ for each, the oldest first, at most the latest nine of numbers and of dates,
 * until it returns -1. READ returns 0, 1 where the file is not there any more, or -1. 0,
 * -1 with the reason. */
int rotated_each(const char *path,
	int (*read)(const char *path, void *arg, struct reason *why), void *arg,
	struct reason *why);

#endif
