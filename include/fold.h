/*
 * Unicode's simple case folding (CaseFolding.txt, status C and S; The Unicode Standard,
 * 3.13) of UTF-8 (RFC 3629). Bytes that are no UTF-8 stay as they are. Nothing is
 * normalized: Postfix folds what it looks up, and hands it over as it was written.
 *
 * The Makefile makes the table from the file of Debian's package unicode-data.
 */
#ifndef BRIM_FOLD_H
#define BRIM_FOLD_H

#include <stddef.h>
#include <stdint.h>

struct fold_range {
	uint32_t first;    /* its highest bit: every second character from there on */
	uint16_t more;     /* the last one is so far behind */
	uint16_t distance; /* within the plane */
};

extern const struct fold_range fold_ranges[];
extern const size_t fold_range_count;

/* The character at P, a string's: its bytes, or 0 where the bytes are no UTF-8. */
size_t fold_read(const char *p, uint32_t *code);

/* Writes the character, up to 4 bytes: how many. */
size_t fold_write(char *to, uint32_t code);

/* The character that it folds to; itself for most. */
uint32_t fold_code(uint32_t code);

/* Folds LENGTH bytes of a string into TO, a string of less than SIZE bytes: its length,
 * which may be greater, or -1 where it does not fit. */
int fold_text(char *to, size_t size, const char *from, size_t length);

#endif
