/*
 * A connection to quotad: lines out, answers in, each within a time. The other end must
 * be root or daemon_user, or it is not believed. Nothing is trusted about an answer but
 * its form: a line too long, a NUL, a word out of place is an error like a closed
 * connection.
 */
#ifndef BRIM_QUOTA_CLIENT_H
#define BRIM_QUOTA_CLIENT_H

#include <stdint.h>
#include <time.h>

#include "reason.h"
#include "record.h"
#include "verdict.h"

struct quota_client {
	int fd;                /* -1: not connected */
	int lacks_daemon_user; /* it was not connected because there is no such user */
	int timeout_ms;
	size_t filled, taken;
	char buffer[RECORD_LINE_MAX + 2];
};

enum quota_kind {
	QUOTA_OK,   /* done; fields in the record */
	QUOTA_NO,   /* the mailbox can't take it; the outcome says why */
	QUOTA_ERR,  /* the request or the daemon is at fault; the outcome's text says why
		     */
	QUOTA_MORE, /* a "* " line; others follow */
};

struct quota_answer {
	enum quota_kind kind;
	struct record fields;
	struct outcome outcome;
	char code[8]; /* X.Y.Z of NO and ERR */
};

/* Connects within SECONDS, which bounds each later call as well. DAEMON_USER is looked up
 * in /etc/passwd only where the other end is not root. */
int quota_connect(struct quota_client *q, const char *socket, const char *daemon_user,
	uint64_t seconds, struct reason *why);
void quota_close(struct quota_client *q);

/* Sends one request, a line without its end and of printable ASCII alone: a text from
 * elsewhere goes through record_escape first. */
int quota_send(struct quota_client *q, struct reason *why, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Reads one answer; -1 where there is none that can be believed. */
int quota_receive(struct quota_client *q, struct quota_answer *a, struct reason *why);

/* Reads one line of an answer as it is, without its end; it stays until the next call.
 * NULL where there is none that can be believed. */
const char *quota_receive_line(struct quota_client *q, struct reason *why);

/* Whether quotad did not take the request for one: if it is a request of this version,
 * quotad is of an older one. */
int quota_is_too_old(const struct quota_answer *a);

/* Frees the fields of the answer. */
void quota_answer_clear(struct quota_answer *a);

#endif
