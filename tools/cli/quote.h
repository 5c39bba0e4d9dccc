/* A word as sh reads it, for commands that are shown to be copied. */
#ifndef BRIM_QUOTE_H
#define BRIM_QUOTE_H

/* The word in quotes, if it needs any, as a new string; NULL without memory. A byte that
 * is no printable ASCII is a call of printf, but a line break, which sh would take off.
 */
char *quote_word(const char *word);

#endif
