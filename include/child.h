/*
 * How a forked child ends: at once, without the exit handlers and buffers that
 * it has from its parent.
 */
#ifndef BRIM_CHILD_H
#define BRIM_CHILD_H

/* Ends this process; where coverage is measured the lines that it ran are kept. */
void child_leave(int status) __attribute__((noreturn));

#endif
