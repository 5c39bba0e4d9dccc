/*
 * What the text of a log line says: which queue ids it names, and which step of a
 * message's way it tells.
 *
 * Addresses, subjects and what a remote server replies come from anybody. So ids and
 * steps count only at the places where mail servers and Brim write them: in front of the
 * text, in fields behind the addresses, whose quoted strings are skipped, and as the id
 * that a message goes on with: a notification's, an alias's, or that of a server on this
 * host or in a private network, as a content filter is.
 */
#ifndef TRACE_LOG_TEXT_H
#define TRACE_LOG_TEXT_H

#include <stddef.h>

#include "log_line.h"

#define LOG_ID_MAX 63
#define LOG_IDS    2 /* that a line names at most */

struct log_id {
	const char *text;
	size_t length;
};

/* Whether the text of LENGTH bytes has the form of a queue id. */
int log_text_is_id(const char *text, size_t length);

/* The queue ids of the line, its own first; how many. */
size_t log_text_ids(const struct log_line *l, struct log_id ids[LOG_IDS]);

/* Whether the line names the message by this Message-ID, which has no brackets. */
int log_text_has_message_id(const struct log_line *l, const char *message_id);

/* The step in a word or two; "" for another. It may be kept in BUFFER. */
const char *log_text_step(const struct log_line *l, char buffer[32]);

#endif
