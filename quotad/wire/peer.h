/*
 * Who is at the other end of a connection, and how much each user has in use.
 *
 * The kernel says who connected (SO_PEERCRED, SO_PEERGROUPS: as it was at connect). Root,
 * members of the daemon's group and the setting trusted_users are trusted: they may ask
 * about every mailbox and have 16 times the limits. Anyone else may ask about mailboxes
 * of its own uid, and so may the daemon's own user, whatever its groups: processes that
 * read users' mailboxes have it, and so may the ldas (trusted_users then gives it the
 * limits alone). 65534 and -1 are what the kernel says of a user that it can't name: they
 * are nobody, and may ask nothing.
 *
 * Whoever may open a socket that is kept by its permission (the policy service and the
 * maps of the MTA) may ask about every mailbox there, and has turns, limits and bytes of
 * its own as that: what comes in on such a socket takes nothing from the same uid's other
 * connections. All such have seven eighths of all connections together, and the last
 * thirty-second of all is for users who have few of them.
 *
 * A quarter of all connections is kept for the trusted. Of what is left a user gets no
 * more than eight times what is free, and never the last, so that there is room for one
 * who comes later. Strangers, uids that have no mailbox, have a sixteenth of all
 * connections together, and each a quarter of a user's: whoever has many uids of its own
 * gains nothing by them.
 */
#ifndef QUOTAD_PEER_H
#define QUOTAD_PEER_H

#include <stdint.h>
#include <sys/types.h>

#include "conf.h"
#include "reason.h"
#include "room.h"
#include "rota.h"
#include "users_reload.h"

#define PEER_OTHER_FILES 256 /* descriptors beside those of clients */

struct peers;
struct peer_user; /* one uid that has connections */

struct peer {
	struct peer_user *user;
	int permitted; /* by the permission of the socket */
	int in_group;
	enum rota_rank counted_as; /* among the connections of that rank */
};

/* GROUP is the group that is trusted; (gid_t)-1: none. USERS tells who has a mailbox;
 * NULL: everybody. NULL without memory. */
struct peers *peers_new(gid_t group, const struct users_reload *users);
void peers_free(struct peers **p);

/* Takes limits and trusted users from the settings, for those who are connected, too; a
 * name that /etc/passwd does not have is told to the log and trusts nobody. -1 with the
 * reason, and all stays as it was, without memory or where the file can't be read. */
int peers_configure(struct peers *p, const struct conf *c, struct reason *why);

/* Asks the kernel who is at FD's other end, and counts the connection, PERMITTED where
 * the permission of the socket is the right to ask: -1 with the reason where that can't
 * be told or one of the limits is reached. */
int peer_enter(
	struct peers *p, int fd, int permitted, struct peer *peer, struct reason *why);
void peer_leave(struct peers *p, struct peer *peer);

/* Adds to (or with a negative number takes from) the user's tickets, open or asked for.
 */
void peer_count_tickets(struct peer *peer, int64_t more);

/* The user's place among those whose turns go round. */
struct rota_user *peer_rota(const struct peer *peer);

/* Who it is to the room, but for the connection. */
struct room_asker peer_asker(const struct peers *p, const struct peer *peer);

/* Connections of all users. */
uint64_t peers_connections(const struct peers *p);

#endif
