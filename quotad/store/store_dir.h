/*
 * The directory in which the usage store lives: usage_dir with its lock, the
 * environment's directory in it, and up to two that were set aside as NAME.bad-TIME.
 * Whoever may write here decides what libdb does, so it must be ours alone, and no
 * DB_CONFIG but root's may be there.
 */
#ifndef QUOTAD_STORE_DIR_H
#define QUOTAD_STORE_DIR_H

#include "reason.h"

/* Opens DIR, and makes it if its parent allows it: a descriptor, or -1 with the reason
 * where it is not ours alone. */
int store_dir_open(const char *dir, struct reason *why);

/* Locks DIR/lock: a descriptor that holds the lock, or -1 where another process has it.
 */
int store_dir_lock(int dir, struct reason *why);

/* -1 with the reason if somebody but root has put a DB_CONFIG into DIR or DIR/NAME. */
int store_dir_check_config(int dir, const char *name, struct reason *why);

/* Whether there is anything of that name. */
int store_dir_has(int dir, const char *name);

/* Makes it, empty. */
int store_dir_make(int dir, const char *name, struct reason *why);

/* Renames it to NAME.bad-TIME and removes all but the newest of those before it. */
int store_dir_set_aside(int dir, const char *name, struct reason *why);

/* Removes it with the files in it. */
int store_dir_remove(int dir, const char *name, struct reason *why);

#endif
