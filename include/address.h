/*
 * Recipient addresses as the MTA hands them over: unquoted, cut at the last '@'. Keys of
 * the user table are made here and nowhere else. ASCII letters are folded to lower case;
 * other bytes are left alone.
 *
 * Refused: empty, longer than ADDRESS_MAX, control bytes, an empty local part or domain.
 * What is refused here can't be in the table.
 */
#ifndef BRIM_ADDRESS_H
#define BRIM_ADDRESS_H

#include <stddef.h>

#include "reason.h"

#define ADDRESS_MAX 320 /* 64 + 1 + 255, RFC 5321 section 4.5.3.1 */

struct address {
	char text[ADDRESS_MAX + 1];   /* folded: local@domain, or a bare local */
	char base[ADDRESS_MAX + 1];   /* without the extension */
	char local[ADDRESS_MAX + 1];  /* with the extension */
	char user[ADDRESS_MAX + 1];   /* local part without the extension */
	char domain[ADDRESS_MAX + 1]; /* empty for a bare local */
	const char *extension; /* in local, behind the delimiter; NULL without one */
};

/* Takes the address apart; DELIMITERS are the bytes of recipient_delimiter. */
int address_parse(
	struct address *a, const char *text, const char *delimiters, struct reason *why);

/* Where the key of the address's domain begins: at its last '@'. NULL for a bare local
 * part. Nothing else decides where an address is cut. */
char *address_domain_key(const char *address);

/* Folds a key of the table (local@domain, local, @domain) into KEY, ADDRESS_MAX + 1
 * bytes. */
int address_key(char *key, const char *text, struct reason *why);

#endif
