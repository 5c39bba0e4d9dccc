/*
 * The further names that an MTA gives for a delivery, beside the one that is tried first.
 * Nothing is looked up here.
 *
 * Postfix's environment has '_' for every byte that is not in its
 * command_expansion_filter; OpenSMTPD's has ':' for '/' (both measured).
 */
#ifndef LDA_NAMES_H
#define LDA_NAMES_H

#include "recipient.h"

/* Whether the address of the environment may stand for another one. */
int names_may_hide(const struct envelope *e);

/* Whether EXACT is what the address of the environment stands for. An alias that only
 * looks alike is not: no '.' or '-' becomes '_'. */
int names_is_hidden(const struct envelope *e, const char *exact);

/* Puts them together, in the order in which they are tried: the environment's address
 * where an option gave another, its exact form, less the extension that the MTA has cut
 * off, with the prefix that it has cut off, the account of this host, the address before
 * aliases. TOP is the address in the message's Delivered-To:, or "". 0, -1 without
 * memory. */
int names_list(char *names[RECIPIENT_NAMES], const struct envelope *e, const char *top);

/* Whether the MTA's own Delivered-To: has been seen: TOP is the recipient's or, censored
 * or not, the one before aliases. */
int names_is_mtas(const struct envelope *e, const char *top);

#endif
