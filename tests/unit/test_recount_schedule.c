/* The slow round over a table of the test's own. */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "quotad/scanner/recount_schedule.h"
#include "suite.h"

static struct event_base *base;
static struct recount_schedule *schedule;
static int there; /* the table can be used */
static char told[256];
static int turns, wanted;

/* --- the table -------------------------------------------------------------------- */

static const char *const lines[] = {
	"alice@example.org uid=1001 gid=1001 mail=/m/alice/",
	"bob@example.org alias=alice@example.org",
	"carol@example.org uid=1002 gid=1002 mail=/m/carol/",
};

struct users *
users_reload_table(struct users_reload *r)
{
	static int table;

	(void)r;
	return there ? (struct users *)&table : NULL;
}

int
users_each(struct users *u, const char *after,
	int (*each)(void *arg, const struct record *record), void *arg,
	struct reason *why)
{
	int stopped = 0;

	(void)u;
	for (size_t i = 0; i < sizeof lines / sizeof *lines && !stopped; i++) {
		struct record r;

		ck_assert_int_eq(record_parse(&r, lines[i], strlen(lines[i]), 1, why), 0);
		if (strcmp(r.key, after) > 0)
			stopped = each(arg, &r);
		record_clear(&r);
	}
	return stopped ? 1 : 0;
}

/* --- tests ------------------------------------------------------------------------ */

static void
recount(void *arg, const char *mailbox)
{
	(void)arg;
	strcat(told, mailbox);
	strcat(told, ";");
	if (++turns == wanted)
		event_base_loopbreak(base);
}

static void
setup(void)
{
	base = event_base_new();
	schedule = recount_schedule_new(base, NULL, recount, NULL);
	ck_assert_ptr_nonnull(schedule);
	there = 1;
}

static void
teardown(void)
{
	recount_schedule_free(&schedule);
	event_base_free(base);
}

START_TEST(every_mailbox_has_its_turn_and_then_the_round_begins_again)
{
	recount_schedule_set(schedule, 0);
	wanted = 5;
	event_base_dispatch(base);
	ck_assert_str_eq(told, "alice@example.org;carol@example.org;"
			       "alice@example.org;carol@example.org;"
			       "alice@example.org;");
}
END_TEST

static void
make_table(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	ck_assert_int_eq(turns, 0);
	there = 1;
}

START_TEST(without_a_table_the_round_waits_for_one)
{
	const struct timeval later = {1, 500000};

	there = 0;
	event_base_once(base, -1, EV_TIMEOUT, make_table, NULL, &later);
	wanted = 1;
	event_base_dispatch(base);
	ck_assert_str_eq(told, "alice@example.org;");
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		every_mailbox_has_its_turn_and_then_the_round_begins_again,
		without_a_table_the_round_waits_for_one};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
