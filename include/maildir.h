/*
 * Names of messages in a Maildir: the unique name that Brim gives, and the size (",S=")
 * and the unique part (before ':') of any name.
 */
#ifndef BRIM_MAILDIR_H
#define BRIM_MAILDIR_H

#include <stddef.h>
#include <stdint.h>

#define MAILDIR_NAME_SIZE 256

/* Makes a unique name, "seconds.MmicrosPpidRrandom.host,S=bytes": '/' and ':' of the
 * host's name are written \057 and \072. 0, or -1 with errno where no random number or
 * host name was to be had. */
int maildir_make_name(char name[MAILDIR_NAME_SIZE], uint64_t bytes);

/* Whether maildir_make_name may have made the name for a file in tmp/, whose size is not
 * known yet: that for 0 bytes. On any host, since a container has another host name each
 * time that it is made. 1 or 0. */
int maildir_is_unfinished(const char *name);

/* Whether this host may have made the name for a file of that many bytes. 1 or 0. */
int maildir_is_own(const char *name, uint64_t bytes);

/* The size that the name tells: 1 with *bytes, or 0 where it tells none (",S=" is
 * followed by digits, and they by ',', ':' or the end). */
int maildir_size(const char *name, uint64_t *bytes);

/* Length of the part before ':', by which a message is counted once. */
size_t maildir_unique_length(const char *name);

#endif
