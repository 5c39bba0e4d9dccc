/* Who has to go where all connections together hold too much. */
#include "parts.h"

static uint64_t
held_by_strangers(const struct connections *all)
{
	const struct connection *c;
	uint64_t held = 0;

	TAILQ_FOREACH(c, &all->all, all)
		if (peer_rota(&c->peer)->rank == ROTA_STRANGERS)
			held += c->held;
	return held;
}

struct connection *
heaviest_find(const struct connections *all)
{
	uint64_t strangers = held_by_strangers(all), most = 0;
	struct connection *c, *found = NULL;

	TAILQ_FOREACH(c, &all->all, all) {
		const struct rota_user *u = peer_rota(&c->peer);
		uint64_t held = u->rank == ROTA_STRANGERS ? strangers : u->held;

		if (found == NULL || held > most ||
			(held == most && c->held > found->held)) {
			found = c;
			most = held;
		}
	}
	return found;
}
