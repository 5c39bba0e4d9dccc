/* Quoted local parts (RFC 5321 section 4.1.2). */
#ifndef BRIM_QUOTED_H
#define BRIM_QUOTED_H

#include <stddef.h>

/* Takes the quotes and backslashes off LENGTH bytes that are one quoted string: 0 with
 * the string in TO, LENGTH bytes; -1 for anything else. */
int quoted_take(char *to, const char *local, size_t length);

#endif
