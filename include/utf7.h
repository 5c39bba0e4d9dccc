/*
 * Names of folders as IMAP servers keep them on the disk, in modified UTF-7 (RFC 3501
 * section 5.1.3): "Gel&APY-scht" is the folder that people see as "Gelöscht".
 */
#ifndef BRIM_UTF7_H
#define BRIM_UTF7_H

#include <stddef.h>

/* Writes the name in UTF-8 into TO, a string of less than SIZE bytes: 0, or -1 where it
 * does not fit or is not in that form. */
int utf7_decode(char *to, size_t size, const char *name);

#endif
