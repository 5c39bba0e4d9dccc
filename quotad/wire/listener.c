/* The listener: sockets, their lock, and accepting. */
#include "listener.h"

#include <errno.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "daemon/systemd.h"
#include "log.h"

#define BACKLOG      4096
#define PAUSE_MS     100
#define LOG_AGAIN_MS 60000 /* between two lines about the same error */

struct place {
	int fd;
	struct evconnlistener *event; /* NULL until the start */
};

struct listener {
	char *path; /* NULL: the sockets are systemd's */
	int lock;
	int spare; /* a descriptor to fall back on */
	struct place *places;
	int count;
	struct event *resume;
	uint64_t logged_at;
	void (*accepted)(void *arg, int fd);
	void *arg;
};

/* --- a socket of our own ---------------------------------------------------------- */

static int
set_address(struct sockaddr_un *to, const char *path, struct reason *why)
{
	size_t length = strlen(path);

	memset(to, 0, sizeof *to);
	to->sun_family = AF_UNIX;
	if (length >= sizeof to->sun_path)
		return reason_set(why,
			"socket %.60s...: the path has %zu bytes, %zu at "
			"most are possible",
			path, length, sizeof to->sun_path - 1);
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
	} else if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
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

static int
remove_stale(const char *path, struct reason *why)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : reason_errno(why, "socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return reason_set(why, "%s is there and is not a socket", path);
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
listen_at(struct listener *l, const struct sockaddr_un *to, struct reason *why)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return reason_errno(why, "socket");
	l->places[l->count++].fd = fd;
	if (bind_public(fd, to) == -1 || listen(fd, BACKLOG) == -1)
		return reason_errno(why, "socket %s", to->sun_path);
	return 0;
}

static int
open_own(struct listener *l, const char *path, struct reason *why)
{
	struct sockaddr_un to;

	if (set_address(&to, path, why) == -1 || make_directory(path, why) == -1)
		return -1;
	l->lock = take_lock(path, why);
	if (l->lock == -1 || remove_stale(path, why) == -1)
		return -1;
	if (listen_at(l, &to, why) == -1)
		return -1;
	l->path = strdup(path);
	return l->path == NULL ? reason_set(why, "no memory") : 0;
}

/* --- systemd's sockets ------------------------------------------------------------ */

static int
socket_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == -1 ? -1 : value;
}

static int
take_given(struct listener *l, int given, struct reason *why)
{
	for (int fd = SYSTEMD_FIRST_FD; fd < SYSTEMD_FIRST_FD + given; fd++) {
		if (socket_option(fd, SO_DOMAIN) != AF_UNIX ||
			socket_option(fd, SO_TYPE) != SOCK_STREAM ||
			socket_option(fd, SO_ACCEPTCONN) != 1)
			return reason_set(why,
				"descriptor %d from systemd is not a listening Unix "
				"stream socket",
				fd);
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 ||
			fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
			return reason_errno(why, "descriptor %d from systemd", fd);
		l->places[l->count++].fd = fd;
	}
	return 0;
}

/* --- accepting -------------------------------------------------------------------- */

static int
open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
accept_one(struct evconnlistener *event, int fd, struct sockaddr *from, int length,
	void *arg)
{
	struct listener *l = arg;

	(void)event;
	(void)from;
	(void)length;
	l->accepted(l->arg, fd);
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
pause_accepting(struct evconnlistener *event, void *arg)
{
	const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
	struct listener *l = arg;
	int error = errno;

	complain(l, error);
	if (error == EMFILE || error == ENFILE)
		turn_away(l, evconnlistener_get_fd(event));
	listener_stop(l);
	event_add(l->resume, &pause);
}

static void
resume_accepting(int fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < l->count; i++)
		evconnlistener_enable(l->places[i].event);
}

int
listener_start(struct listener *l, struct event_base *base,
	void (*accepted)(void *arg, int fd), void *arg)
{
	l->accepted = accepted;
	l->arg = arg;
	l->resume = evtimer_new(base, resume_accepting, l);
	if (l->resume == NULL)
		return -1;
	for (int i = 0; i < l->count; i++) {
		l->places[i].event = evconnlistener_new(
			base, accept_one, l, LEV_OPT_CLOSE_ON_EXEC, 0, l->places[i].fd);
		if (l->places[i].event == NULL)
			return -1;
		evconnlistener_set_error_cb(l->places[i].event, pause_accepting);
	}
	return 0;
}

void
listener_stop(struct listener *l)
{
	if (l->resume != NULL)
		event_del(l->resume);
	for (int i = 0; i < l->count; i++)
		if (l->places[i].event != NULL)
			evconnlistener_disable(l->places[i].event);
}

/* --- life ------------------------------------------------------------------------- */

struct listener *
listener_open(const char *path, int given, struct reason *why)
{
	struct listener *l = calloc(1, sizeof *l);
	int result = -1, most = given > 0 ? given : 1;

	if (l != NULL) {
		l->lock = -1;
		l->places = calloc((size_t)most, sizeof *l->places);
		l->spare = open_spare();
	}
	if (l == NULL || l->places == NULL)
		reason_set(why, "no memory");
	else
		result = given > 0 ? take_given(l, given, why) : open_own(l, path, why);
	if (result == -1)
		listener_close(&l);
	return l;
}

void
listener_close(struct listener **listener)
{
	struct listener *l = *listener;

	*listener = NULL;
	if (l == NULL)
		return;
	if (l->resume != NULL)
		event_free(l->resume);
	for (int i = 0; i < l->count; i++) {
		if (l->places[i].event != NULL)
			evconnlistener_free(l->places[i].event);
		close(l->places[i].fd);
	}
	/* in a directory of root's the daemon can't; the next start does */
	if (l->path != NULL)
		unlink(l->path);
	if (l->lock != -1)
		close(l->lock);
	if (l->spare != -1)
		close(l->spare);
	free(l->places);
	free(l->path);
	free(l);
}
