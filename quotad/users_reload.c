/*
 * The table: a new file is read through by a throw-away child before it is taken, since a
 * damaged page can make Berkeley DB crash or spin. The child has no capability, a bound
 * on its time and memory, and no descriptor of ours.
 *
 * A file that was changed in place is another file, too. As long as it is under check,
 * and if it turns out damaged, no table is in use: the old pages are gone.
 */
#include "users_reload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "descriptors.h"
#include "known_uids.h"
#include "log.h"
#include "privileges.h"

#define CHECK_CPU_S  30
#define CHECK_WALL_S 120           /* a disk may be slow */
#define CHECK_MEMORY (512UL << 20) /* more than this process has */
#define AGAIN_MS     60000         /* until a file that was refused is tried once more */

/* How the child that checks a table ends. */
enum check_status { CHECK_SOUND, CHECK_DAMAGED, CHECK_NO_MEMORY, CHECK_NOT_READ };

struct users_reload {
	char *path;
	struct event *child_ended;
	struct users *users;
	pid_t child;     /* that checks; 0: none */
	pid_t collector; /* that collects uids; 0: none */
	struct known_uids *known, *collecting;
	int collect_again; /* a newer table was taken meanwhile */
	struct stat checking, refused;
	uint64_t refused_at_ms;
	struct reason
		fault; /* of the table that was refused last; "" once one is taken */
	int missing;   /* the log has been told so */
	char identity[USERS_IDENTITY_SIZE];
	uint64_t generation;
	uint64_t number;
};

static int
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static int
same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int
same_content(const struct stat *a, const struct stat *b)
{
	return same_inode(a, b) && a->st_size == b->st_size &&
	       same_time(&a->st_mtim, &b->st_mtim);
}

/* Owner and mode, too. */
static int
same_file(const struct stat *a, const struct stat *b)
{
	return same_content(a, b) && same_time(&a->st_ctim, &b->st_ctim);
}

/* --- the child -------------------------------------------------------------------- */

/* A limit that is lower already stays: it could not be raised. */
static void
bound(int resource, rlim_t limit)
{
	struct rlimit r;

	if (getrlimit(resource, &r) == -1)
		_exit(CHECK_NOT_READ);
	if (r.rlim_max < limit)
		limit = r.rlim_max;
	r = (struct rlimit){r.rlim_cur < limit ? r.rlim_cur : limit, limit};
	if (setrlimit(resource, &r) == -1)
		_exit(CHECK_NOT_READ);
}

static rlim_t
memory_now(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void
confine(void)
{
	struct reason why;

	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (descriptors_close(STDERR_FILENO + 1, ~0U) == -1)
		_exit(CHECK_NOT_READ);
	bound(RLIMIT_CPU, CHECK_CPU_S);
	bound(RLIMIT_CORE, 0);
	bound(RLIMIT_AS, memory_now() + CHECK_MEMORY);
	alarm(CHECK_WALL_S);
	if (privileges_drop_all(&why) == -1) {
		log_error("checking the user table: %s", why.text);
		_exit(CHECK_NOT_READ);
	}
}

static enum check_status
status_of(const struct reason *why)
{
	if (reason_is_no_memory(why))
		return CHECK_NO_MEMORY;
	return strstr(why->text, ": damaged") ? CHECK_DAMAGED : CHECK_NOT_READ;
}

static _Noreturn void
check_in_child(const char *path)
{
	struct reason why;
	struct users *users;
	int result = -1;

	confine();
	users = users_open(path, &why);
	if (users != NULL)
		result = users_read_through(users, &why);
	users_close(&users);
	if (result == -1)
		log_error("user table %s: %s", path, why.text);
	_exit(result == -1 ? status_of(&why) : CHECK_SOUND);
}

static _Noreturn void
collect_in_child(const char *path, struct known_uids *uids)
{
	struct reason why;
	struct users *users;
	int result = -1;

	confine();
	users = users_open(path, &why);
	if (users != NULL)
		result = known_uids_collect(uids, users, &why);
	users_close(&users);
	if (result == -1)
		log_error("user table %s: %s", path, why.text);
	_exit(result == -1 ? 1 : 0);
}

/* --- the uids of the table -------------------------------------------------------- */

/* They are collected beside the daemon's work, since brimadm waits until the table is
 * taken; until then those of the table before are known. */
static void
begin_collecting(struct users_reload *r)
{
	r->collect_again = r->collector != 0;
	if (r->collect_again)
		return;
	r->collecting = known_uids_new(users_stat(r->users)->st_size);
	if (r->collecting == NULL)
		return;
	r->collector = fork();
	if (r->collector == 0)
		collect_in_child(r->path, r->collecting);
	if (r->collector == -1) {
		r->collector = 0;
		known_uids_free(&r->collecting);
	}
}

static void
collected(struct users_reload *r, int status)
{
	r->collector = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		known_uids_free(&r->known);
		r->known = r->collecting;
		r->collecting = NULL;
	}
	known_uids_free(&r->collecting);
	if (r->collect_again && r->users != NULL)
		begin_collecting(r);
}

/* --- taking and refusing ---------------------------------------------------------- */

static void
drop(struct users_reload *r)
{
	users_close(&r->users);
	r->number++;
	strcpy(r->identity, "none");
	r->generation = 0;
}

static void *
close_file(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

/* The last close of a large file that has no name any more takes as long as freeing its
 * blocks does (measured: 60 to 120 ms for 200 MB), which the loop need not wait for. */
static void
close_apart(struct users **users)
{
	int fd = *users ? fcntl(users_descriptor(*users), F_DUPFD_CLOEXEC, 0) : -1;
	pthread_t thread;
	sigset_t all, before;
	int error;

	users_close(users);
	if (fd == -1)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, close_file, (void *)(intptr_t)fd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		close(fd);
	else
		pthread_detach(thread);
}

static void
take(struct users_reload *r, struct users **users, uint64_t generation)
{
	const struct stat *st = users_stat(*users);

	close_apart(&r->users);
	r->number++;
	r->users = *users;
	*users = NULL;
	r->generation = generation;
	r->missing = 0;
	r->fault.text[0] = '\0';
	users_identity(st, r->identity);
	log_info("user table taken, identity=%s generation=%" PRIu64, r->identity,
		generation);
	begin_collecting(r);
}

static void
refuse(struct users_reload *r, const char *text)
{
	reason_set(&r->fault, "%s", text);
	r->refused = r->checking;
	r->refused_at_ms = clock_now_ms();
	if (r->users != NULL && same_inode(&r->checking, users_stat(r->users)))
		drop(r);
	log_error("user table %s can't be used: %s; %s", r->path, text,
		r->users ? "the one before stays in use"
			 : "mail has to wait until it is repaired");
}

/* The path may name a newer file than the one that was checked: that is looked at next.
 */
static void
take_checked(struct users_reload *r)
{
	struct reason why;
	struct users *users = users_open_to_stay(r->path, &why);
	uint64_t generation = 0;

	if (users == NULL || users_generation(users, &generation, &why) == -1)
		refuse(r, why.text);
	else if (same_file(users_stat(users), &r->checking))
		take(r, &users, generation);
	users_close(&users);
}

static void
checked(struct users_reload *r, int status)
{
	struct reason why;

	r->child = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SOUND) {
		take_checked(r);
		return;
	}
	if (WIFSIGNALED(status))
		reason_set(&why, "reading it through ended in signal %d%s",
			WTERMSIG(status),
			WTERMSIG(status) == SIGKILL ? ", as where memory is short" : "");
	else if (WEXITSTATUS(status) == CHECK_NO_MEMORY)
		reason_no_memory(&why, "reading it through");
	else if (WEXITSTATUS(status) == CHECK_DAMAGED)
		reason_set(&why, "it was read through and is not sound");
	else
		reason_set(&why, "it could not be read through");
	refuse(r, why.text);
}

static void
on_child_ended(int signal, short what, void *arg)
{
	struct users_reload *r = arg;
	int status;

	(void)signal;
	(void)what;
	if (r->child != 0 && waitpid(r->child, &status, WNOHANG) == r->child)
		checked(r, status);
	if (r->collector != 0 && waitpid(r->collector, &status, WNOHANG) == r->collector)
		collected(r, status);
}

/* --- looking ---------------------------------------------------------------------- */

static void
begin_check(struct users_reload *r, const struct stat *st)
{
	struct reason why;

	r->checking = *st;
	if (r->users != NULL && same_inode(st, users_stat(r->users)) &&
		!same_content(st, users_stat(r->users)))
		drop(r);
	r->child = fork();
	if (r->child == 0)
		check_in_child(r->path);
	if (r->child == -1) {
		r->child = 0;
		reason_errno(&why, "a process to read it through");
		refuse(r, why.text);
	}
}

static void
log_missing(struct users_reload *r)
{
	if (!r->missing)
		log_error("user table %s: %s; %s", r->path, strerror(errno),
			r->users ? "the one before stays in use"
				 : "mail has to wait until there is one");
	r->missing = 1;
}

void
users_reload_look(struct users_reload *r)
{
	struct stat st;

	if (r->child != 0)
		return;
	if (stat(r->path, &st) == -1) {
		log_missing(r);
		return;
	}
	r->missing = 0;
	if (r->users != NULL && same_file(&st, users_stat(r->users))) {
		r->fault.text[0] = '\0';
		return;
	}
	if (same_file(&st, &r->refused) && clock_now_ms() - r->refused_at_ms < AGAIN_MS)
		return;
	begin_check(r, &st);
}

/* --- life ------------------------------------------------------------------------- */

struct users_reload *
users_reload_new(struct event_base *base, const char *path)
{
	struct users_reload *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	drop(r);
	r->path = strdup(path);
	r->child_ended = evsignal_new(base, SIGCHLD, on_child_ended, r);
	if (r->path == NULL || r->child_ended == NULL ||
		event_add(r->child_ended, NULL) == -1) {
		users_reload_free(&r);
		return NULL;
	}
	users_reload_look(r);
	return r;
}

/* The status of the child's end; -1 where there is none. */
static int
wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) == -1)
		if (errno != EINTR)
			return -1;
	return status;
}

void
users_reload_wait(struct users_reload *r)
{
	if (r->child != 0)
		checked(r, wait_for(r->child));
	if (r->collector != 0)
		collected(r, wait_for(r->collector));
}

static void
end_child(pid_t child)
{
	if (child == 0)
		return;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

void
users_reload_free(struct users_reload **reload)
{
	struct users_reload *r = *reload;

	*reload = NULL;
	if (r == NULL)
		return;
	end_child(r->child);
	end_child(r->collector);
	known_uids_free(&r->known);
	known_uids_free(&r->collecting);
	if (r->child_ended != NULL)
		event_free(r->child_ended);
	users_close(&r->users);
	free(r->path);
	free(r);
}

struct users *
users_reload_table(struct users_reload *r)
{
	return r->users;
}

int
users_reload_is_newest(const struct users_reload *r)
{
	struct stat st;

	return r->users != NULL && stat(r->path, &st) == 0 &&
	       same_content(&st, users_stat(r->users));
}

int
users_reload_is_checking(struct users_reload *r)
{
	users_reload_look(r);
	return r->child != 0;
}

const char *
users_reload_identity(const struct users_reload *r)
{
	return r->identity;
}

const char *
users_reload_fault(const struct users_reload *r, char refused[USERS_IDENTITY_SIZE])
{
	users_identity(&r->refused, refused);
	return r->fault.text[0] ? r->fault.text : NULL;
}

static int
has_identity(const struct stat *st, const char *identity)
{
	char text[USERS_IDENTITY_SIZE];

	return strcmp(users_identity(st, text), identity) == 0;
}

enum users_reload_state
users_reload_state(struct users_reload *r, const char *identity)
{
	users_reload_look(r);
	if (strcmp(r->identity, identity) == 0)
		return USERS_RELOAD_USED;
	if (r->child != 0 && has_identity(&r->checking, identity))
		return USERS_RELOAD_CHECKING;
	return has_identity(&r->refused, identity) ? USERS_RELOAD_REFUSED
						   : USERS_RELOAD_UNKNOWN;
}

uint64_t
users_reload_number(const struct users_reload *r)
{
	return r->number;
}

uint64_t
users_reload_generation(const struct users_reload *r)
{
	return r->generation;
}

int
users_reload_knows(const struct users_reload *r, uid_t uid)
{
	return r->known == NULL || known_uids_has(r->known, uid);
}
