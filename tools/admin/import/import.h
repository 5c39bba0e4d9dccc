/*
 * What the imports share: records that are made of other programs' files.
 *
 * An import is one change of the table. What can't be carried over is told with file and
 * line, each such line; where there is one, nothing is changed. An address that has a
 * record already keeps it.
 */
#ifndef BRIMADM_IMPORT_H
#define BRIMADM_IMPORT_H

#include "change/input.h"

struct import {
	struct brimadm *a;
	const char *uid, *gid, *base; /* of the words uid=, gid=, base=; or NULL */
	unsigned long long added, there, left_out, faults;
};

struct import_field {
	const char *name, *value;
};

/* Begins the change: a status, with the reason. */
int import_begin(struct brimadm *a, struct import *i);

/* Ends it, says what became of it, and returns the status, printed. */
int import_end(struct import *i, int status);

/* Puts a record in. The fields end with one without a name; one without a value is left
 * out. TOOL_OK, or TOOL_USAGE or TOOL_CANT with the reason. */
int import_record(
	struct import *i, const char *address, const struct import_field *fields);

/* A domain, whether or not it has fields, or came with a mailbox, already. */
int import_domain(struct import *i, const char *domain);

/* A mailbox with the PATH, as the other program has it, below base=. */
int import_mailbox(struct import *i, const char *address, const char *path,
	const char *quota, const char *state);

/* An alias or, of @domain, a catch-all or another @domain that it is an alias of. TARGETS
 * are separated by commas or blanks. */
int import_alias(struct import *i, const char *address, const char *targets);

/* Whether the path, as it stands in the file, can be meant as a mailbox's or a home: 0,
 * -1. */
int import_check_path(const char *path, struct reason *why);

/* 1 if the table as it is has a record of the key, 0, -1. A domain without fields, as the
 * first mailbox makes it, is none: it may get fields. */
int import_has_record(struct import *i, const char *key);

/* After a line of the file: a fault of its own is told and counted, and the import goes
 * on: TOOL_OK or TOOL_CANT. */
int import_judge(struct import *i, struct input *in, unsigned long line, int status);

/* A line that is no fault and makes no record: it is told why, and counted. */
void import_leave_out(struct import *i, struct input *in, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Takes uid=, gid= and base= out of the words; how many are left. -1 with the reason. */
int import_words(struct import *i, int argc, char **argv);

#endif
