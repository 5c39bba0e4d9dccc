/* The client against listeners that answer as no quotad should. Runs as root. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privileges.h"
#include "quota_client.h"
#include "suite.h"

#define DAEMON 20002

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static char folder[sizeof "/tmp/brim-client-XXXXXX"];
static pid_t server;
static struct quota_client client;
static struct quota_answer answer;
static struct reason why;

/* The one name that is known here. */
int
privileges_find_user(
	const char *name, struct privileges_user *user, struct reason *reason)
{
	if (strcmp(name, "quota"))
		return reason_set(reason, "no user %s", name);
	user->uid = user->gid = DAEMON;
	return 0;
}

static void
setup(void)
{
	strcpy(folder, "/tmp/brim-client-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chmod(folder, 0777), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", folder);
	server = -1;
}

static void
teardown(void)
{
	quota_close(&client);
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	unlink(address.sun_path);
	rmdir(folder);
}

/* What a listener does with its one connection. */
static void
answer_text(int fd, const char *text)
{
	char request[RECORD_LINE_MAX];

	if (read(fd, request, sizeof request) > 0)
		send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void
answer_in_pieces(int fd, const char *text)
{
	for (; *text && send(fd, text, 1, MSG_NOSIGNAL) == 1; text++)
		usleep(1000);
	pause();
}

static void
drip_for_ever(int fd, const char *text)
{
	while (send(fd, text, 1, MSG_NOSIGNAL) == 1)
		usleep(50000);
}

static void
answer_without_end(int fd, const char *text)
{
	while (send(fd, text, strlen(text), MSG_NOSIGNAL) > 0)
		;
}

static void
answer_nothing(int fd, const char *text)
{
	(void)fd;
	(void)text;
	pause();
}

static void
answer_a_nul(int fd, const char *text)
{
	(void)text;
	send(fd, "OK a=\0b\n", 8, MSG_NOSIGNAL);
	pause();
}

/* Forks a listener with that owner; it is there when this returns. */
static void
serve(uid_t owner, void (*act)(int fd, const char *text), const char *text)
{
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), ready[2], fd;
	char byte = 0;

	ck_assert_int_eq(pipe(ready), 0);
	server = fork();
	if (server == 0) {
		if (setresuid(owner, owner, owner) ||
			bind(listener, (struct sockaddr *)&address, sizeof address) ||
			listen(listener, 8) || write(ready[1], "", 1) != 1)
			_exit(1);
		fd = accept(listener, NULL, NULL);
		act(fd, text);
		_exit(0);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(listener);
}

static int
ask(const char *daemon_user)
{
	if (quota_connect(&client, address.sun_path, daemon_user, 1, &why))
		return -1;
	if (quota_send(&client, &why, "CHECK %s %d", "alice", 0))
		return -1;
	return quota_receive(&client, &answer, &why);
}

START_TEST(a_yes_comes_with_its_fields)
{
	serve(0, answer_text, "OK ticket=7 used=%31\n");
	ck_assert_int_eq(ask("quota"), 0);
	ck_assert_int_eq(answer.kind, QUOTA_OK);
	ck_assert_str_eq(record_get(&answer.fields, "ticket"), "7");
	ck_assert_str_eq(record_get(&answer.fields, "used"), "1");
	quota_answer_clear(&answer);
}
END_TEST

START_TEST(a_no_comes_with_verdict_and_text)
{
	serve(0, answer_text, "NO full 5.2.2 the mailbox is full: 3 of 3 bytes\n");
	ck_assert_int_eq(ask("quota"), 0);
	ck_assert_int_eq(answer.kind, QUOTA_NO);
	ck_assert_int_eq(answer.outcome.verdict, VERDICT_FULL);
	ck_assert_str_eq(answer.outcome.text, "the mailbox is full: 3 of 3 bytes");
	ck_assert_str_eq(answer.code, "5.2.2");
}
END_TEST

START_TEST(an_error_has_its_own_code)
{
	serve(0, answer_text, "ERR 4.7.0 not yours\n");
	ck_assert_int_eq(ask("quota"), 0);
	ck_assert_int_eq(answer.kind, QUOTA_ERR);
	ck_assert_int_eq(answer.outcome.verdict, VERDICT_TROUBLE);
	ck_assert_str_eq(answer.code, "4.7.0");
}
END_TEST

START_TEST(answers_that_come_together_are_taken_one_by_one)
{
	serve(0, answer_text, "* a=1\n* a=2\nOK count=2\n");
	ck_assert_int_eq(ask("quota"), 0);
	ck_assert_int_eq(answer.kind, QUOTA_MORE);
	ck_assert_str_eq(record_get(&answer.fields, "a"), "1");
	quota_answer_clear(&answer);
	ck_assert_int_eq(quota_receive(&client, &answer, &why), 0);
	ck_assert_str_eq(record_get(&answer.fields, "a"), "2");
	quota_answer_clear(&answer);
	ck_assert_int_eq(quota_receive(&client, &answer, &why), 0);
	ck_assert_int_eq(answer.kind, QUOTA_OK);
	quota_answer_clear(&answer);
	ck_assert_int_eq(quota_receive(&client, &answer, &why), -1);
}
END_TEST

START_TEST(an_answer_in_pieces_is_whole_in_the_end)
{
	serve(0, answer_in_pieces, "OK ticket=12345\n");
	ck_assert_int_eq(ask("quota"), 0);
	ck_assert_str_eq(record_get(&answer.fields, "ticket"), "12345");
	quota_answer_clear(&answer);
}
END_TEST

static const char *const nonsense[] = {
	"\n",
	" OK\n",
	"OKAY\n",
	"ok\n",
	"OK ticket\n",
	"OK ticket=7 ticket=8\n",
	"OK  ticket=7\n",
	"OK ticket=%0\n",
	"OK ticket=\x01\n",
	"OK ticket=\xff\n",
	"OK ticket=7\r\n",
	"NO\n",
	"NO full\n",
	"NO full 5.2.2x text\n",
	"NO full 4.2.2 a soft code for a hard verdict\n",
	"NO full 5.2.\n",
	"NO full .2.2\n",
	"NO full 2.2.2 text\n",
	"NO full 5.2.2222 text\n",
	"NO fuller 5.2.2 text\n",
	"NO delivered 2.0.0 text\n",
	"ERR\n",
	"ERR text\n",
	"ERR 250 2.0.0 text\n",
	"250 OK\n",
	"HTTP/1.1 400 Bad Request\n",
	"OK ticket=7",
	"",
};

START_TEST(nonsense_is_no_answer)
{
	serve(0, answer_text, nonsense[_i]);
	ck_assert_int_eq(ask("quota"), -1);
	ck_assert_int_eq(client.fd, -1);
	ck_assert_int_gt((int)strlen(why.text), 0);
}
END_TEST

START_TEST(a_nul_is_no_answer)
{
	serve(0, answer_a_nul, NULL);
	ck_assert_int_eq(ask("quota"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "odd byte"));
}
END_TEST

START_TEST(a_line_without_an_end_is_given_up_early)
{
	serve(0, answer_without_end,
		"OK aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	ck_assert_int_eq(ask("quota"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "longer"));
}
END_TEST

START_TEST(silence_ends_with_the_time)
{
	serve(0, answer_nothing, NULL);
	ck_assert_int_eq(ask("quota"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "does not answer"));
}
END_TEST

START_TEST(a_byte_now_and_then_wins_no_time)
{
	serve(0, drip_for_ever, "O");
	ck_assert_int_eq(ask("quota"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "does not answer"));
}
END_TEST

START_TEST(daemon_user_is_believed)
{
	serve(DAEMON, answer_text, "OK\n");
	ck_assert_int_eq(ask("quota"), 0);
	ck_assert_int_eq(answer.kind, QUOTA_OK);
}
END_TEST

START_TEST(another_users_listener_is_not_believed)
{
	serve(DAEMON + 1, answer_text, "OK\n");
	ck_assert_int_eq(ask("quota"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "uid 20003 listens"));
}
END_TEST

START_TEST(an_unknown_daemon_user_is_nobody)
{
	serve(DAEMON, answer_text, "OK\n");
	ck_assert_int_eq(ask("nobody-here"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "no user"));
}
END_TEST

START_TEST(nobody_there_says_so)
{
	ck_assert_int_eq(ask("quota"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "can't be reached"));
	ck_assert_int_eq(client.fd, -1);
}
END_TEST

START_TEST(a_path_that_is_no_socket_address_is_refused)
{
	char path[200];

	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[sizeof path - 1] = '\0';
	ck_assert_int_eq(quota_connect(&client, path, "quota", 1, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "longer than 107"));
}
END_TEST

START_TEST(a_full_backlog_is_waited_for_no_longer_than_allowed)
{
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct quota_client one;

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	ck_assert_int_eq(quota_connect(&one, address.sun_path, "quota", 1, &why), 0);
	ck_assert_int_eq(quota_connect(&client, address.sun_path, "quota", 1, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "can't be reached"));
	quota_close(&one);
	close(listener);
}
END_TEST

START_TEST(a_request_that_is_too_long_is_not_sent)
{
	char argument[RECORD_LINE_MAX + 1];

	memset(argument, 'a', sizeof argument - 1);
	argument[sizeof argument - 1] = '\0';
	serve(0, answer_text, "OK\n");
	ck_assert_int_eq(quota_connect(&client, address.sun_path, "quota", 1, &why), 0);
	ck_assert_int_eq(quota_send(&client, &why, "X%s", argument), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "longer"));
	ck_assert_int_eq(quota_send(&client, &why, "GET alice"), 0);
	ck_assert_int_eq(quota_receive(&client, &answer, &why), 0);
}
END_TEST

START_TEST(a_listener_that_does_not_read_is_given_up)
{
	char argument[4000];
	int result = 0;

	memset(argument, 'a', sizeof argument - 1);
	argument[sizeof argument - 1] = '\0';
	serve(0, answer_nothing, NULL);
	ck_assert_int_eq(quota_connect(&client, address.sun_path, "quota", 1, &why), 0);
	for (int i = 0; i < 10000 && result == 0; i++)
		result = quota_send(&client, &why, "%s", argument);
	ck_assert_int_eq(result, -1);
	ck_assert_int_eq(client.fd, -1);
	ck_assert_int_eq(quota_send(&client, &why, "GET alice"), -1);
	ck_assert_int_eq(quota_receive(&client, &answer, &why), -1);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		a_yes_comes_with_its_fields,
		a_no_comes_with_verdict_and_text,
		an_error_has_its_own_code,
		answers_that_come_together_are_taken_one_by_one,
		an_answer_in_pieces_is_whole_in_the_end,
		a_nul_is_no_answer,
		a_line_without_an_end_is_given_up_early,
		silence_ends_with_the_time,
		a_byte_now_and_then_wins_no_time,
		daemon_user_is_believed,
		another_users_listener_is_not_believed,
		an_unknown_daemon_user_is_nobody,
		nobody_there_says_so,
		a_path_that_is_no_socket_address_is_refused,
		a_full_backlog_is_waited_for_no_longer_than_allowed,
		a_request_that_is_too_long_is_not_sent,
		a_listener_that_does_not_read_is_given_up,
	};
	TCase *c = ADD_CASE(
		suite, tests, .setup = setup, .teardown = teardown, .timeout = 10);

	tcase_add_loop_test(
		c, nonsense_is_no_answer, 0, (int)(sizeof nonsense / sizeof *nonsense));
}
