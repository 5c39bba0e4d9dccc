/* The encoding of RFC 3492, section 6.3, with its names and parameters. */
#include "punycode.h"

#include <string.h>

enum { BASE = 36, TMIN = 1, TMAX = 26, SKEW = 38, DAMP = 700, BIAS = 72, N = 128 };

static uint32_t
adapt(uint32_t delta, uint32_t points, int first)
{
	uint32_t k = 0;

	delta = first ? delta / DAMP : delta / 2;
	delta += delta / points;
	for (; delta > (BASE - TMIN) * TMAX / 2; k += BASE)
		delta /= BASE - TMIN;
	return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

/* Appends a number of variable length: the new end, or 0 where it does not fit. */
static size_t
put_number(char *to, size_t at, uint32_t q, uint32_t bias)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";

	for (uint32_t k = BASE;; k += BASE) {
		uint32_t t = k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;

		if (at == LABEL_MAX)
			return 0;
		if (q < t)
			break;
		to[at++] = digits[t + (q - t) % (BASE - t)];
		q = (q - t) / (BASE - t);
	}
	to[at++] = digits[q];
	return at;
}

/* The least character that is not less than N. */
static uint32_t
next_code(const uint32_t *codes, size_t count, uint32_t n)
{
	uint32_t least = UINT32_MAX;

	for (size_t i = 0; i < count; i++)
		if (codes[i] >= n && codes[i] < least)
			least = codes[i];
	return least;
}

int
punycode_label(char *to, const uint32_t *codes, size_t count)
{
	uint32_t n = N, delta = 0, bias = BIAS, basic = 0, done;
	size_t at = 4;

	memcpy(to, "xn--", at);
	for (size_t i = 0; i < count; i++)
		if (codes[i] < N) {
			if (at == LABEL_MAX)
				return -1;
			to[at++] = (char)codes[i];
			basic++;
		}
	done = basic;
	if (basic && at < LABEL_MAX)
		to[at++] = '-';
	for (; done < count; delta++, n++) {
		uint32_t next = next_code(codes, count, n);

		delta += (next - n) * (done + 1);
		n = next;
		for (size_t i = 0; i < count; i++) {
			delta += codes[i] < n;
			if (codes[i] != n)
				continue;
			at = put_number(to, at, delta, bias);
			if (!at)
				return -1;
			bias = adapt(delta, done + 1, done == basic);
			delta = 0;
			done++;
		}
	}
	to[at] = '\0';
	return (int)at;
}
