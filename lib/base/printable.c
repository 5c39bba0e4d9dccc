/* Masking: in place, byte for byte, so that no text grows. */
#include "printable.h"

static void (*mask)(char *text) = printable_ascii;

void
printable_ascii(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void
printable_text(char *text)
{
	mask(text);
}

void
printable_mask_by(void (*other)(char *text))
{
	mask = other;
}
