/*
 * Markers: small files in the run directory that say something of one boot. One that
 * can't be read, or that a crash left empty, holds: to be unsure costs time, to be wrong
 * costs room.
 */
#ifndef QUOTAD_BOOT_MARKER_H
#define QUOTAD_BOOT_MARKER_H

#include <stdint.h>

#include "reason.h"

/* A boot whose id the kernel doesn't tell (/proc/sys is not there): it may be any. */
#define BOOT_UNKNOWN "unknown"

/* Whether it is certain that these are the ids of two boots. */
int boot_is_other(const char *its, const char *boot);

/* Whether the marker NAME in the directory holds for this boot; *until gets the second of
 * the boot at which it ends (0: it does not end by itself). */
int boot_marker_holds(int dir, const char *name, const char *boot, uint64_t *until);

/* Writes the marker in the place of any other. 0, or -1 with the reason. */
int boot_marker_write(
	int dir, const char *name, const char *boot, uint64_t until, struct reason *why);

/* Removes it: 0 also if there is none, or -1 with the reason. */
int boot_marker_remove(int dir, const char *name, struct reason *why);

/* Seconds since the boot, times asleep included. */
uint64_t boot_marker_now(void);

#endif
