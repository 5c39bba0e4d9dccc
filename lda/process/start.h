/*
 * The process as it should be, whatever was inherited: descriptors, signals, umask,
 * current directory, core dumps, environment.
 */
#ifndef LDA_START_H
#define LDA_START_H

#include "delivery/delivery.h"
#include "verdict.h"

/* The one delivery of this process: static, since a signal handler looks at it, and since
 * a fresh process pays for each page. */
extern struct delivery the_delivery;

/* Sets everything right but the environment. 0, or -1 with the outcome (then only the
 * line is left to be written). */
int start_clean(struct outcome *o);

#endif
