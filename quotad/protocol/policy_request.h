/*
 * A request of Postfix's policy delegation protocol, as bytes: lines name=value up to an
 * empty one (SMTPD_POLICY_README). Nothing here knows a mailbox or a socket.
 *
 * Names come in any order, those that are unknown here are passed over, and where one
 * comes twice the last counts. A request that has a line without a name and a "=", a NUL,
 * no line at all, or more than POLICY_REQUEST_MAX bytes, can't be read.
 */
#ifndef QUOTAD_POLICY_REQUEST_H
#define QUOTAD_POLICY_REQUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define POLICY_REQUEST_MAX 32768 /* bytes; Postfix's have 2,000, about */

struct policy_request {
	const char *request, *state; /* NULL, as all texts: it did not come */
	/* as the client wrote it, unquoted, but for the dot of an absolute domain */
	const char *recipient;
	const char *sender, *login, *instance, *queue_id;
	const char *client; /* its address; "unknown" without one */
	/* 0 where it did not come, or is no number; UINT64_MAX where it is larger */
	uint64_t bytes, recipients;
	const char *no_number; /* the name of one that is none; NULL: all are */
};

/* The length of the first request, with its empty line: 0 where it has not all come yet,
 * -1 where it can't be read. */
ssize_t policy_request_length(const char *bytes, size_t length);

/* Reads a request whose length is known; TEXT is changed, and the request points into it.
 */
void policy_request_read(struct policy_request *q, char *text);

#endif
