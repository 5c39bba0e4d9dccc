/*
 * Address literals, which are domains too: "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC
 * 5321 section 4.1.3). An IPv6 address has many spellings.
 */
#ifndef BRIM_LITERAL_H
#define BRIM_LITERAL_H

#include <netinet/in.h>
#include <stddef.h>

/* Reads the literal; an IPv4 address comes in IPv6's form, so that two can be compared. 4
 * or 6, or 0 for what is no such literal. */
int literal_read(const char *domain, struct in6_addr *address);

/* An IPv4 address in IPv6's form. */
void literal_map(struct in6_addr *to, const struct in_addr *from);

/* Writes the one spelling of an IPv6 literal that keys have, "[ipv6:2001:db8::1]" (RFC
 * 5952 section 4, and 5 for what maps IPv4): its length, or -1 where the domain is no
 * such literal, or it does not fit into SIZE bytes. */
int literal_key(char *to, size_t size, const char *domain);

#endif
