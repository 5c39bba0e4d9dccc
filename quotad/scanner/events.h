/*
 * What the scanner tells of its own accord: packets on the socket from which it takes its
 * jobs (process.h has them). Both ends are here, so that one bound holds for both.
 *
 * Whoever sends never waits: when EVENTS_MAX events are on their way, or half of what the
 * socket holds, one overflow follows them, and nothing more until all have been received.
 * An overflow says that any folder may have changed.
 *
 * A packet that was sent before the end of a count is there when that end has been read:
 * whoever then receives EVENTS_MAX + 1 packets has all of them.
 */
#ifndef QUOTAD_SCANNER_EVENTS_H
#define QUOTAD_SCANNER_EVENTS_H

#define EVENTS_MAX 64

enum scanner_event_kind { SCANNER_FOLDER_CHANGED, SCANNER_OVERFLOW };

struct scanner_event {
	enum scanner_event_kind kind;
	const char *path;   /* the mailbox's, as its job had it; NULL for an overflow */
	const char *folder; /* "." is the Maildir itself; NULL for an overflow */
};

/* The sending end, of one process alone: zeroed but for the socket. */
struct events_sender {
	int socket;
	unsigned on_their_way; /* at most: since the socket was last known to be empty */
	int overflowed;        /* the last packet was an overflow */
};

/* Sends an event, or what the bound leaves of it. 0, or -1 where nothing can be sent:
 * then the scanner must end, which tells the daemon as much as an overflow. */
int events_send(struct events_sender *to, const struct scanner_event *event);

enum events_left {
	EVENTS_NONE,     /* no packet is waiting */
	EVENTS_MORE,     /* more than an honest sender can have sent before this call */
	EVENTS_CLOSED,   /* the other end has gone */
	EVENTS_NONSENSE, /* a packet that is no event */
};

/* Receives up to EVENTS_MAX + 1 packets and calls EACH for each event. Returns what is
 * left. */
enum events_left events_receive(int socket,
	void (*each)(void *arg, const struct scanner_event *event), void *arg);

#endif
