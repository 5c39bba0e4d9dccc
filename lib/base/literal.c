/* Read by inet_pton, but written here: inet_ntop spells an address otherwise in each C
 * library, and keys must be the same in all programs. */
#include "literal.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GROUPS 8
#define TAG    "ipv6:"

void
literal_map(struct in6_addr *to, const struct in_addr *from)
{
	memset(to, 0, sizeof *to);
	to->s6_addr[10] = to->s6_addr[11] = 0xff;
	memcpy(to->s6_addr + 12, from, sizeof *from);
}

int
literal_read(const char *domain, struct in6_addr *address)
{
	char text[INET6_ADDRSTRLEN + sizeof TAG];
	size_t length = strlen(domain);
	struct in_addr four;

	if (length < 3 || length - 2 >= sizeof text || domain[0] != '[' ||
		domain[length - 1] != ']')
		return 0;
	memcpy(text, domain + 1, length - 2);
	text[length - 2] = '\0';
	if (strncasecmp(text, TAG, strlen(TAG)) == 0)
		return inet_pton(AF_INET6, text + strlen(TAG), address) == 1 ? 6 : 0;
	if (inet_pton(AF_INET, text, &four) != 1)
		return 0;
	literal_map(address, &four);
	return 4;
}

/* The longest run of two zeros or more, the first of equals: where it begins, and its
 * length. */
static size_t
find_zeros(const uint16_t groups[GROUPS], size_t *length)
{
	size_t begin = GROUPS;

	*length = 1;
	for (size_t i = 0, n; i < GROUPS; i += n + 1) {
		for (n = 0; i + n < GROUPS && groups[i + n] == 0;)
			n++;
		if (n > *length) {
			begin = i;
			*length = n;
		}
	}
	return begin;
}

static void
write_groups(char text[INET6_ADDRSTRLEN], const struct in6_addr *address)
{
	uint16_t groups[GROUPS];
	size_t zeros, length, used = 0;

	for (size_t i = 0; i < GROUPS; i++)
		groups[i] = (uint16_t)(address->s6_addr[2 * i] << 8 |
				       address->s6_addr[2 * i + 1]);
	zeros = find_zeros(groups, &length);
	text[0] = '\0';
	for (size_t i = 0; i < GROUPS; i += i == zeros ? length : 1) {
		if (i == zeros)
			used += (size_t)snprintf(
				text + used, INET6_ADDRSTRLEN - used, "::");
		else
			used += (size_t)snprintf(text + used, INET6_ADDRSTRLEN - used,
				"%s%x", used && text[used - 1] != ':' ? ":" : "",
				groups[i]);
	}
}

int
literal_key(char *to, size_t size, const char *domain)
{
	struct in6_addr address;
	char text[INET6_ADDRSTRLEN];
	const uint8_t *b = address.s6_addr;
	int n;

	if (literal_read(domain, &address) != 6)
		return -1;
	if (IN6_IS_ADDR_V4MAPPED(&address))
		snprintf(text, sizeof text, "::ffff:%u.%u.%u.%u", b[12], b[13], b[14],
			b[15]);
	else
		write_groups(text, &address);
	n = snprintf(to, size, "[" TAG "%s]", text);
	return n >= 0 && (size_t)n < size ? n : -1;
}
