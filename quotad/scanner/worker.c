/* What a child of the scanner does. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "count.h"
#include "descriptors.h"
#include "privileges.h"
#include "process.h"
#include "record.h"
#include "walk.h"

/* A count takes its time, and must not take it from answers that have none. */
#define COUNT_NICE 10

/* A count has a folder of the mailbox open, and what is on the way to it. */
#define FILES_MAX 64

/* What may be left behind by a job: a child that has grown more takes no other. */
#ifdef __SANITIZE_ADDRESS__
#define GROWN_KIB_MAX 8192 /* its shadow grows as well */
#else
#define GROWN_KIB_MAX 2048
#endif
#define CPU_SECONDS_MAX 30

#define GRACE_SECONDS 5 /* that a child with one job has beyond its alarm */

struct worker {
	int fd;
	FILE *in, *out;
	long begun_kib;  /* resident at the start */
	int one_job;     /* we are the owner */
	int may_pass_on; /* the job's mailbox has an owner who may be able to do it */
};

/* The signal that kills is sent by the other end's end alone: from then on nobody waits
 * for a job, which may hang in a file system. Meanwhile nothing else comes in; later the
 * end is read. Neither the scanner's end nor a user's signal to it is heard of so, and
 * what another user has become gets it, too (PR_SET_PDEATHSIG is the scanner's
 * permission).
 */
static void
hear_end(const struct worker *w, int on)
{
	struct pollfd daemon = {.fd = w->fd, .events = 0};
	int flags = fcntl(w->fd, F_GETFL);

	if (flags < 0 || fcntl(w->fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC))
		child_leave(1);
	if (on && poll(&daemon, 1, 0) > 0 && (daemon.revents & POLLHUP))
		child_leave(0);
}

/* --- jobs ------------------------------------------------------------------------- */

/* The mailbox could not be read, as errno tells. */
static void
write_failed(struct worker *w, const struct reason *why)
{
	int is_denied = errno == EACCES || errno == EPERM;
	char *text = record_escape(why->text);

	if (!text)
		child_leave(1);
	if (w->may_pass_on && is_denied)
		fputs(SCANNER_OWNER "\n", w->out);
	else
		fprintf(w->out, "FAILED text=%s\n", text);
	free(text);
}

/* Repeats a line that names a message which the count saw. -1: it can't be told. */
static int
answer_name(struct worker *w, const char *line, const struct name_set *seen)
{
	char *name = strdup(line + 1);
	int result = -1;

	if (name && record_unescape(name) == 0)
		result = !name_set_has(seen, name) || fprintf(w->out, "%s\n", line) > 0
				 ? 0
				 : -1;
	free(name);
	return result;
}

/* -1 where the daemon's list did not come to its end, or a name could not be looked for.
 */
static int
answer_names(struct worker *w, const struct name_set *seen)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int result = -1;

	while ((n = getline(&line, &size, w->in)) > 0) {
		line[n - 1] = '\0';
		if (strcmp(line, "END") == 0)
			result = 0;
		if (line[0] != '+' || answer_name(w, line, seen))
			break;
	}
	free(line);
	return result;
}

static void
write_counted(struct worker *w, const struct count_result *r, const struct name_set *seen)
{
	fprintf(w->out,
		"COUNTED exact=%d bytes=%" PRIu64 " messages=%" PRIu64 " stamp=%" PRIu64
		" directory=%" PRIu64 " missing=%d ignored=%d sure_bytes=%" PRIu64
		" sure_messages=%" PRIu64 " by_name=%" PRIu64 " wrong=%" PRIu64 "\n",
		r->exact, r->bytes, r->messages, r->stamp, r->directory, r->missing,
		r->ignored, r->sure_bytes, r->sure_messages, r->by_name, r->wrong);
	if (answer_names(w, seen))
		child_leave(1);
	fputs("END\n", w->out);
}

static void
run_count(struct worker *w, const struct record *job, const char *path)
{
	struct count_result result;
	struct name_set *seen = NULL;
	struct reason why;
	uint64_t by_files;

	record_number(job, "by_files", 0, &by_files);
	if (count_mailbox(path, record_get(job, "ignore"), by_files != 0, &result, &seen,
		    &why) < 0) {
		write_failed(w, &why);
		return;
	}
	hear_end(w, 0);
	fputs("SCANNED\n", w->out);
	fflush(w->out);
	write_counted(w, &result, seen);
	name_set_free(&seen);
}

static void
run_probe(struct worker *w, const struct record *job, const char *path)
{
	struct reason why;
	uint64_t stamp;

	if (count_stamp(path, record_get(job, "ignore"), &stamp, &why) < 0)
		write_failed(w, &why);
	else
		fprintf(w->out, "PROBED stamp=%" PRIu64 "\n", stamp);
}

static void
run_ping(struct worker *w, const struct record *job, const char *path)
{
	(void)job;
	(void)path;
	fputs("PONG\n", w->out);
}

static const struct kind {
	const char *name;
	unsigned int seconds; /* that one job may take */
	int nice;
	int one_job; /* is all that a child of it takes */
	void (*run)(struct worker *w, const struct record *job, const char *path);
} kinds[] = {
	{"count", SCANNER_COUNT_SECONDS, COUNT_NICE, 0, run_count},
	{"probe", SCANNER_PROBE_SECONDS, 0, 0, run_probe},
	/* a sign of life of the scanner, not only of a child */
	{"ping", SCANNER_PING_SECONDS, 0, 1, run_ping},
};

/* NULL: the line asks for no job. */
static const struct kind *
find_kind(const char *line, size_t length)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		size_t n = strlen(kinds[i].name);

		if (length > n && memcmp(line, kinds[i].name, n) == 0 && line[n] == ' ')
			return &kinds[i];
	}
	return NULL;
}

/* One that has a single job ends soon after it should have answered. */
static unsigned int
life_of(const struct kind *kind, int one_job)
{
	return one_job ? kind->seconds + GRACE_SECONDS : SCANNER_LIFE_SECONDS;
}

unsigned int
worker_life(const char *line, size_t length, int one_job)
{
	const struct kind *kind = find_kind(line, length);

	return kind ? life_of(kind, one_job) : 0;
}

/* --- bounds ----------------------------------------------------------------------- */

static void
set_limits(rlim_t address_space)
{
	const struct {
		int resource;
		rlim_t most;
	} limits[] = {
		{RLIMIT_CPU, SCANNER_COUNT_SECONDS / 2},
		{RLIMIT_AS, address_space},
		{RLIMIT_CORE, 0},
		{RLIMIT_NPROC, 0},
		{RLIMIT_NOFILE, FILES_MAX},
#ifndef BRIM_COVERAGE
		{RLIMIT_FSIZE, 0},
#endif
	};

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct rlimit limit;

		if (getrlimit(limits[i].resource, &limit))
			child_leave(1);
		if (limit.rlim_max > limits[i].most)
			limit.rlim_max = limits[i].most;
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(limits[i].resource, &limit))
			child_leave(1);
	}
}

/* A timer that can't be stopped, by a signal that can't be caught: it holds for one that
 * is taken over, too. */
static void
bound_life(unsigned int seconds)
{
	struct sigevent end = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	const struct itimerspec life = {.it_value.tv_sec = seconds};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &end, &timer) ||
		timer_settime(timer, 0, &life, NULL))
		child_leave(1);
}

/* All that a child that reads a hostile mailbox can use up, and do. */
static void
set_bounds(const struct kind *kind, const struct worker_bounds *bounds)
{
	struct reason why;

	/* where this fails the count is only less polite */
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + kind->nice);
	bound_life(life_of(kind, bounds->one_job));
	set_limits(bounds->address_space);
#ifdef BRIM_COVERAGE
	(void)why;
#else
	if (privileges_only_read(&why))
		child_leave(1);
#endif
}

static struct rusage
usage_so_far(void)
{
	struct rusage used = {0};

	getrusage(RUSAGE_SELF, &used);
	return used;
}

static int
may_go_on(const struct worker *w)
{
	struct rusage used = usage_so_far();

	return used.ru_maxrss - w->begun_kib <= GROWN_KIB_MAX &&
	       used.ru_utime.tv_sec + used.ru_stime.tv_sec < CPU_SECONDS_MAX;
}

/* --- life ------------------------------------------------------------------------- */

/* The only descriptor above the standard three. */
static void
begin(struct worker *w, int fd)
{
	w->fd = STDERR_FILENO + 1;
	if (fd != w->fd && dup3(fd, w->fd, O_CLOEXEC) == -1)
		child_leave(1);
	descriptors_close((unsigned int)w->fd + 1, ~0U);
	w->in = fdopen(w->fd, "r");
	w->out = fdopen(w->fd, "w");
	if (!w->in || !w->out)
		child_leave(1);
	signal(SIGIO, SIG_DFL);
	if (fcntl(w->fd, F_SETOWN, getpid()))
		child_leave(1);
	w->begun_kib = usage_so_far().ru_maxrss;
}

static void
perform(struct worker *w, const struct kind *kind, const char *line, size_t length)
{
	struct record job = {0};
	const char *path;
	uint64_t pass_on;

	if (record_parse(&job, line, length, 1, NULL))
		child_leave(1);
	path = record_get(&job, "path");
	if (!path || strcmp(job.key, kind->name) != 0)
		child_leave(1);
	record_number(&job, "pass_on", 0, &pass_on);
	w->may_pass_on = pass_on && !w->one_job;
	alarm(kind->seconds);
	hear_end(w, 1);
	kind->run(w, &job, path);
	hear_end(w, 0);
	alarm(0);
	record_clear(&job);
	descriptors_close((unsigned int)w->fd + 1, ~0U);
}

void
worker_run(int fd, const char *line, size_t length, const struct worker_bounds *bounds)
{
	const struct kind *kind = find_kind(line, length);
	struct worker w;
	char *next = NULL;
	size_t size = 0;
	ssize_t n;

	if (!kind)
		child_leave(1);
	begin(&w, fd);
	w.one_job = bounds->one_job;
	w.may_pass_on = 0;
	if (w.one_job)
		walk_believe_owner(geteuid());
	set_bounds(kind, bounds);
	perform(&w, kind, line, length);
	while (!kind->one_job && !bounds->one_job && may_go_on(&w)) {
		fputs("READY\n", w.out);
		if (fflush(w.out) || (n = getline(&next, &size, w.in)) <= 0)
			break;
		perform(&w, kind, next, (size_t)n - 1);
	}
	fflush(w.out);
	child_leave(0);
}

void
worker_refuse(int fd, const struct reason *why)
{
	char *text = record_escape(why->text);

	if (text)
		dprintf(fd, "FAILED text=%s\n", text);
	free(text);
}
