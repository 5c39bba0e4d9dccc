/*
 * The process as it should be, whatever was inherited: descriptors, signals, umask,
 * current directory, core dumps, environment.
 */
#ifndef LDA_START_H
#define LDA_START_H

#include "verdict.h"

/* Sets everything right but the environment. 0, or -1 with the outcome (then only the
 * line is left to be written). */
int start_clean(struct outcome *o);

#endif
