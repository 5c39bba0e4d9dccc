/*
 * What systemd hands to a service and wants to be told, as sd_listen_fds(3) and
 * sd_notify(3) describe it; without systemd each call does nothing.
 */
#ifndef BRIM_SYSTEMD_H
#define BRIM_SYSTEMD_H

#include <stdint.h>

#include "reason.h"

#define SYSTEMD_SOCKETS_MAX 16

/* A socket with its name (FileDescriptorName=): where its unit gives it none "unknown",
 * or the unit's own. */
struct systemd_socket {
	int fd;
	const char *name;
};

struct systemd {
	char *notify_socket; /* NULL: nobody wants to be told */
	struct systemd_socket sockets[SYSTEMD_SOCKETS_MAX]; /* open */
	int count;
	char *names;          /* of the sockets: all of them */
	uint64_t watchdog_ms; /* how often it wants to be told that we live; 0: never */
};

/* Takes what the environment says to this process, before it is cleared. */
int systemd_take_environment(struct systemd *s, struct reason *why);
void systemd_free(struct systemd *s);

/* "READY=1", "STOPPING=1", "WATCHDOG=1"; that it can't be told is no error of ours. */
void systemd_notify(const struct systemd *s, const char *state);

#endif
