/*
 * What brim.conf must say for Postfix and Brim to see one name alike, where it does not:
 * the domains whose accounts are this host's, and the delimiters of extensions. The MTA
 * decides: a name that it hands over and Brim does not know is mail that waits or
 * bounces.
 */
#ifndef BRIMADM_POSTFIX_BRIM_SIDE_H
#define BRIMADM_POSTFIX_BRIM_SIDE_H

#include "conf.h"
#include "names.h"
#include "postconf.h"

/* Adds mydestination, and literals of the addresses in proxy_interfaces, which Postfix
 * takes as its own, too. 0, or -1 without memory. */
int brim_side_own(const struct postconf *now, const char *asked, struct names *own);

/* Whether an element of a list of domains can be one: no address, no pattern. */
int brim_side_is_domain(const char *name);

/* local_domains as it must be, as a new string; NULL where it is so, or no memory is. */
char *brim_side_local_domains(const struct postconf *now, const struct conf *conf);

/* Whether names are made of some of these delimiters ("none"): brim.conf refuses them. */
int brim_side_cuts_names(const char *delimiters);

/* recipient_delimiter as it must be: the bytes of Postfix's, and of each service's own,
 * but for such; NULL where it is so, where Postfix has none, or no memory is. */
char *brim_side_delimiters(const struct postconf *now, const struct conf *conf);

#endif
