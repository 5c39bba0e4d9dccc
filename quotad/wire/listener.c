/* The listener: sockets, their lock, and accepting. */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "amount.h"
#include "clock.h"
#include "log.h"

#define BACKLOG                                                                          \
	1024 /* the kernel serves them in turn: who connects waits behind so many */
#define ACCEPTS      256 /* of a socket, in a pass of the loop */
#define PAUSE_MS     100
#define LOCK_MS      2000
#define LOG_AGAIN_MS 60000 /* between two lines about the same error */

/* Names of sockets that were given none of their own. */
#define NAME_UNKNOWN     "unknown"
#define NAME_OF_OLD_UNIT "quotad.socket" /* systemd takes the unit's */

struct place {
	struct listener *listener;
	const struct service *service;
	int fd;
	char *path; /* of a socket of our own, and its lock; else NULL, -1 */
	int lock;
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
	p->lock = -1;
	return p;
}

/* --- a socket of our own ---------------------------------------------------------- */

static int
set_address(struct sockaddr_un *to, const char *path, struct reason *why)
{
	size_t length = strlen(path);

	memset(to, 0, sizeof *to);
	to->sun_family = AF_UNIX;
	if (length >= sizeof to->sun_path)
		return reason_set(why,
			"socket %.60s...: the path has %s, %zu at most are possible",
			path, AMOUNT_OF(length, "byte", "bytes"),
			sizeof to->sun_path - 1);
	memcpy(to->sun_path, path, length);
	return 0;
}

static int
make_directory(const char *path, struct reason *why)
{
	char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
	int result = 0;

	if (copy == NULL)
		return reason_set(why, "no memory");
	if (slash != NULL && slash > copy) {
		*slash = '\0';
		/* umask is 077: the mode is set by hand, and only on what was made here
		 */
		if (mkdir(copy, 0755) == 0)
			result = chmod(copy, 0755);
		else if (errno != EEXIST)
			result = -1;
		if (result == -1)
			reason_errno(why, "directory %s", copy);
	}
	free(copy);
	return result;
}

/* The children of one that was killed have its lock until they are gone, too. */
static int
lock_soon(int fd)
{
	uint64_t limit = clock_now_ms() + LOCK_MS;
	int result;

	while ((result = flock(fd, LOCK_EX | LOCK_NB)) == -1 && errno == EWOULDBLOCK &&
		clock_now_ms() < limit)
		usleep(10000);
	return result;
}

static int
take_lock(const char *path, struct reason *why)
{
	char *name;
	int fd;

	if (asprintf(&name, "%s.lock", path) == -1)
		return reason_set(why, "no memory");
	fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1) {
		reason_errno(why, "%s", name);
	} else if (lock_soon(fd) == -1) {
		if (errno == EWOULDBLOCK)
			reason_set(why, "another quotad serves %s", path);
		else
			reason_errno(why, "%s", name);
		close(fd);
		fd = -1;
	}
	free(name);
	return fd;
}

/* Whether somebody accepts connections there: systemd, say, or a quotad that it has
 * started, which has no lock. */
static int
is_served(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int served = 1; /* where that can't be told */

	if (fd == -1)
		return served;
	if (connect(fd, (const struct sockaddr *)at, sizeof *at) == -1)
		served = errno != ECONNREFUSED && errno != ENOENT;
	close(fd);
	return served;
}

static int
remove_stale(const struct sockaddr_un *at, struct reason *why)
{
	const char *path = at->sun_path;
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : reason_errno(why, "socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return reason_set(why, "%s is there and is not a socket", path);
	if (is_served(at))
		return reason_set(why,
			"%s is served already: by systemd (quotad.socket), or a quotad "
			"that it has started",
			path);
	if (unlink(path) == -1)
		return reason_errno(why, "removing the old socket %s", path);
	return 0;
}

/* Everybody may connect: who asks for what is decided by request. */
static int
bind_public(int fd, const struct sockaddr_un *to)
{
	mode_t before = umask(0111);
	int result = bind(fd, (const struct sockaddr *)to, sizeof *to);

	umask(before);
	return result;
}

static int
bind_at(struct place *p, const struct sockaddr_un *to, struct reason *why)
{
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd == -1)
		return reason_errno(why, "socket");
	if (bind_public(p->fd, to) == -1)
		return reason_errno(why, "socket %s", to->sun_path);
	p->path = strdup(to->sun_path);
	return p->path == NULL ? reason_set(why, "no memory") : 0;
}

static int
open_own(struct listener *l, const struct service *service, struct reason *why)
{
	const char *path = service->path;
	struct sockaddr_un to;
	struct place *p;

	if (set_address(&to, path, why) == -1 || make_directory(path, why) == -1)
		return -1;
	p = add_place(l, service, -1);
	p->lock = take_lock(path, why);
	if (p->lock == -1 || remove_stale(&to, why) == -1)
		return -1;
	return bind_at(p, &to, why);
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
	const struct listener_given *given, struct reason *why)
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
	add_place(l, service, fd);
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
listener_stop(struct listener *l)
{
	if (l->resume != NULL)
		event_del(l->resume);
	for (size_t i = 0; i < l->count; i++)
		if (l->places[i].event != NULL)
			event_del(l->places[i].event);
}

/* --- life ------------------------------------------------------------------------- */

static int
has_place(const struct listener *l, const struct service *service)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->places[i].service == service)
			return 1;
	return 0;
}

static int
open_places(struct listener *l, const struct service *services, size_t count,
	const struct listener_given *given, size_t given_count, struct reason *why)
{
	for (size_t i = 0; i < given_count; i++)
		if (take_given(l, find_service(services, count, given[i].name), &given[i],
			    why) == -1)
			return -1;
	for (size_t i = 0; i < count; i++)
		if (!has_place(l, &services[i]) && services[i].path != NULL &&
			open_own(l, &services[i], why) == -1)
			return -1;
	return 0;
}

struct listener *
listener_open(const struct service *services, size_t count,
	const struct listener_given *given, size_t given_count, struct reason *why)
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

/* In a directory of root's the daemon can't remove the socket; the next start does. */
static void
end_place(struct place *p)
{
	if (p->event != NULL)
		event_free(p->event);
	if (p->fd != -1)
		close(p->fd);
	if (p->path != NULL)
		unlink(p->path);
	free(p->path);
	p->event = NULL;
	p->fd = -1;
	p->path = NULL;
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
		if (l->places[i].lock != -1)
			close(l->places[i].lock);
	if (l->spare != -1)
		close(l->spare);
	free(l->places);
	free(l);
}
