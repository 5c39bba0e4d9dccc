/*
 * A child of the scanner, which looks at mailboxes: one at a time, and after it the next
 * that the daemon has for it. So whatever a mailbox does to a child (it hangs, dies, is
 * taken over) is done to a process that nobody else waits for.
 *
 * It takes jobs of one kind alone, ends with the daemon's end of its socket, by itself
 * when a mailbox made it grow, and is ended by the kernel after WORKER_LIFE_SECONDS,
 * whatever it does. It may read files and answer, and nothing else
 * (privileges_only_read), and nothing of one job is open in the next.
 */
#ifndef QUOTAD_SCANNER_WORKER_H
#define QUOTAD_SCANNER_WORKER_H

#include <stddef.h>
#include <sys/resource.h>

/* In a forked process: performs the job of LENGTH bytes and those that follow on FD, with
 * at most that much ADDRESS_SPACE. */
void worker_run(int fd, const char *line, size_t length, rlim_t address_space)
	__attribute__((noreturn));

#endif
