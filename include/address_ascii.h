/*
 * An address for a line that must be ASCII.
 */
#ifndef BRIM_ADDRESS_ASCII_H
#define BRIM_ADDRESS_ASCII_H

#include <stddef.h>

/* Writes the address, a string of less than SIZE bytes: as it is where it is ASCII, else
 * in the form of RFC 6533 section 3 (utf-8-addr-xtext: m\x{FC}ller@example.org), from
 * which people and programs get the address back. -1 where it is too long, or is no
 * UTF-8. */
int address_ascii(char *to, size_t size, const char *address);

#endif
