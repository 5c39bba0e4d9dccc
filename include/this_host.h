/*
 * What the host that this process runs on is called, whatever the settings say:
 * "localhost" and "localhost.localdomain"; the kernel's name of the host, its first
 * label, and the full name that /etc/hosts has beside that; literals of its own addresses
 * (RFC 5321 section 4.1.3), which a mail server must take as its own (RFC 1123
 * section 5.2.17).
 *
 * No name service is asked. The interfaces' addresses are looked at only for a literal
 * that is no loopback address, and /etc/hosts only for a name that begins as the host's.
 */
#ifndef BRIM_THIS_HOST_H
#define BRIM_THIS_HOST_H

/* Whether the domain is the kernel's name of the host. */
int this_host_is(const char *domain);

/* Whether the domain is any name of this host, or a literal of one of its addresses. */
int this_host_has(const char *domain);

#endif
