/* What can be seen of UTF-8; apart, since few programs show any. */
#include "printable.h"

#include <string.h>

#include "fold.h"

struct range {
	uint32_t first, last;
};

/* Unicode's characters without a shape of their own (DerivedCoreProperties.txt), in
 * order. */
static const struct range invisible[] = {{0x80, 0xa0}, {0xad, 0xad}, {0x34f, 0x34f},
	{0x61c, 0x61c}, {0x115f, 0x1160}, {0x1680, 0x1680}, {0x17b4, 0x17b5},
	{0x180b, 0x180f}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f},
	{0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xfe00, 0xfe0f},
	{0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};

/* Nobody but a private agreement says what these look like; the ends of planes are no
 * characters at all, see below. */
static const struct range unshared[] = {
	{0xe000, 0xf8ff}, {0xfdd0, 0xfdef}, {0xf0000, 0x10ffff}};

static int
is_within(const struct range *ranges, size_t count, uint32_t code)
{
	for (size_t i = 0; i < count; i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return 1;
	return 0;
}

int
printable_is_invisible(uint32_t code)
{
	return is_within(invisible, sizeof invisible / sizeof *invisible, code);
}

static int
is_ascii(char byte)
{
	return byte >= ' ' && byte <= '~';
}

/* Whether the character, beyond ASCII, can be seen. */
static int
is_visible(uint32_t code)
{
	return !printable_is_invisible(code) && (code & 0xfffe) != 0xfffe &&
	       !is_within(unshared, sizeof unshared / sizeof *unshared, code);
}

static void
mask_unseen(char *text)
{
	uint32_t code;

	for (size_t n; *text; text += n) {
		n = fold_read(text, &code);
		if (n > 1 && is_visible(code))
			continue;
		n = n ? n : 1;
		if (!is_ascii(*text))
			memset(text, '?', n);
	}
}

void
printable_keep_utf8(void)
{
	printable_mask_by(mask_unseen);
}
