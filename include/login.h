/*
 * From the name that somebody has logged in with, as Postfix's sasl_username tells it, to
 * the mailbox of that user and how much may be in it while mail is sent.
 *
 * A login is the mailbox's whose record has it as login=, else of the mailbox of that
 * address, in its domain or in one that this is an alias of. No extension is cut off, and
 * no alias or catch-all is followed: those lead to mail, not to a person.
 */
#ifndef BRIM_LOGIN_H
#define BRIM_LOGIN_H

#include <stdint.h>

#include "address.h"
#include "conf.h"
#include "users.h"

struct login {
	char mailbox[ADDRESS_MAX + 1]; /* its key */
	uint64_t
		send_quota; /* bytes: its own, its domain's or the setting; 0: no limit */
};

/* Finds the login's mailbox: 1, 0 where it leads to none, -1 with the reason. */
int login_find(struct login *l, struct users *u, const struct conf *c, const char *login,
	struct reason *why);

#endif
