/* Folding, a character at a time; most are ASCII and need no table. */
#include "fold.h"

#include <string.h>

#define SECOND (1u << 31)

size_t
fold_read(const char *p, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)*p;
	size_t n = first < 0x80   ? 1
		   : first < 0xc2 ? 0
		   : first < 0xe0 ? 2
		   : first < 0xf0 ? 3
		   : first < 0xf5 ? 4
				  : 0;

	*code = n > 1 ? first & (0x7fu >> n) : first;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | ((unsigned char)p[i] & 0x3f);
	}
	if (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return n;
}

size_t
fold_write(char *to, uint32_t code)
{
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		to[i] = (char)(0x80 | (code & 0x3f));
	to[0] = (char)(n == 1 ? code : (0xf00u >> n & 0xff) | code);
	return n;
}

uint32_t
fold_code(uint32_t code)
{
	size_t low = 0, high = fold_range_count;

	if (code < 0x80)
		return code >= 'A' && code <= 'Z' ? code - 'A' + 'a' : code;
	while (low < high) {
		const struct fold_range *r = &fold_ranges[(low + high) / 2];
		uint32_t first = r->first & ~SECOND;

		if (code < first)
			high = (low + high) / 2;
		else if (code - first > r->more)
			low = (low + high) / 2 + 1;
		else if (r->first & SECOND && (code - first) % 2)
			return code;
		else
			return (code & ~0xffffu) | ((code + r->distance) & 0xffff);
	}
	return code;
}

int
fold_text(char *to, size_t size, const char *from, size_t length)
{
	size_t at = 0;

	for (size_t i = 0, n; i < length; i += n) {
		uint32_t code;
		char bytes[4] = {from[i]};
		size_t written = 1;

		n = fold_read(from + i, &code);
		if (n)
			written = fold_write(bytes, fold_code(code));
		else
			n = 1;
		if (at + written >= size)
			return -1;
		memcpy(to + at, bytes, written);
		at += written;
	}
	to[at] = '\0';
	return (int)at;
}
