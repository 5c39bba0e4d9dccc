/*
 * The names in a list of Postfix's, such as mydestination: those that stand in it, those
 * in files that it names, and the keys of tables, as postmap(1) lists them. What a "!"
 * takes out is not among them.
 *
 * A table that can't be listed, a pattern, a database or a service, is asked for the
 * names that the caller has in mind, and for those that a pattern spells out:
 * /^a\.example$/ is a.example. One that is made of others, by unionmap: or pipemap:, is
 * asked for the names that they have. Where a table can't be read at all the list is
 * partial.
 */
#ifndef BRIMADM_POSTFIX_NAMES_H
#define BRIMADM_POSTFIX_NAMES_H

#include <stddef.h>

struct names {
	struct names_entry {
		char *name;
		int excluded; /* by "!" */
		size_t nth;   /* to be added */
	} * entries;
	size_t count, room;
	int partial;
};

/* The next element of a list; blanks within braces are its own. *LENGTH is 0 at the end.
 */
const char *names_next(const char *list, size_t *length);

/* Adds what LIST has. ASKED are the names to ask for, one a line. 0, or -1 without
 * memory; names_free frees it in any case. */
int names_read(struct names *n, const char *list, const char *asked);

/* Adds the lines of the text, each a name as it stands. 0, or -1 without memory. */
int names_of_lines(struct names *n, char *lines);

/* Whether the name is in the list; upper and lower case are the same. */
int names_have(const struct names *n, const char *name);

void names_free(struct names *n);

/* Calls EACH for each key and value of the maps, a list such as "hash:/a, inline:{b=c}".
 * 0, or -1 where one could not be read. */
typedef void names_pair(void *arg, const char *key, const char *value);
int names_of_maps(const char *maps, const char *asked, names_pair *each, void *arg);

/* The same for one table that lists all that it has: -1 where it can't be listed. */
int names_listed(const char *table, names_pair *each, void *arg);

#endif
