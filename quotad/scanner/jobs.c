/*
 * The daemon's side of the scanner: jobs wait in a lane for each kind, so that no probe
 * waits for a count. In a lane the owners of mailboxes take turns, and none has more than
 * three quarters of what may run at once, so that nobody waits for all jobs of one who
 * has many mailboxes. Each job under way has a child of its own. One that takes long
 * gives its place to another: a mailbox on a file system that never answers holds up
 * nobody. What a server answers, which may hang, has lanes of its own.
 *
 * A job that a child of the scanner has passed on is asked for again, of the spawner.
 */
#include "jobs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "amount.h"
#include "clock.h"
#include "lane.h"
#include "log.h"
#include "mounts.h"
#include "pair.h"
#include "process.h"
#include "record.h"

#define TRIES_MAX 4    /* the first one and three more */
#define GRACE_MS  5000 /* that a child has beyond its own alarm */

/* What is on a file system that may hang, or is done as an owner, has lanes of its own:
 * many mailboxes of a server that does not answer must not take the places of those that
 * are on a disk. */
enum { COUNTS, PROBES, PINGS, REMOTE_COUNTS, REMOTE_PROBES, LANES };

struct scanner {
	struct pair *pairs[READERS]; /* the second is NULL: nobody reads as an owner */
	enum conf_scan_as scan_as;
	int read_search;
	uint64_t as_owner; /* jobs done */
	struct mounts *mounts;
	struct event_base *base;
	const struct scanner_calls *calls;
	void *arg;
	struct event *pump, *second;
	struct lane lanes[LANES];
	void (*pinged)(void *arg, int failed);
	void *pinged_arg;
};

static void
pump_soon(struct scanner *s)
{
	event_active(s->pump, EV_TIMEOUT, 0);
}

/* --- the end of a job ------------------------------------------------------------- */

static void
count_done(struct job *job)
{
	struct scanner *s = job->scanner;

	s->calls->counted(s->arg, job->key, &job->answer.found);
}

static void
probe_done(struct job *job)
{
	struct scanner *s = job->scanner;

	s->calls->probed(s->arg, job->key, &job->answer.found);
}

static void
ping_done(struct job *job)
{
	struct scanner *s = job->scanner;

	s->pinged(s->pinged_arg, job->answer.found.failed);
}

static const struct kind kinds[LANES] = {
	[COUNTS] = {"count", ANSWER_COUNT, 32, SCANNER_COUNT_SECONDS, count_done},
	[PROBES] = {"probe", ANSWER_PROBE, 64, SCANNER_PROBE_SECONDS, probe_done},
	[PINGS] = {"ping", ANSWER_PING, 1, SCANNER_PING_SECONDS, ping_done},
	[REMOTE_COUNTS] = {"count", ANSWER_COUNT, 32, SCANNER_COUNT_SECONDS, count_done},
	[REMOTE_PROBES] = {"probe", ANSWER_PROBE, 64, SCANNER_PROBE_SECONDS, probe_done},
};

static void
drop_child(struct job *job)
{
	child_end(job->child);
	job->child = NULL;
}

static void
free_job(struct job *job)
{
	drop_child(job);
	lane_leave(job);
	answer_clear(&job->answer);
	free(job->request);
	free(job);
}

/* Tells the result of a job, which is in neither list any more, and first what the
 * scanner had to tell before it. */
static void
finish(struct job *job)
{
	struct scanner *s = job->scanner;

	if (job->answer.found.failed)
		log_warning("%s failed mailbox=%s: %s", job->lane->kind->name,
			job->mailbox, job->answer.why.text);
	pair_receive(s->pairs[BY_SCANNER]);
	s->as_owner += job->reader == BY_OWNER;
	job->lane->kind->done(job);
	free_job(job);
	pump_soon(s);
}

static void
fail(struct job *job)
{
	drop_child(job);
	answer_fail(&job->answer);
	finish(job);
}

/* The child has ended without an answer: again, unless it used up its time or its tries.
 */
static void
ask_again(struct job *job)
{
	lane_stop_running(job);
	drop_child(job);
	if (clock_now_ms() >= job->deadline_ms - GRACE_MS) {
		reason_set(&job->answer.why, "it took longer than %u s",
			job->lane->kind->seconds);
		fail(job);
		return;
	}
	reason_set(&job->answer.why, "the scanner's child died %s",
		AMOUNT_OF((uint64_t)job->tries, "time", "times"));
	lane_wait(job);
	pump_soon(job->scanner);
}

static struct lane *
remote_lane(struct scanner *s, struct lane *lane)
{
	if (lane == &s->lanes[COUNTS])
		return &s->lanes[REMOTE_COUNTS];
	return lane == &s->lanes[PROBES] ? &s->lanes[REMOTE_PROBES] : lane;
}

/* The child is not the one to do it; this can happen once. What root's capability does
 * not open is on no disk. */
static void
ask_owner(struct job *job)
{
	const struct queue_key key = job->queue->key;

	lane_stop_running(job);
	lane_leave(job);
	job->reader = BY_OWNER;
	if (lane_enter(remote_lane(job->scanner, job->lane), job, key.uid, key.group)) {
		reason_set(&job->answer.why, "no memory");
		fail(job);
		return;
	}
	lane_wait(job);
	pump_soon(job->scanner);
}

/* --- what the child says ---------------------------------------------------------- */

static enum answer_step
on_line(void *arg, const char *line, size_t length)
{
	struct job *job = arg;
	enum answer_step step = answer_line(&job->answer, line, length);
	int can_pass_on = job->reader == BY_SCANNER && job->scanner->pairs[BY_OWNER];

	return step == ANSWER_NOT_MINE && !can_pass_on ? ANSWER_NONSENSE : step;
}

static void
on_ended(void *arg, enum child_end how)
{
	struct job *job = arg;

	job->child = NULL;
	if (how == CHILD_DIED) {
		ask_again(job);
		return;
	}
	if (how == CHILD_PASSED_ON) {
		ask_owner(job);
		return;
	}
	lane_stop_running(job);
	if (how == CHILD_ANSWERED) {
		finish(job);
		return;
	}
	reason_set(&job->answer.why, "the scanner's child answered nonsense");
	fail(job);
}

static const struct children_calls children_calls = {.line = on_line, .ended = on_ended};

struct names {
	struct evbuffer *output;
	long sent; /* -1: one is lost */
};

static void
send_name(void *to, const char *name)
{
	struct names *names = to;
	char *escaped = names->sent < 0 ? NULL : record_escape(name);

	if (escaped && evbuffer_add_printf(names->output, "+%s\n", escaped) >= 0)
		names->sent++;
	else
		names->sent = -1;
	free(escaped);
}

static long
send_names(void *arg)
{
	struct job *job = arg;
	struct scanner *s = job->scanner;
	struct names names = {.output = evbuffer_new()};

	if (!names.output)
		return -1;
	s->calls->names(s->arg, job->key, send_name, &names);
	if (names.sent >= 0 && (evbuffer_add(names.output, "END\n", 4) ||
				       child_send(job->child, names.output)))
		names.sent = -1;
	evbuffer_free(names.output);
	return names.sent;
}

static int
start(struct job *job)
{
	struct scanner *s = job->scanner;
	const struct kind *kind = job->lane->kind;

	job->child = children_begin(&job->lane->children[job->reader],
		s->pairs[job->reader], job->queue->key.uid, job->request, job);
	if (!job->child)
		return -1;
	answer_begin(&job->answer, kind->answer, send_names, job);
	job->deadline_ms = clock_now_ms() + kind->seconds * 1000 + GRACE_MS;
	job->tries++;
	lane_stop_waiting(job);
	lane_run(job);
	return 0;
}

/* --- the lanes -------------------------------------------------------------------- */

/* Starts what may run in the lane. -1: the scanner takes no job at the moment. */
static int
pump_lane(struct scanner *s, struct lane *lane)
{
	struct job *job;

	/* A job that fails may bring a new one, which waits for the next time. */
	for (unsigned int n = lane->waiting; n > 0 && (job = lane_next(lane)); n--) {
		int is_alive = pair_is_alive(s->pairs[job->reader]);

		if (job->request && job->tries < TRIES_MAX && is_alive) {
			if (start(job))
				return -1;
			continue;
		}
		if (!is_alive)
			reason_set(&job->answer.why, "the scanner is gone");
		lane_stop_waiting(job);
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

static void
on_second(evutil_socket_t fd, short what, void *arg)
{
	struct scanner *s = arg;
	struct job *job, *next;

	(void)fd;
	(void)what;
	for (int i = 0; i < READERS && s->pairs[i]; i++)
		pair_keep_spare(s->pairs[i]);
	for (int i = 0; i < LANES; i++) {
		for (job = TAILQ_FIRST(&s->lanes[i].running); job; job = next) {
			next = TAILQ_NEXT(job, link);
			if (clock_now_ms() >= job->deadline_ms)
				ask_again(job);
			else if (lane_note_slow(job))
				pump_soon(s);
		}
		for (int j = 0; j < READERS; j++)
			children_end_old(&s->lanes[i].children[j]);
	}
}

/* --- asking ----------------------------------------------------------------------- */

/* Whether a child can read it that has become its owner; where we are that already, any
 * child is. */
static int
has_other_owner(const struct scanner *s, const struct scanner_job *job)
{
	return s->pairs[BY_OWNER] && job->owner != geteuid();
}

static char *
make_request(const struct scanner *s, const char *kind, const struct scanner_job *job,
	uint64_t group, struct reason *why)
{
	struct record r = {0};
	char *request = NULL;

	if (record_set_key(&r, kind) == 0 && record_set(&r, "path", job->path) == 0 &&
		record_set(&r, "ignore", job->ignore) == 0 &&
		record_set_number(&r, "by_files", job->by_files != 0) == 0 &&
		record_set_number(&r, "uid", job->owner) == 0 &&
		record_set_number(&r, "gid", job->group) == 0 &&
		record_set_number(&r, "disk", group) == 0 &&
		record_set_number(&r, "pass_on", (uint64_t)has_other_owner(s, job)) == 0)
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

/* Whether the owner reads it, who sees what no capability opens. */
static int
is_read_by_owner(const struct scanner *s, const struct scanner_job *job,
	const struct mounts_found *on)
{
	return has_other_owner(s, job) &&
	       (s->scan_as == CONF_SCAN_AS_OWNER || on->judges);
}

/* A job that can't even be kept would leave its asker waiting for ever. */
static void
ask(struct scanner *s, struct lane *lane, const struct scanner_job *wanted)
{
	size_t length = strlen(wanted->mailbox);
	struct job *job = calloc(1, sizeof *job + length + 1);
	struct mounts_found on;
	int by_owner;

	mounts_find(lane == &s->lanes[PINGS] ? NULL : s->mounts, wanted->path, &on);
	by_owner = is_read_by_owner(s, wanted, &on);
	if (on.may_hang || by_owner)
		lane = remote_lane(s, lane);
	if (!job || lane_enter(lane, job, wanted->owner, on.group)) {
		free(job);
		log_error("no memory for a job of the scanner");
		s->calls->died(s->arg);
		return;
	}
	job->scanner = s;
	job->key = wanted->key;
	memcpy(job->mailbox, wanted->mailbox, length);
	job->request =
		make_request(s, lane->kind->name, wanted, on.group, &job->answer.why);
	job->reader = by_owner ? BY_OWNER : BY_SCANNER;
	lane_wait(job);
	pump_soon(s);
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
	const struct scanner_job nothing = {
		.mailbox = "", .path = "/", .ignore = "", .owner = geteuid()};

	s->pinged = done;
	s->pinged_arg = arg;
	ask(s, &s->lanes[PINGS], &nothing);
}

/* --- life ------------------------------------------------------------------------- */

static int
make_lanes(struct scanner *s)
{
	int result = 0;

	for (int i = 0; i < LANES; i++) {
		for (int j = 0; j < READERS; j++)
			s->lanes[i].children[j].calls = &children_calls;
		if (lane_init(&s->lanes[i], &kinds[i]) == -1)
			result = -1;
	}
	return result;
}

/* Whether settings and capabilities are there for reading as an owner. */
static int
can_be_owner(const struct scanner_start *how)
{
	const unsigned both = PRIVILEGES_SETUID | PRIVILEGES_SETGID;

	if (how->scan_as == CONF_SCAN_AS_SCANNER)
		return 0;
	if (privileges_available(both) == both)
		return 1;
	if (how->scan_as == CONF_SCAN_AS_OWNER)
		log_warning("scan_as = owner takes CAP_SETUID and CAP_SETGID; the "
			    "scanner counts what it can read");
	return 0;
}

/* The spawner never reads a mailbox, and can become anybody but root and system users. */
static int
start_pairs(struct scanner *s, const struct scanner_start *how, struct reason *why)
{
	const int as_owner = can_be_owner(how);
	const struct scanner_role scanner = {.name = "scanner",
		.user = how->user,
		.kept = as_owner && how->scan_as == CONF_SCAN_AS_OWNER
				? 0
				: PRIVILEGES_READ_SEARCH};
	const struct scanner_role spawner = {.name = "spawner",
		.user = how->user,
		.kept = PRIVILEGES_SETUID | PRIVILEGES_SETGID,
		.becomes_owners = 1,
		.min_uid = how->min_uid};

	s->scan_as = how->scan_as;
	s->read_search = privileges_available(scanner.kept) != 0;
	s->pairs[BY_SCANNER] = pair_start(&scanner, why);
	if (s->pairs[BY_SCANNER] && as_owner)
		s->pairs[BY_OWNER] = pair_start(&spawner, why);
	return s->pairs[BY_SCANNER] && (!as_owner || s->pairs[BY_OWNER]) ? 0 : -1;
}

struct scanner *
scanner_start(const struct scanner_start *how, struct reason *why)
{
	struct scanner *s = calloc(1, sizeof *s);

	if (!s) {
		reason_errno(why, "the scanner");
		return NULL;
	}
	reason_set(why, "no memory for the scanner");
	if (make_lanes(s) || start_pairs(s, how, why))
		scanner_stop(&s);
	return s;
}

static void
on_replaced(void *arg)
{
	pump_soon(arg);
}

static void
on_died(void *arg)
{
	struct scanner *s = arg;

	s->calls->died(s->arg);
}

static void
on_event(void *arg, const struct scanner_event *event)
{
	struct scanner *s = arg;

	if (s->calls->event)
		s->calls->event(s->arg, event);
}

int
scanner_attach(struct scanner *s, struct event_base *base,
	const struct scanner_calls *calls, void *arg)
{
	static const struct timeval second = {1, 0};
	static const struct pair_calls pair_calls = {
		.replaced = on_replaced, .died = on_died, .event = on_event};

	s->base = base;
	for (int i = 0; i < LANES; i++)
		for (int j = 0; j < READERS; j++)
			s->lanes[i].children[j].base = base;
	s->calls = calls;
	s->arg = arg;
	s->mounts = mounts_open();
	s->pump = event_new(base, -1, 0, on_pump, s);
	s->second = event_new(base, -1, EV_PERSIST, on_second, s);
	if (!s->pump || !s->second || event_add(s->second, &second))
		return -1;
	for (int i = 0; i < READERS && s->pairs[i]; i++)
		if (pair_attach(s->pairs[i], base, &pair_calls, s))
			return -1;
	return 0;
}

const char *
scanner_scan_as(const struct scanner *s)
{
	if (!s->pairs[BY_OWNER])
		return "scanner";
	return s->scan_as == CONF_SCAN_AS_OWNER ? "owner" : "auto";
}

int
scanner_read_search(const struct scanner *s)
{
	return s->read_search;
}

uint64_t
scanner_as_owner(const struct scanner *s)
{
	return s->as_owner;
}

static void
free_jobs(struct lane *lane)
{
	struct job *job;

	while ((job = lane_take(lane)))
		free_job(job);
	lane_clear(lane);
}

void
scanner_stop(struct scanner **s)
{
	if (!*s)
		return;
	for (int i = 0; i < LANES; i++) {
		free_jobs(&(*s)->lanes[i]);
		for (int j = 0; j < READERS; j++)
			children_end_resting(&(*s)->lanes[i].children[j]);
	}
	for (int i = 0; i < READERS; i++)
		pair_stop(&(*s)->pairs[i]);
	if ((*s)->pump)
		event_free((*s)->pump);
	if ((*s)->second)
		event_free((*s)->second);
	mounts_close(&(*s)->mounts);
	free(*s);
	*s = NULL;
}
