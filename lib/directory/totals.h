/*
 * What a table holds, told in numbers: how many records, how many of them have a bare
 * name or one in the form of an older brimadm, and a sum over all records and indexes.
 * The sum adds up one hash for each, mod 2^64, so that a change costs what it changes.
 * The table keeps them beside its generation; whoever reads all of it compares.
 *
 * The hash sees damage, and is no defence against root, who writes the table.
 */
#ifndef BRIM_TOTALS_H
#define BRIM_TOTALS_H

#include <stddef.h>
#include <stdint.h>

struct totals {
	uint64_t records, sum;
	uint64_t bare;   /* of the records: local parts of this host, without a domain */
	uint64_t older;  /* keys that address_key would make another of today */
	uint64_t logins; /* entries of their index */
};

/* Counts the key with its value; keys of the table itself do not count. */
void totals_add(struct totals *t, const void *key, size_t key_size, const void *value,
	size_t value_size);

/* Takes it out again. */
void totals_remove(struct totals *t, const void *key, size_t key_size, const void *value,
	size_t value_size);

#endif
