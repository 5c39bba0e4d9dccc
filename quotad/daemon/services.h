/* What quotad offers, and at which sockets. */
#ifndef QUOTAD_SERVICES_H
#define QUOTAD_SERVICES_H

#include "server.h"

/* Lists the services as the settings have them, before the listener is opened. -1 with
 * the reason, without memory or where there are too many. */
int services_list(struct server *v, struct reason *why);

/* The settings were read again: paths of theirs that the list has are the new ones. */
void services_relist(struct server *v);

/* Frees what the list has of its own. */
void services_free(struct server *v);

#endif
