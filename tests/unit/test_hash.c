/*
 * The hash table, with a fake SipHash that puts many keys into one slot, or many under
 * one hash, as no user can.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "suite.h"

enum { ITEMS = 5000 };

static uint64_t spread; /* keys have so many different hashes */
static struct siphash_key last_key;

uint64_t
siphash(const struct siphash_key *key, const void *text, size_t length)
{
	uint64_t hash = 14695981039346656037U; /* FNV-1a */

	last_key = *key;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ ((const unsigned char *)text)[i]) * 1099511628211U;
	return hash % spread;
}

struct item {
	char name[16];
	int in;
};

static struct item items[ITEMS];
static struct hash table;

static int
has_name(const void *item, const void *name, size_t length)
{
	const struct item *i = item;

	return strlen(i->name) == length && memcmp(i->name, name, length) == 0;
}

static void
set_up(uint64_t hashes)
{
	spread = hashes;
	for (int i = 0; i < ITEMS; i++) {
		snprintf(items[i].name, sizeof items[i].name, "user%d", i);
		items[i].in = 0;
	}
	ck_assert_int_eq(hash_init(&table, has_name), 0);
}

static int
add(struct item *i)
{
	return hash_add(&table, i->name, strlen(i->name), i);
}

static struct item *
find(const char *name)
{
	return hash_find(&table, name, strlen(name));
}

static void
take_out(const struct item *i)
{
	hash_remove(&table, i->name, strlen(i->name));
}

START_TEST(an_item_is_found_by_its_key_until_it_is_taken_out)
{
	set_up(UINT64_MAX);
	ck_assert_ptr_null(find("user1"));
	ck_assert_int_eq(add(&items[1]), 1);
	ck_assert_ptr_eq(find("user1"), &items[1]);
	ck_assert_ptr_null(find("user10"));
	take_out(&items[1]);
	take_out(&items[1]);
	ck_assert_ptr_null(find("user1"));
	ck_assert_uint_eq(table.count, 0);
	hash_free(&table);
}
END_TEST

START_TEST(a_key_has_one_item)
{
	struct item other = {.name = "user1"};

	set_up(UINT64_MAX);
	ck_assert_int_eq(add(&items[1]), 1);
	ck_assert_int_eq(add(&other), 0);
	ck_assert_ptr_eq(find("user1"), &items[1]);
	ck_assert_uint_eq(table.count, 1);
	hash_free(&table);
}
END_TEST

/* Puts items in and takes them out in a random order; after each some are looked for. */
static void
exercise(uint64_t hashes, int count)
{
	size_t in = 0, wrong = 0;

	set_up(hashes);
	for (int step = 0; step < 20 * count; step++) {
		struct item *i = &items[random() % count];

		if (i->in)
			take_out(i);
		else
			wrong += add(i) != 1;
		i->in = !i->in;
		in += i->in ? 1 : (size_t)-1;
		for (int n = 0; n < 5; n++) {
			i = &items[random() % count];
			wrong += find(i->name) != (i->in ? i : NULL);
		}
	}
	for (int n = 0; n < count; n++)
		wrong += find(items[n].name) != (items[n].in ? &items[n] : NULL);
	ck_assert_uint_eq(table.count, in);
	ck_assert_uint_eq(wrong, 0);
	hash_free(&table);
}

START_TEST(it_grows_and_closes_its_gaps)
{
	exercise(UINT64_MAX, ITEMS);
}
END_TEST

START_TEST(keys_in_one_place_are_told_apart)
{
	exercise(3, 100);  /* under the same hash */
	exercise(50, 200); /* beside each other, in long rows */
}
END_TEST

START_TEST(each_item_is_met_once)
{
	struct item *i;
	size_t at = 0, met = 0;

	set_up(UINT64_MAX);
	for (int n = 0; n < ITEMS; n++)
		add(&items[n]);
	while ((i = hash_next(&table, &at))) {
		i->in++;
		met++;
	}
	ck_assert_uint_eq(met, ITEMS);
	for (int n = 0; n < ITEMS; n++)
		ck_assert_int_eq(items[n].in, 1);
	hash_free(&table);
}
END_TEST

/* With few hashes all items stand side by side, over the end of the table too. */
START_TEST(what_is_taken_out_on_the_way_hides_no_other_item)
{
	static const uint64_t hashes[] = {UINT64_MAX, 3000, 7};
	struct item *i;

	for (int round = 0; round < 3; round++) {
		size_t at = 0;

		set_up(hashes[round]);
		for (int n = 0; n < ITEMS; n++)
			add(&items[n]);
		while ((i = hash_next(&table, &at))) {
			i->in++;
			if (random() % 2) {
				take_out(i);
				at--;
			}
		}
		for (int n = 0; n < ITEMS; n++)
			ck_assert_int_ge(items[n].in, 1);
		hash_free(&table);
	}
}
END_TEST

START_TEST(a_set_has_what_was_put_in)
{
	struct hash set;

	spread = UINT64_MAX;
	ck_assert_int_eq(hash_init(&set, NULL), 0);
	for (int n = 0; n < ITEMS; n++)
		ck_assert_int_eq(hash_add(&set, &n, sizeof n, NULL), 1);
	for (int n = 0; n < 2 * ITEMS; n++)
		ck_assert_int_eq(hash_has(&set, &n, sizeof n), n < ITEMS);
	hash_free(&set);
}
END_TEST

START_TEST(nothing_is_left_after_clearing)
{
	struct hash set;

	spread = UINT64_MAX;
	ck_assert_int_eq(hash_init(&set, NULL), 0);
	for (int round = 0; round < 3;
		round++) { /* the second is small, in a large set */
		int count = round == 1 ? 10 : ITEMS;

		for (int n = 0; n < count; n++)
			ck_assert_int_eq(hash_add(&set, &n, sizeof n, NULL), 1);
		hash_clear(&set);
		for (int n = 0; n < count; n++)
			ck_assert_int_eq(hash_has(&set, &n, sizeof n), 0);
	}
	hash_free(&set);
}
END_TEST

START_TEST(each_table_has_a_key_of_its_own)
{
	struct siphash_key first;

	set_up(UINT64_MAX);
	find("user1");
	first = last_key;
	hash_free(&table);
	set_up(UINT64_MAX);
	find("user1");
	ck_assert_mem_ne(&first, &last_key, sizeof first);
	hash_free(&table);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		an_item_is_found_by_its_key_until_it_is_taken_out,
		a_key_has_one_item,
		it_grows_and_closes_its_gaps,
		keys_in_one_place_are_told_apart,
		each_item_is_met_once,
		what_is_taken_out_on_the_way_hides_no_other_item,
		a_set_has_what_was_put_in,
		nothing_is_left_after_clearing,
		each_table_has_a_key_of_its_own,
	};

	ADD_CASE(suite, tests);
}
