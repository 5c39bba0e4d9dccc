/*
 * The message on standard input, as it is going to be stored: byte for byte, less an mbox
 * "From " line in front, with Return-Path: before it where the MTA put none, and
 * Delivered-To: unless the one on top is the recipient: a message that was fetched from
 * another mailbox has that one's.
 *
 * Only the run of headers that an MTA adds at delivery, on top of the message, is looked
 * at; it ends at the first other header (Received:, usually), so that nothing the sender
 * wrote is taken for the MTA's.
 */
#ifndef LDA_MESSAGE_H
#define LDA_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "verdict.h"

#define MESSAGE_CHUNK (64 * 1024) /* what a pipe holds */
#define ADDRESS_LONG  2048        /* a longer one is in no header that delivery adds */
#define MESSAGE_ROOM  (4 * ADDRESS_LONG + 128) /* for those, before the first chunk */

struct message {
	int input;
	int ended;    /* the end of the input was read */
	int top_read; /* what follows is known */
	int has_return_path, has_delivered_to;
	size_t start, end; /* what of the buffer is still to be stored */
	char buffer[MESSAGE_ROOM + MESSAGE_CHUNK];
	char delivered_to[ADDRESS_LONG + 1]; /* the MTA's, unquoted; "" without one */
};

/* The input is a descriptor that stays the caller's. */
void message_init(struct message *m, int input);

/* Reads so much that the MTA's headers on top are known. 0, or -1 with the outcome. */
int message_read_top(struct message *m, struct outcome *o);

/* Reads the first chunk, which is the whole message if it is no longer than that, and
 * puts the headers that are missing before it; an address that is longer than
 * ADDRESS_LONG has none. 0, or -1 with the outcome. */
int message_begin(
	struct message *m, const char *sender, const char *recipient, struct outcome *o);

/* How the message begins, as far as it is read, before any was handed out: *data stays
 * valid until then. Reads the first chunk where that was not done; what can't be read is
 * left out. */
size_t message_look(struct message *m, const char **data);

/* Bytes that will be stored, before any was handed out; 0 where the first chunk was not
 * all of it. */
size_t message_size(const struct message *m);

/* Hands out the next piece to be stored: 1, 0 at the end, -1 with the outcome. *data
 * stays valid until the next call. */
int message_next(struct message *m, const char **data, size_t *length, struct outcome *o);

/* Reads what is left and throws it away: how many bytes were still to be stored. */
uint64_t message_drain(struct message *m);

#endif
