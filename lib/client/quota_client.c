/*
 * The client's side of the socket protocol. The socket never blocks: every wait is a
 * poll, and all waits of one call end together. After any failure the connection is
 * closed, since nothing that could still arrive on it would mean anything.
 */
#include "quota_client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "privileges.h"

#define BACKLOG_PAUSE_MS 5 /* a full backlog can't be polled for */

/* Waits for the events until END; -1 with errno, ETIMEDOUT where the time is over. */
static int
wait_for(int fd, short events, uint64_t end)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now;
	int n;

	do {
		now = clock_now_ms();
		n = poll(&p, 1, end > now ? (int)(end - now) : 0);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n > 0 ? 0 : -1;
}

static int
connect_by(int fd, const struct sockaddr_un *to, uint64_t end)
{
	while (connect(fd, (const struct sockaddr *)to, sizeof *to)) {
		if (errno != EAGAIN && errno != EINTR)
			return -1;
		if (clock_now_ms() >= end) {
			errno = ETIMEDOUT;
			return -1;
		}
		poll(NULL, 0, BACKLOG_PAUSE_MS);
	}
	return 0;
}

/* Whether the process that listens is one to be believed. */
static int
check_peer(struct quota_client *q, const char *daemon_user, struct reason *why)
{
	struct privileges_user user;
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(q->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return reason_errno(why, "who listens can't be told");
	if (peer.uid == 0)
		return 0;
	if (privileges_find_user(daemon_user, &user, why)) {
		q->lacks_daemon_user = errno == ENOENT;
		return -1;
	}
	if (peer.uid != user.uid)
		return reason_set(why, "uid %u listens there, not %.40s",
			(unsigned)peer.uid, daemon_user);
	return 0;
}

static int
open_socket(struct quota_client *q, const struct sockaddr_un *to, struct reason *why)
{
	uint64_t end = clock_now_ms() + (uint64_t)q->timeout_ms;

	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (q->fd < 0)
		return reason_errno(why, "no socket");
	if (connect_by(q->fd, to, end))
		return reason_errno(why, "quotad can't be reached");
	return 0;
}

int
quota_connect(struct quota_client *q, const char *socket, const char *daemon_user,
	uint64_t seconds, struct reason *why)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	q->fd = -1;
	q->lacks_daemon_user = 0;
	q->timeout_ms = seconds < 3600 ? (int)seconds * 1000 : 3600 * 1000;
	q->filled = q->taken = 0;
	if (strlen(socket) >= sizeof to.sun_path)
		return reason_set(why, "the socket's path is longer than %zu bytes",
			sizeof to.sun_path - 1);
	strcpy(to.sun_path, socket);
	if (open_socket(q, &to, why) || check_peer(q, daemon_user, why)) {
		quota_close(q);
		return -1;
	}
	return 0;
}

void
quota_close(struct quota_client *q)
{
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
}

static int
has_odd_byte(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (line[i] < ' ' || line[i] > '~')
			return 1;
	return 0;
}

static int
send_all(struct quota_client *q, const char *line, size_t length, struct reason *why)
{
	uint64_t end = clock_now_ms() + (uint64_t)q->timeout_ms;
	ssize_t n;

	while (length) {
		n = send(q->fd, line, length, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN && wait_for(q->fd, POLLOUT, end) == 0)
			continue;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			quota_close(q);
			return reason_errno(why, "quotad can't be asked");
		}
		line += n;
		length -= (size_t)n;
	}
	return 0;
}

static int send_line(struct quota_client *q, struct reason *why, const char *format,
	va_list args) __attribute__((format(printf, 3, 0)));

/* A byte that could end the line would make two requests of it. */
static int
send_line(struct quota_client *q, struct reason *why, const char *format, va_list args)
{
	char line[RECORD_LINE_MAX + 2];
	int n;

	if (q->fd < 0)
		return reason_set(why, "there is no connection to quotad");
	n = vsnprintf(line, sizeof line, format, args);
	if (n < 0 || n > RECORD_LINE_MAX)
		return reason_set(
			why, "the request is longer than %d bytes", RECORD_LINE_MAX);
	if (has_odd_byte(line, (size_t)n))
		return reason_set(why, "the request has an odd byte in it");
	line[n] = '\n';
	return send_all(q, line, (size_t)n + 1, why);
}

int
quota_send(struct quota_client *q, struct reason *why, const char *format, ...)
{
	va_list args;
	int result;

	va_start(args, format);
	result = send_line(q, why, format, args);
	va_end(args);
	return result;
}

static int
read_more(struct quota_client *q, uint64_t end, struct reason *why)
{
	ssize_t n;

	memmove(q->buffer, q->buffer + q->taken, q->filled - q->taken);
	q->filled -= q->taken;
	q->taken = 0;
	if (q->filled > RECORD_LINE_MAX)
		return reason_set(
			why, "quotad's answer is longer than %d bytes", RECORD_LINE_MAX);
	/* the answer may be there already */
	while ((n = recv(q->fd, q->buffer + q->filled, sizeof q->buffer - q->filled, 0)) <
			0 &&
		(errno == EINTR || errno == EAGAIN))
		if (errno == EAGAIN && wait_for(q->fd, POLLIN, end))
			return reason_errno(why, "quotad does not answer");
	if (n < 0)
		return reason_errno(why, "quotad's answer can't be read");
	if (n == 0)
		return reason_set(why, "quotad closed the connection");
	q->filled += (size_t)n;
	return 0;
}

/* The next line, with its end cut off and a NUL there; NULL with the reason. */
static char *
read_line(struct quota_client *q, struct reason *why)
{
	uint64_t end = clock_now_ms() + (uint64_t)q->timeout_ms;
	char *line, *stop;

	for (;;) {
		line = q->buffer + q->taken;
		stop = memchr(line, '\n', q->filled - q->taken);
		if (stop)
			break;
		if (read_more(q, end, why))
			return NULL;
	}
	*stop = '\0';
	q->taken = (size_t)(stop - q->buffer) + 1;
	if (has_odd_byte(line, (size_t)(stop - line))) {
		reason_set(why, "quotad's answer has an odd byte in it");
		return NULL;
	}
	return line;
}

const char *
quota_receive_line(struct quota_client *q, struct reason *why)
{
	const char *line = NULL;

	if (q->fd < 0)
		reason_set(why, "there is no connection to quotad");
	else if (!(line = read_line(q, why)))
		quota_close(q);
	return line;
}

/* Cuts the first word off; NULL where there is none. */
static char *
take_word(char **rest)
{
	char *word = strsep(rest, " ");

	return word && *word ? word : NULL;
}

/* X.Y.Z, as RFC 3463 section 2 has it, of a failure. */
static int
take_code(struct quota_answer *a, const char *word)
{
	int subject, detail, used = 0;

	if (!word || strlen(word) >= sizeof a->code ||
		sscanf(word, "%*1[45].%3d.%3d%n", &subject, &detail, &used) != 2 ||
		word[used])
		return -1;
	strcpy(a->code, word);
	return 0;
}

static int
take_no(struct quota_answer *a, char *rest)
{
	char *name = take_word(&rest);
	enum verdict v;

	if (!name || verdict_parse(name, &v) || v == VERDICT_DELIVERED ||
		take_code(a, take_word(&rest)) || strcmp(a->code, verdict_code(v)))
		return -1;
	outcome_set(&a->outcome, v, "%s", rest ? rest : "");
	return 0;
}

/* What is not set up right is told as that; all else is an error, whatever its code. */
static int
take_err(struct quota_answer *a, char *rest)
{
	enum verdict v = VERDICT_TROUBLE;

	if (take_code(a, take_word(&rest)))
		return -1;
	if (strcmp(a->code, verdict_code(VERDICT_MISCONFIGURED)) == 0)
		v = VERDICT_MISCONFIGURED;
	outcome_set(&a->outcome, v, "%s", rest ? rest : "");
	return 0;
}

static int
take_fields(struct quota_answer *a, char *rest)
{
	return rest ? record_parse(&a->fields, rest, strlen(rest), 0, NULL) : 0;
}

static const struct {
	const char *word;
	enum quota_kind kind;
	int (*take)(struct quota_answer *a, char *rest);
} kinds[] = {
	{"OK", QUOTA_OK, take_fields},
	{"NO", QUOTA_NO, take_no},
	{"ERR", QUOTA_ERR, take_err},
	{"*", QUOTA_MORE, take_fields},
};

static int
take_answer(struct quota_answer *a, char *line)
{
	char *word = take_word(&line);

	for (size_t i = 0; word && i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(word, kinds[i].word) == 0) {
			a->kind = kinds[i].kind;
			return kinds[i].take(a, line);
		}
	return -1;
}

int
quota_receive(struct quota_client *q, struct quota_answer *a, struct reason *why)
{
	char *line;

	memset(a, 0, sizeof *a);
	if (q->fd < 0)
		return reason_set(why, "there is no connection to quotad");
	line = read_line(q, why);
	if (line && take_answer(a, line) == 0)
		return 0;
	if (line)
		reason_set(why, "quotad's answer makes no sense");
	quota_close(q);
	return -1;
}

int
quota_is_too_old(const struct quota_answer *a)
{
	return a->kind == QUOTA_ERR && strcmp(a->code, "4.5.2") == 0;
}

void
quota_answer_clear(struct quota_answer *a)
{
	record_clear(&a->fields);
}
