/*
 * The socketmap protocol, by which Postfix (socketmap_table(5)) and sendmail look up the
 * maps of the directory (maps.h): a query and its answer are a netstring each. Whoever
 * may open the socket may ask. brim-socketmap(7) tells what the maps mean.
 */
#ifndef QUOTAD_SOCKETMAP_H
#define QUOTAD_SOCKETMAP_H

#include "protocol.h"

/* Its service. */
struct socketmap {
	const struct room *room;
	const struct conf *conf;
};

extern const struct protocol socketmap_protocol;

#endif
