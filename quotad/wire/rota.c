/* Turns: rings in rings. */
#include "rota.h"

#include <stddef.h>

#include "parts.h"

/* Each rank's turns among five, where all have something to do. */
static const enum rota_rank rotation[] = {
	ROTA_TRUSTED, ROTA_KNOWN, ROTA_TRUSTED, ROTA_KNOWN, ROTA_STRANGERS};

#define ROTATION (sizeof rotation / sizeof *rotation)

void
rota_init(struct rota *t)
{
	for (int i = 0; i < ROTA_RANKS; i++)
		TAILQ_INIT(&t->rings[i]);
	t->at = 0;
}

void
rota_user_init(struct rota_user *u, enum rota_rank rank)
{
	*u = (struct rota_user){.rank = rank};
	TAILQ_INIT(&u->ready);
}

void
rota_add(struct rota *t, struct rota_user *u, struct connection *c)
{
	TAILQ_INSERT_TAIL(&u->ready, c, turn);
	if (u->ring != NULL)
		return;
	u->ring = &t->rings[u->rank];
	TAILQ_INSERT_TAIL(u->ring, u, here);
}

void
rota_remove(struct rota_user *u, struct connection *c)
{
	TAILQ_REMOVE(&u->ready, c, turn);
	if (!TAILQ_EMPTY(&u->ready))
		return;
	TAILQ_REMOVE(u->ring, u, here);
	u->ring = NULL;
}

/* The user has had its turn, and waits for the next behind the others. */
static void
go_to_end(struct rota_user *u)
{
	TAILQ_REMOVE(u->ring, u, here);
	TAILQ_INSERT_TAIL(u->ring, u, here);
}

struct connection *
rota_next(struct rota *t)
{
	for (size_t tried = 0; tried < ROTATION; tried++) {
		struct rota_user *u =
			TAILQ_FIRST(&t->rings[rotation[t->at++ % ROTATION]]);
		struct connection *c;

		if (u == NULL)
			continue;
		c = TAILQ_FIRST(&u->ready);
		go_to_end(u);
		rota_remove(u, c);
		return c;
	}
	return NULL;
}

int
rota_is_waited_for(const struct rota *t)
{
	for (int i = 0; i < ROTA_RANKS; i++)
		if (!TAILQ_EMPTY(&t->rings[i]))
			return 1;
	return 0;
}
