/*
 * The deadline where a call may never return, and no handler of a signal runs: then a
 * process of its own makes the calls, and this one waits for it, as long as there is
 * time.
 *
 * Only a mailbox on a network's file system or on FUSE is worth a process (see
 * file_system.h); for any other nothing happens here.
 */
#ifndef LDA_GUARD_H
#define LDA_GUARD_H

#include <stdint.h>

#include "verdict.h"

/*
 * Returns 0 in the process that is to go on with the delivery, which has then no alarm
 * set. The MTA's standard output is no longer that one's: it would keep the MTA waiting.
 *
 * The waiting process writes what the other one wrote and ends as it ended. Where that
 * did not end in SECONDS, or was killed, it returns -1 with the outcome.
 */
int guard_begin(void *arg, const char *path, uint64_t seconds, struct outcome *o);

/* The message is stored: whatever hangs from now on, it is delivered. */
void guard_stored(void);

#endif
