/*
 * Why no MTA would hand an address over for delivery: what RFC 5321 has no place for, in
 * the local part or in the domain, and what nobody sees who compares two addresses. Dots
 * in odd places of the local part are taken: MTAs take them.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "fold.h"
#include "literal.h"
#include "printable.h"
#include "punycode.h"
#include "quoted.h"

#define DOMAIN_MAX 253 /* RFC 1035 section 2.3.4, as text */

static int
check_visible(const char *text, int in_domain, struct reason *why)
{
	uint32_t code;

	for (size_t n; *text; text += n ? n : 1) {
		n = fold_read(text, &code);
		if (n < 2 || (in_domain && (code == 0x200c || code == 0x200d)))
			continue; /* joiners have a meaning in domains (RFC 5892 A) */
		if (printable_is_invisible(code))
			return reason_set(why,
				"the address has an invisible character in it (U+%04X)",
				(unsigned)code);
	}
	return 0;
}

/* --- the local part ------------------------------------------------------------- */

/* An '@' in a local part was quoted; where there is more, it is several addresses. */
static int
check_inner_at(const char *local, struct reason *why)
{
	size_t length = strlen(local);

	if (!strchr(local, '@'))
		return 0;
	if (local[0] == '@' || local[length - 1] == '@' || strstr(local, "@@"))
		return reason_set(why, "the address has an @ too many");
	if (local[strcspn(local, " ;:()[]\"")])
		return reason_set(why, "this is more than one address, or not one alone");
	return 0;
}

static int
check_content(const char *local, struct reason *why)
{
	size_t length = strlen(local), odd = strcspn(local, "<>,");

	if (length == 0)
		return reason_set(why, "the address has nothing before its @");
	if (local[odd])
		return reason_set(why,
			"the address has \"%c\" in it: write the address alone, as "
			"name@example.org",
			local[odd]);
	if (local[0] == ' ' || local[length - 1] == ' ')
		return reason_set(why, "the address has a blank at an end of its name");
	if (local[0] == '"')
		return reason_set(why, "the address has a quotation mark too many");
	if (strncasecmp(local, "mailto:", 7) == 0)
		return reason_set(why, "mailto: is no part of an address");
	return check_visible(local, 0, why) || check_inner_at(local, why) ? -1 : 0;
}

static int
check_local(const char *text, size_t length, struct reason *why)
{
	char local[ADDRESS_MAX + 1];

	if (quoted_take(local, text, length)) {
		memcpy(local, text, length);
		local[length] = '\0';
	}
	return check_content(local, why);
}

/* --- the domain ----------------------------------------------------------------- */

static int
check_literal(const char *domain, struct reason *why)
{
	struct in6_addr address;

	if (literal_read(domain, &address))
		return 0;
	return reason_set(why,
		"%.60s is no address in brackets, as [192.0.2.1] or [IPv6:2001:db8::1]",
		domain);
}

/* One label, in the canonical form. */
static int
check_label(const char *label, size_t length, int is_last, struct reason *why)
{
	if (length == 0 && is_last)
		return reason_set(why, "the domain has a dot at its end");
	if (length == 0)
		return reason_set(why, "the domain has an empty part between its dots");
	if (length > LABEL_MAX)
		return reason_set(why,
			"the domain has a part of more than %d bytes between its dots",
			LABEL_MAX);
	if (label[0] == '-' || label[length - 1] == '-')
		return reason_set(
			why, "the domain has a part that begins or ends with -");
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)label[i];

		if (byte >= 0x80)
			return reason_set(why,
				"the domain is no UTF-8, or too long between its dots");
		if (!isalnum(byte) && byte != '-' && byte != '_')
			return reason_set(why, "the domain has \"%c\" in it", label[i]);
	}
	return 0;
}

static int
check_domain(const char *domain, struct reason *why)
{
	char key[ADDRESS_MAX + 1];

	if (domain[1] == '\0')
		return reason_set(why, "the address has nothing behind its @");
	if (check_visible(domain + 1, 1, why))
		return -1;
	if (domain[1] == '[')
		return check_literal(domain + 1, why);
	if (address_key(key, domain, why))
		return -1;
	if (strlen(key + 1) > DOMAIN_MAX)
		return reason_set(why, "the domain is longer than %d bytes", DOMAIN_MAX);
	for (const char *label = key + 1;; label++) {
		size_t length = strcspn(label, ".");

		if (check_label(label, length, label[length] == '\0', why))
			return -1;
		label += length;
		if (*label == '\0')
			break;
	}
	if (strspn(key + 1, "0123456789.") < strlen(key + 1))
		return 0;
	return reason_set(why,
		"the domain is a number: an address of a host is written as [192.0.2.1]");
}

int
address_check(const char *text, struct reason *why)
{
	char key[ADDRESS_MAX + 1];
	const char *at = address_domain_key(text);
	size_t length = at ? (size_t)(at - text) : strlen(text);

	if (address_key_older(key, text, why)) /* its length and bytes */
		return -1;
	if (length == 0 || check_local(text, length, why) == 0)
		return at ? check_domain(at, why) : 0;
	return -1;
}
