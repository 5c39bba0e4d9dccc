/*
 * Recipient addresses, and the keys of the user table, which are made here and nowhere
 * else. An address has one canonical form: cut at its last '@', without the quotes of a
 * quoted local part (RFC 5321 section 4.1.2: "a b"@x and what an MTA hands over, a b@x,
 * are the same), all letters folded (fold.h), the labels of the domain as A-labels (RFC
 * 5891), the literal of an IPv6 address in one spelling (literal.h). Bytes that are no
 * UTF-8 stay as they are.
 *
 * An MTA's address is taken as it is, as far as it can be in the table at all: refused
 * are what is empty or longer than ADDRESS_MAX, control bytes, an empty local part or
 * domain. What people write is checked (address_check), and its domain is mapped as a
 * browser would (address_name.h).
 */
#ifndef BRIM_ADDRESS_H
#define BRIM_ADDRESS_H

#include <stddef.h>

#include "reason.h"

#define ADDRESS_MAX 320 /* 64 + 1 + 255, RFC 5321 section 4.5.3.1 */

struct address {
	char text[ADDRESS_MAX + 1];   /* canonical: local@domain, or a bare local */
	char base[ADDRESS_MAX + 1];   /* without the extension */
	char local[ADDRESS_MAX + 1];  /* with the extension */
	char user[ADDRESS_MAX + 1];   /* local part without the extension */
	char domain[ADDRESS_MAX + 1]; /* empty for a bare local */
	char older[ADDRESS_MAX + 1];  /* address_key_older's, where it is another */
	const char *extension; /* in local, behind the delimiter; NULL without one */
};

/* Takes the address apart; DELIMITERS are the bytes of recipient_delimiter. */
int address_parse(
	struct address *a, const char *text, const char *delimiters, struct reason *why);

/* The same for an address in its older form. */
int address_parse_older(
	struct address *a, const char *text, const char *delimiters, struct reason *why);

/* Where the key of the address's domain begins: at its last '@'. NULL for a bare local
 * part. Nothing else decides where an address is cut. */
char *address_domain_key(const char *address);

/* Takes the dot of an absolute domain off: Postfix delivers to "a@example.org." as to
 * "a@example.org", but rewrites it only after it has asked a policy service (rewrite_tree
 * of trivial-rewrite(8)). Of two dots it takes neither. */
void address_drop_last_dot(char *address);

/* The canonical key of the table (local@domain, local, @domain): KEY has ADDRESS_MAX + 1
 * bytes. */
int address_key(char *key, const char *text, struct reason *why);

/* The key that brimadm made before 0.3: ASCII letters folded, and nothing else. Tables
 * have such keys. */
int address_key_older(char *key, const char *text, struct reason *why);

/* Whether address_key would make another key of this one (SIZE bytes) today. */
int address_is_older(const void *key, size_t size);

/* Says why no MTA can hand the address (a key, as people write or the table has it) over
 * for delivery, so that it would be a key for nothing: 0 where one can. */
int address_check(const char *text, struct reason *why);

#endif
