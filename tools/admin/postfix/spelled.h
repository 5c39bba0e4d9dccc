/*
 * The names that the patterns of a regexp: or pcre: table of Postfix's spell out, such as
 * a.example in "/^a\.example$/", and both of "/^(a|b)\.example$/". They are guesses:
 * whoever uses them asks the table whether it has them.
 */
#ifndef BRIMADM_POSTFIX_SPELLED_H
#define BRIMADM_POSTFIX_SPELLED_H

/* The names, one a line, as a new string; NULL where the table is no such one, can't be
 * read, or there is no memory. */
char *spelled_names(const char *table);

#endif
