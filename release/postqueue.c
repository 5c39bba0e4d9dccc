/* Postfix's postqueue: checked, started, and its end. */
#include "postqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "amount.h"
#include "child.h"
#include "descriptors.h"
#include "walk.h"

#define OUTPUT_KEPT 160   /* bytes, for the reason */
#define OUTPUT_READ 65536 /* more is not read: it waits until its time is over */
#define PROGRAM_FD  3     /* of the child */
#define NOT_STARTED 127
#define PATH        "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

struct postqueue {
	const struct postqueue_settings *settings;
	postqueue_ended *ended;
	void *arg;
	struct event_base *base;
	struct event *died, *too_late;
	pid_t pid; /* 0: none runs; and the id of its process group */
	int was_too_late;
	int output; /* -1: none */
	struct event *readable;
	size_t read, kept;
	char text[OUTPUT_KEPT + 1];
};

int
postqueue_is_id(const char *text, size_t length)
{
	static const char letters[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	if (length < POSTQUEUE_ID_LEAST || length > POSTQUEUE_ID_MOST)
		return 0;
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\0' || strchr(letters, text[i]) == NULL)
			return 0;
	return 1;
}

/* --- the program ------------------------------------------------------------------ */

static int
is_root_s_alone(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The kernel gives no group to a program on such a file system. */
static int
check_file(int fd, const char *path, struct reason *why)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) == -1)
		return reason_errno(why, "%s", path);
	if (S_ISLNK(st.st_mode))
		return reason_set(why,
			"%s is a link: -p takes the program itself (readlink -f)", path);
	if (!S_ISREG(st.st_mode))
		return reason_set(why, "%s is not a program", path);
	if (!is_root_s_alone(&st))
		return reason_set(why,
			"%s belongs to uid %u with mode %04o: only what root alone can "
			"change is run",
			path, st.st_uid, st.st_mode & 07777U);
	if (st.st_mode & S_ISGID && fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_NOSUID)
		return reason_set(
			why, "%s is on a nosuid file system and gets no group", path);
	return 0;
}

/* Its descriptor, without any access to its bytes; -1 with the reason. */
static int
open_program(const char *path, struct reason *why)
{
	char name[NAME_MAX + 1];
	struct stat st;
	int directory = walk_open_parent(path, name, why), fd = -1;

	if (directory == -1)
		return -1;
	if (fstat(directory, &st) == -1 || !is_root_s_alone(&st))
		reason_set(why, "the directory of %s can be changed by others than root",
			path);
	else if ((fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)) == -1)
		reason_errno(why, "%s", path);
	else if (check_file(fd, path, why) == -1) {
		close(fd);
		fd = -1;
	}
	close(directory);
	return fd;
}

int
postqueue_check(const struct postqueue_settings *settings, struct reason *why)
{
	int fd = open_program(settings->path, why);

	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

/* --- the child -------------------------------------------------------------------- */

/* What we ignore or wait for is ours alone. */
static void
default_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The program's descriptor stays open: a script's interpreter reads it by that. */
static void
run_program(const struct postqueue *p, const char *id, int program, int output)
{
	char configuration[PATH_MAX + sizeof "MAIL_CONFIG="];
	char option[] = "-i", name[] = "postqueue", path[] = PATH;
	char argument[POSTQUEUE_ID_MOST + 1];
	char *const arguments[] = {name, option, argument, NULL};
	char *environment[] = {path, NULL, NULL};
	const char *directory = p->settings->configuration;
	int nothing = open("/dev/null", O_RDONLY);

	snprintf(argument, sizeof argument, "%s", id);
	if (directory != NULL) {
		snprintf(
			configuration, sizeof configuration, "MAIL_CONFIG=%s", directory);
		environment[1] = configuration;
	}
	setpgid(0, 0);
	default_signals();
	if (nothing == -1 || dup2(nothing, STDIN_FILENO) == -1 ||
		dup2(output, STDOUT_FILENO) == -1 || dup2(output, STDERR_FILENO) == -1 ||
		(program == PROGRAM_FD ? fcntl(program, F_SETFD, 0)
				       : dup2(program, PROGRAM_FD)) == -1 ||
		descriptors_close(PROGRAM_FD + 1, UINT_MAX) == -1)
		child_leave(NOT_STARTED);
	execveat(PROGRAM_FD, "", arguments, environment, AT_EMPTY_PATH);
	child_leave(NOT_STARTED);
}

/* No signal comes to the child before its handlers are the defaults again: ours would
 * tell our loop. */
static pid_t
start_child(const struct postqueue *p, const char *id, int program, int output)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		run_program(p, id, program, output);
	if (pid > 0)
		setpgid(pid, pid); /* whichever of both is first */
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

/* --- its output ------------------------------------------------------------------- */

static void
close_output(struct postqueue *p)
{
	if (p->readable != NULL)
		event_free(p->readable);
	if (p->output != -1)
		close(p->output);
	p->readable = NULL;
	p->output = -1;
}

/* The first bytes are kept, ends of lines as blanks; what is beyond the bound stays where
 * it is. */
static void
read_output(int fd, short what, void *arg)
{
	struct postqueue *p = arg;
	char bytes[4096];
	ssize_t n;

	(void)what;
	do {
		n = read(fd, bytes, sizeof bytes);
		for (ssize_t i = 0; i < n && p->kept < OUTPUT_KEPT; i++)
			p->text[p->kept++] =
				bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : ' ';
		p->read += n > 0 ? (size_t)n : 0;
	} while (n > 0 && p->read < OUTPUT_READ);
	p->text[p->kept] = '\0';
	if (n == 0 || p->read >= OUTPUT_READ)
		event_del(p->readable);
}

/* --- its end ---------------------------------------------------------------------- */

static int
say_end(const struct postqueue *p, int status, struct reason *why)
{
	char time[AMOUNT_SIZE];

	if (p->was_too_late)
		return reason_set(why, "postqueue took longer than %s and was killed%s%s",
			amount_show_time(p->settings->limit_ms / 1000, time),
			p->kept > 0 ? ": " : "", p->text);
	if (WIFSIGNALED(status))
		return reason_set(why, "postqueue was ended by signal %d%s%s",
			WTERMSIG(status), p->kept > 0 ? ": " : "", p->text);
	if (WEXITSTATUS(status) != 0)
		return reason_set(why, "postqueue ended with status %d%s%s",
			WEXITSTATUS(status), p->kept > 0 ? ": " : "", p->text);
	return 0;
}

/* Whatever it has started ends with it: its group has its id until it is waited for. */
static void
on_death(int signal, short what, void *arg)
{
	struct postqueue *p = arg;
	siginfo_t info = {.si_pid = 0};
	struct reason why;
	int status = 0;

	(void)signal;
	(void)what;
	if (p->pid == 0 ||
		waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == -1 ||
		info.si_pid == 0)
		return;
	kill(-p->pid, SIGKILL);
	waitpid(p->pid, &status, 0);
	p->pid = 0;
	evtimer_del(p->too_late);
	if (p->read < OUTPUT_READ)
		read_output(p->output, EV_READ, p);
	close_output(p);
	p->ended(p->arg, say_end(p, status, &why) == -1 ? &why : NULL);
}

static void
on_time(int fd, short what, void *arg)
{
	struct postqueue *p = arg;

	(void)fd;
	(void)what;
	if (p->pid == 0)
		return;
	p->was_too_late = 1;
	kill(-p->pid, SIGKILL);
}

/* --- life ------------------------------------------------------------------------- */

struct postqueue *
postqueue_new(struct event_base *base, const struct postqueue_settings *settings,
	postqueue_ended *ended, void *arg)
{
	struct postqueue *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->settings = settings;
	p->base = base;
	p->ended = ended;
	p->arg = arg;
	p->output = -1;
	p->died = evsignal_new(base, SIGCHLD, on_death, p);
	p->too_late = evtimer_new(base, on_time, p);
	if (p->died == NULL || p->too_late == NULL || event_add(p->died, NULL) == -1)
		postqueue_free(&p);
	return p;
}

void
postqueue_free(struct postqueue **postqueue)
{
	struct postqueue *p = *postqueue;

	*postqueue = NULL;
	if (p == NULL)
		return;
	if (p->pid != 0) {
		kill(-p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	close_output(p);
	if (p->died != NULL)
		event_free(p->died);
	if (p->too_late != NULL)
		event_free(p->too_late);
	free(p);
}

int
postqueue_is_running(const struct postqueue *p)
{
	return p->pid != 0;
}

/* Both ends of the output, ours with its event. */
static int
open_output(struct postqueue *p, int *theirs, struct reason *why)
{
	int ends[2];

	p->read = p->kept = 0;
	p->text[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) == -1)
		return reason_errno(why, "pipe");
	p->output = ends[0];
	*theirs = ends[1];
	p->readable = event_new(p->base, ends[0], EV_READ | EV_PERSIST, read_output, p);
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && p->readable != NULL &&
		event_add(p->readable, NULL) == 0)
		return 0;
	close(ends[1]);
	close_output(p);
	return reason_set(why, REASON_NO_MEMORY);
}

int
postqueue_start(struct postqueue *p, const char *id, struct reason *why)
{
	const uint64_t limit_ms = p->settings->limit_ms;
	const struct timeval limit = {
		(time_t)(limit_ms / 1000), (suseconds_t)(limit_ms % 1000 * 1000)};
	int program = open_program(p->settings->path, why), theirs = -1;
	pid_t pid = -1;

	if (program == -1)
		return -1;
	if (open_output(p, &theirs, why) == 0) {
		pid = start_child(p, id, program, theirs);
		close(theirs);
		if (pid == -1) {
			reason_errno(why, "fork");
			close_output(p);
		}
	}
	close(program);
	if (pid == -1)
		return -1;
	p->pid = pid;
	p->was_too_late = 0;
	evtimer_add(p->too_late, &limit);
	return 0;
}
