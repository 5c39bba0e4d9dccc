/* The scanner: a loop that forks. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "descriptors.h"
#include "record.h"
#include "worker.h"

/* For the names of some 30 million messages. */
#define MEMORY_MAX (1024UL * 1024 * 1024)

static rlim_t address_space = RLIM_INFINITY; /* that a child may have */

/* --- the loop --------------------------------------------------------------------- */

/* Leaves nothing open but FD and the three standard descriptors. */
static void
close_others(int fd)
{
	if (descriptors_close(STDERR_FILENO + 1, (unsigned int)fd - 1) == -1 ||
		descriptors_close((unsigned int)fd + 1, ~0U) == -1)
		child_leave(1);
}

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

static void serve(int socket) __attribute__((noreturn));
static void begin_child(int fd, const char *line, size_t length)
	__attribute__((noreturn));

/* The child is another scanner, or one that takes jobs. */
static void
begin_child(int fd, const char *line, size_t length)
{
	if (length == strlen(SCANNER_SPARE) && memcmp(line, SCANNER_SPARE, length) == 0) {
		close_others(fd);
		serve(fd);
	}
	worker_run(fd, line, length, address_space);
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
			begin_child(fd, line, (size_t)n);
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
	const unsigned kept = privileges_available(PRIVILEGES_READ_SEARCH);
	struct reason why = {""};

	close_others(socket);
	prctl(PR_SET_NAME, "quotad-scanner");
	set_signals();
	find_address_space();
	if (detach_streams())
		reason_errno(&why, "/dev/null");
	else if ((user ? privileges_become(user, kept, &why)
		       : privileges_keep(kept, &why)) == 0)
		snprintf(why.text, sizeof why.text, SCANNER_READY);
	if (send(socket, why.text, strlen(why.text), MSG_NOSIGNAL) < 0 ||
		strcmp(why.text, SCANNER_READY) != 0)
		child_leave(1);
	serve(socket);
}
