/*
 * A child of the scanner, which looks at mailboxes: one at a time, and after it the next
 * that the daemon has for it. So whatever a mailbox does to a child (it hangs, dies, is
 * taken over) is done to a process that nobody else waits for.
 *
 * It takes jobs of one kind alone, ends with the daemon's end of its socket, by itself
 * when a mailbox made it grow, and is ended by the kernel after SCANNER_LIFE_SECONDS,
 * whatever it does. It may read files and answer, and nothing else
 * (privileges_only_read), and nothing of one job is open in the next.
 */
#ifndef QUOTAD_SCANNER_WORKER_H
#define QUOTAD_SCANNER_WORKER_H

#include <stddef.h>
#include <sys/resource.h>

#include "reason.h"

struct worker_bounds {
	rlim_t address_space;
	int one_job; /* then it ends */
};

/* In a forked process: performs the job of LENGTH bytes and those that follow on FD. */
void worker_run(int fd, const char *line, size_t length,
	const struct worker_bounds *bounds) __attribute__((noreturn));

/* How many seconds a child may live that begins with this job: 0 where it is none. */
unsigned int worker_life(const char *line, size_t length, int one_job);

/* Answers in the place of a child that the job can't be done. */
void worker_refuse(int fd, const struct reason *why);

#endif
