/* The scanner, and the spawner: a loop that forks. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "descriptors.h"
#include "forked.h"
#include "record.h"
#include "siphash.h"
#include "worker.h"

/* For the names of some 30 million messages. */
#define MEMORY_MAX (1024UL * 1024 * 1024)

/* A child's end is awaited so long after its life should be over. */
#define STUCK_MS 2000

struct request {
	char line[RECORD_LINE_MAX];
	size_t length;
	int fd; /* on which to answer */
	uint64_t mailbox, uid, gid, disk;
};

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

/* Receives a job, its socket -1 where it has none. Its length, 0 when the daemon has
 * gone, or -1. */
static ssize_t
receive(int socket, struct request *r)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {r->line, sizeof r->line};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	ssize_t n;

	do
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	r->fd = n < 0 ? -1 : take_descriptor(&m);
	r->length = n < 0 ? 0 : (size_t)n;
	return n;
}

static int
is_spare(const struct request *r)
{
	return r->length == strlen(SCANNER_SPARE) &&
	       memcmp(r->line, SCANNER_SPARE, r->length) == 0;
}

/* Which mailbox, and whose. */
static int
read_request(struct request *r)
{
	static const struct siphash_key key;
	struct record job;
	const char *path;
	int result = -1;

	if (record_parse(&job, r->line, r->length, 1, NULL))
		return -1;
	path = record_get(&job, "path");
	if (path && record_number(&job, "uid", UINT32_MAX, &r->uid) == 0 &&
		record_number(&job, "gid", UINT32_MAX, &r->gid) == 0 &&
		record_number(&job, "disk", 0, &r->disk) == 0 && r->uid <= UINT32_MAX &&
		r->gid <= UINT32_MAX) {
		r->mailbox = siphash(&key, path, strlen(path));
		result = 0;
	}
	record_clear(&job);
	return result;
}

/* For good, and before it reads anything: nothing that the owner's processes can do to it
 * reaches the spawner. They may end it, as whatever ends a service may. */
static void
become_owner(const struct request *r, const struct scanner_role *role)
{
	const struct privileges_user owner = {(uid_t)r->uid, (gid_t)r->gid};
	struct reason why;
	int result = -1;

	prctl(PR_SET_NAME, "quotad-owner");
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	if (r->uid < role->min_uid)
		reason_set(&why, "uid %ju is below min_uid, as it was at the start",
			(uintmax_t)r->uid);
	else
		result = privileges_become_recipient(&owner, &why);
	if (result == 0)
		return;
	worker_refuse(r->fd, &why);
	child_leave(1);
}

static void serve(int socket, const struct scanner_role *role) __attribute__((noreturn));
static void begin_child(const struct request *r, const struct scanner_role *role)
	__attribute__((noreturn));

/* The child is another scanner, or one that takes jobs. */
static void
begin_child(const struct request *r, const struct scanner_role *role)
{
	const struct worker_bounds bounds = {address_space, role->becomes_owners};
	sigset_t none;

	close_others(r->fd);
	if (is_spare(r)) {
		forked_forget_all();
		serve(r->fd, role);
	}
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (role->becomes_owners)
		become_owner(r, role);
	worker_run(r->fd, r->line, r->length, &bounds);
}

/* A job for which no child can be made is told so by its socket's end, one for which
 * there must be none gets an answer. */
static void
take(struct request *r, const struct scanner_role *role)
{
	struct forked_child child = {.pid = 0};
	struct reason why;
	int is_job = !is_spare(r);

	if (is_job && read_request(r))
		return;
	if (is_job && forked_may_begin(r->mailbox, r->uid, r->disk, &why)) {
		worker_refuse(r->fd, &why);
		return;
	}
	child.pid = fork();
	if (child.pid == 0)
		begin_child(r, role);
	if (child.pid == -1 || !is_job)
		return;
	child.mailbox = r->mailbox;
	child.uid = r->uid;
	child.disk = r->disk;
	child.over_ms = clock_now_ms() + STUCK_MS +
			worker_life(r->line, r->length, role->becomes_owners) * 1000;
	forked_note(&child);
}

static void
serve(int socket, const struct scanner_role *role)
{
	struct pollfd readable = {.fd = socket, .events = POLLIN};
	struct request r;
	sigset_t none;
	ssize_t n = 1;

	sigemptyset(&none);
	while (n > 0) {
		int ready = ppoll(&readable, 1, NULL, &none);

		forked_reap();
		if (ready <= 0)
			continue;
		n = receive(socket, &r);
		if (n <= 0 || r.fd < 0)
			continue;
		take(&r, role);
		close(r.fd);
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

static void
on_child(int number)
{
	(void)number;
}

/* The end of the scanner is the end of its socket: the signals that end the daemon, which
 * may be sent to all processes of a service at once, must not end it before. A child's
 * end is heard of while it waits for a job. */
static void
set_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};
	const struct sigaction heard = {.sa_handler = on_child};
	sigset_t child;

	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGALRM, SIG_DFL);
	sigaction(SIGCHLD, &heard, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_SETMASK, &child, NULL);
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
scanner_process_run(int socket, const struct scanner_role *role)
{
	const unsigned kept = privileges_available(role->kept);
	struct reason why = {""};
	char name[16];

	close_others(socket);
	snprintf(name, sizeof name, "quotad-%s", role->name);
	prctl(PR_SET_NAME, name);
	set_signals();
	find_address_space();
	if (detach_streams())
		reason_errno(&why, "/dev/null");
	else if ((role->user ? privileges_become(role->user, kept, &why)
			     : privileges_keep(kept, &why)) == 0)
		snprintf(why.text, sizeof why.text, SCANNER_READY);
	if (send(socket, why.text, strlen(why.text), MSG_NOSIGNAL) < 0 ||
		strcmp(why.text, SCANNER_READY) != 0)
		child_leave(1);
	serve(socket, role);
}
