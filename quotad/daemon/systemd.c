/* systemd: a few variables of the environment and one datagram. */
#include "systemd.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "amount.h"

#define SOCKETS_MAX 16

/* Whether the variable is this process's own id. */
static int
names_us(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t pid;

	return text != NULL && amount_count(text, &pid, NULL) == 0 &&
	       pid == (uint64_t)getpid();
}

static int
take_sockets(struct systemd *s, struct reason *why)
{
	const char *text = getenv("LISTEN_FDS");
	uint64_t count;

	if (text == NULL || !names_us("LISTEN_PID"))
		return 0;
	if (amount_count(text, &count, NULL) == -1 || count > SOCKETS_MAX)
		return reason_set(why, "LISTEN_FDS=%.20s makes no sense", text);
	s->sockets = (int)count;
	return 0;
}

int
systemd_take_environment(struct systemd *s, struct reason *why)
{
	const char *notify = getenv("NOTIFY_SOCKET"), *watchdog = getenv("WATCHDOG_USEC");
	uint64_t usec;

	memset(s, 0, sizeof *s);
	if (notify != NULL && (s->notify_socket = strdup(notify)) == NULL)
		return reason_set(why, "no memory");
	if (watchdog != NULL && amount_count(watchdog, &usec, NULL) == 0 &&
		(getenv("WATCHDOG_PID") == NULL || names_us("WATCHDOG_PID")))
		s->watchdog_ms = usec / 1000;
	return take_sockets(s, why);
}

void
systemd_free(struct systemd *s)
{
	free(s->notify_socket);
	s->notify_socket = NULL;
}

void
systemd_notify(const struct systemd *s, const char *state)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t length = s->notify_socket ? strlen(s->notify_socket) : 0;
	int fd;

	if (length == 0 || length >= sizeof to.sun_path)
		return;
	memcpy(to.sun_path, s->notify_socket, length);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0'; /* an abstract address */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}
