/*
 * Starts a delivery agent many times, as an MTA does: one process a message, which it
 *gets through a pipe. Counts who took it, and what it took in all.
 *
 *	driver [-g] COUNT ABREAST MESSAGE COMMAND [ARGUMENT...]
 *
 * With -g all are started first (ABREAST of them), and get their messages only then.
 * Prints one line: ns= (from the first start to the last end) accepted= (exit status 0)
 * faults= (minor page faults) cpu_us= (user and system). What the agents print is lost.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ABREAST_MAX  1024
#define MESSAGE_MAX  65536 /* a pipe's room: feeding never waits */
#define STATUS_FAULT 2

struct driver {
	char message[MESSAGE_MAX];
	size_t length;
	char **command;
	int report; /* the true standard output */
	int feeds[ABREAST_MAX];
	uint64_t accepted, faults, cpu_us;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t
number(const char *text, uint64_t most)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (end == text || *end || n == 0 || n > most)
		errx(STATUS_FAULT, "%s: not a number from 1 to %" PRIu64, text, most);
	return n;
}

static void
read_message(struct driver *d, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, d->message, sizeof d->message);

	if (n <= 0)
		err(STATUS_FAULT, "%s", path);
	d->length = (size_t)n;
	close(fd);
}

/* Standard output and error go nowhere, for the agents' sake. */
static void
lend_streams(struct driver *d)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	d->report = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (null < 0 || d->report < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		dup2(null, STDERR_FILENO) < 0)
		err(STATUS_FAULT, "standard output");
	close(null);
}

/* Starts one agent; returns the pipe on which its message is due. */
static int
start(struct driver *d)
{
	posix_spawn_file_actions_t actions;
	int ends[2], fault;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		err(STATUS_FAULT, "pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
	fault = posix_spawnp(&pid, d->command[0], &actions, NULL, d->command, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (fault)
		errx(STATUS_FAULT, "%s: %s", d->command[0], strerror(fault));
	close(ends[0]);
	return ends[1];
}

/* An agent that has gone already takes nothing, which its exit status says. */
static void
feed(const struct driver *d, int to)
{
	if (write(to, d->message, d->length) < 0 && errno != EPIPE)
		err(STATUS_FAULT, "pipe");
	close(to);
}

static void
reap(struct driver *d)
{
	struct rusage used;
	int status;

	if (wait4(-1, &status, 0, &used) < 0)
		err(STATUS_FAULT, "wait");
	d->accepted += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	d->faults += (uint64_t)used.ru_minflt;
	d->cpu_us += (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
		     (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void
run(struct driver *d, uint64_t count, uint64_t abreast)
{
	for (uint64_t i = 0; i < count; i++) {
		if (i >= abreast)
			reap(d);
		feed(d, start(d));
	}
	for (uint64_t i = 0; i < count && i < abreast; i++)
		reap(d);
}

static void
run_at_once(struct driver *d, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		d->feeds[i] = start(d);
	for (uint64_t i = 0; i < count; i++)
		feed(d, d->feeds[i]);
	for (uint64_t i = 0; i < count; i++)
		reap(d);
}

int
main(int argc, char **argv)
{
	static struct driver d;
	int gate = argc > 1 && strcmp(argv[1], "-g") == 0;
	uint64_t count, abreast, began;

	argv += gate;
	argc -= gate;
	if (argc < 5)
		errx(STATUS_FAULT, "usage: driver [-g] COUNT ABREAST MESSAGE COMMAND...");
	count = number(argv[1], gate ? ABREAST_MAX : UINT32_MAX);
	abreast = number(argv[2], ABREAST_MAX);
	read_message(&d, argv[3]);
	d.command = argv + 4;
	signal(SIGPIPE, SIG_IGN);
	lend_streams(&d);
	began = now_ns();
	if (gate)
		run_at_once(&d, count);
	else
		run(&d, count, abreast);
	dprintf(d.report,
		"ns=%" PRIu64 " accepted=%" PRIu64 " faults=%" PRIu64 " cpu_us=%" PRIu64
		"\n",
		now_ns() - began, d.accepted, d.faults, d.cpu_us);
	return 0;
}
