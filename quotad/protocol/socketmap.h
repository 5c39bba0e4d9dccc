/*
 * The socketmap protocol, by which Postfix (socketmap_table(5)) and sendmail look up the
 * maps of the directory (maps.h): a query and its answer are a netstring each. Whoever
 * may open the socket may ask. brim-socketmap(7) tells what the maps mean.
 */
#ifndef QUOTAD_SOCKETMAP_H
#define QUOTAD_SOCKETMAP_H

#include <sys/queue.h>

#include "protocol.h"

struct socketmap_held;

/* Its service. */
struct socketmap {
	const struct room *room;
	const struct conf *conf;
	LIST_HEAD(, socketmap_held) held; /* queries that wait for a newer user table */
	uint64_t table;                   /* users_reload_number when they were asked */
};

/* Answers the queries that have waited for a newer user table, once it was taken or
 * refused, or takes too long. To be called in each pass. */
void socketmap_go_on(struct socketmap *s, uint64_t now_ms);

extern const struct protocol socketmap_protocol;

#endif
