/*
 * Whether others than Brim have mailboxes in the domains of the user table, by Postfix's
 * own tables of recipients. What can't be told is taken for a yes: a valid address that
 * is refused is lost mail, an unknown one that is passed is refused a moment later.
 */
#ifndef BRIMADM_POSTFIX_OTHERS_H
#define BRIMADM_POSTFIX_OTHERS_H

#include "conf.h"
#include "postconf.h"

/* Whether MAPS, a value of virtual_mailbox_maps, has such a mailbox that is delivered by
 * another than Brim. TRANSPORTS are those by which Brim delivers (plan.h). */
int others_have_mailboxes(const struct postconf *now, const struct conf *conf,
	const char *maps, unsigned transports);

#endif
