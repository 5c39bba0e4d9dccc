/*
 * Where log lines come from: a file with those that it was rotated to (rotated.h), the
 * oldest first, or the systemd journal.
 *
 * They are read in pieces of a bounded size, however long the log or a line of it is; of
 * a line that is longer than a piece the rest is left out.
 */
#ifndef TRACE_LOG_SOURCE_H
#define TRACE_LOG_SOURCE_H

#include <stddef.h>

#include "reason.h"

struct log_reader {
	/* Is given whole lines, each with its end, which it may write to. 0, or -1 to
	 * read no further. NULs were made blanks. */
	int (*take)(void *arg, char *lines, size_t length);
	void *arg;
};

/* Reads the file, and before it those that it was rotated to; 0, or -1 with the reason.
 */
int log_source_file(const char *path, const struct log_reader *to, struct reason *why);

/* Reads what programs logged as mail, and quotad and brim-release whatever they logged
 * as, each line as a JSON object (journalctl -o json). 1, 0 where there is no journal, or
 * -1 with the reason. */
int log_source_journal(const struct log_reader *to, struct reason *why);

#endif
