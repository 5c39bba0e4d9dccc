/*
 * Postfix's policy delegation protocol (SMTPD_POLICY_README): what a delivery would say
 * is said while the sender's server is still connected. brim-policy(7) tells which action
 * is answered when.
 *
 * The action is DUNNO, or a reply code with its enhanced code and a text: never OK, which
 * would end Postfix's restrictions, and never empty, which Postfix takes for OK. Nothing
 * is refused because of what is unknown here. A request that can't be read gets no
 * answer, as the protocol has it: a line in the log, and the connection ends.
 */
#ifndef QUOTAD_POLICY_H
#define QUOTAD_POLICY_H

#include "access.h"
#include "protocol.h"

struct policy_instances;

/* Its service. */
struct policy {
	const struct access *access;
	const struct conf *conf;
	const struct clients *clients;      /* who is believed; NULL: nobody */
	struct policy_instances *instances; /* NULL: every message has one recipient */
	int has_told_number; /* the log has one of what was to be a number, and is none */
};

extern const struct protocol policy_protocol;

#endif
