/* What read and write leave to their callers. */
#ifndef BRIM_IO_H
#define BRIM_IO_H

#include <stddef.h>

/* Writes all of the bytes, a signal or a short write in between or not: 0, or -1 with
 * errno. */
int io_write_all(int fd, const void *bytes, size_t size);

#endif
