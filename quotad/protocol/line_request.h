/* What the files of the line protocol share: what is kept for a request until its end. */
#ifndef QUOTAD_LINE_REQUEST_H
#define QUOTAD_LINE_REQUEST_H

#include "line.h"

struct line_command;
struct line_access;

struct line_request {
	struct room_question question; /* first: the room gives it back */
	struct request *request;
	const struct line *line;
	const struct line_command *command;
	struct line_access *access; /* ACCESS */
	char *ids;                  /* CHECK, RESERVE: a copy; NULL: none */
	char *explanation;          /* EXPLAIN: all lines but the last */
	/* LIST, WAITING: the next piece of the answer */
	void (*add_piece)(struct line_request *l);
	char *pattern;
	char *last;           /* the key, or mailbox, that was looked at last */
	uint64_t last_number; /* WAITING: of the mailbox */
	uint64_t listed;
};

/* The answer to what is no request. */
void line_malformed(struct line_request *l, const char *text);

/* The answer where quotad itself is at fault. */
void line_error(struct line_request *l, const char *text);

/* Begins the answer to LIST, or to WAITING. */
void line_list(struct line_request *l, const char *pattern);
void line_list_waiting(struct line_request *l, const char *pattern);

/* Answers STATS. */
void line_statistics(struct line_request *l);

#endif
