/* Modified UTF-7: base64 of UTF-16 between "&" and "-". */
#include "utf7.h"

#include <stdint.h>
#include <string.h>

#include "fold.h"

#define SURROGATE_HIGH 0xD800
#define SURROGATE_LOW  0xDC00
#define SURROGATES_END 0xE000

struct decoding {
	char *to, *end; /* room for a character is left before it */
	uint32_t bits;  /* read and not yet used */
	int bit_count;
	uint32_t high; /* the first half of a character; 0 without */
};

static int
put(struct decoding *d, uint32_t code)
{
	if (d->to + 4 >= d->end)
		return -1;
	d->to += fold_write(d->to, code);
	return 0;
}

/* 16 bits: a character, or half of one. */
static int
put_unit(struct decoding *d, uint32_t unit)
{
	const uint32_t high = d->high;

	d->high = 0;
	if (high) {
		if (unit < SURROGATE_LOW || unit >= SURROGATES_END)
			return -1;
		return put(d, 0x10000 + ((high - SURROGATE_HIGH) << 10) +
				      (unit - SURROGATE_LOW));
	}
	if (unit >= SURROGATE_LOW && unit < SURROGATES_END)
		return -1;
	if (unit >= SURROGATE_HIGH && unit < SURROGATE_LOW) {
		d->high = unit;
		return 0;
	}
	return unit ? put(d, unit) : -1;
}

/* What stands between "&" and END. */
static int
put_base64(struct decoding *d, const char *p, const char *end)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789+,";
	const char *digit;

	d->bits = 0;
	d->bit_count = 0;
	for (; p < end; p++) {
		digit = strchr(digits, *p);
		if (!digit)
			return -1;
		d->bits = (d->bits << 6 | (uint32_t)(digit - digits)) & 0x3FFFFF;
		d->bit_count += 6;
		if (d->bit_count < 16)
			continue;
		d->bit_count -= 16;
		if (put_unit(d, d->bits >> d->bit_count & 0xFFFF))
			return -1;
	}
	return d->high || d->bit_count >= 6 ? -1 : 0;
}

int
utf7_decode(char *to, size_t size, const char *name)
{
	struct decoding d = {.to = to, .end = to + size};

	for (const char *p = name; *p; p++) {
		const char *end = *p == '&' ? strchr(p, '-') : p;

		if (!end || d.to + 1 >= d.end)
			return -1;
		if (end == p || end == p + 1)
			*d.to++ = *p;
		else if (put_base64(&d, p + 1, end))
			return -1;
		p = end;
	}
	*d.to = '\0';
	return 0;
}
