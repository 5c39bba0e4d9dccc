/* The loop of brim-release: its socket, signals, and the log's seconds. */
#ifndef RELEASE_SERVER_H
#define RELEASE_SERVER_H

#include <sys/types.h>

#include "postqueue.h"
#include "reason.h"
#include "systemd.h"

struct server {
	int listening; /* the socket */
	uid_t client;  /* who may ask, besides root */
	struct postqueue_settings postqueue;
	const struct systemd *systemd;
};

/* Serves until SIGTERM or SIGINT: 0, or -1 with the reason. */
int server_run(const struct server *s, struct reason *why);

#endif
