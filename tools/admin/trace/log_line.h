/*
 * One line of a mail log: when, which program, what; the queue ids in it, and which step
 * of a message's way it tells.
 *
 * Ids count only where mail servers and Brim write them: in front of the text, as id=,
 * msgid= and evpid=, and where one says under which id a message goes on. Whatever else a
 * line says may come from anybody.
 */
#ifndef TRACE_LOG_LINE_H
#define TRACE_LOG_LINE_H

#include <stddef.h>

#define LOG_ID_MAX 63

struct log_line {
	const char *time, *program, *text; /* "" where there is none */
};

/* Takes a line of a file apart, which is cut up. */
void log_line_read(struct log_line *l, char *line);

/* Whether the text of LENGTH bytes has the form of a queue id. */
int log_line_is_id(const char *text, size_t length);

/* The next queue id from *AT on, which begins as the line's text and is moved behind it:
 * its length, or 0 where there is none. */
size_t log_line_next_id(const struct log_line *l, const char **at, const char **id);

/* Whether the line names the message by this Message-ID, which has no brackets. */
int log_line_has_message_id(const struct log_line *l, const char *message_id);

/* The step in a word or two; "" for another. It may be kept in BUFFER. */
const char *log_line_step(const struct log_line *l, char buffer[32]);

#endif
