/*
 * The usage store. Keys are "a" and a mailbox's name, or "t", its name, a NUL and the
 * name of a ticket's file; values are records of fields. What is zero is left out. One
 * key of another form, SIGN_KEY, is written for the watchdog alone.
 *
 * libdb reads no DB_CONFIG, since it is given no home; and it never syncs, since it would
 * do so in the middle of a request: the syncer does, the log before the tables. A store
 * that something has damaged all the same can make libdb crash or spin, so at the start a
 * throw-away child recovers and loads it first.
 */
#include "usage.h"

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "amount.h"
#include "boot_marker.h"
#include "child.h"
#include "log.h"
#include "record.h"
#include "store_dir.h"
#include "syncer.h"

#define STORE         "usage" /* the environment's directory inside usage_dir */
#define TABLE         "usage.db"
#define MEMORY_MARK   "quotad.memory"
#define BOOT_MARK     "quotad.boot"
#define CACHE_BYTES   (2U << 20)
#define LOG_BYTES     (4U << 20) /* of each log file, and between two checkpoints */
#define RETRY_MS      30000
#define CHECKPOINT_MS 60000
#define CHECK_SECONDS 120
#define A_DAY         86400
/* The highest deadline that the settings allow: a ticket that was lost can't be older. */
#define TICKET_SECONDS 900

#define SIGN_KEY   "watchdog"
#define KEY_SIZE   (1 + ADDRESS_MAX + 1 + NAME_MAX + 1)
#define VALUE_SIZE 768

/* What the memory mark says, from nothing to most. */
enum mark_says {
	MARK_NOTHING,
	MARK_UNSURE, /* tickets may be lost, until a time */
	MARK_MEMORY, /* the store on disk is not the truth */
};

struct usage {
	char *path; /* of the environment's directory */
	int dir, lock, run_dir;
	char *boot;
	struct ledger *ledger;
	DB_ENV *env; /* these three are NULL in memory */
	DB *db;
	DB_TXN *txn; /* NULL between passes, too */
	struct syncer *syncer;
	enum mark_says mark;
	int mark_failed;       /* said so already */
	uint64_t unsure_until; /* as of mark_now; 0: not unsure */
	uint64_t now_ms, retried_ms, checkpoint_ms;
	int dirty; /* something was committed since the last checkpoint for its time */
};

/* --- the mark --------------------------------------------------------------------- */

static enum mark_says
wanted_mark(struct usage *u)
{
	if (!u->env)
		return MARK_MEMORY;
	if (u->unsure_until && mark_now() >= u->unsure_until)
		u->unsure_until = 0;
	return u->unsure_until ? MARK_UNSURE : MARK_NOTHING;
}

/* Makes the mark say what is so. -1 where it says less: then nothing may be promised. */
static int
settle_mark(struct usage *u)
{
	enum mark_says wanted = wanted_mark(u);
	struct reason why;
	int failed;

	if (u->mark == wanted)
		return 0;
	if (wanted == MARK_NOTHING)
		failed = mark_remove(u->run_dir, MEMORY_MARK, &why);
	else
		failed = mark_write(u->run_dir, MEMORY_MARK, u->boot,
			wanted == MARK_UNSURE ? u->unsure_until : 0, &why);
	if (!failed)
		u->mark = wanted;
	else if (!u->mark_failed)
		log_error("usage store: %s", why.text);
	u->mark_failed = failed;
	return failed && wanted > u->mark ? -1 : 0;
}

/* --- the environment -------------------------------------------------------------- */

static void
on_error(const DB_ENV *env, const char *prefix, const char *message)
{
	(void)env;
	(void)prefix;
	log_error("usage store: %s", message);
}

static void
on_message(const DB_ENV *env, const char *message)
{
	(void)env;
	log_info("usage store: %s", message);
}

/* In the place of fsync(2): the syncer's work. */
static int
leave_to_syncer(int fd)
{
	(void)fd;
	return 0;
}

static int
configure(struct usage *u)
{
	DB_ENV *env = u->env;
	int error = env->set_data_dir(env, u->path);

	env->set_errcall(env, on_error);
	env->set_msgcall(env, on_message);
	if (!error)
		error = env->set_lg_dir(env, u->path);
	if (!error)
		error = env->set_tmp_dir(env, u->path);
	if (!error)
		error = env->set_cachesize(env, 0, CACHE_BYTES, 1);
	if (!error)
		error = env->set_lg_max(env, LOG_BYTES);
	if (!error)
		error = env->set_flags(env, DB_TXN_WRITE_NOSYNC, 1);
	if (!error)
		error = env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1);
	return error;
}

static int
open_table(struct usage *u)
{
	int error = db_create(&u->db, u->env, 0);

	if (error)
		return error;
	error = u->db->set_flags(u->db, DB_CHKSUM);
	if (!error)
		error = u->db->set_pagesize(u->db, 4096);
	if (!error)
		error = u->db->open(u->db, NULL, TABLE, NULL, DB_BTREE,
			DB_CREATE | DB_AUTO_COMMIT, 0600);
	return error;
}

static void
close_environment(struct usage *u)
{
	if (u->txn)
		u->txn->abort(u->txn);
	if (u->db)
		u->db->close(u->db, DB_NOSYNC);
	if (u->env)
		u->env->close(u->env, 0);
	u->txn = NULL;
	u->db = NULL;
	u->env = NULL;
}

/* With a home of NULL: of a home that it is given libdb reads DB_CONFIG. */
static int
open_environment(struct usage *u, struct reason *why)
{
	int error;

	db_env_set_func_fsync(leave_to_syncer);
	error = db_env_create(&u->env, 0);
	if (!error)
		error = configure(u);
	if (!error)
		error = u->env->open(u->env, NULL,
			DB_CREATE | DB_PRIVATE | DB_INIT_TXN | DB_INIT_LOG |
				DB_INIT_MPOOL | DB_RECOVER,
			0600);
	if (!error)
		error = open_table(u);
	if (!error)
		return 0;
	close_environment(u);
	reason_set(why, "%s can't be opened: %s", u->path, db_strerror(error));
	return -1;
}

/* The store has failed while it was in use. */
static void
lose(struct usage *u, const char *doing, int error)
{
	log_error("usage store: %s: %s; going on in memory", doing, db_strerror(error));
	close_environment(u);
	u->retried_ms = u->now_ms;
	settle_mark(u);
}

/* --- loading ---------------------------------------------------------------------- */

static uint64_t
clock_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Time that passed while no daemon ran counts for "full since", but a day at most. */
static uint64_t
full_for_now(const struct record *r, uint64_t full_for)
{
	uint64_t saved, clock = (uint64_t)time(NULL), gap;

	if (!full_for || record_number(r, "saved", clock, &saved) || saved > clock)
		return full_for;
	gap = clock - saved;
	return full_for + (gap < A_DAY ? gap : A_DAY);
}

/* The clock may have been set back since: then the count is as good as just now. */
static int
read_last_count(const struct record *r, struct ledger_last_count *last)
{
	const char *why = record_get(r, "counted_why");
	uint64_t at, clock = clock_ms();

	if (record_number(r, "counted", clock, &at) ||
		record_number(r, "counted_was", 0, &last->was) ||
		record_number(r, "counted_found", 0, &last->found))
		return -1;
	if (why == NULL)
		return 0;
	last->why = ledger_why_parse(why);
	last->exact = record_get(r, "inexact") == NULL;
	last->ago_ms = clock > at ? clock - at : 0;
	return 0;
}

static int
read_numbers(const struct usage *u, const struct record *r, struct ledger_numbers *n)
{
	const char *boot = record_get(r, "boot");
	const struct {
		const char *name;
		uint64_t *number;
	} fields[] = {
		{"used", &n->used},
		{"messages", &n->messages},
		{"stamp", &n->stamp},
		{"full_for", &n->full_for},
		{"full_used", &n->full_used},
		{"full_bytes", &n->full_bytes},
		{"full_messages", &n->full_messages},
		{"full_smallest", &n->full_smallest},
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (record_number(r, fields[i].name, 0, fields[i].number))
			return -1;
	if (read_last_count(r, &n->last))
		return -1;
	n->known = boot && strcmp(boot, u->boot) == 0 && !u->unsure_until;
	n->full_for = full_for_now(r, n->full_for);
	return 0;
}

static int
load_account(struct usage *u, const char *name, const struct record *r)
{
	struct ledger_numbers n = {0};
	struct account *a;

	if (read_numbers(u, r, &n))
		return -1;
	a = ledger_account(u->ledger, name);
	if (!a)
		return -1;
	ledger_load(u->ledger, a, &n);
	return 0;
}

static int
load_ticket(struct usage *u, const char *name, const char *file, const struct record *r)
{
	const char *boot = record_get(r, "boot");
	struct account *a;
	uint64_t bytes;

	if (!file[0] || !record_get(r, "bytes") || record_number(r, "bytes", 0, &bytes))
		return -1;
	a = ledger_account(u->ledger, name);
	if (!a)
		return -1;
	return ledger_load_ticket(
		u->ledger, a, file, bytes, !boot || strcmp(boot, u->boot) != 0);
}

/* One entry, of which nothing is trusted but that libdb gave its sizes right. */
static int
load_entry(struct usage *u, const DBT *key, const DBT *value)
{
	char text[KEY_SIZE + 1];
	struct record r;
	size_t name;
	int result = -1;

	if (key->size < 2 || key->size >= sizeof text ||
		record_parse(&r, value->data, value->size, 0, NULL))
		return -1;
	memcpy(text, key->data, key->size);
	text[key->size] = '\0';
	name = strlen(text + 1);
	if (strcmp(text, SIGN_KEY) == 0)
		result = 0;
	else if (name > 0 && text[0] == 'a' && 1 + name == key->size)
		result = load_account(u, text + 1, &r);
	else if (name > 0 && text[0] == 't' && 1 + name < key->size)
		result = load_ticket(u, text + 1, text + 1 + name + 1, &r);
	record_clear(&r);
	return result;
}

static int
load(struct usage *u, struct reason *why)
{
	DBT key = {0}, value = {0};
	DBC *cursor;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it was opened */
	int error = u->db->cursor(u->db, NULL, &cursor, 0), bad = 0;

	if (error)
		return reason_set(why, "%s", db_strerror(error));
	while (!bad && (error = cursor->get(cursor, &key, &value, DB_NEXT)) == 0)
		bad = load_entry(u, &key, &value);
	cursor->close(cursor);
	if (bad)
		return reason_set(why, "it holds an entry that can't be understood");
	if (error != DB_NOTFOUND)
		return reason_set(why, "%s", db_strerror(error));
	return 0;
}

/* Reads every page of the table, since one of zeros has a checksum that fits: the load
 * would end there and miss what came behind. Recovery has written all pages. */
static int
verify_table(struct usage *u, struct reason *why)
{
	char *path;
	DB *db;
	int error;

	if (asprintf(&path, "%s/" TABLE, u->path) < 0)
		return reason_errno(why, "%s", u->path);
	error = db_create(&db, NULL, 0);
	if (!error) {
		db->set_errcall(db, on_error);
		error = db->verify(db, path, NULL, NULL, 0);
	}
	free(path);
	return error ? reason_set(why, "the table: %s", db_strerror(error)) : 0;
}

static int
try_store(struct usage *u, struct reason *why)
{
	int bad;

	if (open_environment(u, why))
		return -1;
	bad = load(u, why);
	close_environment(u);
	return bad ? -1 : verify_table(u, why);
}

static void try_in_child(struct usage *u) __attribute__((noreturn));

static void
try_in_child(struct usage *u)
{
	const struct rlimit cpu = {CHECK_SECONDS, CHECK_SECONDS}, core = {0, 0};
	struct reason why;
	int bad;

	signal(SIGALRM, SIG_DFL);
	alarm(CHECK_SECONDS);
	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_CORE, &core);
	bad = try_store(u, &why);
	if (bad)
		log_error("usage store: %s", why.text);
	child_leave(bad ? 1 : 0);
}

/* Whether a child can recover and load the store, and lives to tell. */
static int
is_sound(struct usage *u)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0)
		try_in_child(u);
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

/* --- saving ----------------------------------------------------------------------- */

static int
begin(struct usage *u)
{
	int error;

	if (u->txn)
		return 0;
	error = u->env->txn_begin(u->env, NULL, &u->txn, 0);
	if (error)
		lose(u, "begin", error);
	return error ? -1 : 0;
}

/* In memory there is nothing to do but to look after the mark. */
static int
put(struct usage *u, const char *key, size_t key_size, char *value, size_t value_size)
{
	DBT k = {.data = (void *)key, .size = (u_int32_t)key_size};
	DBT v = {.data = value, .size = (u_int32_t)value_size};
	int error;

	if (!u->env || begin(u))
		return settle_mark(u);
	error = u->db->put(u->db, u->txn, &k, &v, 0);
	if (error)
		lose(u, "put", error);
	return error ? settle_mark(u) : 0;
}

/* The key of an account or, with a FILE, of a ticket: its size, or 0 if it is too long.
 */
static size_t
make_key(char key[KEY_SIZE], const struct account *a, const char *file)
{
	const char *name = ledger_name(a);
	size_t n = strlen(name), m = file ? strlen(file) : 0;

	if (n > ADDRESS_MAX || m > NAME_MAX)
		return 0;
	key[0] = file ? 't' : 'a';
	memcpy(key + 1, name, n + 1);
	if (!file)
		return 1 + n;
	memcpy(key + 1 + n + 1, file, m + 1);
	return 1 + n + 1 + m;
}

/* Appends a field to a record's text, unless it is zero. Returns the new length. */
static size_t
add_number(char *text, size_t at, const char *name, uint64_t n)
{
	if (!n)
		return at;
	return at + (size_t)snprintf(text + at, VALUE_SIZE - at, "%s%s=%" PRIu64,
			    at ? " " : "", name, n);
}

static size_t
add_last_count(char *text, size_t at, const struct ledger_last_count *last)
{
	if (last->why == LEDGER_NEVER)
		return at;
	at = add_number(text, at, "counted", amount_subtract(clock_ms(), last->ago_ms));
	at = add_number(text, at, "counted_was", last->was);
	at = add_number(text, at, "counted_found", last->found);
	at = add_number(text, at, "inexact", !last->exact);
	return at + (size_t)snprintf(text + at, VALUE_SIZE - at, "%scounted_why=%s",
			    at ? " " : "", ledger_why_name(last->why));
}

static size_t
write_numbers(const struct usage *u, char *text, const struct ledger_numbers *n)
{
	size_t at = 0;

	at = add_number(text, at, "used", n->used);
	at = add_number(text, at, "messages", n->messages);
	at = add_number(text, at, "stamp", n->stamp);
	if (n->known)
		at += (size_t)snprintf(
			text + at, VALUE_SIZE - at, "%sboot=%s", at ? " " : "", u->boot);
	at = add_last_count(text, at, &n->last);
	if (!n->full_for)
		return at;
	at = add_number(text, at, "full_for", n->full_for);
	at = add_number(text, at, "full_used", n->full_used);
	at = add_number(text, at, "full_bytes", n->full_bytes);
	at = add_number(text, at, "full_messages", n->full_messages);
	at = add_number(text, at, "full_smallest", n->full_smallest);
	return add_number(text, at, "saved", (uint64_t)time(NULL));
}

int
usage_save_account(struct usage *u, struct account *a)
{
	char key[KEY_SIZE], value[VALUE_SIZE];
	size_t size = make_key(key, a, NULL);
	struct ledger_numbers n;

	if (!size)
		return -1;
	ledger_numbers(u->ledger, a, &n);
	return put(u, key, size, value, write_numbers(u, value, &n));
}

int
usage_save_ticket(struct usage *u, struct account *a, const char *name, uint64_t bytes)
{
	char key[KEY_SIZE], value[VALUE_SIZE];
	size_t size = make_key(key, a, name);
	int n = snprintf(
		value, sizeof value, "bytes=%" PRIu64 " boot=%s", bytes, u->boot);

	return size ? put(u, key, size, value, (size_t)n) : -1;
}

void
usage_remove_ticket(struct usage *u, struct account *a, const char *name)
{
	char key[KEY_SIZE];
	DBT k = {.data = key, .size = (u_int32_t)make_key(key, a, name)};
	int error;

	if (!k.size || !u->env || begin(u))
		return;
	error = u->db->del(u->db, u->txn, &k, 0);
	if (error && error != DB_NOTFOUND)
		lose(u, "remove", error);
}

int
usage_put_sign(struct usage *u, uint64_t number)
{
	char value[VALUE_SIZE];
	int n = snprintf(value, sizeof value, "number=%" PRIu64, number);

	return put(u, SIGN_KEY, sizeof SIGN_KEY - 1, value, (size_t)n);
}

int
usage_check_sign(struct usage *u, uint64_t number)
{
	DBT k = {.data = (void *)SIGN_KEY, .size = sizeof SIGN_KEY - 1}, v = {0};
	uint64_t found = 0;
	struct record r;
	int error;

	if (!u->env)
		return 0;
	error = u->db->get(u->db, u->txn, &k, &v, 0);
	if (error || record_parse(&r, v.data, v.size, 0, NULL))
		return -1;
	error = record_number(&r, "number", 0, &found);
	record_clear(&r);
	return !error && found == number ? 0 : -1;
}

int
usage_commit(struct usage *u)
{
	DB_TXN *txn = u->txn;
	int error = 0;

	u->txn = NULL;
	if (txn) {
		error = txn->commit(txn, 0);
		u->dirty = 1;
		syncer_note(u->syncer);
	}
	if (error)
		lose(u, "commit", error);
	return settle_mark(u);
}

/* --- checkpoints, and the way back from memory ------------------------------------ */

/* Once more than KBYTES have been logged since the last one; 0: at once. */
static void
checkpoint(struct usage *u, u_int32_t kbytes)
{
	int error = u->env->txn_checkpoint(u->env, kbytes, 0, kbytes ? 0 : DB_FORCE);

	syncer_note(u->syncer);
	if (error)
		lose(u, "checkpoint", error);
}

static void
checkpoint_when_due(struct usage *u)
{
	if (!u->dirty)
		return;
	if (u->now_ms - u->checkpoint_ms < CHECKPOINT_MS) {
		checkpoint(u, LOG_BYTES / 1024);
		return;
	}
	u->dirty = 0;
	u->checkpoint_ms = u->now_ms;
	checkpoint(u, 0);
}

struct writer {
	struct usage *usage;
	struct account *account;
};

static void
write_ticket(void *arg, const char *name, uint64_t bytes)
{
	struct writer *w = arg;

	usage_save_ticket(w->usage, w->account, name, bytes);
}

static void
write_account(void *arg, struct account *a)
{
	struct writer w = {arg, a};

	usage_save_account(w.usage, a);
	ledger_each_ticket(a, write_ticket, &w);
}

/* A store of its own, empty: 0, or -1 with the reason and nothing left behind. */
static int
make_store(struct usage *u, struct reason *why)
{
	if (store_dir_remove(u->dir, STORE, why) || store_dir_make(u->dir, STORE, why))
		return -1;
	if (open_environment(u, why) == 0)
		return 0;
	store_dir_remove(u->dir, STORE, NULL);
	return -1;
}

/* Writes everything afresh. The mark goes when all of it is with the kernel. */
static void
come_back(struct usage *u)
{
	struct reason why;

	u->retried_ms = u->now_ms;
	if (make_store(u, &why)) {
		log_warning("usage store: still in memory: %s", why.text);
		return;
	}
	ledger_each(u->ledger, write_account, u);
	usage_commit(u);
	if (u->env)
		checkpoint(u, 0);
	if (u->env)
		log_info("usage store: back on disk");
	else
		store_dir_remove(u->dir, STORE, NULL);
}

void
usage_tick(struct usage *u, uint64_t now_ms)
{
	int error = syncer_error(u->syncer);

	u->now_ms = now_ms;
	if (u->env && error)
		lose(u, "sync", error);
	if (u->env)
		checkpoint_when_due(u);
	else if (u->now_ms - u->retried_ms >= RETRY_MS)
		come_back(u);
	settle_mark(u);
}

int
usage_on_disk(const struct usage *u)
{
	return u->env != NULL;
}

/* --- opening and closing ---------------------------------------------------------- */

static int
load_sound_store(struct usage *u)
{
	struct reason why;

	if (!is_sound(u))
		return -1;
	if (open_environment(u, &why) == 0) {
		if (load(u, &why) == 0)
			return 0;
		close_environment(u);
	}
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
	int ran = mark_holds(u->run_dir, BOOT_MARK, u->boot, &boot_until);
	int unsure = mark_holds(u->run_dir, MEMORY_MARK, u->boot, &until);
	int was_there = store_dir_has(u->dir, STORE);

	if (unsure)
		u->unsure_until = until ? until : mark_now() + TICKET_SECONDS;
	if (!was_there || load_sound_store(u)) {
		start_afresh(u, was_there);
		if (ran && !u->unsure_until)
			u->unsure_until = mark_now() + TICKET_SECONDS;
	}
	u->mark = MARK_NOTHING;
	settle_mark(u);
	return u->unsure_until ? USAGE_UNSURE : USAGE_SOUND;
}

/* What must be had, or there is no store at all. */
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
	u->run_dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->run_dir < 0)
		return reason_errno(why, "%s", run_dir);
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

	close_environment(u);
	syncer_stop(&u->syncer);
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(u->path);
	free(u->boot);
	free(u);
}

struct usage *
usage_open(const char *dir, const char *run_dir, const char *boot, struct ledger *l,
	enum usage_start *start, struct reason *why)
{
	struct usage *u = calloc(1, sizeof *u);

	if (!u) {
		reason_errno(why, "the usage store");
		return NULL;
	}
	u->dir = u->lock = u->run_dir = -1;
	u->ledger = l;
	if (prepare(u, dir, run_dir, boot, why) == 0) {
		*start = load_or_start(u);
		u->syncer = syncer_start(u->path, why);
		if (u->syncer && mark_write(u->run_dir, BOOT_MARK, u->boot, 0, why) == 0)
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
	if (!(*u)->env)
		come_back(*u);
	if ((*u)->env)
		checkpoint(*u, 0);
	settle_mark(*u);
	free_usage(*u);
	*u = NULL;
}
