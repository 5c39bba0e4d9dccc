/* What a listening socket is for. */
#ifndef QUOTAD_SERVICE_H
#define QUOTAD_SERVICE_H

#include <sys/types.h>

#include "protocol/protocol.h"

/* Who may connect: PERMITTED is whoever the socket's mode and group let open it, who then
 * may ask about every mailbox. */
enum service_who { SERVICE_ANYONE, SERVICE_TRUSTED, SERVICE_PERMITTED };

struct service {
	const char *path; /* of the socket, where systemd has none; NULL: then none */
	const struct protocol *protocol;
	void *context; /* what the protocol works with */
	enum service_who who;
	mode_t mode; /* of a PERMITTED socket; */
	gid_t group; /* (gid_t)-1: that of whoever makes it */
};

#endif
