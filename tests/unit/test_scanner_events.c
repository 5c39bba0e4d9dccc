/*
 * What the scanner tells of its own accord, by a fake scanner process that does what the
 * path of its job says, and by the two ends of the channel alone.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "log.h"
#include "quotad/scanner/events.h"
#include "quotad/scanner/jobs.h"
#include "quotad/scanner/process.h"
#include "record.h"
#include "suite.h"

#define COUNTED "A SCANNED\nCOUNTED exact=1 bytes=7 messages=0 stamp=0\nEND\n"

static struct scanner *scanner;
static struct event_base *base;
static int done[2];      /* the fake scanner has done what its job says */
static int spare_speaks; /* the fake spare sends this packet at once */
static char told[65536]; /* what the daemon was told, in order */
static int counted_ok, deaths, log_lines, changes, overflows;
static char last_log[512];

/* --- the log ---------------------------------------------------------------------- */

void
log_line(enum log_level level, const char *format, ...)
{
	va_list list;

	(void)level;
	va_start(list, format);
	vsnprintf(last_log, sizeof last_log, format, list);
	va_end(list);
	log_lines++;
}

/* --- the fake scanner ------------------------------------------------------------- */

/* Sends as much as the socket takes. */
static void
flood(int socket)
{
	static const char packet[] = "CHANGED path=/m/flood/ folder=.";

	while (send(socket, packet, sizeof packet - 1, MSG_DONTWAIT) > 0)
		;
}

/* Steps, one after '|' each: E a mailbox of which an event is sent, R a packet as it is,
 * A what is answered to the job, F a flood, L a packet that is too long, Z one of no
 * length, X the end. */
static void
do_step(int socket, int fd, const char *step)
{
	struct events_sender to = {.socket = socket};
	const struct scanner_event event = {
		.kind = SCANNER_FOLDER_CHANGED, .path = step + 2, .folder = "."};
	static char block[RECORD_LINE_MAX + 1];
	ssize_t n = 0;

	if (step[0] == 'E')
		n = events_send(&to, &event);
	else if (step[0] == 'R')
		n = send(socket, step + 2, strlen(step + 2), 0);
	else if (step[0] == 'A')
		n = write(fd, step + 2, strlen(step + 2));
	else if (step[0] == 'F')
		flood(socket);
	else if (step[0] == 'L')
		n = send(socket, memset(block, 'x', sizeof block), sizeof block, 0);
	else if (step[0] == 'Z')
		n = send(socket, "", 0, 0);
	else if (step[0] == 'X')
		_exit(0);
	if (n == -1)
		_exit(1);
}

static void
do_job(int socket, int fd, const char *path)
{
	char *steps = strdup(path), *rest = steps, *step;

	while ((step = strsep(&rest, "|")) != NULL)
		do_step(socket, fd, step);
	free(steps);
	close(fd);
	if (write(done[1], "", 1) != 1)
		_exit(1);
}

static void serve(int socket) __attribute__((noreturn));

static void
begin_spare(int socket, int fd)
{
	if (fork() != 0) {
		close(fd);
		return;
	}
	close(socket);
	if (spare_speaks && send(fd, "OVERFLOW", 8, 0) == -1)
		_exit(1);
	serve(fd);
}

static void
serve(int socket)
{
	char line[8192], control[CMSG_SPACE(sizeof(int))];
	struct record job;

	for (;;) {
		struct iovec part = {line, sizeof line};
		struct msghdr m = {.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof control};
		ssize_t n = recvmsg(socket, &m, 0);
		int fd;

		if (n <= 0 || record_parse(&job, line, (size_t)n, 1, NULL))
			_exit(0);
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
		if (strcmp(job.key, "spare") == 0)
			begin_spare(socket, fd);
		else
			do_job(socket, fd, record_get(&job, "path"));
		record_clear(&job);
	}
}

void
scanner_process_run(int socket, const struct scanner_role *role)
{
	(void)role;
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (send(socket, SCANNER_READY, strlen(SCANNER_READY), 0) < 0)
		_exit(1);
	serve(socket);
}

/* --- the daemon ------------------------------------------------------------------- */

static void
tell(const char *what)
{
	strncat(told, what, sizeof told - strlen(told) - 1);
	strncat(told, ";", sizeof told - strlen(told) - 1);
}

static void
names(void *arg, void *key, void (*add)(void *to, const char *name), void *to)
{
	(void)arg;
	(void)key;
	(void)add;
	(void)to;
}

static void
counted(void *arg, void *key, const struct scanner_result *found)
{
	(void)arg;
	(void)key;
	tell("counted");
	counted_ok += !found->failed && found->bytes == 7;
}

static void
died(void *arg)
{
	(void)arg;
	deaths++;
}

static void
event(void *arg, const struct scanner_event *e)
{
	(void)arg;
	if (e->kind == SCANNER_OVERFLOW) {
		tell("overflow");
		overflows++;
	} else {
		ck_assert_str_eq(e->folder, ".");
		tell(e->path);
		changes++;
	}
}

static const struct scanner_calls calls = {
	.names = names, .counted = counted, .died = died, .event = event};
static const struct scanner_calls calls_without_event = {
	.names = names, .counted = counted, .died = died};

static void
begin(const struct scanner_calls *whose)
{
	struct reason why;

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe(done), 0);
	scanner = scanner_start(
		&(struct scanner_start){.scan_as = CONF_SCAN_AS_SCANNER}, &why);
	ck_assert_msg(scanner != NULL, "%s", why.text);
	base = event_base_new();
	ck_assert_int_eq(scanner_attach(scanner, base, whose, NULL), 0);
}

static void
setup(void)
{
	begin(&calls);
}

static void
teardown(void)
{
	scanner_stop(&scanner);
	event_base_free(base);
}

static void
ask(const char *steps)
{
	scanner_count(scanner, &(struct scanner_job){.mailbox = "alice", .path = steps});
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* The fake scanner has done all of it before the daemon looks again. */
static void
ask_and_look_away(const char *steps)
{
	char byte;

	ask(steps);
	ck_assert_int_eq(read(done[0], &byte, 1), 1);
}

static void
run_until(const int *what, int n)
{
	struct timeval time = {0, 2000};

	for (int i = 0; i < 5000 && *what < n; i++) {
		event_base_loopexit(base, &time);
		event_base_dispatch(base);
	}
	ck_assert_int_eq(*what, n);
}

/* --- order ------------------------------------------------------------------------ */

START_TEST(event_before_the_end_of_a_count_is_told_before_its_result)
{
	/* the answer's beginning makes the job's socket the first to be read */
	ask_and_look_away("A SCANNED\n|E /m/a/|A COUNTED exact=1 bytes=7 messages=0 "
			  "stamp=0\n|E /m/b/|A END\n");
	run_until(&counted_ok, 1);
	ck_assert_str_eq(told, "/m/a/;/m/b/;counted;");
	ck_assert_int_eq(log_lines, 0);
}
END_TEST

START_TEST(event_after_a_count_is_told_without_another)
{
	ask_and_look_away("E /m/a%b c/|" COUNTED);
	run_until(&counted_ok, 1);
	ask_and_look_away(COUNTED "|E /m/late/|R OVERFLOW");
	run_until(&overflows, 1);
	run_until(&counted_ok, 2);
	ck_assert_int_eq(changes, 2);
	ck_assert_ptr_nonnull(strstr(told, "/m/a%b c/;counted;"));
	ck_assert_ptr_nonnull(strstr(told, "/m/late/;overflow;"));
}
END_TEST

START_TEST(without_a_handler_events_are_taken_and_dropped)
{
	teardown();
	begin(&calls_without_event);
	for (int i = 1; i <= 3; i++) {
		ask_and_look_away("F|" COUNTED);
		run_until(&counted_ok, i);
	}
	ck_assert_str_eq(told, "counted;counted;counted;");
	ck_assert_int_eq(log_lines, 0);
}
END_TEST

START_TEST(flood_is_an_overflow_before_the_result_and_takes_no_more_than_its_turn)
{
	int before;

	ask_and_look_away("A SCANNED\n|F|" /* as above: the job's socket is read first */
			  "A COUNTED exact=1 bytes=7 messages=0 stamp=0\n|"
			  "A END\n");
	while (counted_ok == 0)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_int_eq(overflows, 1);
	ck_assert_ptr_nonnull(strstr(told, "/m/flood/;overflow;counted;"));
	before = changes;
	ck_assert_int_le(before, 2 * (EVENTS_MAX + 1));
	/* the rest comes in its own time, and jobs go on */
	ask_and_look_away("R CHANGED path=/m/last/ folder=.|" COUNTED);
	run_until(&counted_ok, 2);
	while (strstr(told, "/m/last/;") == NULL)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_int_gt(changes, before);
	ck_assert_int_eq(deaths, 0);
	ck_assert_int_eq(log_lines, 0);
}
END_TEST

/* --- death ------------------------------------------------------------------------ */

static const char *const nonsense[] = {"R garbage", "R \n", "R \xff\xfe", "R CHANGED",
	"R CHANGED path=/m/a/", "R CHANGED folder=.", "R CHANGED path=%zz folder=.",
	"R changed path=/m/a/ folder=.", "R READY", "L"};

START_TEST(nonsense_is_its_death_with_one_line_and_an_overflow)
{
	char steps[256];

	snprintf(steps, sizeof steps, "E /m/a/|" COUNTED "|%s|E /m/b/", nonsense[_i]);
	ask(steps);
	run_until(&overflows, 1);
	run_until(&counted_ok, 1);
	ck_assert_int_eq(strncmp(told, "/m/a/;", 6), 0);
	ck_assert_int_eq(changes, 1);
	ck_assert_int_eq(log_lines, 1);
	ck_assert_str_eq(last_log,
		"the scanner sent nonsense and was ended, its spare has taken over");
	ask(COUNTED);
	run_until(&counted_ok, 2);
	ck_assert_int_eq(overflows, 1);
	ck_assert_int_eq(deaths, 0);
}
END_TEST

static const char *const ways_to_end[] = {"X", "Z"};

START_TEST(what_it_sent_before_its_death_is_told_and_then_an_overflow)
{
	char steps[256];

	snprintf(steps, sizeof steps, "E /m/a/|E /m/b/|" COUNTED "|%s", ways_to_end[_i]);
	ask(steps);
	run_until(&overflows, 1);
	run_until(&counted_ok, 1);
	ck_assert_int_eq(strncmp(told, "/m/a/;/m/b/;", 12), 0);
	ck_assert_int_eq(log_lines, 1);
	ck_assert_str_eq(last_log, "the scanner died, its spare has taken over");
}
END_TEST

START_TEST(spare_that_speaks_is_ended_alone)
{
	teardown();
	spare_speaks = 1;
	begin(&calls);
	run_until(&log_lines, 1);
	ck_assert_str_eq(last_log, "the scanner's spare sent nonsense and was ended");
	ask(COUNTED);
	run_until(&counted_ok, 1);
	ck_assert_str_eq(told, "counted;");
	ck_assert_int_eq(deaths, 0);
}
END_TEST

/* --- the two ends alone ----------------------------------------------------------- */

static int ends[2];

static void
setup_ends(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
}

static void
send_events(struct events_sender *to, int n, const char *path)
{
	const struct scanner_event e = {SCANNER_FOLDER_CHANGED, path, "."};

	for (int i = 0; i < n; i++)
		ck_assert_int_eq(events_send(to, &e), 0);
}

START_TEST(beyond_the_bound_one_overflow_is_sent_until_all_is_read)
{
	struct events_sender to = {.socket = ends[0]};

	for (int i = 1; i <= 3; i++) {
		send_events(&to, 1000, "/m/a/");
		ck_assert_int_eq(events_receive(ends[1], event, NULL), EVENTS_NONE);
		ck_assert_int_eq(changes, i * EVENTS_MAX);
		ck_assert_int_eq(overflows, i);
		ck_assert_str_eq(told + strlen(told) - strlen("/m/a/;overflow;"),
			"/m/a/;overflow;");
	}
}
END_TEST

START_TEST(long_paths_leave_room_for_the_overflow)
{
	struct events_sender to = {.socket = ends[0]};
	char path[4001];

	memset(path, '/', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	send_events(&to, 1000, path);
	ck_assert_int_eq(events_receive(ends[1], event, NULL), EVENTS_NONE);
	ck_assert_int_gt(changes, 0);
	ck_assert_int_lt(changes, EVENTS_MAX);
	ck_assert_int_eq(overflows, 1);
}
END_TEST

START_TEST(event_that_fits_no_packet_is_an_overflow)
{
	struct events_sender to = {.socket = ends[0]};
	char path[RECORD_LINE_MAX + 1];

	memset(path, '/', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	send_events(&to, 1, path);
	ck_assert_int_eq(events_receive(ends[1], event, NULL), EVENTS_NONE);
	ck_assert_str_eq(told, "overflow;");
}
END_TEST

START_TEST(the_other_end_is_noticed)
{
	struct events_sender to = {.socket = ends[0]};
	const struct scanner_event e = {SCANNER_FOLDER_CHANGED, "/m/a/", "."};

	send_events(&to, 1, "/m/a/");
	close(ends[0]);
	ck_assert_int_eq(events_receive(ends[1], event, NULL), EVENTS_CLOSED);
	ck_assert_str_eq(told, "/m/a/;");
	setup_ends();
	close(ends[1]);
	to = (struct events_sender){.socket = ends[0]};
	ck_assert_int_eq(events_send(&to, &e), -1);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const order[] = {
		event_before_the_end_of_a_count_is_told_before_its_result,
		event_after_a_count_is_told_without_another,
		without_a_handler_events_are_taken_and_dropped,
		flood_is_an_overflow_before_the_result_and_takes_no_more_than_its_turn,
		spare_that_speaks_is_ended_alone};
	const TTest *const alone[] = {
		beyond_the_bound_one_overflow_is_sent_until_all_is_read,
		long_paths_leave_room_for_the_overflow,
		event_that_fits_no_packet_is_an_overflow, the_other_end_is_noticed};
	TCase *c = ADD_CASE(suite, order, .setup = setup, .teardown = teardown);

	tcase_add_loop_test(c, nonsense_is_its_death_with_one_line_and_an_overflow, 0,
		(int)(sizeof nonsense / sizeof *nonsense));
	tcase_add_loop_test(c, what_it_sent_before_its_death_is_told_and_then_an_overflow,
		0, (int)(sizeof ways_to_end / sizeof *ways_to_end));
	ADD_CASE(suite, alone, .setup = setup_ends);
}
