/*
 * The releaser with a brim-release of the test's own: what is sent, which answers are
 * taken, and that nothing but the release is lost where the other end fails.
 */
#include "quotad/wire/releaser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "suite.h"

static char directory[40], path_text[100], answers[4000], sent[4000];
static const char *path = path_text;
static uint64_t now;
static int listener = -1, other = -1, warnings, infos;
static struct event_base *base;
static struct releaser *r;

uint64_t
clock_now_ms(void)
{
	return now;
}

void
log_line(enum log_level level, const char *format, ...)
{
	(void)format;
	*(level == LOG_LEVEL_INFO ? &infos : &warnings) += 1;
}

static void
answered(void *arg, const char *id, int ok)
{
	size_t length = strlen(answers);

	ck_assert_ptr_eq(arg, answers);
	snprintf(answers + length, sizeof answers - length, "%s=%d ", id, ok);
}

/* --- the other end ---------------------------------------------------------------- */

static void
open_listener(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	snprintf(to.sun_path, sizeof to.sun_path, "%s", path_text);
	unlink(path_text);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&to, sizeof to), 0);
	ck_assert_int_eq(listen(listener, 5), 0);
}

static void
close_all(void)
{
	close(listener);
	close(other);
	listener = other = -1;
}

static void
take_connection(void)
{
	close(other);
	other = accept(listener, NULL, NULL);
	ck_assert_int_ge(other, 0);
}

/* All that was sent. */
static const char *
hear(void)
{
	ssize_t n = recv(other, sent, sizeof sent - 1, MSG_DONTWAIT);

	sent[n > 0 ? n : 0] = '\0';
	return sent;
}

static void
say(const char *text)
{
	ck_assert_int_eq(send(other, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
setup(void)
{
	strcpy(directory, "/tmp/test_releaserXXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path_text, sizeof path_text, "%s/s", directory);
	now = 1000000;
	base = event_base_new();
	r = releaser_new(base, &path, answered, answers);
	ck_assert_ptr_nonnull(r);
}

static void
teardown(void)
{
	releaser_free(&r);
	event_base_free(base);
	close_all();
	remove_tree(directory);
}

static void
connect_both(void)
{
	open_listener();
	ck_assert(releaser_may(r));
	take_connection();
}

/* --- what it promises ------------------------------------------------------------- */

START_TEST(requests_are_answered_in_their_order)
{
	connect_both();
	releaser_send(r, "ID0001");
	releaser_send(r, "ID0002");
	releaser_send(r, "ID0003");
	ck_assert_str_eq(hear(), "RELEASE ID0001\nRELEASE ID0002\nRELEASE ID0003\n");
	say("OK\nERR it ");
	ck_assert_str_eq(answers, "ID0001=1 ");
	say("is odd\n");
	ck_assert_str_eq(answers, "ID0001=1 ID0002=0 ");
	say("OK\n");
	ck_assert_str_eq(answers, "ID0001=1 ID0002=0 ID0003=1 ");
	ck_assert_int_eq(warnings, 1);
}
END_TEST

START_TEST(without_brim_release_one_line_is_logged_and_it_is_tried_again)
{
	for (int i = 0; i < 1000; i++) {
		ck_assert(!releaser_may(r));
		releaser_send(r, "ID0001");
		now += 100;
	}
	ck_assert_int_eq(warnings, 1);
	ck_assert_int_eq(strncmp(answers, "ID0001=0 ID0001=0 ", 18), 0);
	now += RELEASER_RETRY_MS;
	connect_both();
	answers[0] = '\0';
	releaser_send(r, "ID0002");
	ck_assert(!releaser_may(r)); /* before the first answer */
	say("OK\n");
	ck_assert_str_eq(answers, "ID0002=1 ");
	ck_assert(releaser_may(r));
	ck_assert_int_eq(warnings, 1);
	ck_assert_int_eq(infos, 1);
}
END_TEST

START_TEST(one_that_hangs_is_given_up_after_a_while)
{
	connect_both();
	releaser_send(r, "ID0001");
	now += RELEASER_ANSWER_MS - 1;
	ck_assert(releaser_may(r));
	ck_assert_str_eq(answers, "");
	now += 1;
	ck_assert(!releaser_may(r));
	ck_assert_str_eq(answers, "ID0001=0 ");
	now += RELEASER_RETRY_MS;
	ck_assert(releaser_may(r)); /* a new connection */
	take_connection();
	releaser_send(r, "ID0002");
	ck_assert_str_eq(hear(), "RELEASE ID0002\n");
}
END_TEST

START_TEST(one_that_ends_leaves_nothing_unanswered)
{
	connect_both();
	releaser_send(r, "ID0001");
	releaser_send(r, "ID0002");
	say("OK\n");
	close_all();
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(answers, "ID0001=1 ID0002=0 ");
	ck_assert(!releaser_may(r));
	ck_assert_int_eq(warnings, 1);
}
END_TEST

START_TEST(one_that_is_started_anew_between_two_requests_costs_no_line)
{
	connect_both();
	close_all();
	open_listener();
	event_base_loop(base, EVLOOP_NONBLOCK);
	now += RELEASER_RETRY_MS;
	ck_assert(releaser_may(r));
	take_connection();
	releaser_send(r, "ID0001");
	say("OK\n");
	ck_assert_str_eq(answers, "ID0001=1 ");
	ck_assert_int_eq(warnings + infos, 0);
}
END_TEST

START_TEST(nonsense_ends_the_connection)
{
	static const char *const nonsense[] = {"OKAY\n", "\n", "OK\nOK\n", "ERR\n"};
	char longest[600];

	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	for (size_t i = 0; i <= sizeof nonsense / sizeof *nonsense; i++) {
		close_all();
		connect_both();
		releaser_send(r, "ID0001");
		say(i < sizeof nonsense / sizeof *nonsense ? nonsense[i] : longest);
		ck_assert(!releaser_may(r));
		now += RELEASER_RETRY_MS;
	}
	ck_assert_str_eq(answers, "ID0001=0 ID0001=0 ID0001=1 ID0001=0 ID0001=0 ");
}
END_TEST

START_TEST(few_are_on_their_way_at_a_time)
{
	char id[40];

	connect_both();
	for (int i = 0; i < RELEASER_MOST; i++) {
		ck_assert(releaser_may(r));
		snprintf(id, sizeof id, "IDIDIDIDIDIDID%06d", i);
		releaser_send(r, id);
	}
	ck_assert(!releaser_may(r));
	say("OK\n");
	ck_assert(releaser_may(r));
}
END_TEST

START_TEST(a_path_that_is_too_long_is_an_error_like_any)
{
	char longest[300];

	memset(longest, 'x', sizeof longest - 1);
	longest[0] = '/';
	longest[sizeof longest - 1] = '\0';
	path = longest;
	ck_assert(!releaser_may(r));
	ck_assert_int_eq(warnings, 1);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		requests_are_answered_in_their_order,
		without_brim_release_one_line_is_logged_and_it_is_tried_again,
		one_that_hangs_is_given_up_after_a_while,
		one_that_ends_leaves_nothing_unanswered,
		one_that_is_started_anew_between_two_requests_costs_no_line,
		nonsense_ends_the_connection,
		few_are_on_their_way_at_a_time,
		a_path_that_is_too_long_is_an_error_like_any,
	};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
