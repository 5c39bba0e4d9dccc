/* Socket files: locks, stale ones, modes. */
#include "socket_file.h"

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

#define LOCK_MS 2000

/* --- what is there ---------------------------------------------------------------- */

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
take_lock(const char *path, const char *daemon, struct reason *why)
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
			reason_set(why, "another %s serves %s", daemon, path);
		else
			reason_errno(why, "%s", name);
		close(fd);
		fd = -1;
	}
	free(name);
	return fd;
}

/* Whether somebody accepts connections there: systemd, say, or a daemon that it has
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
remove_stale(const struct sockaddr_un *at, const char *daemon, struct reason *why)
{
	const char *path = at->sun_path;
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : reason_errno(why, "socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return reason_set(why, "%s is there and is not a socket", path);
	if (is_served(at))
		return reason_set(why,
			"%s is served already: by systemd (%s.socket), or a %s that it "
			"has started",
			path, daemon, daemon);
	if (unlink(path) == -1)
		return reason_errno(why, "removing the old socket %s", path);
	return 0;
}

/* --- mode and group --------------------------------------------------------------- */

/* By its descriptor, so that nobody puts another file in its place meanwhile. */
static int
set_mode(int itself, mode_t mode)
{
	char name[40];

	snprintf(name, sizeof name, "/proc/self/fd/%d", itself);
	return chmod(name, mode);
}

/* Nobody but the owner may open it yet. */
static int
set_access(struct socket_file *f, const struct socket_place *s, struct reason *why)
{
	struct stat st;

	if (f->itself == -1 || fstat(f->itself, &st) == -1 || !S_ISSOCK(st.st_mode))
		return reason_errno(why, "socket %s", f->path);
	if (s->group != (gid_t)-1 && st.st_gid != s->group &&
		fchownat(f->itself, "", (uid_t)-1, s->group, AT_EMPTY_PATH) == -1) {
		log_warning("socket %s: its group can't be set (%s): it is open to its "
			    "owner alone",
			f->path, strerror(errno));
		return 0;
	}
	if (set_mode(f->itself, s->group != (gid_t)-1 ? s->mode : s->mode & ~070U) == -1)
		return reason_errno(why, "mode of socket %s", f->path);
	return 0;
}

/* --- life ------------------------------------------------------------------------- */

/* A socket for anyone is open to everybody: who asks for what is decided by request. */
static int
bind_closed_or_open(int fd, const struct sockaddr_un *to, int is_open)
{
	mode_t before = umask(is_open ? 0111 : 0177);
	int result = bind(fd, (const struct sockaddr *)to, sizeof *to);

	umask(before);
	return result;
}

static int
bind_at(struct socket_file *f, int fd, const struct sockaddr_un *to,
	const struct socket_place *s, struct reason *why)
{
	if (bind_closed_or_open(fd, to, s->for_anyone) == -1)
		return reason_errno(why, "socket %s", to->sun_path);
	f->path = strdup(to->sun_path);
	if (f->path == NULL)
		return reason_set(why, "no memory");
	f->itself = open(f->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return s->for_anyone ? 0 : set_access(f, s, why);
}

int
socket_file_make(struct socket_file *f, const struct socket_place *s, struct reason *why)
{
	struct sockaddr_un to;
	int fd;

	*f = (struct socket_file){.lock = -1, .itself = -1};
	if (set_address(&to, s->path, why) == -1 ||
		(s->makes_directory && make_directory(s->path, why) == -1))
		return -1;
	f->lock = take_lock(s->path, s->daemon, why);
	if (f->lock == -1 || remove_stale(&to, s->daemon, why) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return reason_errno(why, "socket");
	if (bind_at(f, fd, &to, s, why) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
bound_at(int fd, struct sockaddr_un *at)
{
	socklen_t size = sizeof *at;

	memset(at, 0, sizeof *at);
	return getsockname(fd, (struct sockaddr *)at, &size) == 0 &&
	       at->sun_family == AF_UNIX && at->sun_path[0] == '/' &&
	       memchr(at->sun_path, '\0', sizeof at->sun_path) != NULL;
}

int
socket_file_is(int fd, const char *path)
{
	struct sockaddr_un at;

	return bound_at(fd, &at) && strcmp(at.sun_path, path) == 0;
}

void
socket_file_note(struct socket_file *f, int fd)
{
	struct sockaddr_un at;

	*f = (struct socket_file){.lock = -1, .itself = -1};
	if (bound_at(fd, &at))
		f->itself = open(at.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int
socket_file_is_lost(struct socket_file *f)
{
	struct stat st;

	if (f->was_lost || f->itself == -1 || fstat(f->itself, &st) == -1)
		return 0;
	f->was_lost = st.st_nlink == 0;
	return f->was_lost;
}

void
socket_file_remove(struct socket_file *f)
{
	if (f->itself != -1)
		close(f->itself);
	if (f->path != NULL)
		unlink(f->path);
	free(f->path);
	f->itself = -1;
	f->path = NULL;
}

void
socket_file_unlock(struct socket_file *f)
{
	if (f->lock != -1)
		close(f->lock);
	f->lock = -1;
}
