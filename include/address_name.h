/*
 * Addresses as people write them. brimadm alone needs this: it takes libidn2, which knows
 * which names there are (IDNA 2008, RFC 5891; mapped as UTS 46 says).
 */
#ifndef BRIM_ADDRESS_NAME_H
#define BRIM_ADDRESS_NAME_H

#include "address.h"

/* The key (ADDRESS_MAX + 1 bytes) of what somebody has written; -1 with the reason why no
 * MTA could deliver to it. A key that this has made is its own. */
int address_name(char *key, const char *text, struct reason *why);

/* The key as people write it, with U-labels, to be freed; NULL where that is the key. */
char *address_written(const char *key);

#endif
