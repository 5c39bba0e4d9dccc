#include "totals.h"

#include <string.h>

#include "users_db.h"

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

static uint64_t
hash(uint64_t begin, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t h = begin, pair[2];
	size_t left = size;

	for (; left >= sizeof pair; left -= sizeof pair, bytes += sizeof pair) {
		memcpy(pair, bytes, sizeof pair);
		h = multiply(pair[0] ^ KEY_1, pair[1] ^ h);
	}
	memset(pair, 0, sizeof pair);
	memcpy(pair, bytes, left);
	h = multiply(pair[0] ^ KEY_1, pair[1] ^ h);
	return multiply(h ^ KEY_2, size ^ KEY_3);
}

enum kind { OF_TABLE, PATH, RECORD };

static enum kind
kind_of(const uint8_t *key, size_t size)
{
	if (key[0] == (uint8_t)users_key_first[0])
		return size == 1 ? OF_TABLE : PATH;
	if (key[0] < (uint8_t)users_key_records[0])
		return OF_TABLE;
	return size > ADDRESS_MAX ? OF_TABLE : RECORD;
}

static uint64_t
hash_entry(const void *key, size_t key_size, const void *value, size_t value_size)
{
	return hash(hash(KEY_3, key, key_size), value, value_size);
}

void
totals_add(struct totals *t, const void *key, size_t key_size, const void *value,
	size_t value_size)
{
	enum kind kind = key_size ? kind_of(key, key_size) : OF_TABLE;

	if (kind == OF_TABLE)
		return;
	t->records += kind == RECORD;
	t->sum += hash_entry(key, key_size, value, value_size);
}

void
totals_remove(struct totals *t, const void *key, size_t key_size, const void *value,
	size_t value_size)
{
	struct totals one = {0};

	totals_add(&one, key, key_size, value, value_size);
	t->records -= one.records;
	t->sum -= one.sum;
}
