/* The scanner: a loop that forks, and what its children do. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "count.h"
#include "record.h"

/* For the names of some 30 million messages. */
#define MEMORY_MAX (1024UL * 1024 * 1024)

/* A count takes its time, and must not take it from answers that need none. */
#define COUNT_NICE 10

static rlim_t address_space = RLIM_INFINITY; /* that a child may have */

/* --- the children ----------------------------------------------------------------- */

static void
write_failed(int fd, const struct reason *why)
{
	char *text = record_escape(why->text);

	if (text)
		dprintf(fd, "FAILED text=%s\n", text);
	free(text);
}

/* Repeats a line that names a message which the count saw. -1: it can't be told. */
static int
answer_name(FILE *to, const char *line, const struct name_set *seen)
{
	char *name = strdup(line + 1);
	int result = -1;

	if (name && record_unescape(name) == 0)
		result = !name_set_has(seen, name) || fprintf(to, "%s\n", line) > 0 ? 0
										    : -1;
	free(name);
	return result;
}

/* -1 where the daemon's list did not come to its end, or a name could not be looked for.
 */
static int
answer_names(FILE *from, FILE *to, const struct name_set *seen)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int result = -1;

	while ((n = getline(&line, &size, from)) > 0) {
		line[n - 1] = '\0';
		if (strcmp(line, "END") == 0)
			result = 0;
		if (line[0] != '+' || answer_name(to, line, seen))
			break;
	}
	free(line);
	return result;
}

static void
write_counted(int fd, const struct count_result *r, const struct name_set *seen)
{
	FILE *from = fdopen(fd, "r"), *to = fdopen(dup(fd), "w");

	if (!from || !to)
		return;
	fprintf(to,
		"COUNTED exact=%d bytes=%" PRIu64 " messages=%" PRIu64 " stamp=%" PRIu64
		" corrected=%" PRIu64 "\n",
		r->exact, r->bytes, r->messages, r->stamp, r->corrected);
	if (answer_names(from, to, seen) == 0)
		fputs("END\n", to);
	fflush(to);
}

static void
run_count(int fd, const struct record *job, const char *path)
{
	struct count_result result;
	struct name_set *seen = NULL;
	struct reason why;
	uint64_t thorough;

	alarm(SCANNER_COUNT_SECONDS);
	/* where this fails the count is only less polite */
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + COUNT_NICE);
	record_number(job, "thorough", 0, &thorough);
	if (count_mailbox(path, record_get(job, "ignore"), thorough != 0, &result, &seen,
		    &why) < 0) {
		write_failed(fd, &why);
		return;
	}
	dprintf(fd, "SCANNED\n");
	write_counted(fd, &result, seen);
}

static void
run_probe(int fd, const struct record *job, const char *path)
{
	struct reason why;
	uint64_t stamp;

	alarm(SCANNER_PROBE_SECONDS);
	if (count_stamp(path, record_get(job, "ignore"), &stamp, &why) < 0)
		write_failed(fd, &why);
	else
		dprintf(fd, "PROBED stamp=%" PRIu64 "\n", stamp);
}

static void
run_ping(int fd, const struct record *job, const char *path)
{
	(void)job;
	(void)path;
	dprintf(fd, "PONG\n");
}

/* What a child that reads a hostile mailbox can use up, and do, at most. */
static void
set_bounds(void)
{
	const struct {
		int resource;
		rlim_t most;
	} bounds[] = {
		{RLIMIT_CPU, SCANNER_COUNT_SECONDS / 2},
		{RLIMIT_AS, address_space},
		{RLIMIT_CORE, 0},
		{RLIMIT_NPROC, 0},
#ifndef BRIM_COVERAGE
		{RLIMIT_FSIZE, 0},
#endif
	};

	for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
		struct rlimit limit = {bounds[i].most, bounds[i].most};

		if (setrlimit(bounds[i].resource, &limit))
			child_leave(1);
	}
}

/* Leaves nothing open but FD and the three standard descriptors. */
static void
close_others(int fd)
{
	if (fd > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned int)fd - 1, 0);
	close_range((unsigned int)fd + 1, ~0U, 0);
}

static void serve(int socket) __attribute__((noreturn));
static void run_job(int fd, const char *line, size_t length) __attribute__((noreturn));

static void
run_job(int fd, const char *line, size_t length)
{
	static const struct {
		const char *name;
		void (*run)(int fd, const struct record *job, const char *path);
	} kinds[] = {{"count", run_count}, {"probe", run_probe}, {"ping", run_ping}};
	struct record job = {0};
	const char *path;

	close_others(fd);
	if (record_parse(&job, line, length, 1, NULL))
		child_leave(1);
	if (strcmp(job.key, "spare") == 0)
		serve(fd);
	set_bounds();
	path = record_get(&job, "path");
	for (size_t i = 0; path && i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(job.key, kinds[i].name) == 0)
			kinds[i].run(fd, &job, path);
	child_leave(0);
}

/* --- the loop --------------------------------------------------------------------- */

static int
take_descriptor(struct msghdr *m)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		c->cmsg_len != CMSG_LEN(sizeof fd))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

/* Receives a job: its length with the socket on which to answer (-1: none), 0 when the
 * daemon has gone, -1. */
static ssize_t
receive(int socket, char *line, size_t size, int *fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {line, size};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	ssize_t n;

	do
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*fd = n < 0 ? -1 : take_descriptor(&m);
	return n;
}

/* A job for which no child can be made is told so by its socket's end. */
static void
serve(int socket)
{
	char line[RECORD_LINE_MAX];
	ssize_t n;
	int fd;

	while ((n = receive(socket, line, sizeof line, &fd)) > 0) {
		if (fd < 0)
			continue;
		if (fork() == 0)
			run_job(fd, line, (size_t)n);
		close(fd);
	}
	child_leave(n == 0 ? 0 : 1);
}

/* What is in use now, and MEMORY_MAX above it. */
static void
find_address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages;

	if (f && fscanf(f, "%lu", &pages) == 1)
		address_space = pages * (rlim_t)sysconf(_SC_PAGESIZE) + MEMORY_MAX;
	if (f)
		fclose(f);
}

/* The end of the scanner is the end of its socket: the signals that end the daemon, which
 * may be sent to all processes of a service at once, must not end it before. Children are
 * reaped by the kernel. */
static void
set_signals(void)
{
	static const int ignored[] = {
		SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGCHLD};
	sigset_t none;

	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGALRM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
detach_streams(void)
{
	int fd = open("/dev/null", O_RDWR);

	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
		dup2(fd, STDERR_FILENO) < 0)
		return -1;
	if (fd > STDERR_FILENO)
		close(fd);
	return 0;
}

void
scanner_process_run(int socket, const struct privileges_user *user)
{
	struct reason why = {""};

	close_others(socket);
	prctl(PR_SET_NAME, "quotad-scanner");
	set_signals();
	find_address_space();
	if (detach_streams())
		reason_errno(&why, "/dev/null");
	else if (!user || privileges_become(user, PRIVILEGES_READ_SEARCH, &why) == 0)
		snprintf(why.text, sizeof why.text, SCANNER_READY);
	if (send(socket, why.text, strlen(why.text), MSG_NOSIGNAL) < 0 ||
		strcmp(why.text, SCANNER_READY) != 0)
		child_leave(1);
	serve(socket);
}
