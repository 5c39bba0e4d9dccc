/*
 * What the limits that lda inherits must leave it.
 *
 * A process that finds no memory where it must have some dies by a signal, and a mail
 * server may bounce the message then. So it looks at the limits first: until then it has
 * asked for no memory, nor has its C library.
 */
#ifndef LDA_LIMITS_H
#define LDA_LIMITS_H

#include "verdict.h"

/* 0, or -1 with the outcome, which names the limit. */
int limits_check(struct outcome *o);

#endif
