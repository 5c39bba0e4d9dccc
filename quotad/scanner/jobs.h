/*
 * The scanner: the only part of quotad that reads mailboxes. A process of its own (user
 * daemon_user with CAP_DAC_READ_SEARCH alone), which forks children and touches no
 * mailbox itself, so that a hostile one can kill its own count and nothing else. A second
 * such process waits as a spare and takes over if the first one dies.
 *
 * Where that capability does not help (FUSE, NFS) a child of the spawner reads the
 * mailbox as its owner: a process with CAP_SETUID and CAP_SETGID, which never reads one
 * (process.h has both).
 *
 * The daemon hands it a job and one end of a socket pair (SCM_RIGHTS), then exchanges
 * lines with the child alone, which takes further jobs. One that dies without an answer
 * is asked for again, three times.
 */
#ifndef QUOTAD_SCANNER_JOBS_H
#define QUOTAD_SCANNER_JOBS_H

#include <event2/event.h>
#include <stdint.h>

#include "answer.h"
#include "conf.h"
#include "events.h"
#include "privileges.h"

struct scanner;

/* A job: what to look at. Mailbox, path and ignore (folder names, as quota_ignore) are
 * copied. */
struct scanner_job {
	void *key;           /* comes back with the result */
	const char *mailbox; /* its name, for the log */
	const char *path;    /* mail= of the record */
	const char *ignore;
	uint64_t owner; /* uid of the mailbox, */
	uint64_t group; /* and gid */
	int by_files;   /* ask each file for its size, whatever its name says */
};

/* Who is told what was found; KEY is the job's. None of them may end the scanner. */
struct scanner_calls {
	/* The names that a count must look for, asked after its last read: calls ADD with
	 * TO for each. */
	void (*names)(
		void *arg, void *key, void (*add)(void *to, const char *name), void *to);
	void (*counted)(void *arg, void *key, const struct scanner_result *found);
	void (*probed)(void *arg, void *key, const struct scanner_result *found);
	/* Both scanner processes are gone: no job will be done any more. */
	void (*died)(void *arg);
	/* A folder has changed, or (an overflow) any may have. What was sent before the
	 * end of a count is told before its result. NULL: nobody wants to know. */
	void (*event)(void *arg, const struct scanner_event *event);
};

struct scanner_start {
	const struct privileges_user *user; /* to become; NULL: it stays who it is */
	enum conf_scan_as scan_as;
	uint64_t min_uid; /* nobody reads as a lower one */
};

/* Forks the scanner, and the spawner where settings want it and its capabilities are
 * there, before anything else is open in this process. Without a spawner the scanner
 * counts what it can read. */
struct scanner *scanner_start(const struct scanner_start *how, struct reason *why);

/* The word of the setting that is in force: "scanner" where nobody can become an owner.
 */
const char *scanner_scan_as(const struct scanner *s);
/* Whether the scanner has the capability to read what its user may not. */
int scanner_read_search(const struct scanner *s);
/* How many jobs were done as the mailboxes' owners. */
uint64_t scanner_as_owner(const struct scanner *s);

/* Binds it to the loop, and to CALLS, which must live as long: 0, or -1 without memory.
 * SIGPIPE must be ignored. */
int scanner_attach(struct scanner *s, struct event_base *base,
	const struct scanner_calls *calls, void *arg);

/* Asks for a count or a probe, which ends in calls->counted or calls->probed, later. */
void scanner_count(struct scanner *s, const struct scanner_job *job);
void scanner_probe(struct scanner *s, const struct scanner_job *job);

/* Asks for a sign of life of the scanner and of a child of it; DONE is called later,
 * once, with FAILED set where there was none. Not before the last one has come. */
void scanner_ping(struct scanner *s, void (*done)(void *arg, int failed), void *arg);

/* Ends the scanner; what was asked is forgotten. */
void scanner_stop(struct scanner **s);

#endif
