#include "totals.h"

#include <string.h>

#include "login_index.h"
#include "users_file.h"

#define KEY_1 0x9e3779b97f4a7c15 /* odd numbers without a pattern */
#define KEY_2 0xbf58476d1ce4e5b9
#define KEY_3 0x94d049bb133111eb

__extension__ typedef unsigned __int128 wide;

/* All bits of the product: each depends on both numbers. */
static uint64_t
multiply(uint64_t a, uint64_t b)
{
	const wide product = (wide)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The last 16 bytes, which overlap those before; of fewer bytes each once or more. */
static void
take_end(const uint8_t *bytes, size_t size, uint64_t pair[2])
{
	uint32_t first = 0, last = 0;

	if (size >= 16) {
		memcpy(pair, bytes + size - 16, 16);
	} else if (size >= 8) {
		memcpy(&pair[0], bytes, 8);
		memcpy(&pair[1], bytes + size - 8, 8);
	} else if (size >= 4) {
		memcpy(&first, bytes, 4);
		memcpy(&last, bytes + size - 4, 4);
		pair[0] = first;
		pair[1] = last;
	} else {
		pair[0] = size ? bytes[0] : 0;
		pair[1] = size ? (uint64_t)bytes[size / 2] << 8 | bytes[size - 1] : 0;
	}
}

static uint64_t
hash(uint64_t begin, const uint8_t *bytes, size_t size)
{
	uint64_t h = begin, pair[2];

	for (size_t at = 0; at + sizeof pair < size; at += sizeof pair) {
		memcpy(pair, bytes + at, sizeof pair);
		h = multiply(pair[0] ^ KEY_1, pair[1] ^ h);
	}
	take_end(bytes, size, pair);
	return multiply(pair[0] ^ KEY_1, pair[1] ^ h ^ size * KEY_2);
}

enum kind { OF_TABLE, INDEX, RECORD };

static enum kind
kind_of(const uint8_t *key, size_t size)
{
	if (key[0] == (uint8_t)users_key_first[0])
		return size == 1 ? OF_TABLE : INDEX;
	if (key[0] < (uint8_t)users_key_records[0])
		return OF_TABLE;
	return size > ADDRESS_MAX ? OF_TABLE : RECORD;
}

static uint64_t
hash_entry(const void *key, size_t key_size, const void *value, size_t value_size)
{
	return multiply(hash(hash(KEY_3, key, key_size), value, value_size), KEY_2);
}

void
totals_add(struct totals *t, const void *key, size_t key_size, const void *value,
	size_t value_size)
{
	enum kind kind = key_size ? kind_of(key, key_size) : OF_TABLE;

	if (kind == OF_TABLE)
		return;
	t->records += kind == RECORD;
	t->bare += kind == RECORD && !memchr(key, '@', key_size);
	t->older += kind == RECORD && address_is_older(key, key_size);
	t->logins += kind == INDEX && login_index_is_entry(key, key_size);
	t->sum += hash_entry(key, key_size, value, value_size);
}

void
totals_remove(struct totals *t, const void *key, size_t key_size, const void *value,
	size_t value_size)
{
	struct totals one = {0};

	totals_add(&one, key, key_size, value, value_size);
	t->records -= one.records;
	t->bare -= one.bare;
	t->older -= one.older;
	t->logins -= one.logins;
	t->sum -= one.sum;
}
