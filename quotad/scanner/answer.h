/*
 * What a child of the scanner answers to its job, line by line (process.h has the lines).
 * Each is checked as if the mailbox's owner had written it.
 */
#ifndef QUOTAD_SCANNER_ANSWER_H
#define QUOTAD_SCANNER_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "reason.h"

/* What a look at a mailbox found. */
struct scanner_result {
	int failed;       /* the mailbox can't be read; nothing else is set but text */
	const char *text; /* why it failed */
	uint64_t stamp;   /* of its directories; all that a probe finds */
	int exact;
	uint64_t bytes, messages;
	uint64_t directory; /* that was counted; 0: none is there */
	uint64_t ignored;   /* a folder that does not count has messages */
	uint64_t missing;   /* the Maildir, or its new */
	uint64_t sure_bytes, sure_messages; /* that were surely there (count.h) */
	uint64_t by_name;        /* messages whose files were not asked for their sizes */
	uint64_t wrong;          /* names that were not believed */
	const char *const *seen; /* those of the names to look for that it saw */
	size_t seen_count;
};

enum answer_step {
	ANSWER_MORE,
	ANSWER_COMPLETE,
	ANSWER_NOT_MINE, /* the mailbox's owner alone can do the job */
	ANSWER_NONSENSE
};

enum answer_kind { ANSWER_COUNT, ANSWER_PROBE, ANSWER_PING };

/* An answer so far. */
struct answer {
	struct scanner_result found;
	struct reason why; /* it failed */
	/* Sends the names that a count must look for: how many, or -1. */
	long (*send_names)(void *arg);
	void *arg;
	enum answer_step (*next)(struct answer *a, const char *line, size_t length);
	char **seen; /* found.seen, owned */
	size_t asked;
};

/* Expects an answer of that kind; an earlier one is cleared. SEND_NAMES is called when
 * the directories of a count have been read. */
void answer_begin(struct answer *a, enum answer_kind kind, long (*send_names)(void *arg),
	void *arg);

/* Takes a line of LENGTH bytes, without its end. */
enum answer_step answer_line(struct answer *a, const char *line, size_t length);

/* The job has failed for a reason of the daemon's own, which is in a->why. */
void answer_fail(struct answer *a);

/* Frees what it holds but the reason. */
void answer_clear(struct answer *a);

#endif
