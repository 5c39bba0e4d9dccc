/*
 * The scanner with a ledger of the test's own: real processes, killed at the wrong
 * moments, and a child that talks nonsense.
 */
#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "quotad/scanner/jobs.h"
#include "suite.h"

#define USER_ID     54321
#define FIRST_OWNER 30001
#define OWNERS      200 /* more than may hang at once */

struct account {
	const char *name;
	char path[128];
	uint64_t owner;
	const char *names[8]; /* that a count is to look for */
	int others;           /* and names that it has not */
	int counted, probed, failed, seen;
	char seen_names[256], text[REASON_SIZE];
	struct scanner_result found;
	double when; /* of the last answer */
};

static char root[64];
static struct account alice = {.name = "alice"}, bob = {.name = "bob"};
static struct scanner *scanner;
static struct event_base *base;
static int died, kills, alice_hangs, owners_hang;

/* --- the ledger ------------------------------------------------------------------ */

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void kill_children(int signal);
static void stop_owners(void);

static void
names(void *arg, void *key, void (*add)(void *to, const char *name), void *to)
{
	const struct account *a = key;

	(void)arg;
	if (kills) {
		kills--;
		kill_children(SIGKILL);
	}
	if (alice_hangs && a == &alice)
		kill_children(SIGSTOP);
	if (owners_hang && a == &alice)
		stop_owners();
	for (int i = 0; i < a->others; i++)
		add(to, "a.name.that.no.message.has.host");
	for (int i = 0; a->names[i]; i++)
		add(to, a->names[i]);
}

static void
counted(void *arg, void *key, const struct scanner_result *found)
{
	struct account *a = key;

	(void)arg;
	a->counted++;
	a->failed = found->failed;
	a->found = *found;
	a->seen_names[0] = '\0';
	for (size_t i = 0; i < found->seen_count; i++) {
		strcat(a->seen_names, found->seen[i]);
		strcat(a->seen_names, ";");
	}
	snprintf(a->text, sizeof a->text, "%s", found->text ? found->text : "");
	a->when = seconds();
}

static void
probed(void *arg, void *key, const struct scanner_result *found)
{
	struct account *a = key;

	(void)arg;
	a->probed++;
	a->failed = found->failed;
	a->found.stamp = found->stamp;
	a->when = seconds();
}

static void
on_died(void *arg)
{
	(void)arg;
	died++;
}

static const struct scanner_calls calls = {
	.names = names, .counted = counted, .probed = probed, .died = on_died};

/* --- processes -------------------------------------------------------------------- */

/* The parent of a process, its name and state, from /proc; -1 if it has gone. */
static int
read_stat(int pid, char name[32], char *state)
{
	char path[64];
	int parent = -1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*d (%31[^)]) %c %d", name, state, &parent) != 3)
		parent = -1;
	if (f)
		fclose(f);
	return parent;
}

/* Live children of a process, scanner processes all; returns how many. */
static int
children_of(int parent, int *pids, int most)
{
	char path[64], name[32], state;
	int n = 0, pid;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent, parent);
	f = fopen(path, "r");
	while (f && n < most && fscanf(f, "%d", &pid) == 1)
		if (read_stat(pid, name, &state) >= 0 && state != 'Z')
			pids[n++] = pid;
	if (f)
		fclose(f);
	return n;
}

/* The first scanner is this process's one child; its spare is a child of that. */
static int
first_pid(void)
{
	int pid[8];

	ck_assert_int_ge(children_of(getpid(), pid, 8), 1);
	return pid[0];
}

static void
run_for(int ms)
{
	struct timeval time = {ms / 1000, ms % 1000 * 1000};

	event_base_loopexit(base, &time);
	event_base_dispatch(base);
}

static int
spare_pid(void)
{
	int pid[8];

	for (int i = 0; i < 100; i++) {
		if (children_of(first_pid(), pid, 8) >= 1)
			return pid[0];
		run_for(10);
	}
	ck_abort_msg("no spare");
	return -1;
}

/* Signals what the first scanner has forked, but its spare. */
static void
kill_children(int signal)
{
	int pid[64], first = first_pid(), n = children_of(first, pid, 64);

	for (int i = 1; i < n; i++)
		kill(pid[i], signal);
}

/* Stops those that have become owners. */
static void
stop_owners(void)
{
	int parent[8], pid[512], parents = children_of(getpid(), parent, 8);
	char name[32], state;

	for (int i = 0; i < parents; i++)
		for (int n = children_of(parent[i], pid, 512); n-- > 0;)
			if (read_stat(pid[n], name, &state) >= 0 &&
				strcmp(name, "quotad-owner") == 0)
				kill(pid[n], SIGSTOP);
}

/* --- mailboxes -------------------------------------------------------------------- */

static void
put(const struct account *a, const char *name)
{
	char path[400];

	snprintf(path, sizeof path, "%s%s", a->path, name);
	close(open(path, O_WRONLY | O_CREAT, 0600));
}

static void
make_box(struct account *a)
{
	char path[160];

	snprintf(a->path, sizeof a->path, "%s/%s/", root, a->name);
	mkdir(a->path, 0700);
	snprintf(path, sizeof path, "%snew", a->path);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%scur", a->path);
	mkdir(path, 0700);
}

static void
open_to_all(const struct account *a)
{
	static const char *const parts[] = {"", "new", "cur"};
	char path[160];

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		snprintf(path, sizeof path, "%s%s", a->path, parts[i]);
		ck_assert_int_eq(chmod(path, 0755), 0);
	}
}

static void
start_as(const struct privileges_user *user)
{
	struct reason why;

	scanner = scanner_start(
		&(struct scanner_start){.user = user, .scan_as = CONF_SCAN_AS_SCANNER},
		&why);
	ck_assert_msg(scanner != NULL, "%s", why.text);
	base = event_base_new();
	ck_assert_int_eq(scanner_attach(scanner, base, &calls, NULL), 0);
}

static void
setup(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	strcpy(root, "/dev/shm/brim-scanner.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	chmod(root, 0755);
	make_box(&alice);
	make_box(&bob);
	start_as(NULL);
}

static void
teardown(void)
{
	scanner_stop(&scanner);
	event_base_free(base);
	remove_tree(root);
}

static void
count(struct account *a)
{
	scanner_count(scanner, &(struct scanner_job){.key = a,
				       .mailbox = a->name,
				       .path = a->path,
				       .owner = a->owner,
				       .group = a->owner});
}

static void
probe(struct account *a)
{
	scanner_probe(scanner, &(struct scanner_job){.key = a,
				       .mailbox = a->name,
				       .path = a->path,
				       .owner = a->owner});
}

static void
wait_for(const int *what, int n, int ms)
{
	for (int i = 0; i < ms && *what < n; i++)
		run_for(1);
	ck_assert_int_eq(*what, n);
}

static void
fill(const struct account *a, int n)
{
	char name[64];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "cur/%d.M%d.host,S=10:2,S", i, i);
		put(a, name);
	}
}

/* --- tests ------------------------------------------------------------------------ */

START_TEST(count_brings_the_numbers_and_the_names_seen)
{
	put(&alice, "new/1.a b%.host,S=100");
	put(&alice, "cur/2.b.host,S=20:2,S");
	alice.names[0] = "1.a b%.host,S=100";
	alice.names[1] = "END";
	alice.names[2] = "2.b.host,S=20";
	count(&alice);
	ck_assert_int_eq(alice.counted, 0);
	wait_for(&alice.counted, 1, 2000);
	ck_assert_int_eq(alice.failed, 0);
	ck_assert_int_eq(alice.found.exact, 1);
	ck_assert_uint_eq(alice.found.bytes, 120);
	ck_assert_uint_eq(alice.found.messages, 2);
	ck_assert_str_eq(alice.seen_names, "1.a b%.host,S=100;2.b.host,S=20;");
}
END_TEST

/* Far more than a socket holds. */
START_TEST(names_beyond_number_are_looked_for)
{
	put(&alice, "new/1.a.host,S=100");
	alice.names[0] = "1.a.host,S=100";
	alice.others = 50000;
	for (int i = 1; i <= 3; i++) {
		count(&alice);
		wait_for(&alice.counted, i, 5000);
		ck_assert_int_eq(alice.failed, 0);
		ck_assert_str_eq(alice.seen_names, "1.a.host,S=100;");
	}
}
END_TEST

START_TEST(probe_brings_the_stamp_of_the_count)
{
	uint64_t stamp;

	put(&alice, "new/1.a.host,S=100");
	count(&alice);
	wait_for(&alice.counted, 1, 2000);
	stamp = alice.found.stamp;
	probe(&alice);
	wait_for(&alice.probed, 1, 2000);
	ck_assert_uint_eq(alice.found.stamp, stamp);
	put(&alice, "new/2.b.host,S=100");
	probe(&alice);
	wait_for(&alice.probed, 2, 2000);
	ck_assert_uint_ne(alice.found.stamp, stamp);
}
END_TEST

START_TEST(settings_of_the_job_reach_the_count)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s.Junk", alice.path);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s.Junk/new", alice.path);
	mkdir(path, 0700);
	put(&alice, ".Junk/new/1.a,S=1000");
	snprintf(path, sizeof path, "%snew/2.b,S=1", alice.path);
	f = fopen(path, "w");
	fputs("long", f);
	fclose(f);
	scanner_count(scanner, &(struct scanner_job){.key = &alice,
				       .mailbox = "alice",
				       .path = alice.path,
				       .ignore = "Trash Junk",
				       .by_files = 1});
	wait_for(&alice.counted, 1, 2000);
	ck_assert_uint_eq(alice.found.bytes, 4);
}
END_TEST

START_TEST(mailbox_that_cannot_be_read_fails_with_a_reason)
{
	snprintf(alice.path, sizeof alice.path, "relative/");
	count(&alice);
	wait_for(&alice.counted, 1, 2000);
	ck_assert_int_eq(alice.failed, 1);
	ck_assert_ptr_nonnull(strstr(alice.text, "not an absolute path"));
	probe(&alice);
	wait_for(&alice.probed, 1, 2000);
	ck_assert_int_eq(alice.failed, 1);
}
END_TEST

START_TEST(path_too_long_for_a_job_fails)
{
	char *path = malloc(5001);

	memset(path, '/', 5000);
	path[5000] = '\0';
	scanner_count(scanner,
		&(struct scanner_job){.key = &alice, .mailbox = "alice", .path = path});
	ck_assert_int_eq(alice.counted, 0);
	wait_for(&alice.counted, 1, 2000);
	ck_assert_int_eq(alice.failed, 1);
	free(path);
}
END_TEST

START_TEST(child_killed_is_asked_for_again)
{
	spare_pid();
	put(&alice, "new/1.a.host,S=100");
	kills = 3;
	count(&alice);
	wait_for(&alice.counted, 1, 5000);
	ck_assert_int_eq(alice.failed, 0);
	ck_assert_uint_eq(alice.found.bytes, 100);
}
END_TEST

START_TEST(child_that_dies_every_time_fails)
{
	spare_pid();
	kills = 4;
	count(&alice);
	wait_for(&alice.counted, 1, 5000);
	ck_assert_int_eq(alice.failed, 1);
	ck_assert_ptr_nonnull(strstr(alice.text, "died 4 times"));
	count(&alice);
	wait_for(&alice.counted, 2, 5000);
	ck_assert_int_eq(alice.failed, 0);
}
END_TEST

START_TEST(spare_takes_over_from_a_killed_scanner)
{
	int first = first_pid(), spare = spare_pid(), pid[8];

	kill(first, SIGKILL);
	for (int i = 0; i < 20; i++) {
		count(&alice);
		probe(&bob);
	}
	wait_for(&alice.counted, 20, 5000);
	wait_for(&bob.probed, 20, 5000);
	ck_assert_int_eq(alice.failed, 0);
	ck_assert_int_eq(bob.failed, 0);
	run_for(50);
	ck_assert_int_ge(children_of(spare, pid, 8), 1);
	ck_assert_int_eq(died, 0);
}
END_TEST

START_TEST(jobs_that_a_stopped_scanner_took_with_it_are_asked_again)
{
	int first = first_pid();

	spare_pid();
	kill(first, SIGSTOP);
	for (int i = 0; i < 10; i++)
		count(&alice);
	run_for(100);
	ck_assert_int_eq(alice.counted, 0);
	kill(first, SIGKILL);
	wait_for(&alice.counted, 10, 5000);
	ck_assert_int_eq(alice.failed, 0);
}
END_TEST

START_TEST(spare_that_dies_is_replaced)
{
	int spare = spare_pid();

	kill(spare, SIGKILL);
	run_for(1300);
	ck_assert_int_ne(spare_pid(), spare);
	kill(first_pid(), SIGKILL);
	count(&alice);
	wait_for(&alice.counted, 1, 5000);
	ck_assert_int_eq(alice.failed, 0);
	ck_assert_int_eq(died, 0);
}
END_TEST

START_TEST(death_of_both_is_told)
{
	int first = first_pid(), spare = spare_pid();

	kill(spare, SIGKILL);
	kill(first, SIGKILL);
	count(&alice);
	wait_for(&died, 1, 5000);
	wait_for(&alice.counted, 1, 5000);
	ck_assert_int_eq(alice.failed, 1);
	ck_assert_msg(strstr(alice.text, "gone") != NULL, "%s", alice.text);
}
END_TEST

START_TEST(scanner_ends_with_the_daemon)
{
	int first = first_pid(), spare = spare_pid();
	char name[32], state = '?';

	scanner_stop(&scanner);
	for (int i = 0; i < 200; i++) {
		if (read_stat(spare, name, &state) < 0 || state == 'Z')
			break;
		usleep(10000);
	}
	ck_assert(read_stat(first, name, &state) < 0);
	ck_assert(read_stat(spare, name, &state) < 0 || state == 'Z');
}
END_TEST

START_TEST(signals_that_end_the_daemon_do_not_end_the_scanner)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

	spare_pid();
	for (int i = 0; i < 4; i++)
		kill(first_pid(), signals[i]);
	count(&alice);
	wait_for(&alice.counted, 1, 5000);
	ck_assert_int_eq(alice.failed, 0);
	ck_assert_int_eq(died, 0);
}
END_TEST

START_TEST(count_of_a_huge_mailbox_delays_no_probe)
{
	double began;

	fill(&alice, 100000);
	began = seconds();
	for (int i = 0; i < 40; i++)
		count(&alice);
	for (int i = 0; i < 10; i++)
		probe(&bob);
	wait_for(&bob.probed, 10, 5000);
	ck_assert_int_lt(alice.counted, 40);
	printf("10 probes beside 40 counts of 100000 messages: %.1f ms\n",
		(bob.when - began) * 1e3);
	wait_for(&alice.counted, 40, 60000);
	ck_assert_uint_eq(alice.found.messages, 100000);
	ck_assert_int_eq(alice.found.exact, 1);
}
END_TEST

START_TEST(probes_are_cheap)
{
	double began;

	spare_pid();
	began = seconds();
	for (int i = 0; i < 1000; i++)
		probe(&bob);
	wait_for(&bob.probed, 1000, 20000);
	printf("a probe: %.0f us\n", (bob.when - began) * 1e3);
	began = seconds();
	for (bob.owner = 1; bob.owner <= 100; bob.owner++)
		probe(&bob);
	wait_for(&bob.probed, 1100, 20000);
	printf("a probe of another owner's: %.0f us\n", (bob.when - began) * 1e4);
}
END_TEST

/* A line of /proc/PID/status, as a number in the base. */
static uint64_t
status_of(int pid, const char *name, int number_base)
{
	char path[64], line[256];
	uint64_t n = UINT64_MAX;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			n = strtoull(line + strlen(name) + 1, NULL, number_base);
	fclose(f);
	return n;
}

static int
entries(int pid, const char *what)
{
	char path[64];
	int n = -2; /* "." and ".." */
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* The spare is the first scanner's first child. Another that has to end may take a while:
 * it gives back what it has. */
static int
only_child(void)
{
	int pid[8];

	for (int ms = 0; ms < 20000 && children_of(first_pid(), pid, 8) != 2; ms++)
		usleep(1000);
	ck_assert_int_eq(children_of(first_pid(), pid, 8), 2);
	return pid[1];
}

START_TEST(child_lives_on_and_takes_the_next_mailbox)
{
	int child;

	spare_pid();
	put(&bob, "new/1.a.host,S=77");
	count(&alice);
	wait_for(&alice.counted, 1, 2000);
	child = only_child();
	for (int i = 1; i <= 50; i++) {
		count(&bob);
		wait_for(&bob.counted, i, 2000);
		ck_assert_int_eq(bob.failed, 0);
		ck_assert_uint_eq(bob.found.bytes, 77);
	}
	ck_assert_int_eq(only_child(), child);
	ck_assert_int_eq(entries(child, "fd"), 4);
}
END_TEST

START_TEST(child_of_one_owner_sees_no_mailbox_of_another)
{
	int pid[8];

	spare_pid();
	count(&alice);
	wait_for(&alice.counted, 1, 2000);
	bob.owner = 7;
	count(&bob);
	wait_for(&bob.counted, 1, 2000);
	ck_assert_int_eq(children_of(first_pid(), pid, 8), 3);
}
END_TEST

/* Messages whose names take more memory than a child may keep. */
#ifdef __SANITIZE_ADDRESS__
#define MANY 450000
#else
#define MANY 200000
#endif

START_TEST(child_that_a_mailbox_made_grow_takes_no_other)
{
	int child;

	spare_pid();
	count(&bob);
	wait_for(&bob.counted, 1, 2000);
	child = only_child();
	fill(&alice, MANY);
	count(&alice);
	wait_for(&alice.counted, 1, 60000);
	ck_assert_uint_eq(alice.found.messages, MANY);
	count(&bob);
	wait_for(&bob.counted, 2, 2000);
	ck_assert_int_ne(only_child(), child);
}
END_TEST

START_TEST(child_killed_at_rest_costs_no_job)
{
	spare_pid();
	for (int i = 1; i <= 10; i++) {
		count(&alice);
		wait_for(&alice.counted, i, 2000);
		ck_assert_int_eq(alice.failed, 0);
		kill_children(SIGKILL);
	}
}
END_TEST

/* Stopped as a mailbox that answers no more would stop it. */
START_TEST(child_that_hangs_holds_nobody_else_up)
{
	int child;

	spare_pid();
	count(&alice);
	wait_for(&alice.counted, 1, 2000);
	child = only_child();
	kill(child, SIGSTOP);
	count(&alice);
	for (int i = 1; i <= 10; i++) {
		count(&bob);
		wait_for(&bob.counted, i, 2000);
	}
	ck_assert_int_eq(alice.counted, 1);
	kill(child, SIGCONT);
	wait_for(&alice.counted, 2, 2000);
}
END_TEST

START_TEST(owner_of_many_mailboxes_takes_turns_with_others)
{
	spare_pid();
	alice.owner = 1;
	bob.owner = 2;
	fill(&alice, 20000);
	for (int i = 0; i < 300; i++)
		count(&alice);
	count(&bob);
	wait_for(&bob.counted, 1, 10000);
	ck_assert_int_lt(alice.counted, 150);
}
END_TEST

START_TEST(owner_whose_mailboxes_all_hang_leaves_room_for_others)
{
	spare_pid();
	alice.owner = 1;
	bob.owner = 2;
	alice_hangs = 1;
	for (int i = 0; i < 100; i++)
		count(&alice);
	run_for(1000);
	ck_assert_int_lt(alice.counted, 100);
	for (int i = 1; i <= 3; i++) {
		count(&bob);
		wait_for(&bob.counted, i, 5000);
	}
}
END_TEST

START_TEST(owners_whose_mailboxes_all_hang_give_their_places_back)
{
	spare_pid();
	bob.owner = 2;
	alice_hangs = 1;
	for (alice.owner = 3; alice.owner < 6; alice.owner++)
		for (int i = 0; i < 100; i++)
			count(&alice);
	run_for(1000);
	/* One that runs when another mailbox begins to hang is stopped with it. */
	for (int i = 0; i < 20; i++)
		count(&bob);
	for (int i = 0; i < 300 && bob.counted == 0; i++)
		run_for(100);
	ck_assert_int_gt(bob.counted, 0);
	ck_assert_int_lt(alice.counted, 300);
}
END_TEST

static void
count_as_owners(void)
{
	const struct scanner_start how = {
		.scan_as = CONF_SCAN_AS_OWNER, .min_uid = FIRST_OWNER};
	struct reason why;

	scanner_stop(&scanner);
	event_base_free(base);
	scanner = scanner_start(&how, &why);
	ck_assert_msg(scanner != NULL, "%s", why.text);
	base = event_base_new();
	ck_assert_int_eq(scanner_attach(scanner, base, &calls, NULL), 0);
	open_to_all(&alice);
}

/* Here the file system says that root is the owner of all. */
START_TEST(directory_passes_for_no_other_owners_whatever_its_file_system_says)
{
	uint64_t first;

	count_as_owners();
	alice.owner = FIRST_OWNER;
	count(&alice);
	wait_for(&alice.counted, 1, 20000);
	first = alice.found.directory;
	alice.owner = FIRST_OWNER + 1;
	count(&alice);
	wait_for(&alice.counted, 2, 20000);
	ck_assert_int_eq(alice.failed, 0);
	ck_assert_uint_ne(first, 0);
	ck_assert_uint_ne(alice.found.directory, first);
}
END_TEST

/* As behind a server that does not answer. */
START_TEST(owners_children_that_hang_take_no_place_of_the_scanners)
{
	count_as_owners();
	owners_hang = 1;
	for (unsigned i = 0; i < OWNERS; i++) {
		alice.owner = FIRST_OWNER + i;
		count(&alice);
	}
	run_for(1000);
	ck_assert_int_lt(alice.counted, OWNERS);
	bob.owner = geteuid();
	count(&bob);
	wait_for(&bob.counted, 1, 4000);
	ck_assert_int_eq(bob.failed, 0);
}
END_TEST

START_TEST(child_may_read_and_answer_alone)
{
	spare_pid();
	count(&alice);
	wait_for(&alice.counted, 1, 2000);
	ck_assert_uint_eq(status_of(only_child(), "Seccomp", 10), 2);
	ck_assert_uint_eq(status_of(only_child(), "NoNewPrivs", 10), 1);
}
END_TEST

START_TEST(child_is_ended_by_the_kernel_whatever_it_does)
{
	char path[64], line[64] = "";
	FILE *f;

	spare_pid();
	count(&alice);
	wait_for(&alice.counted, 1, 2000);
	snprintf(path, sizeof path, "/proc/%d/timers", only_child());
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (strncmp(line, "signal: 9/", 10) != 0)
		ck_assert_ptr_nonnull(fgets(line, sizeof line, f));
	fclose(f);
}
END_TEST

START_TEST(many_jobs_leave_nothing_open)
{
	int before = dup(0), after;

	close(before);
	for (int i = 0; i < 300; i++) {
		probe(&bob);
		count(&bob);
	}
	wait_for(&bob.probed, 300, 20000);
	wait_for(&bob.counted, 300, 20000);
	/* children that rest end by and by */
	for (int i = 0; i < 1000; i++) {
		after = dup(0);
		close(after);
		if (after == before)
			break;
		run_for(10);
	}
	ck_assert_int_eq(before, after);
}
END_TEST

START_TEST(scanner_of_root_can_read_and_nothing_else)
{
	const struct privileges_user user = {USER_ID, USER_ID};
	const uint64_t read_search = 1 << 2;
	int pids[2];

	scanner_stop(&scanner);
	event_base_free(base);
	start_as(&user);
	chmod(alice.path, 0700);
	put(&alice, "new/1.a.host,S=100");
	count(&alice);
	wait_for(&alice.counted, 1, 2000);
	ck_assert_msg(!alice.failed, "%s", alice.text);
	ck_assert_uint_eq(alice.found.bytes, 100);
	pids[0] = first_pid();
	pids[1] = spare_pid();
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(status_of(pids[i], "Uid", 10), USER_ID);
		ck_assert_uint_eq(status_of(pids[i], "CapPrm", 16), read_search);
		ck_assert_uint_eq(status_of(pids[i], "CapEff", 16), read_search);
		ck_assert_uint_eq(status_of(pids[i], "CapBnd", 16), 0);
		ck_assert_uint_eq(status_of(pids[i], "CapInh", 16), 0);
		ck_assert_uint_eq(status_of(pids[i], "CapAmb", 16), 0);
		ck_assert_uint_eq(status_of(pids[i], "NoNewPrivs", 10), 1);
	}
}
END_TEST

START_TEST(user_that_cannot_be_had_stops_the_start)
{
	const struct privileges_user user = {0, 0};
	struct reason why;

	ck_assert_ptr_null(scanner_start(&(struct scanner_start){.user = &user}, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "did not start"));
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {count_brings_the_numbers_and_the_names_seen,
		names_beyond_number_are_looked_for, probe_brings_the_stamp_of_the_count,
		settings_of_the_job_reach_the_count,
		mailbox_that_cannot_be_read_fails_with_a_reason,
		path_too_long_for_a_job_fails, child_killed_is_asked_for_again,
		child_that_dies_every_time_fails, spare_takes_over_from_a_killed_scanner,
		jobs_that_a_stopped_scanner_took_with_it_are_asked_again,
		spare_that_dies_is_replaced, death_of_both_is_told,
		scanner_ends_with_the_daemon,
		signals_that_end_the_daemon_do_not_end_the_scanner,
		count_of_a_huge_mailbox_delays_no_probe, probes_are_cheap,
		child_lives_on_and_takes_the_next_mailbox,
		child_of_one_owner_sees_no_mailbox_of_another,
		child_that_a_mailbox_made_grow_takes_no_other,
		owner_of_many_mailboxes_takes_turns_with_others,
		owner_whose_mailboxes_all_hang_leaves_room_for_others,
		owners_whose_mailboxes_all_hang_give_their_places_back,
		owners_children_that_hang_take_no_place_of_the_scanners,
		directory_passes_for_no_other_owners_whatever_its_file_system_says,
		child_killed_at_rest_costs_no_job, child_that_hangs_holds_nobody_else_up,
		child_may_read_and_answer_alone,
		child_is_ended_by_the_kernel_whatever_it_does,
		many_jobs_leave_nothing_open, scanner_of_root_can_read_and_nothing_else,
		user_that_cannot_be_had_stops_the_start};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown, .timeout = 120);
}
