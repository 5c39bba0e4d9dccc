/*
 * Before it is said that there is no such user quotad is asked: it may know the user by a
 * table of before, or have found that this one is damaged.
 *
 * Where no quotad runs, and where one has read this very table through, the table is
 * believed. Where one runs and does not answer, nothing is known.
 */
#ifndef LDA_ABSENCE_H
#define LDA_ABSENCE_H

#include <sys/stat.h>

#include "conf.h"
#include "verdict.h"

/* O is that the address is nobody's by the table of that stat: it stays so, or becomes
 * that the message waits. */
void absence_confirm(const struct conf *c, const struct stat *table, const char *address,
	struct outcome *o);

#endif
