/*
 * The one text form of Brim: a key (or a word), then name=value fields, with one space
 * between. A byte outside '!' to '~', and '%', is written %XX, so a record is always one
 * line of printable ASCII. The user table, its dump, the socket and the usage store use
 * it.
 *
 * A record owns its strings. Keys and values are held decoded; no value holds a NUL.
 */
#ifndef BRIM_RECORD_H
#define BRIM_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "reason.h"

#define RECORD_LINE_MAX 4096 /* bytes of a line, its end not counted */

struct record_field {
	char *name; /* what was allocated, with the value behind it */
	char *value;
};

struct record {
	char *key; /* NULL in a record of fields alone */
	struct record_field *fields;
	size_t count;
};

/* Reads a line of LENGTH bytes (no line end). With_key says whether the first word is a
 * key. 0, or -1 with the column and the fault; the record is empty then. */
int record_parse(struct record *r, const char *line, size_t length, int with_key,
	struct reason *why);

/* Frees what the record holds and leaves it empty. An all-zero record is empty. */
void record_clear(struct record *r);

/* The value of the field, or NULL. */
const char *record_get(const struct record *r, const char *name);

/* The field's value as a number: 0 and FALLBACK where it is absent, -1 where it is none.
 */
int record_number(
	const struct record *r, const char *name, uint64_t fallback, uint64_t *n);

/* Sets, replaces or (value NULL) removes a field; -1 if a name or value can't be kept:
 * names are a-z, 0-9 and '_'. */
int record_set(struct record *r, const char *name, const char *value);
int record_set_number(struct record *r, const char *name, uint64_t n);
int record_set_key(struct record *r, const char *key);

/* Copies FROM over TO (which is cleared first). */
int record_copy(struct record *to, const struct record *from);

/* The line as a new string without a line end (the caller frees it), or NULL. */
char *record_format(const struct record *r);

/* TEXT with every byte that needs it as %XX, as a new string, or NULL. */
char *record_escape(const char *text);

/* Decodes %XX in place; -1 on a bad escape or %00. */
int record_unescape(char *text);

#endif
