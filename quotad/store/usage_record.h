/*
 * The entries of the usage store as text. Keys are "a" and a mailbox's name, "t", its
 * name, a NUL and the name of a ticket's file, or "p" and a path's hash; values are
 * records of fields. What is zero is left out.
 *
 * A promise is kept as a ticket of a name that no file has, ":", the queue id, ":" and
 * the recipient's hash. A quotad that knows no promises takes it for a delivery that was
 * cut off: the room is kept for a while, and given back by a count.
 */
#ifndef QUOTAD_USAGE_RECORD_H
#define QUOTAD_USAGE_RECORD_H

#include <limits.h>
#include <stddef.h>

#include "address.h"
#include "usage.h"

#define USAGE_RECORD_KEY_SIZE   (1 + ADDRESS_MAX + 1 + NAME_MAX + 1)
#define USAGE_RECORD_VALUE_SIZE 832

/* The key of an account or, with a FILE, of a ticket: its size, or 0 if it is too long.
 */
size_t usage_record_key(
	char key[USAGE_RECORD_KEY_SIZE], const char *mailbox, const char *file);

/* The key of a promise: its size, or 0 if it is too long. */
size_t usage_record_promise_key(char key[USAGE_RECORD_KEY_SIZE], const char *mailbox,
	const char *id, uint64_t recipient);

/* The key of a place that no account has: its size. */
size_t usage_record_place_key(char key[USAGE_RECORD_KEY_SIZE], uint64_t path);

/* An account's value, a ticket's, a promise's and a place's: their lengths. BOOT is the
 * id as a record's field has it. */
size_t usage_record_account(char value[USAGE_RECORD_VALUE_SIZE], const char *boot,
	const struct usage_numbers *n);
size_t usage_record_ticket(char value[USAGE_RECORD_VALUE_SIZE], const char *boot,
	const struct usage_ticket *t);
size_t usage_record_promise(char value[USAGE_RECORD_VALUE_SIZE], const char *boot,
	const struct usage_promise *p);
size_t usage_record_place(char value[USAGE_RECORD_VALUE_SIZE], uint64_t mail_in);

/* To whom entries are told, and by what they are judged. */
struct usage_reader {
	const char *boot;
	int unsure; /* tickets may be lost: no number is known */
	const struct usage_calls *calls;
	void *arg;
};

/* Tells one account, ticket, promise or place, of which nothing is trusted but that libdb
 * gave its sizes right. 0, or -1 where it makes no sense or could not be taken. */
int usage_record_load(const struct usage_reader *reader, const char *key, size_t key_size,
	const char *value, size_t value_size);

#endif
