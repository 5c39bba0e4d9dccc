/* Aliases and catch-alls: whether they lead somewhere. */
#ifndef BRIM_ALIASES_H
#define BRIM_ALIASES_H

#include "change.h"

/* Checks the record of the key, if there is one, or every record of the table; an alias
 * domain is checked with every record alone. DEEP is set where the record leads over
 * another alias, and the ways of those that lead to it may now be too long. */
enum change_result aliases_check(struct users *table, const struct conf *conf,
	const char *key, int *deep, struct reason *why);
/* Checks every catch-all: what one leads to may lead to several mailboxes now, or
 * elsewhere. */
enum change_result aliases_check_catchalls(
	struct users *table, const struct conf *conf, struct reason *why);
enum change_result aliases_check_all(
	struct users *table, const struct conf *conf, struct reason *why);

#endif
