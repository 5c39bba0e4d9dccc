/* The listener: sockets, their lock, and accepting. */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "socket_file.h"

#define BACKLOG                                                                          \
	1024 /* the kernel serves them in turn: who connects waits behind so many */
#define ACCEPTS      256 /* of a socket, in a pass of the loop */
#define PAUSE_MS     100
#define LOG_AGAIN_MS 60000 /* between two lines about the same error */

/* Names of sockets that were given none of their own. */
#define NAME_UNKNOWN     "unknown"
#define NAME_OF_OLD_UNIT "quotad.socket" /* systemd takes the unit's */

struct place {
	struct listener *listener;
	const struct service *service;
	int fd;
	struct socket_file file;
	struct event *event; /* NULL until the start */
};

struct listener {
	int spare; /* a descriptor to fall back on */
	struct place *places;
	size_t count;
	struct event *resume;
	uint64_t logged_at;
	void (*accepted)(void *arg, int fd, const struct service *service);
	void *arg;
};

static struct place *
add_place(struct listener *l, const struct service *service, int fd)
{
	struct place *p = &l->places[l->count++];

	p->listener = l;
	p->service = service;
	p->fd = fd;
	p->file = (struct socket_file){.lock = -1, .itself = -1};
	return p;
}

/* --- systemd's sockets ------------------------------------------------------------ */

static int
socket_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == -1 ? -1 : value;
}

/* Its name tells the protocol; one that has none speaks the first. */
static const struct service *
find_service(const struct service *services, size_t count, const char *name)
{
	if (strcmp(name, "") == 0 || strcmp(name, NAME_UNKNOWN) == 0 ||
		strcmp(name, NAME_OF_OLD_UNIT) == 0)
		return services;
	for (size_t i = 0; i < count; i++)
		if (strcmp(services[i].protocol->name, name) == 0)
			return &services[i];
	return NULL;
}

static int
take_given(struct listener *l, const struct service *service,
	const struct systemd_socket *given, struct reason *why)
{
	int fd = given->fd;

	if (service == NULL)
		return reason_set(why,
			"systemd has a socket named \"%.80s\", and no protocol has that "
			"name (FileDescriptorName= of its unit)",
			given->name);
	if (socket_option(fd, SO_DOMAIN) != AF_UNIX ||
		socket_option(fd, SO_TYPE) != SOCK_STREAM ||
		socket_option(fd, SO_ACCEPTCONN) != 1)
		return reason_set(why,
			"descriptor %d from systemd is not a listening Unix stream "
			"socket",
			fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		return reason_errno(why, "descriptor %d from systemd", fd);
	socket_file_note(&add_place(l, service, fd)->file, fd);
	return 0;
}

/* --- accepting -------------------------------------------------------------------- */

static int
open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* The client that waits is turned away, so that it need not wait for its own time to run
 * out; with the spare descriptor gone for good it has to. */
static void
turn_away(struct listener *l, int listening)
{
	int fd;

	if (l->spare == -1)
		return;
	close(l->spare);
	fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	if (fd != -1)
		close(fd);
	l->spare = open_spare();
}

static void
complain(struct listener *l, int error)
{
	uint64_t now = clock_now_ms();

	if (l->logged_at != 0 && now - l->logged_at < LOG_AGAIN_MS)
		return;
	l->logged_at = now;
	log_warning("accept: %s; clients have to wait", strerror(error));
}

static void
pause_accepting(struct place *p, int error)
{
	const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
	struct listener *l = p->listener;

	complain(l, error);
	if (error == EMFILE || error == ENFILE)
		turn_away(l, p->fd);
	listener_stop(l);
	event_add(l->resume, &pause);
}

/* As many as a pass may take: connects that go on all the time must not keep it. The
 * kernel tells of the others in the next. */
static void
accept_some(int listening, short what, void *arg)
{
	struct place *p = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd != -1) {
			p->listener->accepted(p->listener->arg, fd, p->service);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_accepting(p, errno);
		break;
	}
}

static void
resume_accepting(int fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < l->count; i++)
		event_add(l->places[i].event, NULL);
}

int
listener_start(struct listener *l, struct event_base *base,
	void (*accepted)(void *arg, int fd, const struct service *service), void *arg)
{
	l->accepted = accepted;
	l->arg = arg;
	l->resume = evtimer_new(base, resume_accepting, l);
	if (l->resume == NULL)
		return -1;
	for (size_t i = 0; i < l->count; i++) {
		struct place *p = &l->places[i];

		p->event = event_new(base, p->fd, EV_READ | EV_PERSIST, accept_some, p);
		if (p->event == NULL || event_add(p->event, NULL) == -1)
			return -1;
	}
	return 0;
}

void
listener_tell_lost(struct listener *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (socket_file_is_lost(&l->places[i].file))
			log_error("the socket of protocol %s was removed%s%s: nobody can "
				  "connect to it any more; restart quotad",
				l->places[i].service->protocol->name,
				l->places[i].file.path ? ", " : "",
				l->places[i].file.path ? l->places[i].file.path : "");
}

void
listener_stop(struct listener *l)
{
	if (l->resume != NULL)
		event_del(l->resume);
	for (size_t i = 0; i < l->count; i++)
		if (l->places[i].event != NULL)
			event_del(l->places[i].event);
}

/* --- life ------------------------------------------------------------------------- */

/* Whether it needs no socket of our own: systemd has one, for the permitted at that
 * path. */
static int
has_place(const struct listener *l, const struct service *service)
{
	for (size_t i = 0; i < l->count; i++)
		if (service->who == SERVICE_PERMITTED
				? service->path != NULL &&
					  socket_file_is(l->places[i].fd, service->path)
				: l->places[i].service == service)
			return 1;
	return 0;
}

int
listener_open_own(struct listener *l, const struct service *service, struct reason *why)
{
	const int permitted = service->who == SERVICE_PERMITTED;
	const struct socket_place at = {service->path, "quotad", !permitted,
		service->mode, service->group, !permitted};
	struct place *p;

	if (service->path == NULL || has_place(l, service))
		return 0;
	p = add_place(l, service, -1);
	p->fd = socket_file_make(&p->file, &at, why);
	if (p->fd != -1)
		return 0;
	socket_file_remove(&p->file);
	socket_file_unlock(&p->file);
	l->count--;
	return -1;
}

static int
open_places(struct listener *l, const struct service *services, size_t count,
	const struct systemd_socket *given, size_t given_count, struct reason *why)
{
	for (size_t i = 0; i < given_count; i++)
		if (take_given(l, find_service(services, count, given[i].name), &given[i],
			    why) == -1)
			return -1;
	for (size_t i = 0; i < count; i++)
		if (services[i].who != SERVICE_PERMITTED &&
			listener_open_own(l, &services[i], why) == -1)
			return -1;
	return 0;
}

struct listener *
listener_open(const struct service *services, size_t count,
	const struct systemd_socket *given, size_t given_count, struct reason *why)
{
	struct listener *l = calloc(1, sizeof *l);
	int result = -1, error;

	if (l != NULL) {
		l->places = calloc(count + given_count, sizeof *l->places);
		l->spare = open_spare();
	}
	if (l == NULL || l->places == NULL)
		reason_set(why, "no memory");
	else
		result = open_places(l, services, count, given, given_count, why);
	error = errno;
	if (result == -1)
		listener_close(&l);
	errno = error;
	return l;
}

/* systemd's listen already, in root's name: from now on in ours. */
int
listener_listen(struct listener *l, struct reason *why)
{
	for (size_t i = 0; i < l->count; i++)
		if (listen(l->places[i].fd, BACKLOG) == -1)
			return reason_errno(why, "listen");
	return 0;
}

static void
end_place(struct place *p)
{
	if (p->event != NULL)
		event_free(p->event);
	if (p->fd != -1)
		close(p->fd);
	socket_file_remove(&p->file);
	p->event = NULL;
	p->fd = -1;
}

void
listener_end(struct listener *l)
{
	if (l == NULL)
		return;
	if (l->resume != NULL)
		event_free(l->resume);
	l->resume = NULL;
	for (size_t i = 0; i < l->count; i++)
		end_place(&l->places[i]);
}

void
listener_close(struct listener **listener)
{
	struct listener *l = *listener;

	*listener = NULL;
	if (l == NULL)
		return;
	listener_end(l);
	for (size_t i = 0; i < l->count; i++)
		socket_file_unlock(&l->places[i].file);
	if (l->spare != -1)
		close(l->spare);
	free(l->places);
	free(l);
}
