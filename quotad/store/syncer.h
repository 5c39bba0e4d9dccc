/*
 * A thread that syncs the files of a directory to the disk, once a second if anything was
 * written. It opens them by itself and shares nothing with whoever writes them, so the
 * writer never waits for the disk.
 */
#ifndef QUOTAD_SYNCER_H
#define QUOTAD_SYNCER_H

#include "reason.h"

struct syncer;

/* Starts the thread for the directory DIR: its files in the order of their names, then
 * itself. NULL without memory. */
struct syncer *syncer_start(const char *dir, struct reason *why);

/* Something was written. */
void syncer_note(struct syncer *s);

/* To be called about once a second: 0, or the errno with which a sync has failed since
 * the last call. Where no thread could be started it syncs itself. */
int syncer_error(struct syncer *s);

/* Syncs what was noted, and ends the thread. */
void syncer_stop(struct syncer **s);

#endif
