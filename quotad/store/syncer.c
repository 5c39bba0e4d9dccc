/* The thread that syncs: it sleeps a second, looks whether anything was noted, and syncs.
 */
#include "syncer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

struct syncer {
	char *dir;
	pthread_t thread;
	int threadless;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int ending; /* under the lock */
	atomic_int noted, error;
};

static int
is_file(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* A file that has gone since it was listed needs no sync. */
static int
sync_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : errno;
	if (fdatasync(fd))
		error = errno;
	close(fd);
	return error;
}

static int
sync_files(int dir)
{
	struct dirent **list;
	int n = scandirat(dir, ".", &list, is_file, alphasort), error = 0;

	if (n < 0)
		return errno;
	for (int i = 0; i < n; i++) {
		if (!error)
			error = sync_file(dir, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	if (!error && fsync(dir))
		error = errno;
	return error;
}

static void
sync_directory(struct syncer *s)
{
	int dir = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;

	if (dir < 0) {
		if (errno != ENOENT)
			s->error = errno;
		return;
	}
	error = sync_files(dir);
	if (error)
		s->error = error;
	close(dir);
}

/* Sleeps a second, or until the end: 1 then. */
static int
wait_a_second(struct syncer *s)
{
	struct timespec until = {0};
	int ending, result = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	pthread_mutex_lock(&s->lock);
	while (!s->ending && result == 0)
		result = pthread_cond_timedwait(&s->wake, &s->lock, &until);
	ending = s->ending;
	pthread_mutex_unlock(&s->lock);
	return ending;
}

static void *
run(void *arg)
{
	struct syncer *s = arg;
	int ending;

	do {
		ending = wait_a_second(s);
		if (atomic_exchange(&s->noted, 0))
			sync_directory(s);
	} while (!ending);
	return NULL;
}

/* The thread takes no signals: they are the main thread's. Old sandboxes refuse clone3 in
 * a way that the C library does not go around (EPERM). */
static int
start_thread(struct syncer *s)
{
	pthread_condattr_t clock;
	sigset_t all, before;
	int error;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &clock);
	pthread_condattr_destroy(&clock);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

struct syncer *
syncer_start(const char *dir, struct reason *why)
{
	struct syncer *s = calloc(1, sizeof *s);

	if (s)
		s->dir = strdup(dir);
	if (!s || !s->dir) {
		free(s);
		reason_set(why, "no memory");
		return NULL;
	}
	errno = start_thread(s);
	s->threadless = errno != 0;
	if (s->threadless)
		log_warning("no thread to sync the usage store: %m; answers wait for it");
	return s;
}

void
syncer_note(struct syncer *s)
{
	s->noted = 1;
}

int
syncer_error(struct syncer *s)
{
	if (s->threadless && atomic_exchange(&s->noted, 0))
		sync_directory(s);
	return atomic_exchange(&s->error, 0);
}

void
syncer_stop(struct syncer **s)
{
	if (!*s)
		return;
	pthread_mutex_lock(&(*s)->lock);
	(*s)->ending = 1;
	pthread_cond_signal(&(*s)->wake);
	pthread_mutex_unlock(&(*s)->lock);
	if ((*s)->threadless)
		syncer_error(*s);
	else
		pthread_join((*s)->thread, NULL);
	pthread_cond_destroy(&(*s)->wake);
	pthread_mutex_destroy(&(*s)->lock);
	free((*s)->dir);
	free(*s);
	*s = NULL;
}
