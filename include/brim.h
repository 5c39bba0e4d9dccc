/*
 * libbrim: what other programs need to ask quotad and to reserve room, as an IMAP server
 * or a panel does. Their own programs include <brim/brim.h>; see libbrim(3).
 *
 * No function keeps anything of its own between calls, exits, prints or installs a signal
 * handler; each connection belongs to one thread at a time.
 */
#ifndef BRIM_BRIM_H
#define BRIM_BRIM_H

#ifdef __cplusplus
extern "C" {
#endif

#include "amount.h"
#include "quota_client.h"
#include "reason.h"
#include "record.h"
#include "verdict.h"

/* Where quotad listens and who it is, unless brim.conf says something else. */
#define BRIM_SOCKET      "/run/brim/quotad.sock"
#define BRIM_DAEMON_USER "brim"

#ifdef __cplusplus
}
#endif

#endif
