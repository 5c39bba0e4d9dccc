/*
 * What the limits that lda inherits must leave it.
 *
 * A process that the kernel or the C library can't start dies before main: by a signal,
 * or with 127, which a mail server takes for a command that is missing, and bounces. So
 * the limits are looked at before the C library's own start asks for memory. Below the
 * size of the program itself (3 MB) the kernel kills it, and nothing can be done here.
 */
#ifndef LDA_LIMITS_H
#define LDA_LIMITS_H

/* The look has been taken before main is called; calling it links it in. */
void limits_check(void);

#endif
