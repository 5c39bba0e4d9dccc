/*
 * The deadline that ldas run with, remembered in the run directory for this boot: after a
 * lowered one, over restarts too, those of before may live as long as theirs lets them.
 */
#ifndef QUOTAD_DEADLINE_H
#define QUOTAD_DEADLINE_H

#include <stdint.h>

/* Notes the deadline that the settings have, in seconds, and tells how many seconds from
 * now an lda with an earlier, longer one may still live; 0: none can. Where that can't be
 * read it is taken to be the longest that settings allow. */
uint64_t deadline_note(int run_dir, const char *boot, uint64_t seconds);

#endif
