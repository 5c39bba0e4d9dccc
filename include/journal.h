/*
 * Whether a file may get its name before it is synced.
 *
 * A name and the size behind it are two changes of a file system. Where a power cut can
 * keep the later one alone, a file must be on disk before it gets its name, or an empty
 * one is found by it. The journal of an ext4 (data=ordered, as most are) keeps changes in
 * the order in which they were made, and the size of a file is changed once its bytes are
 * written out (delayed allocation). So there it is enough to write the bytes out before:
 * one commit of the journal brings the file and its name to disk, or neither. Two would
 * take twice as long.
 */
#ifndef BRIM_JOURNAL_H
#define BRIM_JOURNAL_H

/* Whether the open file is on such a file system, with its journal on the same disk, as
 * far as the kernel tells (/proc/fs/ext4 and /proc/fs/jbd2), and can be written out. */
int journal_keeps_order(int file);

/* Writes the bytes out, and waits for the disk to have taken them: 0, or -1 with errno,
 * after which fsync() may tell of no error. What the disk's cache holds, and the size,
 * are safe only after fsync(). */
int journal_write_out(int file);

#endif
