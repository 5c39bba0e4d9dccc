/* Addresses: cut at the last '@', folded, bounded, nothing trusted. */
#include "address.h"

#include <string.h>

/* Copies LENGTH bytes with ASCII letters in lower case. */
static void
fold(char *to, const char *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] - 'A' + 'a'
								: from[i]);
	to[length] = '\0';
}

static int
check_bytes(const char *text, struct reason *why)
{
	size_t length = strnlen(text, ADDRESS_MAX + 1);

	if (length == 0)
		return reason_set(why, "the address is empty");
	if (length > ADDRESS_MAX)
		return reason_set(
			why, "the address is longer than %d bytes", ADDRESS_MAX);
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return reason_set(why, "the address has a control byte in it");
	return 0;
}

/* Where the extension begins: behind the first delimiter that isn't the first byte. */
static const char *
find_extension(const char *local, const char *delimiters)
{
	size_t user = local[0] ? 1 + strcspn(local + 1, delimiters) : 0;

	return delimiters[0] && local[user] ? local + user + 1 : NULL;
}

char *
address_domain_key(const char *address)
{
	return strrchr(address, '@');
}

int
address_parse(
	struct address *a, const char *text, const char *delimiters, struct reason *why)
{
	const char *at;
	size_t local, user;

	memset(a, 0, sizeof *a);
	if (check_bytes(text, why))
		return -1;
	fold(a->text, text, strlen(text));
	at = address_domain_key(a->text);
	local = at ? (size_t)(at - a->text) : strlen(a->text);
	if (local == 0)
		return reason_set(why, "the address has nothing before its @");
	if (at && at[1] == '\0')
		return reason_set(why, "the address has nothing behind its @");
	memcpy(a->local, a->text, local);
	if (at)
		strcpy(a->domain, at + 1);
	a->extension = find_extension(a->local, delimiters);
	user = a->extension ? (size_t)(a->extension - a->local) - 1 : local;
	memcpy(a->user, a->local, user);
	memcpy(a->base, a->local, user);
	if (at)
		strcpy(a->base + user, at);
	return 0;
}

int
address_key(char *key, const char *text, struct reason *why)
{
	const char *at;

	if (check_bytes(text, why))
		return -1;
	fold(key, text, strlen(text));
	at = address_domain_key(key);
	if (at && at[1] == '\0')
		return reason_set(why, "the address has nothing behind its @");
	return 0;
}
