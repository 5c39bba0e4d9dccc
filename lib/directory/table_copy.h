/* A copy of the user table's file, made while the file is read through. */
#ifndef BRIM_TABLE_COPY_H
#define BRIM_TABLE_COPY_H

#include "users_db.h"

/* Copies the file of FROM (its fd, path and stat) to the descriptor TO, and begins to
 * write it to the disk: 0, -1. SOUND gets whether FROM could be read through; where it is
 * not, DAMAGE has the reason. */
int table_copy(struct users *from, int to, int *sound, struct reason *damage,
	struct reason *why);

/* Begins to write what is in the file to the disk; nothing waits for it. */
void table_copy_begin_sync(int fd);

#endif
