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
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "privileges.h"

#define CHECK_CPU_S  30
#define CHECK_WALL_S 120           /* a disk may be slow */
#define CHECK_MEMORY (512UL << 20) /* more than this process has */
#define AGAIN_S      60            /* until a file that was refused is tried once more */

struct table {
	char *path;
	struct event *child_ended;
	struct users *users;
	pid_t child; /* that checks; 0: none */
	struct stat checking, refused;
	time_t refused_at;
	int missing; /* as was said in the log */
	char identity[80];
};

static time_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

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

static void
bound(int resource, rlim_t limit)
{
	const struct rlimit r = {limit, limit};

	if (setrlimit(resource, &r) == -1)
		_exit(1);
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
	close_range(STDERR_FILENO + 1, ~0U, 0);
	bound(RLIMIT_CPU, CHECK_CPU_S);
	bound(RLIMIT_CORE, 0);
	bound(RLIMIT_AS, memory_now() + CHECK_MEMORY);
	alarm(CHECK_WALL_S);
	if (privileges_drop_all(&why) == -1) {
		log_error("checking the user table: %s", why.text);
		_exit(1);
	}
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
	_exit(result == -1 ? 1 : 0);
}

/* --- taking and refusing ---------------------------------------------------------- */

static void
drop(struct table *t)
{
	users_close(&t->users);
	strcpy(t->identity, "none");
}

static void
take(struct table *t, struct users *users)
{
	const struct stat *st = users_stat(users);

	users_close(&t->users);
	t->users = users;
	t->missing = 0;
	snprintf(t->identity, sizeof t->identity, "%ju:%ju:%jd.%09ld",
		(uintmax_t)st->st_dev, (uintmax_t)st->st_ino,
		(intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	log_info("user table taken, identity=%s", t->identity);
}

static void
refuse(struct table *t, const char *text)
{
	t->refused = t->checking;
	t->refused_at = now();
	if (t->users != NULL && same_inode(&t->checking, users_stat(t->users)))
		drop(t);
	log_error("user table %s can't be used: %s; %s", t->path, text,
		t->users ? "the one before stays in use"
			 : "mail has to wait until it is mended");
}

/* The path may name a newer file than the one that was checked: that is looked at next.
 */
static void
take_checked(struct table *t)
{
	struct reason why;
	struct users *users = users_open_to_stay(t->path, &why);

	if (users == NULL)
		refuse(t, why.text);
	else if (same_file(users_stat(users), &t->checking))
		take(t, users);
	else
		users_close(&users);
}

static void
checked(struct table *t, int status)
{
	char text[80];

	t->child = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		take_checked(t);
		return;
	}
	if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "reading it through ended in signal %d",
			WTERMSIG(status));
	else
		snprintf(text, sizeof text, "it was read through and is not sound");
	refuse(t, text);
}

static void
on_child_ended(int signal, short what, void *arg)
{
	struct table *t = arg;
	int status;

	(void)signal;
	(void)what;
	if (t->child != 0 && waitpid(t->child, &status, WNOHANG) == t->child)
		checked(t, status);
}

/* --- looking ---------------------------------------------------------------------- */

static void
begin_check(struct table *t, const struct stat *st)
{
	t->checking = *st;
	if (t->users != NULL && same_inode(st, users_stat(t->users)) &&
		!same_content(st, users_stat(t->users)))
		drop(t);
	t->child = fork();
	if (t->child == 0)
		check_in_child(t->path);
	if (t->child == -1) {
		t->child = 0;
		refuse(t, strerror(errno));
	}
}

static void
say_missing(struct table *t)
{
	if (!t->missing)
		log_error("user table %s: %s; %s", t->path, strerror(errno),
			t->users ? "the one before stays in use"
				 : "mail has to wait until there is one");
	t->missing = 1;
}

void
table_look(struct table *t)
{
	struct stat st;

	if (t->child != 0)
		return;
	if (stat(t->path, &st) == -1) {
		say_missing(t);
		return;
	}
	t->missing = 0;
	if (t->users != NULL && same_file(&st, users_stat(t->users)))
		return;
	if (same_file(&st, &t->refused) && now() - t->refused_at < AGAIN_S)
		return;
	begin_check(t, &st);
}

/* --- life ------------------------------------------------------------------------- */

struct table *
table_new(struct event_base *base, const char *path)
{
	struct table *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	drop(t);
	t->path = strdup(path);
	t->child_ended = evsignal_new(base, SIGCHLD, on_child_ended, t);
	if (t->path == NULL || t->child_ended == NULL ||
		event_add(t->child_ended, NULL) == -1) {
		table_free(&t);
		return NULL;
	}
	table_look(t);
	return t;
}

void
table_wait(struct table *t)
{
	int status;

	if (t->child == 0)
		return;
	while (waitpid(t->child, &status, 0) == -1)
		if (errno != EINTR) {
			t->child = 0;
			return;
		}
	checked(t, status);
}

void
table_free(struct table **table)
{
	struct table *t = *table;

	*table = NULL;
	if (t == NULL)
		return;
	if (t->child != 0) {
		kill(t->child, SIGKILL);
		waitpid(t->child, NULL, 0);
	}
	if (t->child_ended != NULL)
		event_free(t->child_ended);
	users_close(&t->users);
	free(t->path);
	free(t);
}

struct users *
table_users(struct table *t)
{
	return t->users;
}

const char *
table_identity(const struct table *t)
{
	return t->identity;
}
