/*
 * Postfix's policy delegation protocol (SMTPD_POLICY_README): requests are lines
 * name=value up to an empty one, the answer is one action. brim-policy(7) tells which
 * action is answered when.
 */
#ifndef QUOTAD_POLICY_H
#define QUOTAD_POLICY_H

#include "protocol.h"

struct access; /* access.h */

/* Its service. */
struct policy {
	const struct access *access;
	const struct conf *conf;
};

extern const struct protocol policy_protocol;

#endif
