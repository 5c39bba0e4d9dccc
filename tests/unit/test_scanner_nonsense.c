/*
 * The daemon's side of the scanner against a scanner that a hostile mailbox owns:
 * whatever it says, the job fails and the daemon goes on.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "quotad/scanner/jobs.h"
#include "quotad/scanner/process.h"
#include "record.h"
#include "suite.h"

struct account {
	int counted, probed, failed;
	size_t seen;
	uint64_t bytes;
	char text[REASON_SIZE];
};

static struct account alice;
static struct scanner *scanner;
static struct event_base *base;

/* --- the ledger ------------------------------------------------------------------ */

static void
names(void *arg, void *key, void (*add)(void *to, const char *name), void *to)
{
	(void)arg;
	(void)key;
	add(to, "1.a");
	add(to, "2.b");
}

static void
counted(void *arg, void *key, const struct scanner_result *found)
{
	struct account *a = key;

	(void)arg;
	a->counted++;
	a->failed = found->failed;
	a->bytes = found->bytes;
	a->seen = found->seen_count;
	snprintf(a->text, sizeof a->text, "%s", found->text ? found->text : "");
}

static void
probed(void *arg, void *key, const struct scanner_result *found)
{
	struct account *a = key;

	(void)arg;
	a->probed++;
	a->failed = found->failed;
}

static void
on_died(void *arg)
{
	(void)arg;
	ck_abort_msg("the scanner is taken for dead");
}

static const struct scanner_calls calls = {
	.names = names, .counted = counted, .probed = probed, .died = on_died};

/* --- the fake scanner: it says what the job's path tells it to say ------------------ */

static void
say(int fd, const char *text)
{
	static char block[65536];
	size_t left = 64 * sizeof block;

	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 || strcmp(text, "") != 0)
		return;
	memset(block, 'x', sizeof block);
	while (left > 0 && send(fd, block, sizeof block, MSG_NOSIGNAL) > 0)
		left -= sizeof block;
}

static void
answer_job(int socket)
{
	char line[8192], control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {line, sizeof line};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	ssize_t n = recvmsg(socket, &m, 0);
	struct record job;
	int fd;

	if (n <= 0)
		_exit(0);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	if (record_parse(&job, line, (size_t)n, 1, NULL))
		_exit(1);
	if (strcmp(job.key, "spare") != 0) {
		say(fd, record_get(&job, "path"));
		close(fd);
	}
	record_clear(&job);
}

void
scanner_process_run(int socket, const struct scanner_role *role)
{
	(void)role;
	signal(SIGPIPE, SIG_IGN);
	if (send(socket, SCANNER_READY, strlen(SCANNER_READY), 0) < 0)
		_exit(1);
	for (;;)
		answer_job(socket);
}

/* --- tests ------------------------------------------------------------------------ */

static void
setup(void)
{
	struct reason why;

	signal(SIGPIPE, SIG_IGN);
	scanner = scanner_start(
		&(struct scanner_start){.scan_as = CONF_SCAN_AS_SCANNER}, &why);
	ck_assert_msg(scanner != NULL, "%s", why.text);
	base = event_base_new();
	ck_assert_int_eq(scanner_attach(scanner, base, &calls, NULL), 0);
}

static void
teardown(void)
{
	scanner_stop(&scanner);
	event_base_free(base);
}

static void
run_until(const int *what)
{
	struct timeval time = {0, 2000};

	for (int i = 0; i < 2000 && *what == 0; i++) {
		event_base_loopexit(base, &time);
		event_base_dispatch(base);
	}
	ck_assert_int_eq(*what, 1);
}

static const char *const nonsense[] = {
	"\n", "\xff\xfe\n", "COUNTED exact=1 bytes=0 messages=0 stamp=0\nEND\n",
	"PROBED stamp=1\n", "FAILED\n", "SCANNED\nSCANNED\n", "SCANNED\nEND\n",
	"SCANNED\nCOUNTED exact=2 bytes=0 messages=0 stamp=0\nEND\n",
	"SCANNED\nCOUNTED exact=1 bytes=-1 messages=0 stamp=0\nEND\n",
	"SCANNED\nCOUNTED exact=1 bytes=18446744073709551616 messages=0 stamp=0 "
	"wrong=0\nEND\n",
	"SCANNED\nCOUNTED exact=1 bytes=0 messages=1 stamp=0 wrong=x\nEND\n",
	"SCANNED\nCOUNTED bytes=0 messages=0 stamp=0\nEND\n",
	"SCANNED\nCOUNTED exact=1 bytes=0 messages=2 stamp=0\n"
	"+1.a\n+2.b\n+3.c\nEND\n",
	"SCANNED\nCOUNTED exact=1 bytes=0 messages=2 stamp=0\n1.a\nEND\n",
	"SCANNED\nCOUNTED exact=1 bytes=0 messages=2 stamp=0\n+\nEND\n",
	"SCANNED\nCOUNTED exact=1 bytes=0 messages=2 stamp=0\n+%zz\nEND\n",
	"", /* megabytes without an end of line */
};

START_TEST(nonsense_fails_the_count)
{
	scanner_count(scanner,
		&(struct scanner_job){
			.key = &alice, .mailbox = "alice", .path = nonsense[_i]});
	run_until(&alice.counted);
	ck_assert_int_eq(alice.failed, 1);
	ck_assert_str_eq(alice.text, "the scanner's child answered nonsense");
}
END_TEST

static const char *const half_answers[] = {
	"SCANNED\n",
	"SCANNED\nCOUNTED exact=1 bytes=0 messages=2 stamp=0\n+1.a\n",
	"SCAN",
};

START_TEST(answer_that_stops_half_way_fails_the_count)
{
	scanner_count(scanner,
		&(struct scanner_job){
			.key = &alice, .mailbox = "alice", .path = half_answers[_i]});
	run_until(&alice.counted);
	ck_assert_int_eq(alice.failed, 1);
	ck_assert_str_eq(alice.text, "the scanner's child died 4 times");
}
END_TEST

START_TEST(sensible_answer_is_taken)
{
	scanner_count(scanner, &(struct scanner_job){.key = &alice,
				       .mailbox = "alice",
				       .path = "SCANNED\nCOUNTED exact=1 "
					       "bytes=18446744073709551615 messages=2 "
					       "stamp=0\n+1.a\nEND\n"});
	run_until(&alice.counted);
	ck_assert_int_eq(alice.failed, 0);
	ck_assert_uint_eq(alice.bytes, UINT64_MAX);
	ck_assert_uint_eq(alice.seen, 1);
}
END_TEST

static const char *const probe_nonsense[] = {
	"\n", "PROBED\n", "PROBED stamp=x\n", "SCANNED\n", "FAILED why=x\n", ""};

START_TEST(nonsense_fails_the_probe)
{
	scanner_probe(scanner,
		&(struct scanner_job){
			.key = &alice, .mailbox = "alice", .path = probe_nonsense[_i]});
	run_until(&alice.probed);
	ck_assert_int_eq(alice.failed, 1);
}
END_TEST

static const char *const rest_nonsense[] = {"PROBED stamp=1\nREADY\nREADY\n",
	"PROBED stamp=1\nPROBED stamp=2\n", "PROBED stamp=1\nREADY \n",
	"PROBED stamp=1\nREADY\nPROBED stamp=2\nEND\n"};

START_TEST(nonsense_at_rest_costs_no_job)
{
	for (int i = 0; i < 3; i++) {
		alice = (struct account){0};
		scanner_probe(scanner, &(struct scanner_job){.key = &alice,
					       .mailbox = "alice",
					       .path = rest_nonsense[_i]});
		run_until(&alice.probed);
		ck_assert_int_eq(alice.failed, 0);
	}
}
END_TEST

#define SIZE(list) (int)(sizeof list / sizeof list[0])

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {sensible_answer_is_taken};
	TCase *c = ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);

	tcase_add_loop_test(c, nonsense_fails_the_count, 0, SIZE(nonsense));
	tcase_add_loop_test(
		c, answer_that_stops_half_way_fails_the_count, 0, SIZE(half_answers));
	tcase_add_loop_test(c, nonsense_fails_the_probe, 0, SIZE(probe_nonsense));
	tcase_add_loop_test(c, nonsense_at_rest_costs_no_job, 0, SIZE(rest_nonsense));
}
