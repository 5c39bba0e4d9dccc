/*
 * A short share of fuzzing in each run of the tests: inputs made of a target's seeds by
 * chance. The seed is told, and FUZZ_SEED=number runs the same again; FUZZ_SHARE=number
 * says how many.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fuzz.h"
#include "tests/unit/suite.h"

#define INPUT_MAX 4096
#define SHARE     50000

static uint64_t state;

/* splitmix64 */
static uint64_t
next(uint64_t below)
{
	uint64_t n = (state += 0x9e3779b97f4a7c15);

	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
	n = (n ^ n >> 27) * 0x94d049bb133111eb;
	return (n ^ n >> 31) % below;
}

static const char *
some_seed(void)
{
	size_t count = 0;

	while (fuzz_seeds[count] != NULL)
		count++;
	return fuzz_seeds[next(count)];
}

/* Puts the bytes in at some place, over what is there or before it. */
static size_t
put_in(uint8_t *data, size_t size, const void *bytes, size_t length)
{
	size_t at = next(size + 1);

	if (size + length > INPUT_MAX)
		return size;
	if (next(2)) {
		memmove(data + at + length, data + at, size - at);
		size += length;
	}
	memcpy(data + at, bytes, length);
	return at + length > size ? at + length : size;
}

static size_t
remove_some(uint8_t *data, size_t size)
{
	size_t at = next(size + 1), length = next(size - at + 1);

	if (length > 8 && next(4))
		length = next(8);
	memmove(data + at, data + at + length, size - at - length);
	return size - length;
}

static size_t
change(uint8_t *data, size_t size)
{
	static const char odd[] = "\0\n\r :,@\"\\+.%=*<>0123456789\x7f\x80\xc3\xff";
	uint8_t copy[INPUT_MAX];
	const char *seed = some_seed();
	size_t at = next(size + 1);

	switch (next(5)) {
	case 0:
		return put_in(data, size, odd + next(sizeof odd - 1), 1);
	case 1:
		return remove_some(data, size);
	case 2: /* again */
		memcpy(copy, data, size);
		return put_in(data, size, copy + at, next(size - at + 1));
	case 3: /* a piece of another */
		at = next(strlen(seed) + 1);
		return put_in(data, size, seed + at, next(strlen(seed) - at + 1));
	default:
		if (size > 0)
			data[next(size)] ^= (uint8_t)(1 << next(8));
		return size;
	}
}

START_TEST(no_input_breaks_a_promise)
{
	static uint8_t data[INPUT_MAX];
	const char *given = getenv("FUZZ_SEED"), *share = getenv("FUZZ_SHARE");
	const long count = share != NULL ? atol(share) : SHARE;

	if (given != NULL)
		state = strtoull(given, NULL, 10);
	else
		ck_assert_int_eq(getrandom(&state, sizeof state, 0), sizeof state);
	printf("FUZZ_SEED=%llu is the seed of these %ld inputs\n",
		(unsigned long long)state, count);
	fflush(stdout);
	for (long i = 0; i < count; i++) {
		const char *seed = some_seed();
		size_t size = strlen(seed);

		memcpy(data, seed, size);
		for (uint64_t changes = next(9); changes > 0; changes--)
			size = change(data, size);
		LLVMFuzzerTestOneInput(data, size);
	}
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {no_input_breaks_a_promise};

	ADD_CASE(suite, tests, .timeout = 300);
}
