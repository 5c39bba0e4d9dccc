/*
 * simulate --stage: what is said before a delivery. At SMTP time quotad is asked by
 * ACCESS, with no trace; what a map has is looked up by the same function as quotad's.
 */
#ifndef BRIMADM_STAGE_H
#define BRIMADM_STAGE_H

#include "brimadm.h"

#define SIMULATE_LABEL "%-12s "

/* Each item of a list or object on a line of its own, the label before the first. */
void simulate_print_all(const char *label, const json_t *all);

/* The status, printed: "rcpt", "data", "message", for a message of SIZE bytes; or "map".
 */
int simulate_stage(
	struct brimadm *a, const char *recipient, const char *stage, uint64_t size);

#endif
