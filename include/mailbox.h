/*
 * From a recipient's address to its mailbox: the order of look-ups, aliases, alias
 * domains, the domain's catch-all, defaults, and what the record alone decides (moved,
 * disabled, too large). lda and quotad both ask here, so that the same question gets the
 * same answer.
 */
#ifndef BRIM_MAILBOX_H
#define BRIM_MAILBOX_H

#include <stdint.h>
#include <sys/types.h>

#include "address.h"
#include "conf.h"
#include "mailbox_record.h"
#include "users.h"
#include "verdict.h"

#define MAILBOX_ALIASES_MAX 10 /* in a row; and as many alias domains */

/* What a look-up went by. */
enum mailbox_match {
	MAILBOX_NO_MATCH,  /* the table has no such name */
	MAILBOX_CAUGHT,    /* its domain's catch-all, since it has no such name */
	MAILBOX_MATCH,     /* a record of that name; what it leads to may be wrong */
	MAILBOX_UNREADABLE /* it can't be told: the table is damaged */
};

struct mailbox {
	enum mailbox_match match; /* as mailbox_find left it, whatever it returned */
	char key[ADDRESS_MAX +
		 1]; /* the mailbox's name in the table, on the socket, in logs */
	uid_t uid;
	gid_t gid;
	char *path;        /* mail=; ends in '/' for a Maildir */
	uint64_t quota;    /* bytes; 0 is no limit, as below */
	uint64_t messages; /* limit of messages */
	uint64_t over_quota;
	uint64_t smtp_full_waits; /* mail for it waits when it is full */
	enum mailbox_state state;
	char *moved_to; /* NULL but for MAILBOX_MOVED with a known address */
};

/* Finds the recipient's mailbox. 0 with *m filled (mailbox_clear frees it), or -1 with
 * the outcome: no such user, or an error of ours. ADDRESS_TEXT is as the MTA gave it; an
 * extension may make it longer than any key. */
int mailbox_find(struct mailbox *m, struct users *u, const struct conf *c,
	const char *address_text, struct outcome *o);

/* Finds the record that the address leads to at once: no alias is followed, no domain
 * looked for. 1 with the record, 0, -1. */
int mailbox_find_record(struct users *u, const struct conf *c, const struct address *a,
	struct record *r, struct reason *why);

/* The same, and where there is none in the domain that the address's is an alias of: A
 * becomes the address there. 0 with the record of the last domain, or without a key. R is
 * cleared by the caller. */
int mailbox_find_in_domains(struct users *u, const struct conf *c, struct address *a,
	struct record *r, struct reason *why);

/* The record of the domain, which may be any text, in either form: 1, 0, -1. R is cleared
 * by the caller. */
int mailbox_find_domain(
	struct users *u, const char *domain, struct record *r, struct reason *why);

/* The address that is looked up: less the extension where it would be too long for a key
 * with it, since MTAs take extensions of any length; then it is in SHORTER. */
const char *mailbox_cut_extension(
	char shorter[ADDRESS_MAX + 1], const char *text, const char *delimiters);

/* Nobody has the address: -1 with the outcome, no such user or an error of ours. OWNED:
 * the table has its domain. A is NULL where it can't be a key. */
int mailbox_nobody(struct users *u, const struct conf *c, int owned,
	const struct address *a, const char *domain, struct outcome *o);

/* Whether the recipient of a delivery, that nobody has, is a macro of the MTA's settings
 * that was not expanded: 1 with the outcome, a mistake in those, or 0. */
int mailbox_is_macro(const char *recipient, struct outcome *o);

/* Whether accounts of this host have addresses in the domain: 1, 0, -1. */
int mailbox_domain_has_accounts(
	struct users *u, const struct conf *c, const char *domain, struct reason *why);

/* Fills a mailbox from its record, with the defaults of its domain (record or NULL) and
 * of the settings; -1 with the reason where the record makes no sense. */
int mailbox_from_record(struct mailbox *m, const struct record *r,
	const struct record *domain, const struct conf *c, struct reason *why);

void mailbox_clear(struct mailbox *m);

/* What the record alone says to a message of so many bytes (0: not known yet): 0, or -1
 * with the outcome. */
int mailbox_policy(
	const struct mailbox *m, const struct conf *c, uint64_t bytes, struct outcome *o);

/* Tells one place from another: a hash of the mailbox's path and of its owner. lda and
 * quotad compare theirs, since their tables may differ for a moment. */
uint64_t mailbox_place(const char *path, uint64_t uid);

/* Whether the domain is one of this host's: local_domains names it (or is empty, and it
 * is the host's name), or it is this host's whatever the settings say (this_host.h). */
int mailbox_domain_is_local(const struct conf *c, const char *domain);

/* Whether the address is one of this host or of a domain of the table, whoever has it: 1,
 * 0, -1. One without a domain is. */
int mailbox_address_is_ours(
	struct users *u, const struct conf *c, const char *address, struct reason *why);

#endif
