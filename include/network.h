/*
 * Networks of Internet addresses, written as in Postfix's mynetworks: "192.0.2.0/24",
 * "[2001:db8::]/32", or one address. An IPv4 address is held in IPv6's form
 * (::ffff:192.0.2.1, RFC 4291 section 2.5.5.2), so that both families are compared alike.
 */
#ifndef BRIM_NETWORK_H
#define BRIM_NETWORK_H

#include "reason.h"

#define NETWORK_ADDRESS 16 /* bytes */

struct network {
	unsigned char address[NETWORK_ADDRESS];
	unsigned bits; /* of the address that are the network's */
};

/* Reads an address without brackets: 0, or -1 where it is none. */
int network_address(unsigned char address[NETWORK_ADDRESS], const char *text);

/* Reads a network; brackets around an IPv6 address may be left out. 0, or -1 with the
 * reason. */
int network_parse(struct network *n, const char *text, struct reason *why);

int network_has(const struct network *n, const unsigned char address[NETWORK_ADDRESS]);

#endif
