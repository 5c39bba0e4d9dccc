/*
 * The clock that deadlines are measured with: it runs evenly, and nobody sets it.
 */
#ifndef BRIM_CLOCK_H
#define BRIM_CLOCK_H

#include <stdint.h>

/* Milliseconds of the monotonic clock, since some moment in the past. Never fails. */
uint64_t clock_now_ms(void);

#endif
