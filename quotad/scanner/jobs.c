/*
 * The daemon's side of the scanner: jobs wait in a lane for each kind, so that no probe
 * waits for a count, and each job under way has a socket of its own on which its child
 * answers. What the child says is checked as if the mailbox's owner had written it.
 */
#include "jobs.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "process.h"
#include "record.h"

#define TRIES_MAX 4 /* the first one and three more */
#define GRACE     5 /* seconds that a child has beyond its own alarm */

enum said { SAID_MORE, SAID_ALL, SAID_NONSENSE };

struct job {
	TAILQ_ENTRY(job) link;
	struct scanner *scanner;
	struct lane *lane;
	struct account *account;
	char *request; /* as the scanner gets it; NULL where it can't be asked */
	struct bufferevent *talk;
	time_t deadline;
	int tries;
	/* What the child has to say next. */
	enum said (*hear)(struct job *job, const char *line, size_t length);
	struct ledger_count found;
	char **seen;  /* found.seen, owned */
	size_t asked; /* how many names it was to look for */
	struct reason why;
};

TAILQ_HEAD(job_list, job);

struct kind {
	const char *word;
	unsigned int at_once;
	time_t seconds;
	enum said (*hear)(struct job *job, const char *line, size_t length);
	void (*done)(struct job *job);
};

/* Jobs of one kind. */
struct lane {
	const struct kind *kind;
	struct job_list waiting, running;
	unsigned int count; /* of those running */
};

enum { COUNTS, PROBES, PINGS, LANES };

/* A scanner process; fd is -1 where there is none. */
struct process {
	int fd;
	pid_t pid; /* 0: a spare, forked by the scanner before it */
	struct event *gone;
};

struct scanner {
	struct process first, spare;
	struct event_base *base;
	struct ledger *ledger;
	struct event *pump, *second;
	struct lane lanes[LANES];
	void (*died)(void *arg);
	void *died_arg;
	void (*pinged)(void *arg, int failed);
	void *pinged_arg;
};

static uint64_t
now_ms(void)
{
	struct timespec t = {0};

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static time_t
now(void)
{
	return (time_t)(now_ms() / 1000);
}

/* --- sockets ---------------------------------------------------------------------- */

/* Sends a job with the descriptor on which to talk: 0, or -1 with errno. */
static int
send_job(int socket, char *request, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = ""};
	struct iovec part = {request, strlen(request)};
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
hand_over(int socket, char *request, int type)
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

/* --- jobs ------------------------------------------------------------------------- */

static void
forget_answer(struct job *job)
{
	if (job->talk)
		bufferevent_free(job->talk);
	job->talk = NULL;
	for (size_t i = 0; i < job->found.seen_count; i++)
		free(job->seen[i]);
	free(job->seen);
	job->seen = NULL;
	job->asked = 0;
	memset(&job->found, 0, sizeof job->found);
}

static void
free_job(struct job *job)
{
	forget_answer(job);
	free(job->request);
	free(job);
}

/* Hands the result of a job, which is in neither list any more, to the ledger. */
static void
finish(struct job *job)
{
	struct scanner *s = job->scanner;

	if (job->found.failed)
		log_warning("%s failed mailbox=%s: %s", job->lane->kind->word,
			job->account ? ledger_name(job->account) : "", job->why.text);
	job->lane->kind->done(job);
	free_job(job);
	event_active(s->pump, EV_TIMEOUT, 0);
}

static void
fail(struct job *job)
{
	forget_answer(job);
	job->found.failed = 1;
	finish(job);
}

static void
stop_running(struct job *job)
{
	TAILQ_REMOVE(&job->lane->running, job, link);
	job->lane->count--;
}

/* The child has ended without an answer: again, unless it used up its time or its tries.
 */
static void
ask_again(struct job *job)
{
	stop_running(job);
	if (now() >= job->deadline - GRACE) {
		reason_set(&job->why, "it took longer than %lld s",
			(long long)job->lane->kind->seconds);
		fail(job);
		return;
	}
	reason_set(&job->why, "the scanner's child died %d times", job->tries);
	forget_answer(job);
	TAILQ_INSERT_HEAD(&job->lane->waiting, job, link);
	event_active(job->scanner->pump, EV_TIMEOUT, 0);
}

static enum said
hear_line(struct job *job, const char *line, size_t length)
{
	if (length > RECORD_LINE_MAX || strlen(line) != length)
		return SAID_NONSENSE;
	return job->hear(job, line, length);
}

static void
on_read(struct bufferevent *talk, void *arg)
{
	struct job *job = arg;
	struct evbuffer *input = bufferevent_get_input(talk);
	enum said said = SAID_MORE;
	size_t length;
	char *line;

	while (said == SAID_MORE &&
		(line = evbuffer_readln(input, &length, EVBUFFER_EOL_LF))) {
		said = hear_line(job, line, length);
		free(line);
	}
	if (said == SAID_MORE && evbuffer_get_length(input) > RECORD_LINE_MAX)
		said = SAID_NONSENSE;
	if (said == SAID_MORE)
		return;
	stop_running(job);
	if (said == SAID_ALL) {
		finish(job);
		return;
	}
	reason_set(&job->why, "the scanner's child answered nonsense");
	fail(job);
}

static void
on_end(struct bufferevent *talk, short what, void *arg)
{
	(void)talk;
	(void)what;
	ask_again(arg);
}

static int
start(struct job *job)
{
	struct scanner *s = job->scanner;
	int fd = hand_over(s->first.fd, job->request, SOCK_STREAM);

	if (fd < 0)
		return -1;
	job->talk = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!job->talk) {
		close(fd);
		return -1;
	}
	bufferevent_setcb(job->talk, on_read, NULL, on_end, job);
	bufferevent_enable(job->talk, EV_READ | EV_WRITE);
	job->hear = job->lane->kind->hear;
	job->deadline = now() + job->lane->kind->seconds + GRACE;
	job->tries++;
	TAILQ_REMOVE(&job->lane->waiting, job, link);
	TAILQ_INSERT_TAIL(&job->lane->running, job, link);
	job->lane->count++;
	return 0;
}

/* Starts what may run in the lane. -1: the scanner takes no job at the moment. */
static int
pump_lane(struct scanner *s, struct lane *lane)
{
	struct job *next;

	for (struct job *job = TAILQ_FIRST(&lane->waiting);
		job && lane->count < lane->kind->at_once; job = next) {
		next = TAILQ_NEXT(job, link);
		if (job->request && job->tries < TRIES_MAX && s->first.fd >= 0) {
			if (start(job))
				return -1;
			continue;
		}
		if (s->first.fd < 0)
			reason_set(&job->why, "the scanner is gone");
		TAILQ_REMOVE(&lane->waiting, job, link);
		fail(job);
	}
	return 0;
}

static void
on_pump(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = {0, 20000};
	struct scanner *s = arg;
	int blocked = 0;

	(void)fd;
	(void)what;
	for (int i = LANES - 1; i >= 0; i--)
		if (pump_lane(s, &s->lanes[i]))
			blocked = 1;
	if (blocked)
		event_add(s->pump, &soon);
}

/* --- answers ---------------------------------------------------------------------- */

static int
take_number(const struct record *r, const char *name, uint64_t most, uint64_t *n)
{
	return record_get(r, name) && record_number(r, name, 0, n) == 0 && *n <= most
		       ? 0
		       : -1;
}

/* FAILED may stand in the place of any answer. */
static enum said
take_failure(struct job *job, const struct record *answer)
{
	const char *text = record_get(answer, "text");

	if (strcmp(answer->key, "FAILED") != 0 || !text)
		return SAID_NONSENSE;
	reason_set(&job->why, "%s", text);
	job->found.failed = 1;
	return SAID_ALL;
}

static enum said
hear_probed(struct job *job, const char *line, size_t length)
{
	struct record answer;
	enum said said;

	if (record_parse(&answer, line, length, 1, NULL))
		return SAID_NONSENSE;
	if (strcmp(answer.key, "PROBED") == 0)
		said = take_number(&answer, "stamp", UINT64_MAX, &job->found.stamp)
			       ? SAID_NONSENSE
			       : SAID_ALL;
	else
		said = take_failure(job, &answer);
	record_clear(&answer);
	return said;
}

/* More names than were asked for, or one that can't be kept, end the count. */
static enum said
hear_seen(struct job *job, const char *line, size_t length)
{
	char *name;

	if (strcmp(line, "END") == 0)
		return SAID_ALL;
	if (line[0] != '+' || length < 2 || job->found.seen_count == job->asked)
		return SAID_NONSENSE;
	if (!job->seen)
		job->seen = calloc(job->asked, sizeof *job->seen);
	name = job->seen ? strdup(line + 1) : NULL;
	if (!name || record_unescape(name)) {
		free(name);
		return SAID_NONSENSE;
	}
	job->seen[job->found.seen_count++] = name;
	return SAID_MORE;
}

static int
take_numbers(struct job *job, const struct record *answer)
{
	struct ledger_count *f = &job->found;
	uint64_t exact, corrected;

	if (take_number(answer, "exact", 1, &exact) ||
		take_number(answer, "bytes", UINT64_MAX, &f->bytes) ||
		take_number(answer, "messages", UINT64_MAX, &f->messages) ||
		take_number(answer, "stamp", UINT64_MAX, &f->stamp) ||
		take_number(answer, "corrected", f->messages, &corrected))
		return -1;
	f->exact = (int)exact;
	if (corrected)
		log_info("count mailbox=%s files_larger_than_named=%llu",
			ledger_name(job->account), (unsigned long long)corrected);
	return 0;
}

static enum said
hear_counted(struct job *job, const char *line, size_t length)
{
	struct record answer;
	enum said said;

	if (record_parse(&answer, line, length, 1, NULL))
		return SAID_NONSENSE;
	if (strcmp(answer.key, "COUNTED") != 0)
		said = take_failure(job, &answer);
	else
		said = take_numbers(job, &answer) ? SAID_NONSENSE : SAID_MORE;
	record_clear(&answer);
	job->hear = hear_seen;
	return said;
}

static enum said
hear_failed(struct job *job, const char *line, size_t length)
{
	struct record answer;
	enum said said;

	if (record_parse(&answer, line, length, 1, NULL))
		return SAID_NONSENSE;
	said = take_failure(job, &answer);
	record_clear(&answer);
	return said;
}

static void
ask_for_name(void *arg, const char *name)
{
	struct job *job = arg;
	char *escaped = record_escape(name);

	/* a name that is lost here fails the count: END never comes */
	if (!escaped || evbuffer_add_printf(
				bufferevent_get_output(job->talk), "+%s\n", escaped) < 0)
		job->asked = SIZE_MAX;
	else if (job->asked != SIZE_MAX)
		job->asked++;
	free(escaped);
}

/* The directories have been read: now it is told which names to look for. */
static enum said
hear_scanned(struct job *job, const char *line, size_t length)
{
	if (strcmp(line, "SCANNED") != 0)
		return hear_failed(job, line, length);
	ledger_count_names(job->scanner->ledger, job->account, ask_for_name, job);
	if (job->asked == SIZE_MAX || bufferevent_write(job->talk, "END\n", 4))
		return SAID_NONSENSE;
	job->hear = hear_counted;
	return SAID_MORE;
}

static void
count_done(struct job *job)
{
	job->found.seen = (const char *const *)job->seen;
	job->found.text = job->found.failed ? job->why.text : NULL;
	ledger_clock(job->scanner->ledger, now_ms()); /* when it was counted is shown */
	ledger_counted(job->scanner->ledger, job->account, &job->found);
}

static void
probe_done(struct job *job)
{
	ledger_probed(
		job->scanner->ledger, job->account, job->found.stamp, job->found.failed);
}

static enum said
hear_pong(struct job *job, const char *line, size_t length)
{
	return strcmp(line, "PONG") == 0 ? SAID_ALL : hear_failed(job, line, length);
}

static void
ping_done(struct job *job)
{
	job->scanner->pinged(job->scanner->pinged_arg, job->found.failed);
}

static const struct kind kinds[LANES] = {
	[COUNTS] = {"count", 32, SCANNER_COUNT_SECONDS, hear_scanned, count_done},
	[PROBES] = {"probe", 64, SCANNER_PROBE_SECONDS, hear_probed, probe_done},
	[PINGS] = {"ping", 1, SCANNER_PING_SECONDS, hear_pong, ping_done},
};

/* --- processes -------------------------------------------------------------------- */

static void
end_process(struct process *p)
{
	if (p->gone)
		event_free(p->gone);
	if (p->fd >= 0)
		close(p->fd);
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*p = (struct process){.fd = -1};
}

static void on_gone(evutil_socket_t fd, short what, void *arg);

static int
watch(struct scanner *s, struct process *p)
{
	p->gone = event_new(s->base, p->fd, EV_READ | EV_PERSIST, on_gone, s);
	return p->gone && event_add(p->gone, NULL) == 0 ? 0 : -1;
}

static void
make_spare(struct scanner *s)
{
	char request[] = "spare";

	if (s->first.fd < 0 || s->spare.fd >= 0)
		return;
	s->spare.fd = hand_over(s->first.fd, request, SOCK_SEQPACKET);
	if (s->spare.fd >= 0 && watch(s, &s->spare))
		end_process(&s->spare);
}

/* Jobs that the dead scanner had taken go on in its children; those that it had not are
 * asked again, since their sockets end with it. */
static void
replace_first(struct scanner *s)
{
	end_process(&s->first);
	s->first = s->spare;
	s->spare = (struct process){.fd = -1};
	event_active(s->pump, EV_TIMEOUT, 0);
	if (s->first.fd >= 0) {
		log_warning("the scanner died, its spare has taken over");
		make_spare(s);
	} else {
		log_error("the scanner died, and so did its spare");
		s->died(s->died_arg);
	}
}

/* A scanner never says anything of its own accord: its socket becomes readable at its
 * end. */
static void
on_gone(evutil_socket_t fd, short what, void *arg)
{
	struct scanner *s = arg;
	char byte;

	(void)what;
	if (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (fd == s->first.fd)
		replace_first(s);
	else
		end_process(&s->spare); /* a new one within a second */
}

static void
on_second(evutil_socket_t fd, short what, void *arg)
{
	struct scanner *s = arg;
	struct job *job, *next;

	(void)fd;
	(void)what;
	make_spare(s);
	for (int i = 0; i < LANES; i++)
		for (job = TAILQ_FIRST(&s->lanes[i].running); job; job = next) {
			next = TAILQ_NEXT(job, link);
			if (now() >= job->deadline)
				ask_again(job);
		}
}

static int
wait_until_ready(int socket, struct reason *why)
{
	struct reason said = {""};
	ssize_t n;

	do
		n = recv(socket, said.text, sizeof said.text - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return reason_errno(why, "the scanner");
	if (strcmp(said.text, SCANNER_READY) == 0)
		return 0;
	return reason_set(why, "the scanner did not start: %s",
		n ? said.text : "it died without a word");
}

static int
fork_first(struct process *p, const struct privileges_user *user, struct reason *why)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return reason_errno(why, "the scanner's sockets");
	p->pid = fork();
	if (p->pid == 0)
		scanner_process_run(ends[1], user);
	close(ends[1]);
	p->fd = ends[0];
	if (p->pid < 0)
		return reason_errno(why, "the scanner can't be forked");
	return wait_until_ready(p->fd, why);
}

struct scanner *
scanner_start(const struct privileges_user *user, struct reason *why)
{
	struct scanner *s = calloc(1, sizeof *s);

	if (!s) {
		reason_errno(why, "the scanner");
		return NULL;
	}
	s->first.fd = s->spare.fd = -1;
	for (int i = 0; i < LANES; i++) {
		s->lanes[i].kind = &kinds[i];
		TAILQ_INIT(&s->lanes[i].waiting);
		TAILQ_INIT(&s->lanes[i].running);
	}
	if (fork_first(&s->first, user, why))
		scanner_stop(&s);
	return s;
}

int
scanner_attach(struct scanner *s, struct event_base *base, struct ledger *l,
	void (*died)(void *arg), void *arg)
{
	static const struct timeval second = {1, 0};

	s->base = base;
	s->ledger = l;
	s->died = died;
	s->died_arg = arg;
	s->pump = event_new(base, -1, 0, on_pump, s);
	s->second = event_new(base, -1, EV_PERSIST, on_second, s);
	if (!s->pump || !s->second || event_add(s->second, &second) ||
		watch(s, &s->first))
		return -1;
	make_spare(s);
	return 0;
}

/* --- asking ----------------------------------------------------------------------- */

static char *
make_request(const char *word, const struct scanner_job *job, struct reason *why)
{
	struct record r = {0};
	char *request = NULL;

	if (record_set_key(&r, word) == 0 && record_set(&r, "path", job->path) == 0 &&
		record_set(&r, "ignore", job->ignore) == 0 &&
		record_set_number(&r, "thorough", job->thorough != 0) == 0)
		request = record_format(&r);
	record_clear(&r);
	if (!request) {
		reason_errno(why, "the scanner can't be asked");
	} else if (strlen(request) > RECORD_LINE_MAX) {
		reason_set(why, "the path and quota_ignore are too long");
		free(request);
		request = NULL;
	}
	return request;
}

/* A job that can't even be kept would leave its account waiting for ever. */
static void
ask(struct scanner *s, struct lane *lane, const struct scanner_job *wanted)
{
	struct job *job = calloc(1, sizeof *job);

	if (!job) {
		log_error("no memory for a job of the scanner");
		s->died(s->died_arg);
		return;
	}
	job->scanner = s;
	job->lane = lane;
	job->account = wanted->account;
	job->request = make_request(lane->kind->word, wanted, &job->why);
	TAILQ_INSERT_TAIL(&lane->waiting, job, link);
	event_active(s->pump, EV_TIMEOUT, 0);
}

void
scanner_count(struct scanner *s, const struct scanner_job *job)
{
	ask(s, &s->lanes[COUNTS], job);
}

void
scanner_probe(struct scanner *s, const struct scanner_job *job)
{
	ask(s, &s->lanes[PROBES], job);
}

void
scanner_ping(struct scanner *s, void (*done)(void *arg, int failed), void *arg)
{
	const struct scanner_job nothing = {.path = "/", .ignore = ""};

	s->pinged = done;
	s->pinged_arg = arg;
	ask(s, &s->lanes[PINGS], &nothing);
}

static void
free_jobs(struct job_list *list)
{
	struct job *job;

	while ((job = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, job, link);
		free_job(job);
	}
}

void
scanner_stop(struct scanner **s)
{
	if (!*s)
		return;
	for (int i = 0; i < LANES; i++) {
		free_jobs(&(*s)->lanes[i].waiting);
		free_jobs(&(*s)->lanes[i].running);
	}
	end_process(&(*s)->first);
	end_process(&(*s)->spare);
	if ((*s)->pump)
		event_free((*s)->pump);
	if ((*s)->second)
		event_free((*s)->second);
	free(*s);
	*s = NULL;
}
