/*
 * The scanner's own side of its sockets: a process that takes jobs and forks a child for
 * each. It reads no mailbox, keeps no descriptor of a job, and ends when the daemon does.
 *
 * The spawner is another such process. Its children become the owner of the mailbox, for
 * good, before they look at it, have that one job, and no other socket. So it counts what
 * no capability opens: a FUSE file system shows itself to its user alone, a server of NFS
 * judges by the uid.
 *
 * Daemon to scanner, one packet per child with the socket on which it answers: a record
 * "count path= ignore= by_files= uid= gid= disk= pass_on=", "probe" with the same, "ping
 * path=" or "spare" (fork another scanner, which takes its jobs from that socket). Disk
 *is 0, or tells apart what may hang (mounts.h); pass_on=1: there is a spawner, and it can
 * become the owner. Then, in lines, on the child's socket:
 *
 *	child	SCANNED			the last directory has been read
 *	daemon	+name ... END		names to look for
 *	child	COUNTED exact= bytes= messages= stamp= directory= missing=
 *		ignored= sure_bytes= sure_messages= by_name= wrong=
 *	child	+name ... END		those that the count saw
 *	child	PROBED stamp=		the answer to a probe
 *	child	PONG			the answer to a ping
 *	child	FAILED text=		in the place of any answer
 *	child	OWNER			in the place of its first line: the mailbox's
 *owner may be able to do it, this process is not child	READY			behind an
 *answer: it takes another job daemon	count ..., probe ...	the next one, of the same
 *kind
 *
 * Unasked, on the socket that its jobs come from, the scanner may send packets like
 * these. How many, and in which order they are told, is in events.h:
 *
 *	scanner	CHANGED path= folder=	a folder of that mailbox has changed
 *	scanner	OVERFLOW		events are lost: any folder may have changed
 *
 * What is sent before a count's last END is told before that count's result. Any other
 * packet is the scanner's end, and so is any packet of a spare. When a scanner ends the
 * daemon tells itself an overflow, since nobody saw what happened meanwhile.
 *
 * A child without an answer in its time is killed by its own alarm, and any after
 * SCANNER_LIFE_SECONDS. One whose daemon has gone, or waits for the job no more, ends at
 * once. What hangs in a file system may outlive all of these: FUSE lets no signal end a
 * call that its server has read (forked.h).
 */
#ifndef QUOTAD_SCANNER_PROCESS_H
#define QUOTAD_SCANNER_PROCESS_H

#include <stdint.h>

#include "privileges.h"

#define SCANNER_READY         "READY" /* the first packet, else the reason */
#define SCANNER_SPARE         "spare"
#define SCANNER_OWNER         "OWNER"
#define SCANNER_COUNT_SECONDS 300
#define SCANNER_PROBE_SECONDS 10
#define SCANNER_PING_SECONDS  10
#define SCANNER_YOUNG_SECONDS 300 /* an older child is given no job */
#define SCANNER_LIFE_SECONDS  (SCANNER_YOUNG_SECONDS + SCANNER_COUNT_SECONDS + 30)

struct scanner_role {
	const char *name;
	const struct privileges_user *user; /* to become; NULL: it stays who it is */
	unsigned kept;                      /* capabilities */
	int becomes_owners;                 /* its children do */
	uint64_t min_uid;                   /* no child becomes a lower one */
};

/* In the forked process: becomes the user, says so on SOCKET and serves it. */
void scanner_process_run(int socket, const struct scanner_role *role)
	__attribute__((noreturn));

#endif
