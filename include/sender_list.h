/*
 * Senders that the site takes no mail from, as a file lists them: one a line, with
 * comments that begin with #.
 *
 *	name@example.org	this address
 *	@example.org		every address of this domain
 *	.example.org		and of the domains below it, too
 *
 * Case and the forms of a domain make no difference (address.h). The null sender, which
 * bounces and reports have (RFC 5321 section 4.5.5), is never on a list: a line that
 * would name it is a fault, and a file with a fault is no list.
 */
#ifndef BRIM_SENDER_LIST_H
#define BRIM_SENDER_LIST_H

#include <stddef.h>

#include "reason.h"

struct sender_list;

/* Reads the file, which nobody but root may be able to change (conf_check_owner). NULL
 * with the reason, which names the line. */
struct sender_list *sender_list_read(const char *path, struct reason *why);
void sender_list_free(struct sender_list **l);

/* How many lines name a sender, no two of them the same. */
size_t sender_list_count(const struct sender_list *l);

/* Whether the envelope sender is on the list: 1 or 0. "" and "<>" never are. */
int sender_list_has(const struct sender_list *l, const char *sender);

#endif
