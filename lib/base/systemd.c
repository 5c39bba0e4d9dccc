/* systemd: a few variables of the environment and one datagram. */
#include "systemd.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "amount.h"

#define FIRST_FD 3 /* of the sockets that it hands over */

/* Whether the variable is this process's own id. */
static int
names_us(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t pid;

	return text != NULL && amount_count(text, &pid, NULL) == 0 &&
	       pid == (uint64_t)getpid();
}

/* LISTEN_FDNAMES has as many names as there are sockets; it came later than LISTEN_FDS.
 */
static int
take_names(struct systemd *s, const char *names, struct reason *why)
{
	char *rest, *name;
	int count = 0;

	if (names == NULL)
		return 0;
	rest = s->names = strdup(names);
	if (s->names == NULL)
		return reason_set(why, "no memory");
	while ((name = strsep(&rest, ":")) != NULL) {
		if (count < s->count)
			s->sockets[count].name = name;
		count++;
	}
	if (count != s->count)
		return reason_set(why, "LISTEN_FDNAMES=%.80s has %s for %s", names,
			AMOUNT_OF((uint64_t)count, "name", "names"),
			AMOUNT_OF((uint64_t)s->count, "socket", "sockets"));
	return 0;
}

static int
take_sockets(struct systemd *s, struct reason *why)
{
	const char *text = getenv("LISTEN_FDS");
	uint64_t count;

	if (text == NULL || !names_us("LISTEN_PID"))
		return 0;
	if (amount_count(text, &count, NULL) == -1 || count > SYSTEMD_SOCKETS_MAX)
		return reason_set(why, "LISTEN_FDS=%.20s is not a number from 0 to %d",
			text, SYSTEMD_SOCKETS_MAX);
	s->count = (int)count;
	for (int i = 0; i < s->count; i++)
		s->sockets[i] = (struct systemd_socket){FIRST_FD + i, ""};
	return s->count == 0 ? 0 : take_names(s, getenv("LISTEN_FDNAMES"), why);
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
	free(s->names);
	s->notify_socket = s->names = NULL;
	s->count = 0;
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
