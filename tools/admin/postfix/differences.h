/*
 * What differs between two states of Postfix's settings, as it is written in the files,
 * and how it is shown: as lines of a difference, or as the postconf commands that take it
 * back.
 */
#ifndef BRIMADM_POSTFIX_DIFFERENCES_H
#define BRIMADM_POSTFIX_DIFFERENCES_H

#include <stddef.h>

#include "postconf.h"

/* Called for each: a setting's name or a service's name/type, and its texts; NULL where
 * there is none. */
typedef void difference(const char *key, int service, const char *old, const char *new);

/* Calls EACH for every difference; returns how many there are. */
size_t differences_find(
	const struct postconf *old, const struct postconf *new, difference *each);

/* Prints the old text with "-" and the new one with "+". */
difference differences_print;

/* Prints the command that makes OLD of NEW again. */
difference differences_print_command;

#endif
