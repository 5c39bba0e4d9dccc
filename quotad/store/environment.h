/*
 * The Berkeley DB environment of the usage store, with its one table of keys and values:
 * transactional, private to this process, recovered whenever it is opened.
 *
 * It reads no DB_CONFIG, since libdb is given no home, and never syncs, since it would do
 * so in the middle of a request: the syncer does, the log before the table. An error may
 * come from any call; after it the environment is of no more use, and is closed.
 */
#ifndef QUOTAD_ENVIRONMENT_H
#define QUOTAD_ENVIRONMENT_H

#include <stddef.h>

#include "reason.h"

#define ENVIRONMENT_LOG_KBYTES 4096 /* of each log file */

struct environment;

/* Opens or makes it in the directory PATH, which must be there. NULL with the reason. */
struct environment *environment_open(const char *path, struct reason *why);

/* Closes it; what was not committed is lost. */
void environment_close(struct environment **e);

/* A key's value is written, or removed (0 also where there was none), in the transaction
 * that ends with environment_commit. 0, or -1 with the reason. */
int environment_put(struct environment *e, const char *key, size_t key_size,
	const char *value, size_t value_size, struct reason *why);
int environment_remove(
	struct environment *e, const char *key, size_t key_size, struct reason *why);

/* The key's value as the transaction has it, valid until the next call: NULL where there
 * is none, or it can't be read. */
const char *environment_get(
	struct environment *e, const char *key, size_t key_size, size_t *size);

/* Hands the transaction to the kernel: 1 if there was one, 0 if not, or -1 with the
 * reason. */
int environment_commit(struct environment *e, struct reason *why);

/* Writes the table where more than KBYTES have been logged since the last time (0: in any
 * case): 0, or -1 with the reason. */
int environment_checkpoint(struct environment *e, unsigned kbytes, struct reason *why);

/* Calls EACH with every entry, as long as it returns 0. 0, or -1 with the reason. */
int environment_each(struct environment *e,
	int (*each)(void *arg, const char *key, size_t key_size, const char *value,
		size_t value_size),
	void *arg, struct reason *why);

/* Reads every page of the table in PATH, where the environment is closed, since one of
 * zeros has a checksum that fits: environment_each would end there and miss what comes
 * behind. 0, or -1 with the reason. */
int environment_verify(const char *path, struct reason *why);

#endif
