/* Whose a domain is: the table's, this host's, or another's. */
#include <string.h>

#include "mailbox.h"

int
mailbox_address_is_ours(
	struct users *u, const struct conf *c, const char *address, struct reason *why)
{
	const char *at = address_domain_key(address);
	char key[ADDRESS_MAX + 1];
	struct record domain;
	int found;

	if (!at)
		return 1;
	if (address_key(key, at, NULL))
		return 0;
	if (mailbox_domain_is_local(c, key + 1))
		return 1;
	found = users_get(u, key, &domain, why);
	if (!found && address_key_older(key, at, NULL) == 0)
		found = users_get(u, key, &domain, why);
	record_clear(&domain);
	return found;
}
