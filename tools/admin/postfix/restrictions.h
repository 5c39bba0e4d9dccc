/*
 * smtpd(8)'s lists of restrictions, such as smtpd_recipient_restrictions, and the policy
 * services in them: "check_policy_service unix:PATH", or with "{ unix:PATH, NAME=VALUE
 * }", which says what holds while the service is down (SMTPD_POLICY_README).
 */
#ifndef BRIMADM_POSTFIX_RESTRICTIONS_H
#define BRIMADM_POSTFIX_RESTRICTIONS_H

#include "postconf.h"

#define RESTRICTIONS_POLICY "check_policy_service"

/* What Brim's policy service gets behind its path: while quotad is down, or hangs, mail
 * is taken, and judged at its delivery. */
#define RESTRICTIONS_ACTION  "DUNNO"
#define RESTRICTIONS_TIMEOUT "5s"
#define RESTRICTIONS_TRIES   "2" /* the second over a new connection */

struct restriction {
	char *word;
	const char *setting; /* whose value has it: the list, or one of
				smtpd_restriction_classes */
};

struct restrictions {
	struct restriction *list;
	size_t count, room;
};

/* Adds the words of the setting NAME as it holds for the service, with those of its
 * classes in their place. 0, or -1 without memory; restrictions_free in any case. */
int restrictions_read(struct restrictions *r, const struct postconf *p,
	const struct postconf_service *s, const char *name);

void restrictions_free(struct restrictions *r);

/* Whether WORD is one that ends a list for mail to foreign domains: "reject_..." and
 * "defer_unauth_destination". */
int restrictions_guards(const char *word);

/* Whether the word stands in LIST, in any case of its letters; no class is looked into.
 */
int restrictions_have(const char *list, const char *word);

/* Whether WORD permits mail to this host's own domains: what is behind it is not asked
 * about that. */
int restrictions_pass(const char *word);

/* LIST, which has no policy service of Brim's, with ARGUMENT's in its place: before what
 * lets this host's domains pass, else behind the guard; in a list without one before the
 * word that ends all lists, else at the end. FIRST: in front of all. MEANT is the list
 * with the values of the parameters that it names, and is taken where one of them has the
 * place. As a new string; NULL without memory. */
char *restrictions_place(
	const char *list, const char *meant, const char *argument, int first);

/* LIST with OLD in the place of NEW, or, with NULL, without it and the word before it.
 * The LAST that it has, or the first. As a new string; NULL without memory. */
char *restrictions_replace(const char *list, const char *old, const char *new, int last);

/* The list as -o of master.cf takes it, with commas for the blanks, as a new string; NULL
 * where a blank is part of a value, or without memory. */
char *restrictions_compact(const char *list);

/* --- the argument of check_policy_service ---------------------------------------- */

/* "unix:private/brim-policy", as a new string. */
char *policy_endpoint(const char *argument);

/* The value of the attribute, as a new string; NULL where it has none. */
char *policy_attribute(const char *argument, const char *name);

/* The argument with another endpoint (NULL: its own), and, if SAFE, with what is to hold
 * while the service is down; as a new string. */
char *policy_argument(const char *argument, const char *endpoint, int safe);

#endif
