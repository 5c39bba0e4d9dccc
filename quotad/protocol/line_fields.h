/* The name=value fields of CHECK and RESERVE: what an lda tells of the mailbox and the
 * message. They go into the question as pointers into the request's line. */
#ifndef QUOTAD_LINE_FIELDS_H
#define QUOTAD_LINE_FIELDS_H

#include "room.h"

#define LINE_FIELDS 4 /* that there are */

/* Takes RESERVE's fields, in any order: what is wrong with them, or NULL where nothing
 * is. */
const char *line_fields_take(struct room_question *q, char **fields);

/* Takes CHECK's, which come last and in this order: place=, directory=, ids=. What is
 * left in the list is none of them. */
void line_fields_take_last(struct room_question *q, char **argument);

#endif
