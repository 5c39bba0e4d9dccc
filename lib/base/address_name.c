/* The domain goes through libidn2, the rest through address.c. */
#include "address_name.h"

#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
is_ascii(const char *text)
{
	while (*text && (unsigned char)*text < 0x80)
		text++;
	return *text == '\0';
}

/* The address with the domain that libidn2 makes of AT's, to be freed. */
static char *
map_domain(const char *text, const char *at, struct reason *why)
{
	char *ascii = NULL, *mapped = NULL;
	int result =
		idn2_to_ascii_8z(at + 1, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);

	if (result != IDN2_OK)
		reason_set(why, "the domain %.100s is no name: %.100s", at + 1,
			idn2_strerror(result));
	else if (asprintf(&mapped, "%.*s@%s", (int)(at - text), text, ascii) < 0) {
		mapped = NULL;
		reason_set(why, "no memory");
	}
	idn2_free(ascii);
	return mapped;
}

int
address_name(char *key, const char *text, struct reason *why)
{
	const char *at = address_domain_key(text);
	char *mapped;
	int result;

	if (address_check(text, why))
		return -1;
	if (!at || is_ascii(at))
		return address_key(key, text, why);
	mapped = map_domain(text, at, why);
	result = mapped && address_check(mapped, why) == 0 ? address_key(key, mapped, why)
							   : -1;
	free(mapped);
	return result;
}

char *
address_written(const char *key)
{
	const char *at = address_domain_key(key);
	char *domain = NULL, *written = NULL;

	if (!at || !strstr(at, "xn--") ||
		idn2_to_unicode_8z8z(at + 1, &domain, 0) != IDN2_OK)
		return NULL;
	if (strcmp(domain, at + 1) != 0 &&
		asprintf(&written, "%.*s@%s", (int)(at - key), key, domain) < 0)
		written = NULL;
	idn2_free(domain);
	return written;
}
