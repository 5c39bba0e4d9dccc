/*
 * What Postfix asks quotad while the sender is still there, as settings: its policy
 * service in the lists of restrictions, its maps in the place of tables of addresses.
 * What stands there already stays, in its order. The README tells the order, and why.
 */
#ifndef BRIMADM_POSTFIX_SMTP_TIME_H
#define BRIMADM_POSTFIX_SMTP_TIME_H

#include "plan.h"

/* Calls EACH for the settings of main.cf and, with a "/" in the name, of services in
 * master.cf that must be another. */
int smtp_time_each(const struct plan *p, plan_setting *each, void *arg);

/* The same for policy_listen, policy_unknown and map_listen in brim.conf. */
int smtp_time_each_of_brim(const struct plan *p, plan_setting *each, void *arg);

/* The setting by which Postfix may take an address that Brim does not know: it rewrites
 * recipients, after the policy service was asked, but for Brim's own maps; or others than
 * Brim have mailboxes in the same domains. TRANSPORTS are those by which Brim delivers.
 * NULL where it has none. */
const char *smtp_time_knows_more(
	const struct postconf *now, const struct conf *conf, unsigned transports);

/* The names of the list, with commas, but for Brim's maps, as a new string; NULL without
 * memory. */
char *smtp_time_others(const char *list, const struct conf *conf);

/* Whether somebody gets the mail for names that are unknown here: then an empty
 * local_recipient_maps is meant so. */
int smtp_time_takes_unknown(const struct postconf *now);

#endif
