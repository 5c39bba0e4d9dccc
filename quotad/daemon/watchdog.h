/*
 * The heartbeat that systemd's watchdog waits for. One is sent only after a round trip
 * through all that an answer needs: something is put into the usage store, committed by a
 * pass of the loop and read back, and meanwhile a child of the scanner answers. Where one
 * of these fails or does not come, none is sent, and the log says why.
 */
#ifndef QUOTAD_WATCHDOG_H
#define QUOTAD_WATCHDOG_H

#include <stdint.h>

struct server;

struct watchdog {
	uint64_t number; /* of the round trip */
	uint64_t began_ms;
	int is_out;    /* the scanner's answer has not come */
	int was_slow;  /* the log has been told so */
	int came_back; /* all is well, but for the commit of this pass */
};

/* It is time for a heartbeat: begins a round trip, unless the last one is still out. */
void watchdog_begin(struct server *v);

/* A pass has been committed: sends the heartbeat that is due, if any. */
void watchdog_finish(struct server *v);

#endif
