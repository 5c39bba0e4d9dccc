/*
 * How a forked child of quotad ends: at once, without the exit handlers and buffers that
 * it has from its parent.
 */
#ifndef QUOTAD_CHILD_H
#define QUOTAD_CHILD_H

/* Ends this process; where coverage is measured the lines that it ran are kept. */
void child_leave(int status) __attribute__((noreturn));

#endif
