/* Peers: users that have connections, in a table by uid; one that has none is forgotten.
 */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hash.h"
#include "privileges.h"
#include "uid_list.h"

#define GENEROUS       16 /* how many times the limits the trusted have */
#define STRANGERS      16 /* have this part of all connections, together */
#define STRANGER       4  /* has this part of a user's */
#define FREE_FOR_EACH  8  /* times what is free, but for one, a user has at most */
#define GROUPS_AT_ONCE 64

/* Of connections on sockets that are kept by their permission. */
#define PERMITTED(max)  ((max) - (max) / 8)
#define FOR_OTHERS(max) ((max) / 32)

struct user_key {
	uid_t uid;
	int permitted;
};

struct peer_user {
	struct user_key key;
	int trusted;
	int is_own; /* as the scanner's children, which read what users wrote */
	uint64_t connections, tickets;
	struct rota_user rota;
};

struct peers {
	gid_t group;
	const struct users_reload *table; /* NULL: everybody has a mailbox */
	struct uid_list trusted;
	uint64_t connections[ROTA_RANKS], permitted;
	uint64_t max_connections, max_user_connections, max_user_tickets;
	struct hash users;
};

static int
has_key(const void *user, const void *key, size_t length)
{
	return memcmp(&((const struct peer_user *)user)->key, key, length) == 0;
}

struct peers *
peers_new(gid_t group, const struct users_reload *users)
{
	struct peers *p = calloc(1, sizeof *p);

	if (p == NULL || hash_init(&p->users, has_key) == -1) {
		free(p);
		return NULL;
	}
	p->group = group;
	p->table = users;
	return p;
}

void
peers_free(struct peers **peers)
{
	struct peers *p = *peers;

	*peers = NULL;
	if (p == NULL)
		return;
	hash_free(&p->users);
	uid_list_free(&p->trusted);
	free(p);
}

static int
uid_is_trusted(const struct peers *p, uid_t uid)
{
	return uid == 0 || uid_list_has(&p->trusted, uid);
}

/* Where the system gives fewer descriptors than were asked for, clients take what is left
 * beside the scanner's and the store's: better to tell the last ones than to starve. */
static uint64_t
room_for_clients(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return 0;
	return r.rlim_cur > 2 * PEER_OTHER_FILES ? r.rlim_cur - PEER_OTHER_FILES
						 : r.rlim_cur / 2;
}

int
peers_configure(struct peers *p, const struct conf *c, struct reason *why)
{
	uint64_t room = room_for_clients();
	struct uid_list trusted;
	struct peer_user *u;
	size_t at = 0;

	if (uid_list_read(&trusted, "trusted_users", c->trusted_users, why) == -1)
		return -1;
	uid_list_free(&p->trusted);
	p->trusted = trusted;
	p->max_connections = c->max_connections < room ? c->max_connections : room;
	p->max_user_connections = c->max_user_connections;
	p->max_user_tickets = c->max_user_tickets;
	while ((u = hash_next(&p->users, &at)) != NULL)
		u->trusted = uid_is_trusted(p, u->key.uid);
	return 0;
}

/* The user of that uid, made if it has no connection yet; NULL without memory. */
static struct peer_user *
find_user(struct peers *p, uid_t uid, int permitted)
{
	const struct user_key key = {uid, permitted};
	struct peer_user *u = hash_find(&p->users, &key, sizeof key);

	if (u != NULL || (u = calloc(1, sizeof *u)) == NULL)
		return u;
	u->key = key;
	u->trusted = uid_is_trusted(p, uid);
	u->is_own = uid != 0 && uid == geteuid();
	rota_user_init(&u->rota, ROTA_STRANGERS);
	if (hash_add(&p->users, &key, sizeof key, u) == 1)
		return u;
	free(u);
	return NULL;
}

static void
forget_if_idle(struct peers *p, struct peer_user *user)
{
	if (user->connections > 0)
		return;
	hash_remove(&p->users, &user->key, sizeof user->key);
	free(user);
}

/* Supplementary groups of the other end; a kernel or a socket that can't tell them says
 * nothing in anyone's favour. */
static int
has_group(int fd, gid_t group)
{
	gid_t few[GROUPS_AT_ONCE], *groups = few;
	socklen_t size = sizeof few;
	int found = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == -1) {
		if (errno != ERANGE || (groups = malloc(size)) == NULL)
			return 0;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == -1)
			size = 0;
	}
	for (size_t i = 0; i < size / sizeof *groups; i++)
		if (groups[i] == group)
			found = 1;
	if (groups != few)
		free(groups);
	return found;
}

static int
is_nobody(const struct peer *peer)
{
	const uid_t uid = peer->user->key.uid;

	return !peer->permitted && (uid == UID_NOBODY || uid == (uid_t)-1);
}

static int
is_trusted(const struct peer *peer)
{
	return peer->permitted || (!is_nobody(peer) && !peer->user->is_own &&
					  (peer->user->trusted || peer->in_group));
}

/* Where the ldas have the daemon's own user they need no more than the limits. */
static int
has_generous_limits(const struct peer *peer)
{
	return is_trusted(peer) || (peer->user->is_own && peer->user->trusted);
}

/* As things are now: the user may have got a mailbox since it last connected. */
static enum rota_rank
rank_of(const struct peers *p, const struct peer *peer)
{
	if (has_generous_limits(peer))
		return ROTA_TRUSTED;
	if (!is_nobody(peer) &&
		(p->table == NULL || users_reload_knows(p->table, peer->user->key.uid)))
		return ROTA_KNOWN;
	return ROTA_STRANGERS;
}

/* How many connections a user of that rank has at most. */
static uint64_t
most_of_user(const struct peers *p, enum rota_rank rank)
{
	uint64_t most = p->max_user_connections;

	if (rank == ROTA_TRUSTED)
		return most * GENEROUS;
	return rank == ROTA_KNOWN || most < STRANGER ? most : most / STRANGER;
}

static uint64_t
left(uint64_t most, uint64_t taken)
{
	return taken < most ? most - taken : 0;
}

/* How many are left to one of that rank. */
static uint64_t
left_for(const struct peers *p, enum rota_rank rank)
{
	uint64_t most = p->max_connections, all = left(most, peers_connections(p));
	uint64_t strangers = p->connections[ROTA_STRANGERS];
	uint64_t ordinary = left(most / 4 * 3, p->connections[ROTA_KNOWN] + strangers);

	if (rank == ROTA_TRUSTED)
		return all;
	if (rank == ROTA_STRANGERS && left(most / STRANGERS, strangers) == 0)
		return 0;
	return all < ordinary ? all : ordinary;
}

static int
check_permitted(const struct peers *p, uint64_t has, struct reason *why)
{
	uint64_t max = p->max_connections;
	uint64_t free_ones = left(PERMITTED(max), p->permitted);

	if (peers_connections(p) >= max || free_ones == 0)
		return reason_set(why, "too many connections");
	if (free_ones <= FOR_OTHERS(max) && has >= FOR_OTHERS(max))
		return reason_set(why, "too many connections of this user");
	return 0;
}

static int
check_limits(const struct peers *p, const struct peer *peer, enum rota_rank rank,
	struct reason *why)
{
	uint64_t free_ones = left_for(p, rank), has = peer->user->connections;

	if (peer->permitted)
		return check_permitted(p, has, why);
	if (has >= most_of_user(p, rank))
		return reason_set(why, "too many connections of this user");
	if (free_ones == 0 || (rank != ROTA_TRUSTED && has > 0 &&
				      has >= (free_ones - 1) * FREE_FOR_EACH))
		return reason_set(why, "too many connections");
	return 0;
}

static void
count_in(struct peers *p, struct peer *peer, enum rota_rank rank)
{
	peer->user->connections++;
	peer->user->rota.rank = peer->counted_as = rank;
	p->connections[rank]++;
	p->permitted += (uint64_t)peer->permitted;
}

int
peer_enter(struct peers *p, int fd, int permitted, struct peer *peer, struct reason *why)
{
	struct ucred who;
	socklen_t size = sizeof who;
	enum rota_rank rank;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == -1)
		return reason_errno(why, "SO_PEERCRED");
	peer->permitted = permitted;
	peer->user = find_user(p, who.uid, permitted);
	if (peer->user == NULL)
		return reason_set(why, "no memory");
	peer->in_group =
		p->group != (gid_t)-1 && (who.gid == p->group || has_group(fd, p->group));
	rank = rank_of(p, peer);
	if (check_limits(p, peer, rank, why) == -1) {
		forget_if_idle(p, peer->user);
		return -1;
	}
	count_in(p, peer, rank);
	return 0;
}

void
peer_leave(struct peers *p, struct peer *peer)
{
	peer->user->connections--;
	p->connections[peer->counted_as]--;
	p->permitted -= (uint64_t)peer->permitted;
	forget_if_idle(p, peer->user);
	peer->user = NULL;
}

struct rota_user *
peer_rota(const struct peer *peer)
{
	return &peer->user->rota;
}

void
peer_count_tickets(struct peer *peer, int64_t more)
{
	peer->user->tickets += (uint64_t)more;
}

struct room_asker
peer_asker(const struct peers *p, const struct peer *peer)
{
	int generous = has_generous_limits(peer);

	return (struct room_asker){
		.uid = peer->user->key.uid,
		.nobody = is_nobody(peer),
		.trusted = is_trusted(peer),
		.tickets = peer->user->tickets,
		.ticket_limit = p->max_user_tickets * (generous ? GENEROUS : 1),
	};
}

uint64_t
peers_connections(const struct peers *p)
{
	uint64_t all = 0;

	for (int i = 0; i < ROTA_RANKS; i++)
		all += p->connections[i];
	return all;
}
