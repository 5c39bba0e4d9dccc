/* Sizes, times and counts: read whole or refused, and never wrapped. */
#include "amount.h"

#include <stdio.h>
#include <string.h>

#define YEAR (365 * 86400ULL)

static const struct unit {
	char letter;
	uint64_t factor;
} size_units[] = {{'P', 1ULL << 50}, {'T', 1ULL << 40}, {'G', 1ULL << 30},
	{'M', 1ULL << 20}, {'K', 1ULL << 10}, {'B', 1}, {0, 0}},
  time_units[] = {
	  {'w', 7 * 86400}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}, {0, 0}};

/* Reads digits up to the first other byte; NULL if there are none or they overflow. */
static const char *
digits(const char *text, uint64_t *n)
{
	const char *p = text;

	for (*n = 0; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*n, 10, n) ||
			__builtin_add_overflow(*n, (uint64_t)(*p - '0'), n))
			return NULL;
	return p == text ? NULL : p;
}

static uint64_t
find_factor(const struct unit *units, char letter)
{
	for (; units->letter; units++)
		if (units->letter == letter)
			return units->factor;
	return 0;
}

int
amount_count(const char *text, uint64_t *n, struct reason *why)
{
	const char *end = digits(text, n);

	if (!end || *end)
		return reason_set(why, "\"%.40s\" is not a number", text);
	return 0;
}

char *
amount_put(char *to, uint64_t n)
{
	char digit[AMOUNT_SIZE];
	size_t count = 0;

	do
		digit[count++] = (char)('0' + n % 10);
	while (n /= 10);
	while (count > 0)
		*to++ = digit[--count];
	*to = '\0';
	return to;
}

/* A fraction's digits (at most nine) as a part of FACTOR, rounded down. */
static const char *
fraction(const char *text, uint64_t factor, uint64_t *part)
{
	uint64_t value = 0, scale = 1;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (p - text == 9)
			return NULL;
		value = value * 10 + (uint64_t)(*p - '0');
		scale *= 10;
	}
	*part = (uint64_t)((unsigned __int128)factor * value / scale);
	return p == text ? NULL : p;
}

int
amount_size(const char *text, uint64_t *bytes, struct reason *why)
{
	size_t length = strlen(text);
	char letter = length ? text[length - 1] : '\0';
	uint64_t factor, whole, part = 0;
	const char *p = digits(text, &whole);

	if (letter >= 'a' && letter <= 'z')
		letter = (char)(letter - 'a' + 'A');
	factor = find_factor(size_units, letter);
	if (p && *p == '\0' && whole == 0) {
		*bytes = 0;
		return 0;
	}
	if (p && *p == '\0')
		return reason_set(why,
			"\"%.40s\" has no unit: write %.40sB, %.40sK, %.40sM or %.40sG",
			text, text, text, text, text);
	if (p && *p == '.' && factor > 1)
		p = fraction(p + 1, factor, &part);
	if (!p || p + 1 != text + length || !factor ||
		__builtin_mul_overflow(whole, factor, bytes) ||
		__builtin_add_overflow(*bytes, part, bytes))
		return reason_set(why,
			"\"%.40s\" is not a size: write one like 512K, 100M or 1.5G",
			text);
	if (*bytes == 0 && strpbrk(text, "123456789")) /* 0 would mean no limit */
		return reason_set(why, "\"%.40s\" is less than a byte", text);
	return 0;
}

int
amount_time(const char *text, uint64_t *seconds, struct reason *why)
{
	const char *p = digits(text, seconds);
	uint64_t factor = p && *p ? find_factor(time_units, *p) : 0;

	if (p && *p == '\0' && *seconds == 0)
		return 0;
	if (!p || !factor || p[1] || __builtin_mul_overflow(*seconds, factor, seconds) ||
		*seconds > 10 * YEAR)
		return reason_set(why,
			"\"%.40s\" is not a time: write one like 90s, 15m, 12h or 3d",
			text);
	return 0;
}

const char *
amount_show(uint64_t bytes, char buf[AMOUNT_SIZE])
{
	const struct unit *u = size_units;
	uint64_t whole, hundredths;

	while (u->factor > 1 && bytes < u->factor)
		u++;
	whole = bytes / u->factor;
	hundredths = (uint64_t)((unsigned __int128)(bytes % u->factor) * 100 / u->factor);
	if (whole < 10 && hundredths % 10)
		snprintf(buf, AMOUNT_SIZE, "%llu.%02llu%c", (unsigned long long)whole,
			(unsigned long long)hundredths, u->letter);
	else if (whole < 100 && hundredths >= 10)
		snprintf(buf, AMOUNT_SIZE, "%llu.%llu%c", (unsigned long long)whole,
			(unsigned long long)hundredths / 10, u->letter);
	else
		snprintf(
			buf, AMOUNT_SIZE, "%llu%c", (unsigned long long)whole, u->letter);
	return buf;
}

static const char *
show_exact(const struct unit *u, uint64_t n, char buf[AMOUNT_SIZE])
{
	while (u->factor > 1 && (n == 0 || n % u->factor))
		u++;
	snprintf(buf, AMOUNT_SIZE, "%llu%c", (unsigned long long)(n / u->factor),
		u->letter);
	return buf;
}

const char *
amount_exact(uint64_t bytes, char buf[AMOUNT_SIZE])
{
	return show_exact(size_units, bytes, buf);
}

const char *
amount_show_time(uint64_t seconds, char buf[AMOUNT_SIZE])
{
	return show_exact(time_units, seconds, buf);
}

const char *
amount_of(uint64_t n, const char *one, const char *many, char buf[AMOUNT_OF_SIZE])
{
	snprintf(buf, AMOUNT_OF_SIZE, "%llu %s", (unsigned long long)n,
		n == 1 ? one : many);
	return buf;
}

uint64_t
amount_add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

uint64_t
amount_subtract(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}
