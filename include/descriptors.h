/* Descriptors that were inherited, and must not be. */
#ifndef BRIM_DESCRIPTORS_H
#define BRIM_DESCRIPTORS_H

/* Closes all from FIRST to LAST that are open: 0, or -1 with errno where it can't be told
 * whether all are closed. */
int descriptors_close(unsigned first, unsigned last);

#endif
