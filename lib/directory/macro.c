/*
 * A macro that the MTA did not expand (pipe(8), OpenSMTPD). This judges what a delivery
 * was given, and no look-up asks here: maps are asked for keys of any form, and what they
 * do not have is just not there.
 */
#include <string.h>

#include "mailbox.h"

/* No MTA takes one without a domain from a sender. */
int
mailbox_is_macro(const char *recipient, struct outcome *o)
{
	if (address_domain_key(recipient) ||
		(recipient[0] != '$' && recipient[0] != '%' && !strstr(recipient, "${")))
		return 0;
	outcome_set(o, VERDICT_MISCONFIGURED,
		"\"%.100s\" is no recipient: has the MTA expanded it?", recipient);
	return 1;
}
