/* The scanner's two processes. */
#include "pair.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "process.h"

/* A scanner process; fd is -1 where there is none. */
struct process {
	int fd;
	pid_t pid; /* 0: a spare, forked by the scanner before it */
	struct event *readable;
};

struct pair {
	const char *name;
	struct process first, spare;
	struct event_base *base;
	const struct pair_calls *calls;
	void *arg;
};

/* --- handing over ----------------------------------------------------------------- */

/* Sends a job with the descriptor on which to answer: 0, or -1 with errno. */
static int
send_job(int socket, const char *request, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = ""};
	struct iovec part = {(void *)request, strlen(request)};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

/* Hands one end of a new socket pair over with the job; returns the other, or -1. */
static int
hand_over(int socket, const char *request, int type)
{
	int ends[2], result;

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends))
		return -1;
	result = evutil_make_socket_nonblocking(ends[0]);
	if (result == 0)
		result = send_job(socket, request, ends[1]);
	close(ends[1]);
	if (result == 0)
		return ends[0];
	close(ends[0]);
	return -1;
}

int
pair_hand_over(struct pair *p, const char *request)
{
	return p->first.fd < 0 ? -1 : hand_over(p->first.fd, request, SOCK_STREAM);
}

int
pair_is_alive(const struct pair *p)
{
	return p->first.fd >= 0;
}

/* --- first and spare -------------------------------------------------------------- */

static void
end_process(struct process *process)
{
	if (process->readable)
		event_free(process->readable);
	if (process->fd >= 0)
		close(process->fd);
	if (process->pid > 0) {
		kill(process->pid, SIGKILL);
		while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*process = (struct process){.fd = -1};
}

static void on_readable(evutil_socket_t fd, short what, void *arg);

static int
watch(struct pair *p, struct process *process)
{
	process->readable =
		event_new(p->base, process->fd, EV_READ | EV_PERSIST, on_readable, p);
	return process->readable && event_add(process->readable, NULL) == 0 ? 0 : -1;
}

void
pair_keep_spare(struct pair *p)
{
	if (p->first.fd < 0 || p->spare.fd >= 0)
		return;
	p->spare.fd = hand_over(p->first.fd, "spare", SOCK_SEQPACKET);
	if (p->spare.fd >= 0 && watch(p, &p->spare))
		end_process(&p->spare);
}

static void
tell_overflow(struct pair *p)
{
	p->calls->event(p->arg, &(struct scanner_event){.kind = SCANNER_OVERFLOW});
}

/* What changes until the new one has taken over is told by nobody: an overflow. */
static void
replace_first(struct pair *p, const char *how)
{
	end_process(&p->first);
	p->first = p->spare;
	p->spare = (struct process){.fd = -1};
	tell_overflow(p);
	if (p->first.fd >= 0) {
		log_warning("the %s %s, its spare has taken over", p->name, how);
		pair_keep_spare(p);
		p->calls->replaced(p->arg);
	} else {
		log_error("the %s %s, and its spare had died", p->name, how);
		p->calls->replaced(p->arg);
		p->calls->died(p->arg);
	}
}

static enum events_left
receive(struct pair *p)
{
	enum events_left left = events_receive(p->first.fd, p->calls->event, p->arg);

	if (left == EVENTS_CLOSED)
		replace_first(p, "died");
	else if (left == EVENTS_NONSENSE)
		replace_first(p, "sent nonsense and was ended");
	return left;
}

void
pair_receive(struct pair *p)
{
	if (p->first.fd >= 0 && receive(p) == EVENTS_MORE)
		tell_overflow(p);
}

/* A spare has nothing to tell. There is a new one within a second. */
static void
receive_from_spare(struct pair *p)
{
	char byte;
	ssize_t n = recv(p->spare.fd, &byte, 1, MSG_DONTWAIT);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		log_warning("the %s's spare sent nonsense and was ended", p->name);
	end_process(&p->spare);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct pair *p = arg;

	(void)what;
	if (fd == p->first.fd)
		receive(p);
	else
		receive_from_spare(p);
}

/* --- life ------------------------------------------------------------------------- */

static int
wait_until_ready(int socket, const char *name, struct reason *why)
{
	struct reason answer = {""};
	ssize_t n;

	do
		n = recv(socket, answer.text, sizeof answer.text - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return reason_errno(why, "the %s", name);
	if (strcmp(answer.text, SCANNER_READY) == 0)
		return 0;
	return reason_set(why, "the %s did not start: %s", name,
		n ? answer.text : "it died without an answer");
}

static int
fork_first(struct process *process, const struct scanner_role *role, struct reason *why)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return reason_errno(why, "the %s's sockets", role->name);
	process->pid = fork();
	if (process->pid == 0)
		scanner_process_run(ends[1], role);
	close(ends[1]);
	process->fd = ends[0];
	if (process->pid < 0)
		return reason_errno(why, "the %s can't be forked", role->name);
	return wait_until_ready(process->fd, role->name, why);
}

struct pair *
pair_start(const struct scanner_role *role, struct reason *why)
{
	struct pair *p = calloc(1, sizeof *p);

	if (!p) {
		reason_errno(why, "the %s", role->name);
		return NULL;
	}
	p->name = role->name;
	p->first.fd = p->spare.fd = -1;
	if (fork_first(&p->first, role, why))
		pair_stop(&p);
	return p;
}

int
pair_attach(struct pair *p, struct event_base *base, const struct pair_calls *calls,
	void *arg)
{
	p->base = base;
	p->calls = calls;
	p->arg = arg;
	if (watch(p, &p->first))
		return -1;
	pair_keep_spare(p);
	return 0;
}

void
pair_stop(struct pair **p)
{
	if (!*p)
		return;
	end_process(&(*p)->first);
	end_process(&(*p)->spare);
	free(*p);
	*p = NULL;
}
