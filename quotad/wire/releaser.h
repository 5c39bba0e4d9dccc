/*
 * The releaser: quotad's end of the socket of brim-release, which has Postfix deliver a
 * message that waits in its queue. Requests are lines, answered in their order.
 *
 * quotad never waits for it: what can't be sent now, or has had no answer for 30 s, has
 * failed, and is tried again by who asked. A brim-release that is missing, hangs or was
 * started anew costs a line in the log when it begins and one when it is over.
 */
#ifndef QUOTAD_RELEASER_H
#define QUOTAD_RELEASER_H

#include <event2/event.h>

#define RELEASER_MOST      64    /* requests that wait for their answers */
#define RELEASER_ANSWER_MS 30000 /* for one at most */
#define RELEASER_RETRY_MS  5000  /* from a failure to the next connection */

struct releaser;

/* Called with ARG for each request: OK, the mail server was told. */
typedef void releaser_answered(void *arg, const char *id, int ok);

/* PATH is read as it is at the moment. NULL without memory. */
struct releaser *releaser_new(struct event_base *base, const char *const *path,
	releaser_answered *answered, void *arg);
/* Nothing is answered any more. */
void releaser_free(struct releaser **r);

/* Whether one more can be released now. Where there is no connection one is made. */
int releaser_may(struct releaser *r);

/* Has the message of that id in Postfix's queue delivered; the answer may come at once.
 */
void releaser_send(struct releaser *r, const char *id);

#endif
