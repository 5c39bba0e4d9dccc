/*
 * The listener with sockets in a directory of the test's own: which protocol each socket
 * speaks, and what is opened where nobody gave one.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "quotad/wire/listener.h"
#include "suite.h"

#define SERVICES 2
#define OTHER    20001

static const struct protocol first = {.name = "line"}, second = {.name = "map"};

static char directory[40];
static char paths[SERVICES][100];
static struct service services[SERVICES];
static const struct service *accepted; /* the last connection's */
static int accepts;

static void
setup(void)
{
	strcpy(directory, "/tmp/test_listenerXXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	for (int i = 0; i < SERVICES; i++) {
		snprintf(paths[i], sizeof paths[i], "%s/%d", directory, i);
		services[i] = (struct service){
			paths[i], i ? &second : &first, NULL, SERVICE_ANYONE, 0, 0};
	}
}

static void
teardown(void)
{
	char command[150];

	snprintf(command, sizeof command, "rm -r %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static struct sockaddr_un
address(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", directory, name);
	return a;
}

/* A socket as systemd has it. */
static struct systemd_socket
give(const char *name, const char *file)
{
	const struct sockaddr_un to = address(file);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&to, sizeof to), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	return (struct systemd_socket){fd, name};
}

static void
take(void *arg, int fd, const struct service *service)
{
	(void)arg;
	accepted = service;
	accepts++;
	close(fd);
}

/* Who is at the other end, as a client hears it. */
static uid_t
who_listens(const char *file)
{
	const struct sockaddr_un to = address(file);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct ucred who;
	socklen_t size = sizeof who;

	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size), 0);
	close(fd);
	return who.uid;
}

/* The service that a client of that socket reaches; NULL where it reaches none. */
static const struct service *
reach(struct listener *l, const char *file)
{
	struct event_base *base = event_base_new();
	const struct sockaddr_un to = address(file);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct reason why;

	accepted = NULL;
	ck_assert_int_eq(listener_listen(l, &why), 0);
	ck_assert_int_eq(listener_start(l, base, take, NULL), 0);
	if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
		while (accepted == NULL)
			event_base_loop(base, EVLOOP_ONCE);
	close(fd);
	listener_close(&l);
	event_base_free(base);
	return accepted;
}

static struct listener *
open_with(const struct systemd_socket *given, size_t count)
{
	struct reason why;
	struct listener *l = listener_open(services, SERVICES, given, count, &why);

	ck_assert_msg(l != NULL, "%s", why.text);
	return l;
}

static int
exists(const char *file)
{
	const struct sockaddr_un a = address(file);

	return access(a.sun_path, F_OK) == 0;
}

START_TEST(each_service_has_a_socket_of_its_own)
{
	ck_assert_ptr_eq(reach(open_with(NULL, 0), "0"), &services[0]);
	ck_assert_int_eq(exists("0"), 0); /* it was removed at the end */
	ck_assert_ptr_eq(reach(open_with(NULL, 0), "1"), &services[1]);
}
END_TEST

START_TEST(a_given_socket_speaks_the_protocol_of_its_name)
{
	static const struct {
		const char *name;
		int service;
	} cases[] = {
		{"line", 0}, {"map", 1}, {"", 0}, {"unknown", 0}, {"quotad.socket", 0}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char file[20];
		struct systemd_socket given;

		snprintf(file, sizeof file, "given%zu", i);
		given = give(cases[i].name, file);
		ck_assert_ptr_eq(
			reach(open_with(&given, 1), file), &services[cases[i].service]);
		ck_assert_int_eq(exists(file), 1); /* not ours to remove */
	}
}
END_TEST

START_TEST(a_service_without_a_given_socket_opens_its_own)
{
	const struct systemd_socket given = give("map", "given");
	struct listener *l = open_with(&given, 1);

	ck_assert_int_eq(exists("1"), 0);
	ck_assert_ptr_eq(reach(l, "0"), &services[0]);
}
END_TEST

START_TEST(a_service_without_a_path_has_given_sockets_alone)
{
	struct listener *l;

	services[1].path = NULL;
	l = open_with(NULL, 0);
	ck_assert_int_eq(exists("1"), 0);
	ck_assert_ptr_eq(reach(l, "0"), &services[0]);
}
END_TEST

START_TEST(two_given_sockets_may_speak_one_protocol)
{
	const struct systemd_socket given[] = {give("line", "a"), give("line", "b")};

	ck_assert_ptr_eq(reach(open_with(given, 2), "b"), &services[0]);
}
END_TEST

START_TEST(a_name_that_no_protocol_has_is_an_error_that_names_it)
{
	const struct systemd_socket given[] = {give("line", "a"), give("poetry", "b")};
	struct reason why;

	ck_assert_ptr_null(listener_open(services, SERVICES, given, 2, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "\"poetry\""));
}
END_TEST

START_TEST(a_second_one_is_kept_away_from_each_socket)
{
	struct listener *l = open_with(NULL, 0);
	struct reason why;

	ck_assert_ptr_null(listener_open(services, SERVICES, NULL, 0, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "another quotad serves"));
	ck_assert_ptr_null(listener_open(services + 1, 1, NULL, 0, &why));
	ck_assert_int_eq(exists("0") && exists("1"), 1);
	listener_close(&l);
}
END_TEST

START_TEST(a_socket_that_somebody_serves_is_left_alone)
{
	const struct systemd_socket given = give("line", "0");
	struct reason why;

	ck_assert_ptr_null(listener_open(services, SERVICES, NULL, 0, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "served already"));
	ck_assert_ptr_eq(reach(open_with(&given, 1), "0"), &services[0]);
}
END_TEST

START_TEST(a_socket_that_nobody_serves_is_replaced)
{
	close(give("line", "0").fd); /* as after a kill */
	ck_assert_ptr_eq(reach(open_with(NULL, 0), "0"), &services[0]);
}
END_TEST

START_TEST(clients_are_told_of_the_user_that_it_has_become)
{
	const struct systemd_socket given = give("line", "a");
	struct listener *l = open_with(&given, 1);
	struct reason why;

	ck_assert_int_eq(seteuid(OTHER), 0);
	ck_assert_int_eq(listener_listen(l, &why), 0);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_uint_eq(who_listens("a"), OTHER); /* was systemd's */
	ck_assert_uint_eq(who_listens("1"), OTHER);
	listener_close(&l);
}
END_TEST

/* Connects that go on all the time must not keep the loop. */
START_TEST(a_pass_accepts_so_many_and_the_next_goes_on)
{
	struct event_base *base = event_base_new();
	struct listener *l = open_with(NULL, 0);
	const struct sockaddr_un to = address("0");
	struct reason why;
	int passes;

	accepts = 0;
	ck_assert_int_eq(listener_listen(l, &why), 0);
	ck_assert_int_eq(listener_start(l, base, take, NULL), 0);
	for (int i = 0; i < 600; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
		close(fd);
	}
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ck_assert_int_gt(accepts, 0);
	ck_assert_int_le(accepts, 256);
	for (passes = 1; accepts < 600; passes++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ck_assert_int_ge(passes, 3);
	listener_close(&l);
	event_base_free(base);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {each_service_has_a_socket_of_its_own,
		a_given_socket_speaks_the_protocol_of_its_name,
		a_service_without_a_given_socket_opens_its_own,
		a_service_without_a_path_has_given_sockets_alone,
		two_given_sockets_may_speak_one_protocol,
		a_name_that_no_protocol_has_is_an_error_that_names_it,
		a_second_one_is_kept_away_from_each_socket,
		a_socket_that_somebody_serves_is_left_alone,
		a_socket_that_nobody_serves_is_replaced,
		clients_are_told_of_the_user_that_it_has_become,
		a_pass_accepts_so_many_and_the_next_goes_on};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown, .timeout = 20);
}
