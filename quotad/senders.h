/*
 * Senders whose mail the site refuses: the file of blocked_senders, read again when it
 * changes. It is looked at when somebody asks, at most once a second.
 *
 * A file that is missing or has a fault leaves the list that was read before in force, or
 * nobody blocked where there was none: mail is taken rather than refused by half a list.
 * The log says so once for each state of the file.
 */
#ifndef QUOTAD_SENDERS_H
#define QUOTAD_SENDERS_H

#include "verdict.h"

struct senders;

/* Nobody is blocked. NULL without memory. */
struct senders *senders_new(void);
void senders_free(struct senders **s);

/* The setting, "" for none: the file is read now if it is another than before. */
void senders_configure(struct senders *s, const char *path);

/* Whether mail of the envelope sender (NULL: not told) is refused: 1 with the outcome, or
 * 0. The null sender, "" or "<>", never is. */
int senders_refuse(struct senders *s, const char *sender, struct outcome *o);

#endif
