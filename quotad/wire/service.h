/* What a listening socket is for. */
#ifndef QUOTAD_SERVICE_H
#define QUOTAD_SERVICE_H

#include "protocol/protocol.h"

enum service_who { SERVICE_ANYONE, SERVICE_TRUSTED };

struct service {
	const char *path; /* of the socket, where systemd has none; NULL: then none */
	const struct protocol *protocol;
	void *context;        /* what the protocol works with */
	enum service_who who; /* may connect */
};

#endif
