/* The policy service. */
#include "policy.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX 32768 /* bytes, with all its attributes */

/* Up to the first empty line. */
static enum protocol_read
read_request(struct evbuffer *bytes, char **message, size_t *length)
{
	struct evbuffer_ptr end = evbuffer_search(bytes, "\n\n", 2, NULL);

	*message = NULL;
	if (end.pos == -1)
		return evbuffer_get_length(bytes) > REQUEST_MAX ? PROTOCOL_NONSENSE
								: PROTOCOL_INCOMPLETE;
	*length = (size_t)end.pos + 2;
	*message = malloc(*length + 1);
	if (*message == NULL)
		return PROTOCOL_NONSENSE;
	evbuffer_remove(bytes, *message, *length);
	(*message)[*length] = '\0';
	return PROTOCOL_MESSAGE;
}

static void
perform(void *service, struct request *r, char *message, size_t length)
{
	(void)service;
	(void)length;
	request_answer(r, "%s", message == NULL ? "" : "action=DUNNO\n\n");
}

const struct protocol policy_protocol = {
	.name = "policy",
	.read = read_request,
	.perform = perform,
};
