/*
 * The usage store. A store that something has damaged can make libdb crash or spin, so at
 * the start a throw-away child recovers and loads it first. One key of a form of its own
 * is written for the watchdog alone.
 */
#include "usage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot_marker.h"
#include "child.h"
#include "deadline.h"
#include "environment.h"
#include "log.h"
#include "record.h"
#include "store_dir.h"
#include "syncer.h"
#include "usage_record.h"

#define STORE         "usage" /* the environment's directory inside usage_dir */
#define MEMORY_MARKER "quotad.memory"
#define BOOT_MARKER   "quotad.boot"
#define RETRY_MS      30000
#define CHECKPOINT_MS 60000
#define CHECK_SECONDS 10 /* a start can't take longer than mail waits */
/* The highest deadline that the settings allow: a ticket that was lost can't be older. */
#define TICKET_SECONDS 900
#define HEARTBEAT_KEY  "watchdog"

/* What the memory marker says, from nothing to most. */
enum marker {
	MARKER_NONE,
	MARKER_UNSURE, /* tickets may be lost, until a time */
	MARKER_MEMORY, /* the store on disk is not the truth */
};

struct usage {
	char *path; /* of the environment's directory */
	int dir, lock, run_dir;
	char *boot; /* its id, as a record has it */
	const struct usage_calls *calls;
	void *arg;
	struct environment *environment; /* NULL in memory */
	struct syncer *syncer;
	enum marker marker;
	int marker_failed;     /* the log has it already */
	uint64_t unsure_until; /* as of boot_marker_now; 0: not unsure */
	uint64_t now_ms, retried_ms, checkpoint_ms;
	int dirty; /* something was committed since the last checkpoint for its time */
};

/* --- the marker ------------------------------------------------------------------- */

static enum marker
wanted_marker(struct usage *u)
{
	if (!u->environment)
		return MARKER_MEMORY;
	if (u->unsure_until && boot_marker_now() >= u->unsure_until)
		u->unsure_until = 0;
	return u->unsure_until ? MARKER_UNSURE : MARKER_NONE;
}

/* Makes the marker say what is so. -1 where it says less: then nothing may be promised.
 */
static int
settle_marker(struct usage *u)
{
	enum marker wanted = wanted_marker(u);
	struct reason why;
	int failed;

	if (u->marker == wanted)
		return 0;
	if (wanted == MARKER_NONE)
		failed = boot_marker_remove(u->run_dir, MEMORY_MARKER, &why);
	else
		failed = boot_marker_write(u->run_dir, MEMORY_MARKER, u->boot,
			wanted == MARKER_UNSURE ? u->unsure_until : 0, &why);
	if (!failed)
		u->marker = wanted;
	else if (!u->marker_failed)
		log_error("usage store: %s", why.text);
	u->marker_failed = failed;
	return failed && wanted > u->marker ? -1 : 0;
}

/* The store has failed while it was in use. */
static void
lose(struct usage *u, const struct reason *why)
{
	log_error("usage store: %s; going on in memory", why->text);
	environment_close(&u->environment);
	u->retried_ms = u->now_ms;
	settle_marker(u);
}

/* --- saving ----------------------------------------------------------------------- */

/* In memory there is nothing to do but to look after the marker. */
static int
put(struct usage *u, const char *key, size_t key_size, const char *value,
	size_t value_size)
{
	struct reason why;

	if (!u->environment)
		return settle_marker(u);
	if (environment_put(u->environment, key, key_size, value, value_size, &why) == 0)
		return 0;
	lose(u, &why);
	return settle_marker(u);
}

int
usage_save_account(struct usage *u, const char *mailbox, const struct usage_numbers *n)
{
	char key[USAGE_RECORD_KEY_SIZE], value[USAGE_RECORD_VALUE_SIZE];
	size_t size = usage_record_key(key, mailbox, NULL);

	if (!size)
		return -1;
	return put(u, key, size, value, usage_record_account(value, u->boot, n));
}

int
usage_save_ticket(struct usage *u, const char *mailbox, const char *name,
	const struct usage_ticket *t)
{
	char key[USAGE_RECORD_KEY_SIZE], value[USAGE_RECORD_VALUE_SIZE];
	size_t size = usage_record_key(key, mailbox, name);

	if (!size)
		return -1;
	return put(u, key, size, value, usage_record_ticket(value, u->boot, t));
}

int
usage_save_promise(struct usage *u, const char *mailbox, const struct usage_promise *p)
{
	char key[USAGE_RECORD_KEY_SIZE], value[USAGE_RECORD_VALUE_SIZE];
	size_t size = usage_record_promise_key(key, mailbox, p->id, p->recipient);

	if (!size)
		return -1;
	return put(u, key, size, value, usage_record_promise(value, u->boot, p));
}

static void
remove_key(struct usage *u, const char *key, size_t size)
{
	struct reason why;

	if (size && u->environment &&
		environment_remove(u->environment, key, size, &why) == -1)
		lose(u, &why);
}

int
usage_save_place(struct usage *u, uint64_t path, uint64_t mail_in)
{
	char key[USAGE_RECORD_KEY_SIZE], value[USAGE_RECORD_VALUE_SIZE];
	size_t size = usage_record_place_key(key, path);

	if (mail_in)
		return put(u, key, size, value, usage_record_place(value, mail_in));
	remove_key(u, key, size);
	return 0;
}

/* Of the account where there is no NAME. */
static void
remove_entry(struct usage *u, const char *mailbox, const char *name)
{
	char key[USAGE_RECORD_KEY_SIZE];

	remove_key(u, key, usage_record_key(key, mailbox, name));
}

void
usage_remove_account(struct usage *u, const char *mailbox)
{
	remove_entry(u, mailbox, NULL);
}

void
usage_remove_ticket(struct usage *u, const char *mailbox, const char *name)
{
	remove_entry(u, mailbox, name);
}

void
usage_remove_promise(
	struct usage *u, const char *mailbox, const char *id, uint64_t recipient)
{
	char key[USAGE_RECORD_KEY_SIZE];

	remove_key(u, key, usage_record_promise_key(key, mailbox, id, recipient));
}

uint64_t
usage_note_deadline(struct usage *u, uint64_t seconds)
{
	return deadline_note(u->run_dir, u->boot, seconds);
}

int
usage_put_heartbeat(struct usage *u, uint64_t number)
{
	char value[64];
	int n = snprintf(value, sizeof value, "number=%" PRIu64, number);

	return put(u, HEARTBEAT_KEY, sizeof HEARTBEAT_KEY - 1, value, (size_t)n);
}

int
usage_check_heartbeat(struct usage *u, uint64_t number)
{
	uint64_t found = 0;
	const char *value;
	struct record r;
	size_t size;
	int error;

	if (!u->environment)
		return 0;
	value = environment_get(
		u->environment, HEARTBEAT_KEY, sizeof HEARTBEAT_KEY - 1, &size);
	if (!value || record_parse(&r, value, size, 0, NULL))
		return -1;
	error = record_number(&r, "number", 0, &found);
	record_clear(&r);
	return !error && found == number ? 0 : -1;
}

int
usage_commit(struct usage *u)
{
	struct reason why;
	int committed = u->environment ? environment_commit(u->environment, &why) : 0;

	if (committed) {
		u->dirty = 1;
		syncer_note(u->syncer);
	}
	if (committed == -1)
		lose(u, &why);
	return settle_marker(u);
}

/* --- checkpoints, and the return from memory -------------------------------------- */

/* Once more than KBYTES have been logged since the last one; 0: at once. */
static void
checkpoint(struct usage *u, unsigned kbytes)
{
	struct reason why;
	int failed = environment_checkpoint(u->environment, kbytes, &why);

	syncer_note(u->syncer);
	if (failed)
		lose(u, &why);
}

static void
checkpoint_when_due(struct usage *u)
{
	if (!u->dirty)
		return;
	if (u->now_ms - u->checkpoint_ms < CHECKPOINT_MS) {
		checkpoint(u, ENVIRONMENT_LOG_KBYTES);
		return;
	}
	u->dirty = 0;
	u->checkpoint_ms = u->now_ms;
	checkpoint(u, 0);
}

/* A store of its own, empty: 0, or -1 with the reason and nothing left behind. */
static int
make_store(struct usage *u, struct reason *why)
{
	if (store_dir_remove(u->dir, STORE, why) || store_dir_make(u->dir, STORE, why))
		return -1;
	u->environment = environment_open(u->path, why);
	if (u->environment)
		return 0;
	store_dir_remove(u->dir, STORE, NULL);
	return -1;
}

/* Writes everything afresh. The marker goes when all of it is with the kernel. */
static void
come_back(struct usage *u)
{
	struct reason why;

	u->retried_ms = u->now_ms;
	if (make_store(u, &why)) {
		log_warning("usage store: still in memory: %s", why.text);
		return;
	}
	u->calls->save_all(u->arg, u);
	usage_commit(u);
	if (u->environment)
		checkpoint(u, 0);
	if (u->environment)
		log_info("usage store: back on disk");
	else
		store_dir_remove(u->dir, STORE, NULL);
}

void
usage_tick(struct usage *u, uint64_t now_ms)
{
	int error = syncer_error(u->syncer);
	struct reason why;

	u->now_ms = now_ms;
	if (u->environment && error) {
		reason_set(&why, "sync: %s", strerror(error));
		lose(u, &why);
	}
	if (u->environment)
		checkpoint_when_due(u);
	else if (u->now_ms - u->retried_ms >= RETRY_MS)
		come_back(u);
	settle_marker(u);
}

int
usage_on_disk(const struct usage *u)
{
	return u->environment != NULL;
}

/* --- loading ---------------------------------------------------------------------- */

static int
load_entry(
	void *arg, const char *key, size_t key_size, const char *value, size_t value_size)
{
	if (key_size == sizeof HEARTBEAT_KEY - 1 &&
		memcmp(key, HEARTBEAT_KEY, key_size) == 0)
		return 0;
	return usage_record_load(arg, key, key_size, value, value_size);
}

/* Opens the store and tells what it holds; it stays closed where that fails. */
static int
open_and_load(struct usage *u, struct reason *why)
{
	struct usage_reader reader = {
		.boot = u->boot,
		.unsure = u->unsure_until != 0,
		.calls = u->calls,
		.arg = u->arg,
	};

	u->environment = environment_open(u->path, why);
	if (!u->environment)
		return -1;
	if (environment_each(u->environment, load_entry, &reader, why) == 0)
		return 0;
	environment_close(&u->environment);
	return -1;
}

static void try_in_child(struct usage *u, pid_t parent) __attribute__((noreturn));

/* It ends with its parent, whose locks it holds. The table is verified last, since
 * recovery has written all its pages then. */
static void
try_in_child(struct usage *u, pid_t parent)
{
	const struct rlimit cpu = {CHECK_SECONDS, CHECK_SECONDS}, core = {0, 0};
	struct reason why;
	int bad;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent)
		child_leave(1);
	signal(SIGALRM, SIG_DFL);
	alarm(CHECK_SECONDS);
	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_CORE, &core);
	bad = open_and_load(u, &why);
	environment_close(&u->environment);
	if (!bad)
		bad = environment_verify(u->path, &why);
	if (bad)
		log_error("usage store: %s", why.text);
	child_leave(bad ? 1 : 0);
}

/* Whether a child can recover and load the store, and lives to tell. */
static int
is_sound(struct usage *u)
{
	pid_t parent = getpid(), child = fork();
	int status = -1;

	if (child == 0)
		try_in_child(u, parent);
	if (child < 0) {
		log_error("usage store: no child to try it in: %m");
		return 0;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		log_error("usage store: trying it ended in signal %d", WTERMSIG(status));
	return status == 0;
}

static int
load_sound_store(struct usage *u)
{
	struct reason why;

	if (!is_sound(u))
		return -1;
	if (open_and_load(u, &why) == 0)
		return 0;
	log_error("usage store: %s", why.text);
	return -1;
}

/* A store that could not be loaded is kept for whoever wants to know why. */
static void
start_afresh(struct usage *u, int was_there)
{
	struct reason why = {""};

	if (was_there) {
		log_error("usage store: it can't be used, and is set aside");
		if (store_dir_set_aside(u->dir, STORE, &why))
			log_error("usage store: %s", why.text);
	}
	if (make_store(u, &why))
		log_error("usage store: %s; going on in memory", why.text);
}

/* Tickets of this boot may be lost if a daemon ran in it and its store is not there, or
 * was not the truth. */
static enum usage_start
load_or_start(struct usage *u)
{
	uint64_t until, boot_until;
	int ran = boot_marker_holds(u->run_dir, BOOT_MARKER, u->boot, &boot_until);
	int unsure = boot_marker_holds(u->run_dir, MEMORY_MARKER, u->boot, &until);
	int was_there = store_dir_has(u->dir, STORE);

	if (unsure)
		u->unsure_until = until ? until : boot_marker_now() + TICKET_SECONDS;
	if (!was_there || load_sound_store(u)) {
		start_afresh(u, was_there);
		if (ran && !u->unsure_until)
			u->unsure_until = boot_marker_now() + TICKET_SECONDS;
	}
	u->marker = MARKER_NONE;
	settle_marker(u);
	return u->unsure_until ? USAGE_UNSURE : USAGE_SOUND;
}

/* --- opening and closing ---------------------------------------------------------- */

/* Whoever may write there can put a marker away, or in the place of another file. */
static int
open_run_dir(const char *path, struct reason *why)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return reason_errno(why, "%s", path);
	if (fstat(fd, &st))
		reason_errno(why, "%s", path);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		reason_set(why, "%s belongs to uid %u: chown %u %s", path,
			(unsigned)st.st_uid, (unsigned)geteuid(), path);
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		reason_set(why, "others may write to %s (mode %04o): chmod go-w %s", path,
			(unsigned)st.st_mode & 07777, path);
	else
		return fd;
	close(fd);
	return -1;
}

/* What a store can't do without. */
static int
prepare(struct usage *u, const char *dir, const char *run_dir, const char *boot,
	struct reason *why)
{
	char *real;

	u->boot = record_escape(boot);
	u->dir = store_dir_open(dir, why);
	if (u->dir < 0)
		return -1;
	u->lock = store_dir_lock(u->dir, why);
	if (u->lock < 0 || store_dir_check_config(u->dir, STORE, why))
		return -1;
	u->run_dir = open_run_dir(run_dir, why);
	if (u->run_dir < 0)
		return -1;
	real = realpath(dir, NULL);
	if (!u->boot || !real || asprintf(&u->path, "%s/%s", real, STORE) < 0) {
		u->path = NULL;
		free(real);
		return reason_errno(why, "%s", dir);
	}
	free(real);
	return 0;
}

static void
free_usage(struct usage *u)
{
	const int fds[] = {u->run_dir, u->lock, u->dir};

	environment_close(&u->environment);
	syncer_stop(&u->syncer);
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(u->path);
	free(u->boot);
	free(u);
}

struct usage *
usage_open(const char *dir, const char *run_dir, const char *boot,
	const struct usage_calls *calls, void *arg, enum usage_start *start,
	struct reason *why)
{
	struct usage *u = calloc(1, sizeof *u);

	if (!u) {
		reason_errno(why, "the usage store");
		return NULL;
	}
	u->dir = u->lock = u->run_dir = -1;
	u->calls = calls;
	u->arg = arg;
	if (prepare(u, dir, run_dir, boot, why) == 0) {
		*start = load_or_start(u);
		u->syncer = syncer_start(u->path, why);
		if (u->syncer &&
			boot_marker_write(u->run_dir, BOOT_MARKER, u->boot, 0, why) == 0)
			return u;
	}
	free_usage(u);
	return NULL;
}

void
usage_close(struct usage **u)
{
	if (!*u)
		return;
	usage_commit(*u);
	if (!(*u)->environment)
		come_back(*u);
	if ((*u)->environment)
		checkpoint(*u, 0);
	settle_marker(*u);
	free_usage(*u);
	*u = NULL;
}
