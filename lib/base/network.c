/* Networks: an address and how many of its bits count. */
#include "network.h"

#include <arpa/inet.h>
#include <string.h>

#include "amount.h"

#define TEXT_MAX  64
#define FOUR_BITS 96 /* before an IPv4 address in IPv6's form */

int
network_address(unsigned char address[NETWORK_ADDRESS], const char *text)
{
	static const unsigned char mapped[NETWORK_ADDRESS] = {[10] = 0xff, [11] = 0xff};
	unsigned char four[4];

	if (inet_pton(AF_INET6, text, address) == 1)
		return 0;
	if (inet_pton(AF_INET, text, four) != 1)
		return -1;
	memcpy(address, mapped, NETWORK_ADDRESS);
	memcpy(address + NETWORK_ADDRESS - sizeof four, four, sizeof four);
	return 0;
}

/* Reads TEXT, which is changed: 0, or -1. */
static int
parse(struct network *n, char *text)
{
	char *slash = strchr(text, '/');
	size_t length;
	uint64_t most, bits;

	if (slash)
		*slash++ = '\0';
	length = strlen(text);
	if (text[0] == '[' && text[length - 1] == ']') {
		text[length - 1] = '\0';
		text++;
	}
	if (network_address(n->address, text))
		return -1;
	most = strchr(text, ':') ? 128 : 32;
	bits = most;
	if (slash && (amount_count(slash, &bits, NULL) || bits > most))
		return -1;
	n->bits = (unsigned)(bits + (most == 32 ? FOUR_BITS : 0));
	return 0;
}

int
network_parse(struct network *n, const char *text, struct reason *why)
{
	char copy[TEXT_MAX];

	*n = (struct network){.bits = 0};
	if (strlen(text) < sizeof copy && parse(n, strcpy(copy, text)) == 0)
		return 0;
	return reason_set(why,
		"\"%.60s\" is not an address or a network such as 192.0.2.0/24 or "
		"[2001:db8::]/64",
		text);
}

int
network_has(const struct network *n, const unsigned char address[NETWORK_ADDRESS])
{
	size_t bytes = n->bits / 8;
	unsigned rest = n->bits % 8;
	unsigned char mask = (unsigned char)(0xff00U >> rest);

	if (memcmp(n->address, address, bytes) != 0)
		return 0;
	return rest == 0 || ((n->address[bytes] ^ address[bytes]) & mask) == 0;
}
