/* libbrim's functions against a quotad that follows a script. Runs as root. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "brim.h"
#include "suite.h"

#define UNKNOWN UINT64_MAX

/* What a quotad gets, and its answer; an empty one closes the connection. */
struct exchange {
	const char *request, *answer;
};

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct brim *b;

/* Answers one connection by the script; a request that is not in it ends it at once. */
static void
follow(int listener, const struct exchange *script, size_t count)
{
	FILE *in = fdopen(accept(listener, NULL, NULL), "r");
	char line[5000];

	for (size_t i = 0; i < count && fgets(line, sizeof line, in); i++) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, script[i].request) != 0 || script[i].answer[0] == '\0')
			break;
		send(fileno(in), script[i].answer, strlen(script[i].answer),
			MSG_NOSIGNAL);
	}
	_exit(0);
}

/* Forks the quotad; it listens when this returns, and the connection is made. */
static void
serve(const struct exchange *script, size_t count)
{
	char folder[] = "/tmp/brim-face-XXXXXX";
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t server;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", folder);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	server = fork();
	if (server == 0)
		follow(listener, script, count);
	close(listener);
	ck_assert_int_eq(brim_connect(&b, address.sun_path, NULL, 5), BRIM_OK);
	unlink(address.sun_path);
	rmdir(folder);
}

#define SERVE(...)                                                                       \
	serve((const struct exchange[]){__VA_ARGS__},                                    \
		sizeof((struct exchange[]){__VA_ARGS__}) / sizeof(struct exchange))

static void
must_say(const char *code, const char *error)
{
	ck_assert_str_eq(brim_code(b), code);
	ck_assert_msg(strstr(brim_error(b), error) != NULL, "%s", brim_error(b));
}

START_TEST(a_mailbox_has_its_name_and_numbers)
{
	const struct brim_mailbox *m;

	SERVE({"GET Alice%20B@example.org",
		"OK mailbox=alice%20b@example.org used=5 messages=1 limit=10 "
		"later_field=x "
		"message_limit=0 reserved=3 tickets=2 percent=50\n"});
	ck_assert_int_eq(brim_ask(b, "Alice B@example.org", &m), BRIM_OK);
	ck_assert_str_eq(brim_name(m), "alice b@example.org");
	ck_assert_uint_eq(brim_get(m, BRIM_USED, UNKNOWN), 5);
	ck_assert_uint_eq(brim_get(m, BRIM_MESSAGES, UNKNOWN), 1);
	ck_assert_uint_eq(brim_get(m, BRIM_LIMIT, UNKNOWN), 10);
	ck_assert_uint_eq(brim_get(m, BRIM_MESSAGE_LIMIT, UNKNOWN), 0);
	ck_assert_uint_eq(brim_get(m, BRIM_RESERVED, UNKNOWN), 3);
	ck_assert_uint_eq(brim_get(m, BRIM_TICKETS, UNKNOWN), 2);
	ck_assert_uint_eq(brim_get(m, BRIM_PERCENT, UNKNOWN), 50);
	ck_assert_uint_eq(brim_get(m, BRIM_FULL_FOR, UNKNOWN), UNKNOWN);
	ck_assert_uint_eq(brim_get(m, (enum brim_number)99, 7), 7);
	must_say("", "");
}
END_TEST

START_TEST(each_kind_of_answer_has_its_result)
{
	static const struct {
		const char *answer, *code, *error;
		enum brim_result result;
	} rows[] = {
		{"OK\n", "", "", BRIM_OK},
		{"NO full 5.2.2 the mailbox is full\n", "5.2.2", "is full", BRIM_NO},
		{"NO full-for-now 4.2.2 wait\n", "4.2.2", "wait", BRIM_NO},
		{"ERR 4.1.1 no such mailbox\n", "4.1.1", "no such", BRIM_UNKNOWN},
		{"ERR 4.7.0 not yours\n", "4.7.0", "not yours", BRIM_FORBIDDEN},
		{"ERR 4.5.2 no such request\n", "4.5.2", "no such", BRIM_INVALID},
		{"ERR 4.3.0 no memory\n", "4.3.0", "no memory", BRIM_LATER},
		{"ERR 4.9.9 from a later version\n", "4.9.9", "later", BRIM_LATER},
		{"NO brand-new 5.9.9 text\n", "4.3.0", "no sense", BRIM_LATER},
		{"* used=1\n", "4.3.0", "no sense", BRIM_LATER},
		{"250 hello\n", "4.3.0", "no sense", BRIM_LATER},
	};

	SERVE({"CHECK a 100", rows[_i].answer});
	ck_assert_int_eq(brim_check(b, "a", 100), rows[_i].result);
	must_say(rows[_i].code, rows[_i].error);
}
END_TEST

START_TEST(a_failure_is_told_until_the_next_call)
{
	SERVE({"CHECK a 1", "NO full 5.2.2 full\n"}, {"CHECK b 0", "OK\n"});
	ck_assert_int_eq(brim_check(b, "a", 1), BRIM_NO);
	must_say("5.2.2", "full");
	ck_assert_int_eq(brim_check(b, "b", 0), BRIM_OK);
	ck_assert_str_eq(brim_error(b), "");
	ck_assert_str_eq(brim_code(b), "");
}
END_TEST

START_TEST(a_mailbox_that_makes_no_sense_is_none)
{
	static const char *const answers[] = {
		"OK used=1\n", "OK mailbox=a used=many\n", "OK\n"};
	const struct brim_mailbox *m;

	SERVE({"GET a", answers[_i]}, {"GET a", "OK mailbox=a\n"});
	ck_assert_int_eq(brim_ask(b, "a", &m), BRIM_LATER);
	ck_assert_ptr_null(m);
	must_say("4.3.0", "no sense");
	ck_assert_int_eq(brim_ask(b, "a", &m), BRIM_LATER);
	must_say("4.3.0", "no connection");
}
END_TEST

START_TEST(room_is_reserved_and_committed_or_cancelled)
{
	uint64_t ticket = 0;

	SERVE({"RESERVE a 18446744073709551615 name=1.x%25y,S=1", "OK ticket=7 new=1\n"},
		{"COMMIT 7", "OK used=1 warn=90\n"},
		{"RESERVE a 2 name=n", "OK ticket=8\n"}, {"CANCEL 8", "OK\n"},
		{"COMMIT 8", "ERR 4.3.0 no such ticket\n"});
	ck_assert_int_eq(brim_reserve(b, "a", UINT64_MAX, "1.x%y,S=1", &ticket), BRIM_OK);
	ck_assert_uint_eq(ticket, 7);
	ck_assert_int_eq(brim_commit(b, ticket), BRIM_OK);
	ck_assert_int_eq(brim_reserve(b, "a", 2, "n", &ticket), BRIM_OK);
	ck_assert_int_eq(brim_cancel(b, ticket), BRIM_OK);
	ck_assert_int_eq(brim_commit(b, ticket), BRIM_LATER);
}
END_TEST

START_TEST(a_yes_without_a_ticket_is_none)
{
	uint64_t ticket;

	SERVE({"RESERVE a 1 name=n", "OK\n"});
	ck_assert_int_eq(brim_reserve(b, "a", 1, "n", &ticket), BRIM_LATER);
	must_say("4.3.0", "no sense");
}
END_TEST

START_TEST(what_can_t_be_a_request_leaves_the_connection_as_it_is)
{
	const struct brim_mailbox *m;
	char name[8000];
	uint64_t ticket;

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	SERVE({"CHECK a 1", "OK\n"});
	ck_assert_int_eq(brim_ask(b, "", &m), BRIM_INVALID);
	must_say("4.5.2", "empty");
	ck_assert_int_eq(brim_ask(b, name, &m), BRIM_INVALID);
	must_say("4.5.2", "longer");
	ck_assert_int_eq(brim_reserve(b, "a", 1, name, &ticket), BRIM_INVALID);
	name[4060] = '\0'; /* fits where it is put together, not in a line */
	ck_assert_int_eq(brim_reserve(b, "aaaaaaaaaaaaaaaaaaaaaaa", 1, name, &ticket),
		BRIM_INVALID);
	ck_assert_int_eq(brim_check(b, "a", 1), BRIM_OK);
}
END_TEST

struct list {
	char names[100];
	int calls, last; /* the call that wants no more */
	enum brim_result nested;
};

static int
take_name(void *arg, const struct brim_mailbox *m)
{
	struct list *l = arg;

	strcat(strcat(l->names, brim_name(m)), " ");
	l->nested = brim_check(b, "a", 1);
	return ++l->calls == l->last;
}

START_TEST(a_list_is_told_one_by_one)
{
	struct list l = {0};

	SERVE({"LIST *@x", "* mailbox=a@x used=1\n* mailbox=b@x limit=0\nOK count=2\n"},
		{"LIST *", "OK count=0\n"});
	ck_assert_int_eq(brim_list(b, "*@x", take_name, &l), BRIM_OK);
	ck_assert_str_eq(l.names, "a@x b@x ");
	ck_assert_int_eq(l.nested, BRIM_INVALID);
	ck_assert_str_eq(brim_error(b), "");
	ck_assert_int_eq(brim_list(b, NULL, take_name, &l), BRIM_OK);
	ck_assert_int_eq(l.calls, 2);
}
END_TEST

START_TEST(a_list_that_is_left_early_hides_no_later_answer)
{
	struct list l = {.last = 1};

	SERVE({"LIST *", "* mailbox=a\n* mailbox=b\nOK count=2\n"},
		{"CHECK a 1", "NO full 5.2.2 full\n"});
	ck_assert_int_eq(brim_list(b, NULL, take_name, &l), BRIM_OK);
	ck_assert_str_eq(l.names, "a ");
	ck_assert_int_eq(brim_check(b, "a", 1), BRIM_NO);
}
END_TEST

START_TEST(a_list_that_fails_says_so)
{
	static const struct exchange answers[] = {
		{"* mailbox=a\nERR 4.3.0 no user table\n", "no user table"},
		{"* mailbox=a\n* used=1\nOK count=1\n", "no sense"},
		{"* mailbox=a\n250 \n", "no sense"},
	};
	struct list l = {0};

	SERVE({"LIST *", answers[_i].request});
	ck_assert_int_eq(brim_list(b, NULL, take_name, &l), BRIM_LATER);
	must_say("4.3.0", answers[_i].answer);
	ck_assert_str_eq(l.names, "a ");
}
END_TEST

START_TEST(a_quotad_that_ends_is_told)
{
	SERVE({"CHECK a 1", ""});
	ck_assert_int_eq(brim_check(b, "a", 1), BRIM_LATER);
	must_say("4.3.0", "closed the connection");
	ck_assert_int_eq(brim_check(b, "a", 1), BRIM_LATER);
	must_say("4.3.0", "no connection");
}
END_TEST

START_TEST(a_connection_that_fails_is_closed_all_the_same)
{
	ck_assert_int_eq(brim_connect(&b, "/nowhere/sock", NULL, 1), BRIM_LATER);
	must_say("4.3.0", "can't be reached");
	brim_close(&b);
	ck_assert_ptr_null(b);
	brim_close(&b);
	must_say("4.3.0", "no memory"); /* what a NULL connection means */
}
END_TEST

START_TEST(without_a_connection_each_call_is_later)
{
	const struct brim_mailbox *m;
	struct list l = {0};
	uint64_t ticket;

	b = NULL; /* what brim_connect leaves where there is no memory */
	ck_assert_int_eq(brim_ask(b, "a", &m), BRIM_LATER);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(brim_list(b, NULL, take_name, &l), BRIM_LATER);
	ck_assert_int_eq(l.calls, 0);
	ck_assert_int_eq(brim_check(b, "a", 1), BRIM_LATER);
	ck_assert_int_eq(brim_reserve(b, "a", 1, "n", &ticket), BRIM_LATER);
	ck_assert_int_eq(brim_commit(b, 1), BRIM_LATER);
	ck_assert_int_eq(brim_cancel(b, 1), BRIM_LATER);
	must_say("4.3.0", "no memory");
	brim_close(&b);
	brim_close(NULL);
}
END_TEST

static void
teardown(void)
{
	brim_close(&b);
}

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		a_mailbox_has_its_name_and_numbers,
		a_failure_is_told_until_the_next_call,
		room_is_reserved_and_committed_or_cancelled,
		a_yes_without_a_ticket_is_none,
		what_can_t_be_a_request_leaves_the_connection_as_it_is,
		a_list_is_told_one_by_one,
		a_list_that_is_left_early_hides_no_later_answer,
		a_quotad_that_ends_is_told,
		a_connection_that_fails_is_closed_all_the_same,
		without_a_connection_each_call_is_later,
	};
	TCase *c = ADD_CASE(suite, tests, .teardown = teardown);

	tcase_add_loop_test(c, each_kind_of_answer_has_its_result, 0, 11);
	tcase_add_loop_test(c, a_mailbox_that_makes_no_sense_is_none, 0, 3);
	tcase_add_loop_test(c, a_list_that_fails_says_so, 0, 3);
}
