/*
 * One line of a mail log: when, on which host, which program, what. What its text says is
 * log_text.h's.
 */
#ifndef TRACE_LOG_LINE_H
#define TRACE_LOG_LINE_H

struct log_line {
	const char *time, *host, *program, *text; /* "" where there is none */
};

/* Takes a line of a file apart, which is cut up. */
void log_line_read(struct log_line *l, char *line);

/* Behind the time and the process that Exim writes in front of what it logs, if they
 * stand there. */
const char *log_line_skip_time(const char *text);

#endif
