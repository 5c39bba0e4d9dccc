/*
 * Whose turn it is. Connections that can go on wait here for their turns, which go round
 * the ranks of users, within a rank round its users, and within a user round its
 * connections: what one user does costs another a turn, however many connections it has,
 * and what all strangers do (uids that have no mailbox: a user with many uids of its own
 * may be them all) costs no more than a fifth of all turns.
 */
#ifndef QUOTAD_ROTA_H
#define QUOTAD_ROTA_H

#include <stdint.h>
#include <sys/queue.h>

struct connection;

enum rota_rank { ROTA_TRUSTED, ROTA_KNOWN, ROTA_STRANGERS, ROTA_RANKS };

TAILQ_HEAD(rota_connections, connection);
TAILQ_HEAD(rota_users, rota_user);

/* A user's part, which its owner makes with rota_user_init. */
struct rota_user {
	TAILQ_ENTRY(rota_user) here;
	struct rota_users *ring; /* that it is in; NULL: it has nothing to do */
	struct rota_connections ready;
	enum rota_rank rank;
	uint64_t held;    /* bytes that its connections take up */
	uint64_t reading; /* of owners (intake.c): the last one, */
	unsigned read;    /* and how many requests it took */
};

struct rota {
	struct rota_users rings[ROTA_RANKS];
	unsigned at; /* in the rotation of ranks */
};

void rota_init(struct rota *t);
void rota_user_init(struct rota_user *u, enum rota_rank rank);

/* Puts the connection of that user at the end of its queue; it is in none. */
void rota_add(struct rota *t, struct rota_user *u, struct connection *c);
void rota_remove(struct rota_user *u, struct connection *c);

/* Takes out the connection whose turn it is, with its user; NULL where none waits. */
struct connection *rota_next(struct rota *t);

int rota_is_waited_for(const struct rota *t);

#endif
