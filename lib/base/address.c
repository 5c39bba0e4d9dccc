/* Addresses: cut at the last '@', made canonical, bounded, nothing trusted. */
#include "address.h"

#include <string.h>

#include "fold.h"
#include "literal.h"
#include "punycode.h"
#include "quoted.h"

#define FINAL_SIGMA 0x3c2 /* a letter of its own in domains (RFC 5892) */

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

char *
address_domain_key(const char *address)
{
	return strrchr(address, '@');
}

/* --- the canonical form --------------------------------------------------------- */

/* The A-label of the label: its length, or -1 where it has none or needs none. */
static int
ascii_label(char to[LABEL_MAX + 1], const char *label, size_t length)
{
	uint32_t codes[LABEL_MAX];
	size_t count = 0;
	int wide = 0;

	for (size_t i = 0, n; i < length; i += n, count++) {
		n = count < LABEL_MAX ? fold_read(label + i, &codes[count]) : 0;
		if (n == 0)
			return -1;
		wide |= n > 1;
		if (codes[count] != FINAL_SIGMA)
			codes[count] = fold_code(codes[count]);
	}
	return wide ? punycode_label(to, codes, count) : -1;
}

/* "@domain" into TO, a string of less than SIZE bytes: 0, -1 where it does not fit. */
static int
domain_key(char *to, size_t size, const char *domain)
{
	char label[LABEL_MAX + 1];

	if (size > 1 && literal_key(to + 1, size - 1, domain + 1) > 0) {
		*to = *domain;
		return 0;
	}
	while (*domain) {
		size_t length = strcspn(domain + 1, ".");
		int n = ascii_label(label, domain + 1, length);

		if (size < 2)
			return -1;
		*to = *domain;
		n = n < 0 ? fold_text(to + 1, size - 1, domain + 1, length)
			  : fold_text(to + 1, size - 1, label, (size_t)n);
		if (n < 0)
			return -1;
		to += n + 1;
		size -= (size_t)n + 1;
		domain += length + 1;
	}
	return 0;
}

/* Whether nothing in it has another form: most addresses are made of these alone. */
static int
is_canonical(const char *text)
{
	for (; *text; text++)
		if (!(*text >= 'a' && *text <= 'z') && !(*text >= '-' && *text <= '9') &&
			*text != '@' && *text != '_' && *text != '+')
			return 0;
	return 1;
}

/* TEXT has ADDRESS_MAX bytes at most. */
static int
make_canonical(char *key, const char *text, struct reason *why)
{
	char local[ADDRESS_MAX + 1];
	const char *at = address_domain_key(text);
	size_t length = at ? (size_t)(at - text) : strlen(text);
	int n;

	if (is_canonical(text)) {
		strcpy(key, text);
		return 0;
	}
	if (quoted_take(local, text, length)) {
		memcpy(local, text, length);
		local[length] = '\0';
	}
	n = fold_text(key, ADDRESS_MAX + 1, local, strlen(local));
	if (n < 0 || (at && domain_key(key + n, ADDRESS_MAX + 1 - (size_t)n, at)))
		return reason_set(
			why, "the address is longer than %d bytes", ADDRESS_MAX);
	return 0;
}

static void
make_older(char *key, const char *text)
{
	for (; *text; text++)
		*key++ = (char)(*text >= 'A' && *text <= 'Z' ? *text - 'A' + 'a' : *text);
	*key = '\0';
}

/* --- an address taken apart ----------------------------------------------------- */

/* Where the extension begins: behind the first delimiter that isn't the first byte. */
static const char *
find_extension(const char *local, const char *delimiters)
{
	size_t user = local[0] ? 1 + strcspn(local + 1, delimiters) : 0;

	return delimiters[0] && local[user] ? local + user + 1 : NULL;
}

/* Cuts a->text. */
static int
cut(struct address *a, const char *delimiters, struct reason *why)
{
	const char *at = address_domain_key(a->text);
	size_t local = at ? (size_t)(at - a->text) : strlen(a->text), user;

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
address_parse(
	struct address *a, const char *text, const char *delimiters, struct reason *why)
{
	memset(a, 0, sizeof *a);
	if (check_bytes(text, why) || make_canonical(a->text, text, why))
		return -1;
	make_older(a->older, text);
	if (strcmp(a->older, a->text) == 0)
		a->older[0] = '\0';
	return cut(a, delimiters, why);
}

int
address_parse_older(
	struct address *a, const char *text, const char *delimiters, struct reason *why)
{
	memset(a, 0, sizeof *a);
	if (check_bytes(text, why))
		return -1;
	make_older(a->text, text);
	return cut(a, delimiters, why);
}

/* --- keys ----------------------------------------------------------------------- */

static int
check_key(const char *key, struct reason *why)
{
	const char *at = address_domain_key(key);

	if (at && at[1] == '\0')
		return reason_set(why, "the address has nothing behind its @");
	return key[0] ? 0 : reason_set(why, "the address is empty");
}

void
address_drop_last_dot(char *address)
{
	char *at = address_domain_key(address);
	const size_t length = at ? strlen(at) : 0;

	if (length > 2 && at[length - 1] == '.' && at[length - 2] != '.')
		at[length - 1] = '\0';
}

int
address_key(char *key, const char *text, struct reason *why)
{
	if (check_bytes(text, why) || make_canonical(key, text, why))
		return -1;
	return check_key(key, why);
}

int
address_key_older(char *key, const char *text, struct reason *why)
{
	if (check_bytes(text, why))
		return -1;
	make_older(key, text);
	return check_key(key, why);
}

int
address_is_older(const void *key, size_t size)
{
	const uint8_t *bytes = key;
	char text[ADDRESS_MAX + 1], today[ADDRESS_MAX + 1];
	size_t plain = 0;

	while (plain < size && bytes[plain] < 0x80 && bytes[plain] != '"')
		plain++;
	if (plain == size || size > ADDRESS_MAX)
		return 0;
	memcpy(text, key, size);
	text[size] = '\0';
	return address_key(today, text, NULL) == 0 && strcmp(today, text) != 0;
}
