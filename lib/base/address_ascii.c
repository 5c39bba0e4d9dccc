/* UTF-8 as RFC 6533 writes it where 8-bit bytes can't go. */
#include "address_ascii.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The code point at the text, and how many bytes it takes: 0 where they are no UTF-8 (RFC
 * 3629 section 4: not the shortest form, a surrogate, too large). */
static size_t
read_code(const char *text, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t first = (uint8_t)*text;
	const size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (size == 1) {
		*code = first;
		return 1;
	}
	*code = first & (0x7fU >> size);
	for (size_t i = 1; i < size; i++) {
		if (((uint8_t)text[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | ((uint8_t)text[i] & 0x3f);
	}
	return first >= 0xc0 && first < 0xf8 && *code >= least[size] &&
			       *code <= 0x10ffff && (*code < 0xd800 || *code > 0xdfff)
		       ? size
		       : 0;
}

int
address_ascii(char *to, size_t size, const char *address)
{
	int is_wide = 0;
	size_t used = 0, n;
	uint32_t code;

	for (const char *c = address; *c; c++)
		is_wide |= (uint8_t)*c >= 0x80;
	for (; *address; address += n) {
		n = read_code(address, &code);
		if (n == 0 || used + sizeof "\\x{10FFFF}" > size)
			return -1;
		/* those three are escaped, too, or the form could not be told from text
		 */
		if (is_wide && (n > 1 || strchr("\\+=", (int)code)))
			used += (size_t)snprintf(
				to + used, size - used, "\\x{%02X}", code);
		else
			to[used++] = *address;
	}
	to[used] = '\0';
	return 0;
}
