/*
 * The queue ids by which the MTA of this host knew a message, from its Received: lines
 * (RFC 5321 section 4.4). A content filter that hands the message back, an alias and a
 * .forward give it another each, so there may be several.
 *
 * A line is this host's if it names the same host as the topmost one, which the MTA that
 * hands over has written, or a name of this host. The sender may have written such lines,
 * too, so an id is never more than a hint. What is not well-formed is left out.
 */
#ifndef LDA_RECEIVED_H
#define LDA_RECEIVED_H

#include <stddef.h>

#include "conf.h"

#define RECEIVED_IDS    8  /* as many as quotad takes */
#define RECEIVED_ID_MAX 63 /* bytes of one, of the form 0-9, A-Z, a-z and '-' */
#define RECEIVED_SIZE   (RECEIVED_IDS * (RECEIVED_ID_MAX + 1))

/* Writes the ids, the topmost first, with commas between; "" where there is none. TEXT is
 * how a message begins, IS_WHOLE that it is all of it. Settings that could not be read
 * may be all zero. */
void received_ids(char ids[RECEIVED_SIZE], const struct conf *c, const char *text,
	size_t length, int is_whole);

#endif
