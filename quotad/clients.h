/*
 * Clients: which servers that send mail may be given promises (ledger/ledger.h), so that
 * no stranger fills a mailbox with room that is kept for nothing.
 *
 * A promise is made only where one of policy_users asks. It goes on the account of the
 * client's address, of IPv6 the /64, which is what one customer has. A client has at most
 * CLIENTS_OPEN promises. If of those that ended within a day CLIENTS_SPARE more ran out
 * unused than were used (another restriction or a milter refused the message later, or
 * the client plays), it gets none until a day has passed. A message that comes late, and
 * a mailbox that is removed meanwhile, are nobody's fault. Whoever is in promise_trusted
 * has no account, and no bound of its own.
 *
 * Memory is bounded: of clients without a promise the one that was heard of last long ago
 * is forgotten first. What is remembered ends with the daemon, but for open promises,
 * which are told again as they are loaded.
 */
#ifndef QUOTAD_CLIENTS_H
#define QUOTAD_CLIENTS_H

#include <stdint.h>
#include <sys/types.h>

#include "reason.h"

#define CLIENTS_OPEN   200
#define CLIENTS_MAX    100000 /* as many as there are promises */
#define CLIENTS_SPARE  5
#define CLIENTS_DAY_MS 86400000

struct clients;
struct conf;

/* NULL without memory. Until it is configured nobody gets promises. */
struct clients *clients_new(void);
void clients_free(struct clients **c);

/* Takes users and networks from the settings: 0; or -1 with the reason, and all stays as
 * it was. */
int clients_configure(struct clients *c, const struct conf *conf, struct reason *why);

/* Whether promises are made to the client of that address, as the peer's user names it: 1
 * with its account (0: it needs none), or 0. */
int clients_identify(
	const struct clients *c, uid_t peer, const char *address, uint64_t *account);

/* Whether one more may be made on that account. */
int clients_may_promise(struct clients *c, uint64_t account, uint64_t now_ms);

/* What became of a promise on that account: it is made, or was loaded; was used; ran out
 * unused; went with its mailbox, which counts for nothing. */
void clients_promised(struct clients *c, uint64_t account, uint64_t now_ms);
void clients_used(struct clients *c, uint64_t account, uint64_t now_ms);
void clients_ran_out(struct clients *c, uint64_t account, uint64_t now_ms);
void clients_gone(struct clients *c, uint64_t account, uint64_t now_ms);

#endif
