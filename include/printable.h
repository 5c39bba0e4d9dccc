/*
 * What may be shown: text of strangers' and of administrators', made so that it moves no
 * cursor, ends no line, and looks like what it is. Each byte that may not is '?'.
 *
 * Mail servers, logs and sockets get ASCII. A program that writes for a person, who reads
 * UTF-8 and may have written it, says so once; none that delivers or serves does.
 */
#ifndef BRIM_PRINTABLE_H
#define BRIM_PRINTABLE_H

#include <stdint.h>

/* Whether the character has no shape of its own: blanks other than ASCII's, controls
 * beyond ASCII, marks of direction, what is ignored by default. */
int printable_is_invisible(uint32_t code);

/* Leaves printable ASCII alone. */
void printable_ascii(char *text);

/* The same; where printable_keep_utf8 was called, UTF-8 that can be seen stays, too. */
void printable_text(char *text);

void printable_keep_utf8(void);

/* How it does so: printable_text is OTHER from now on. */
void printable_mask_by(void (*other)(char *text));

#endif
