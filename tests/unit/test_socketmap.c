/*
 * The socketmap protocol with the real maps over a table of lines: what each query is
 * answered, and that no error of any kind is NOTFOUND.
 */
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "maps.h"
#include "quotad/protocol/socketmap.h"
#include "suite.h"

static const char *const sound_lines[] = {
	"alice@example.org uid=1001 gid=1001 mail=/m/alice/",
	"bob@example.org uid=1002 gid=1002 mail=/m/bob/ state=disabled",
	"bob+lists@example.org alias=alice@example.org",
	"gone@example.org uid=1004 gid=1004 mail=/m/gone/ state=moved "
	"moved_to=gone@new.test",
	"away@example.org uid=1004 gid=1004 mail=/m/away/ state=moved "
	"moved_to=%C3%BC@new.test",
	"back@example.org uid=1004 gid=1004 mail=/m/back/ moved_to=back@new.test",
	"here@example.org uid=1004 gid=1004 mail=/m/here/ state=moved",
	"%C3%BC@example.org uid=1005 gid=1005 mail=/m/u/",
	"a%20b@example.org uid=1006 gid=1006 mail=/m/ab/",
	"sales@example.org alias=alice@example.org",
	"many@example.org alias=alice@example.org,Bob@Example.org,x@elsewhere.test,"
	"bob+old@example.org",
	"odd@example.org alias=a%20b@example.org,.c@example.org,q%22%5Cd@x.test",
	"host@example.org alias=carol",
	"abroad@example.org alias=x@elsewhere.test",
	"nowhere@example.org alias=lost@example.org",
	"bad@example.org alias=alice@example.org,,",
	"broken@example.org uid=x",
	"carol uid=1007 gid=1007 mail=/home/carol/Maildir/",
	"staff alias=carol,alice@example.org",
	"@example.org",
	"@all.test catchall=alice@example.org",
	"dave@all.test uid=1008 gid=1008 mail=/m/dave/",
	"@alias.test alias=@example.org",
	"@toall.test alias=@all.test",
	"@tonone.test alias=@elsewhere.test",
	"@host.test",
	"@localhost",
	"@xn--bcher-kva.test",
	NULL,
};

static const char *const whole_lines[] = {"alice@example.org uid=1001", NULL};
static const char *const no_lines[] = {NULL};

static struct fake {
	const char *const *lines;
	const char *damaged_key;
	int no_table, has_newer_table, is_checking, records_unreadable, older_keys,
		huge; /* targets of huge@ */
	uint64_t table_number;
	void *state; /* of the request */
	int faults, answers;
	char answer[200000];
} fake;

static char delimiter[] = "+", local_domains[] = "host.test", transport[] = "brim";
static struct conf conf = {.recipient_delimiter = delimiter,
	.local_domains = local_domains,
	.map_transport = transport,
	.quotad_timeout = 10,
	.min_uid = 100};
static const struct room room = {.conf = &conf};
static struct socketmap service = {.room = &room, .conf = &conf};

/* --- the neighbours --------------------------------------------------------------- */

void
request_answer(struct request *r, const char *format, ...)
{
	size_t at = strlen(fake.answer);
	va_list args;

	(void)r;
	fake.answers++;
	va_start(args, format);
	vsnprintf(fake.answer + at, sizeof fake.answer - at, format, args);
	va_end(args);
}

void
request_fault(struct request *r)
{
	(void)r;
	fake.faults++;
}

struct users *
users_reload_table(struct users_reload *t)
{
	(void)t;
	return fake.no_table ? NULL : (struct users *)&fake;
}

int
users_reload_is_newest(const struct users_reload *t)
{
	(void)t;
	return !fake.has_newer_table;
}

int
users_reload_is_checking(struct users_reload *t)
{
	(void)t;
	return fake.is_checking;
}

uint64_t
users_reload_number(const struct users_reload *t)
{
	(void)t;
	return fake.table_number;
}

void
request_set_state(struct request *r, void *state)
{
	(void)r;
	fake.state = state;
}

void *
request_state(const struct request *r)
{
	(void)r;
	return fake.state;
}

/* A record whose list is longer than any line. */
static int
get_huge(struct record *r)
{
	char *list = calloc(1, 110000);
	int failed;

	for (int i = 0; i < fake.huge; i++)
		sprintf(list + strlen(list), "%suser-%05d@example.org", i ? "," : "", i);
	failed = record_set_key(r, "huge@example.org") || record_set(r, "alias", list);
	free(list);
	return failed ? -1 : 1;
}

int
users_get(struct users *u, const char *key, struct record *r, struct reason *why)
{
	(void)u;
	memset(r, 0, sizeof *r);
	if (fake.damaged_key && strcmp(key, fake.damaged_key) == 0)
		return reason_set(why, "users.db: damaged");
	if (fake.huge && strcmp(key, "huge@example.org") == 0)
		return get_huge(r);
	for (size_t i = 0; fake.lines[i]; i++) {
		ck_assert_int_eq(
			record_parse(r, fake.lines[i], strlen(fake.lines[i]), 1, why), 0);
		if (strcmp(r->key, key) == 0)
			return 1;
		record_clear(r);
	}
	return 0;
}

int
users_has_records(struct users *u, struct reason *why)
{
	(void)u;
	if (fake.records_unreadable)
		return reason_set(why, "users.db: damaged");
	return fake.lines[0] != NULL;
}

int
users_has_older_keys(struct users *u, struct reason *why)
{
	(void)u;
	(void)why;
	return fake.older_keys;
}

int
users_has_bare_names(struct users *u, struct reason *why)
{
	(void)u;
	(void)why;
	return fake.lines[0] != NULL && fake.lines != whole_lines;
}

int
users_has_local_part(struct users *u, const char *local, struct reason *why)
{
	(void)u;
	(void)local;
	(void)why;
	return 0;
}

/* --- asking ----------------------------------------------------------------------- */

static void
setup(void)
{
	memset(&fake, 0, sizeof fake);
	fake.lines = sound_lines;
}

/* Performs what the bytes hold: how the reading of them ended. */
static enum protocol_read
perform_all(struct evbuffer *bytes)
{
	enum protocol_read read;
	char *message = NULL;
	size_t length = 0;

	while ((read = socketmap_protocol.read(bytes, &message, &length)) ==
		PROTOCOL_MESSAGE) {
		ck_assert_uint_eq(message[length], '\0');
		socketmap_protocol.perform(&service, NULL, message, length);
		free(message);
		message = NULL;
	}
	ck_assert_ptr_null(message);
	if (read == PROTOCOL_NONSENSE)
		socketmap_protocol.perform(&service, NULL, NULL, 0);
	return read;
}

static enum protocol_read
send_bytes(const char *data, size_t length, size_t at_once)
{
	struct evbuffer *bytes = evbuffer_new();
	enum protocol_read read = PROTOCOL_INCOMPLETE;

	fake.answer[0] = '\0';
	fake.answers = 0;
	for (size_t i = 0; i < length && read == PROTOCOL_INCOMPLETE; i += at_once) {
		evbuffer_add(
			bytes, data + i, length - i < at_once ? length - i : at_once);
		read = perform_all(bytes);
	}
	evbuffer_free(bytes);
	return read;
}

/* The payload of the one answer to the query. */
static const char *
ask_bytes(const char *query, size_t length)
{
	static char payload[sizeof fake.answer];
	char *text, *end;
	int head;
	size_t size;

	ck_assert_int_gt(asprintf(&text, "%zu:", length), 0);
	head = (int)strlen(text);
	text = realloc(text, (size_t)head + length + 1);
	memcpy(text + head, query, length);
	text[(size_t)head + length] = ',';
	ck_assert_int_eq((int)send_bytes(text, (size_t)head + length + 1, SIZE_MAX / 2),
		PROTOCOL_INCOMPLETE);
	free(text);
	ck_assert_int_eq(fake.answers, 1);
	size = strtoul(fake.answer, &end, 10);
	ck_assert_uint_eq(strlen(end), size + 2);
	ck_assert(end[0] == ':' && end[size + 1] == ',');
	snprintf(payload, sizeof payload, "%.*s", (int)size, end + 1);
	return payload;
}

static const char *
ask(const char *query)
{
	return ask_bytes(query, strlen(query));
}

/* --- what is answered ------------------------------------------------------------- */

static const struct ask_case {
	const char *query, *answer; /* TEMP: what it begins with */
} cases[] = {
	{"mailbox alice@example.org", "OK alice@example.org"},
	{"mailbox ALICE@Example.ORG", "OK alice@example.org"},
	{"mailbox alice+x@example.org", "OK alice@example.org"},
	{"mailbox \"alice\"@example.org", "OK alice@example.org"},
	{"mailbox alice@alias.test", "OK alice@example.org"},
	{"mailbox bob@example.org", "OK bob@example.org"},
	{"mailbox gone@example.org", "OK gone@example.org"},
	{"mailbox \xc3\x9c@example.org", "OK \\x{FC}@example.org"},
	{"mailbox \"a b\"@example.org", "OK a b@example.org"},
	{"mailbox a b@example.org", "OK a b@example.org"},
	{"mailbox sales@example.org", "OK alice@example.org"},
	{"mailbox many@example.org", "OK known"},
	{"mailbox many+x@alias.test", "OK known"},
	{"mailbox abroad@example.org", "OK known"},
	{"mailbox nowhere@example.org", "OK known"},
	{"mailbox broken@example.org", "OK known"},
	{"mailbox anybody@all.test", "OK alice@example.org"},
	{"mailbox anybody+x@toall.test", "OK alice@example.org"},
	{"mailbox carol@host.test", "OK carol"},
	{"mailbox carol", "OK carol"},
	{"mailbox carol+x@[127.0.0.1]", "OK carol"},
	{"mailbox nobody1@example.org", "NOTFOUND "},
	{"mailbox nobody1+x@alias.test", "NOTFOUND "},
	{"mailbox nobody1@host.test", "NOTFOUND "},
	{"mailbox @example.org", "NOTFOUND "},
	{"mailbox alice@elsewhere.test", "TEMP the user table knows no domain"},
	{"mailbox alice@tonone.test", "TEMP "},
	{"mailbox alice@", "TEMP "},
	{"mailbox ", "TEMP the key is empty"},
	{"alias ", "TEMP the key is empty"},
	{"domain ", "TEMP the key is empty"},

	{"alias sales@example.org", "OK alice@example.org"},
	{"alias SALES@EXAMPLE.ORG", "OK alice@example.org"},
	{"alias sales@alias.test", "OK alice@example.org"},
	{"alias sales+x@example.org", "OK alice+x@example.org"},
	{"alias bob+lists@example.org", "OK alice@example.org"},
	{"alias bob+other@example.org", "NOTFOUND "},
	{"alias many@example.org",
		"OK alice@example.org,Bob@example.org,x@elsewhere.test,"
		"bob+old@example.org"},
	{"alias many+x@example.org",
		"OK alice+x@example.org,Bob+x@example.org,x@elsewhere.test,"
		"bob+old@example.org"},
	{"alias \"sales+x, root\"@example.org", "OK alice@example.org"},
	{"alias odd@example.org",
		"OK \"a b\"@example.org,\".c\"@example.org,\"q\\\"\\\\d\"@x.test"},
	{"alias host@example.org", "OK carol@host.test"},
	{"alias host+x@example.org", "OK carol+x@host.test"},
	{"alias staff@host.test", "OK carol@host.test,alice@example.org"},
	{"alias staff+x@host.test", "OK carol+x@host.test,alice+x@example.org"},
	{"alias staff", "OK carol,alice@example.org"},
	{"alias abroad+x@example.org", "OK x@elsewhere.test"},
	{"alias anybody@all.test", "OK alice@example.org"},
	{"alias anybody+x@toall.test", "OK alice@example.org"},
	{"alias dave@all.test", "NOTFOUND "},
	{"alias dave+x@toall.test", "NOTFOUND "},
	{"alias alice@example.org", "NOTFOUND "},
	{"alias alice@alias.test", "NOTFOUND "},
	{"alias nobody1@example.org", "NOTFOUND "},
	{"alias alice@elsewhere.test", "NOTFOUND "},
	{"alias root@host.test", "NOTFOUND "},
	{"alias bad@example.org", "TEMP "},

	{"domain example.org", "OK example.org"},
	{"domain EXAMPLE.org", "OK example.org"},
	{"domain alias.test", "OK alias.test"},
	{"domain b\xc3\xbc"
	 "cher.test",
		"OK xn--bcher-kva.test"},
	{"domain xn--bcher-kva.test", "OK xn--bcher-kva.test"},
	{"domain localhost", "OK localhost"},
	{"domain host.test", "NOTFOUND "},
	{"domain elsewhere.test", "NOTFOUND "},
	{"domain .example.org", "NOTFOUND "},
	{"domain org", "NOTFOUND "},
	{"domain *", "NOTFOUND "},
	{"domain alice@example.org", "NOTFOUND "},
	{"domain @example.org", "NOTFOUND "},

	{"relocated gone@example.org", "OK gone@new.test"},
	{"relocated Gone+x@alias.test", "OK gone@new.test"},
	{"relocated away@example.org", "OK \\x{FC}@new.test"},
	{"relocated back@example.org", "NOTFOUND "},
	{"relocated here@example.org", "NOTFOUND "},
	{"relocated alice@example.org", "NOTFOUND "},
	{"relocated sales@example.org", "NOTFOUND "},
	{"relocated x@elsewhere.test", "NOTFOUND "},

	{"transport alice+x@example.org", "OK brim:"},
	{"transport alice@alias.test", "OK brim:"},
	{"transport carol@host.test", "NOTFOUND "},
	{"transport sales@example.org", "NOTFOUND "},
	{"transport x@elsewhere.test", "NOTFOUND "},
	{"transport example.org", "NOTFOUND "},
	{"transport *", "NOTFOUND "},

	{"nomap alice@example.org", "TEMP there is no map of that name"},
	{"Mailbox alice@example.org", "TEMP there is no map of that name"},
	{" alice@example.org", "TEMP there is no map of that name"},
	{"mailbox", "TEMP a query is"},
	{"", "TEMP a query is"},
};

static void
expect(const char *query, const char *answer)
{
	const char *is = ask(query);
	const size_t length =
		strncmp(answer, "TEMP", 4) == 0 ? strlen(answer) : strlen(is) + 1;

	ck_assert_msg(strncmp(is, answer, length) == 0, "%s: \"%s\", not \"%s\"", query,
		is, answer);
}

START_TEST(each_query_has_its_answer)
{
	expect(cases[_i].query, cases[_i].answer);
}
END_TEST

START_TEST(no_map_says_not_found_for_an_error)
{
	static const char *const queries[] = {"mailbox nobody1@example.org",
		"alias nobody1@example.org", "domain elsewhere.test",
		"relocated nobody1@example.org", "transport nobody1@example.org"};

	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		setup();
		expect(queries[i], "NOTFOUND ");
		fake.no_table = 1;
		expect(queries[i], "TEMP no user table");
		setup();
		fake.lines = no_lines;
		expect(queries[i], "TEMP the user table is empty");
		setup();
		fake.records_unreadable = 1;
		expect(queries[i], "TEMP users.db: damaged");
		setup();
		fake.damaged_key = i == 2 ? "@elsewhere.test" : "nobody1@example.org";
		expect(queries[i], "TEMP users.db: damaged");
	}
	fake.damaged_key = "@example.org"; /* may have a catch-all */
	expect("mailbox nobody1@example.org", "TEMP users.db: damaged");
	expect("alias nobody1@example.org", "TEMP users.db: damaged");
	expect("mailbox many@example.org", "OK known");
}
END_TEST

START_TEST(a_table_that_may_have_it_under_an_older_key_says_try_again)
{
	fake.older_keys = 1;
	expect("mailbox nobody\xc3\xbc@example.org", "TEMP the user table has");
	expect("mailbox nobody1@example.org", "NOTFOUND ");
}
END_TEST

/* By what they are answered a recipient is refused, or mail sent elsewhere. */
static const char *const finals[] = {
	"mailbox nobody1@example.org",
	"alias alice@example.org",
	"alias x@new.test",
	"domain new.test",
	"domain host.test",
	"transport x@new.test",
	"relocated gone@example.org",
};

static const char *const newer_lines[] = {"@new.test", NULL};

START_TEST(what_a_newer_table_may_have_is_not_said_not_to_be_there)
{
	fake.has_newer_table = 1;
	for (size_t i = 0; i < sizeof finals / sizeof *finals; i++)
		expect(finals[i], "TEMP there is a newer user table");
	expect("mailbox alice@example.org", "OK alice@example.org");
	expect("alias sales@example.org", "OK alice@example.org");
	expect("domain example.org", "OK example.org");
	expect("transport alice@example.org", "OK brim:");
	expect("relocated alice@example.org", "NOTFOUND ");
}
END_TEST

/* Begins a query that gets no answer yet. */
static void
ask_and_wait(const char *query)
{
	char message[100];

	snprintf(message, sizeof message, "%s", query);
	fake.answer[0] = '\0';
	fake.answers = 0;
	socketmap_protocol.perform(&service, NULL, message, strlen(message));
	socketmap_go_on(&service, clock_now_ms());
	ck_assert_int_eq(fake.answers, 0);
}

/* The held query is answered now, and it is over. */
static void
expect_now(const char *answer)
{
	socketmap_go_on(&service, clock_now_ms());
	ck_assert_int_eq(fake.answers, 1);
	ck_assert_ptr_nonnull(strstr(fake.answer, answer));
	socketmap_protocol.finish(NULL);
	fake.state = NULL;
	ck_assert(LIST_EMPTY(&service.held));
}

START_TEST(a_query_waits_for_a_newer_table_that_is_under_check)
{
	fake.has_newer_table = fake.is_checking = 1;
	for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
		ask_and_wait(finals[i]);
		fake.is_checking = 0; /* it was refused */
		expect_now(":TEMP there is a newer user table,");
		fake.is_checking = 1;
	}
	ask_and_wait("domain new.test");
	fake.lines = newer_lines;
	fake.has_newer_table = 0; /* it was taken, and yet another one is under check */
	fake.table_number++;
	expect_now(":OK new.test,");
}
END_TEST

START_TEST(a_query_does_not_wait_for_ever_nor_after_its_end)
{
	fake.has_newer_table = fake.is_checking = 1;
	ask_and_wait("domain new.test");
	conf.quotad_timeout = 0;
	expect_now(":TEMP there is a newer user table,");
	conf.quotad_timeout = 10;
	ask_and_wait("domain new.test");
	socketmap_protocol.finish(NULL); /* its client is gone */
	fake.state = NULL;
	fake.is_checking = 0;
	socketmap_go_on(&service, clock_now_ms());
	ck_assert_int_eq(fake.answers, 0);
}
END_TEST

START_TEST(names_of_the_host_are_not_looked_up_where_the_table_has_none)
{
	fake.lines = whole_lines;
	expect("mailbox root@host.test", "TEMP ");
	expect("alias root@host.test", "NOTFOUND "); /* of cron, say: it is elsewhere */
	expect("transport root@host.test", "NOTFOUND ");
	expect("relocated root@host.test", "NOTFOUND ");
}
END_TEST

START_TEST(the_transport_is_the_settings)
{
	static char other[] = "lmtp:unix:private/x", none[] = "";

	conf.map_transport = other;
	expect("transport alice@example.org", "OK lmtp:unix:private/x");
	conf.map_transport = none;
	expect("transport alice@example.org", "NOTFOUND ");
}
END_TEST

START_TEST(a_thousand_targets_are_one_answer)
{
	static char query[300] = "alias huge+";
	const char *answer;

	fake.huge = 1000;
	answer = ask("alias huge@example.org");
	ck_assert_uint_eq(strlen(answer), 3 + 1000 * 22 + 999);
	/* the extension would make more of it than Postfix takes */
	memset(query + strlen(query), 'x', 100);
	strcat(query, "@example.org");
	ck_assert_uint_eq(strlen(ask(query)), 3 + 1000 * 22 + 999);
	fake.huge = 100;
	ck_assert_uint_eq(strlen(ask(query)), 3 + 100 * (22 + 101) + 99);
	fake.huge = 4500;
	expect("alias huge@example.org", "TEMP the alias is larger");
}
END_TEST

/* --- bytes ------------------------------------------------------------------------ */

START_TEST(pipelined_queries_and_pieces_of_them_are_the_same_queries)
{
	static const char queries[] =
		"25:mailbox alice@example.org,18:domain example.org,"
		"0:,29:mailbox nobody1@example.org  ,";
	static const char good[] = "25:mailbox alice@example.org,18:domain example.org,"
				   "24:alias many@elsewhere.tes,";

	for (size_t at_once = 1; at_once <= sizeof good; at_once++) {
		ck_assert_int_eq((int)send_bytes(good, sizeof good - 1, at_once),
			PROTOCOL_INCOMPLETE);
		ck_assert_str_eq(fake.answer, "20:OK alice@example.org,"
					      "14:OK example.org,9:NOTFOUND ,");
	}
	ck_assert_int_eq(
		(int)send_bytes(queries, sizeof queries - 1, 7), PROTOCOL_INCOMPLETE);
	ck_assert_int_eq(fake.answers, 4);
}
END_TEST

static const char *const nonsense[] = {"x", "mailbox alice@example.org\n", ":", "-1:x,",
	" 1:x,", "+1:x,", "01:x,", "00:,", "1x:", "1:xx", "3:abcd,",
	"1000000000000000000:", "99999:", "10241:", "999999", "18446744073709551617:x,",
	"0:x", "1,x:", "\n", "5;"};

START_TEST(what_is_no_netstring_ends_the_connection_with_try_again)
{
	for (size_t at_once = 1; at_once < 9; at_once += 7) {
		ck_assert_int_eq(
			(int)send_bytes(nonsense[_i], strlen(nonsense[_i]), at_once),
			PROTOCOL_NONSENSE);
		ck_assert_int_eq(fake.answers, 1);
		ck_assert_ptr_nonnull(strstr(fake.answer, ":TEMP "));
	}
	ck_assert_int_eq(fake.faults, 2);
}
END_TEST

START_TEST(the_longest_key_and_one_with_a_nul_are_answered)
{
	static char query[10100];

	snprintf(query, sizeof query, "mailbox %09987d@example.org", 0);
	expect(query, "NOTFOUND ");
	snprintf(query, sizeof query, "mailbox alice+%09981d@example.org", 0);
	expect(query, "OK alice@example.org");
	snprintf(query, sizeof query, "alias sales+%09982d@example.org", 0);
	expect(query, "OK alice@example.org");
	snprintf(query, sizeof query, "domain %010000d", 0);
	expect(query, "NOTFOUND ");
	memcpy(query, "mailbox nobody1@example.org\0x", 29);
	ck_assert_int_eq(strncmp(ask_bytes(query, 29), "TEMP ", 5), 0);
	ck_assert_int_eq(strncmp(ask_bytes("\0", 1), "TEMP ", 5), 0);
}
END_TEST

START_TEST(who_is_turned_away_is_told_to_try_again)
{
	char text[100];

	socketmap_protocol.turn_away(text, sizeof text, "too many");
	ck_assert_str_eq(text, "13:TEMP too many,");
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {no_map_says_not_found_for_an_error,
		a_table_that_may_have_it_under_an_older_key_says_try_again,
		what_a_newer_table_may_have_is_not_said_not_to_be_there,
		a_query_waits_for_a_newer_table_that_is_under_check,
		a_query_does_not_wait_for_ever_nor_after_its_end,
		names_of_the_host_are_not_looked_up_where_the_table_has_none,
		the_transport_is_the_settings, a_thousand_targets_are_one_answer,
		pipelined_queries_and_pieces_of_them_are_the_same_queries,
		the_longest_key_and_one_with_a_nul_are_answered,
		who_is_turned_away_is_told_to_try_again};
	TCase *rest = ADD_CASE(suite, tests, .setup = setup);

	tcase_add_loop_test(
		rest, each_query_has_its_answer, 0, (int)(sizeof cases / sizeof *cases));
	tcase_add_loop_test(rest, what_is_no_netstring_ends_the_connection_with_try_again,
		0, (int)(sizeof nonsense / sizeof *nonsense));
}
