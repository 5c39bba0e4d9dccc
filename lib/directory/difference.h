/* Two tables side by side. */
#ifndef BRIM_DIFFERENCE_H
#define BRIM_DIFFERENCE_H

#include "change.h"

/* As change_difference has it: 0, -1. */
int difference_find(struct users *old, struct users *new,
	void (*each)(void *arg, const struct record *old, const struct record *new),
	void *arg, struct change_counts *counts, struct reason *why);

#endif
