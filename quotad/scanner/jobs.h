/*
 * The scanner: the only part of quotad that reads mailboxes. A process of its own (user
 * daemon_user with CAP_DAC_READ_SEARCH alone), which forks a child for each job and
 * touches no mailbox itself, so that a hostile one can kill its own count and nothing
 * else. A second such process waits as a spare and takes over if the first one dies.
 *
 * The daemon hands it a job and one end of a socket pair (SCM_RIGHTS), then speaks with
 * the child alone. A child that dies without an answer is asked for again, three times.
 */
#ifndef QUOTAD_SCANNER_H
#define QUOTAD_SCANNER_H

#include <event2/event.h>
#include <stdint.h>

#include "ledger/ledger.h"
#include "privileges.h"

struct scanner;

/* A job: what to look at. Path and ignore (folder names, as quota_ignore) are copied. */
struct scanner_job {
	struct account *account;
	const char *path; /* mail= of the record */
	const char *ignore;
	int thorough; /* look at each file's size, too */
};

/* Forks the scanner, before anything else is open in this process. USER is whom it
 * becomes (NULL: stays who it is). */
struct scanner *scanner_start(const struct privileges_user *user, struct reason *why);

/* Binds it to the loop and the ledger, which gets the results; 0, or -1 without memory.
 * DIED is called when both scanner processes are gone. SIGPIPE must be ignored. */
int scanner_attach(struct scanner *s, struct event_base *base, struct ledger *l,
	void (*died)(void *arg), void *arg);

/* Asks for a count or a probe, which ends in ledger_counted or ledger_probed, later. */
void scanner_count(struct scanner *s, const struct scanner_job *job);
void scanner_probe(struct scanner *s, const struct scanner_job *job);

/* Asks for a sign of life of the scanner and of a child of it; DONE is called later,
 * once, with FAILED set where there was none. Not before the last one has come. */
void scanner_ping(struct scanner *s, void (*done)(void *arg, int failed), void *arg);

/* Ends the scanner; what was asked is forgotten. */
void scanner_stop(struct scanner **s);

#endif
