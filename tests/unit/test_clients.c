/* Who may be given promises, and how many; networks. */
#include "quotad/clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "network.h"
#include "suite.h"

#define ROOT   0
#define DAEMON 1 /* on every Debian */
#define BIN    2
#define HOUR   3600000

static struct clients *c;
static uint64_t now;

static int
configure(const char *users, const char *trusted)
{
	char *copies[] = {strdup(users), strdup(trusted), strdup("")};
	const struct conf conf = {.policy_users = copies[0],
		.promise_trusted = copies[1],
		.policy_listen = copies[2]};
	struct reason why;
	int result = clients_configure(c, &conf, &why);

	for (size_t i = 0; i < sizeof copies / sizeof *copies; i++)
		free(copies[i]);
	return result;
}

static void
setup(void)
{
	c = clients_new();
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(configure("daemon, root", ""), 0);
	now = 5;
}

static void
teardown(void)
{
	clients_free(&c);
	ck_assert_ptr_null(c);
}

/* The account of a client that gets promises. */
static uint64_t
account(const char *address)
{
	uint64_t a = 99;

	ck_assert_msg(clients_identify(c, DAEMON, address, &a) == 1, "%s", address);
	return a;
}

static int
may(uint64_t a)
{
	return clients_may_promise(c, a, now);
}

static void
promise(uint64_t a, int count)
{
	while (count-- > 0)
		clients_promised(c, a, now);
}

static void
run_out(uint64_t a, int count)
{
	while (count-- > 0)
		clients_ran_out(c, a, now);
}

/* --- who ---------------------------------------------------------------------------- */

START_TEST(only_the_settings_users_are_asked_for)
{
	uint64_t a;

	ck_assert_int_eq(clients_identify(c, DAEMON, "192.0.2.1", &a), 1);
	ck_assert_int_eq(clients_identify(c, ROOT, "192.0.2.1", &a), 1);
	ck_assert_int_eq(clients_identify(c, BIN, "192.0.2.1", &a), 0);
	ck_assert_int_eq(configure("bin nobody-has-this-name", ""), 0);
	ck_assert_int_eq(clients_identify(c, ROOT, "192.0.2.1", &a), 0);
	ck_assert_int_eq(clients_identify(c, BIN, "192.0.2.1", &a), 1);
	ck_assert_int_eq(configure("", ""), 0);
	ck_assert_int_eq(clients_identify(c, BIN, "192.0.2.1", &a), 0);
	clients_free(&c);
	c = clients_new();
	ck_assert_int_eq(clients_identify(c, ROOT, "192.0.2.1", &a), 0);
}
END_TEST

START_TEST(a_client_without_an_address_gets_none)
{
	const char *const none[] = {NULL, "", "unknown", "192.0.2", "192.0.2.1/32",
		"[::1]", "192.0.2.1 ", "2001:db8::1%eth0"};
	uint64_t a;

	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		ck_assert_int_eq(clients_identify(c, DAEMON, none[i], &a), 0);
}
END_TEST

START_TEST(each_address_has_an_account_and_each_64_of_ipv6)
{
	const char *const all[] = {"192.0.2.1", "192.0.2.2", "1.2.0.192",
		"255.255.255.255", "2001:db8::1", "2001:db8:0:1::1", "::1",
		"0:0:c000:201::1"};
	const size_t count = sizeof all / sizeof *all;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			if (i < count - 1) /* as 192.0.2.1, but nobody has it */
				ck_assert_uint_ne(account(all[i]), account(all[j]));
	for (size_t i = 0; i < count; i++)
		ck_assert_uint_ne(account(all[i]), 0);
	ck_assert_uint_eq(account("::ffff:192.0.2.1"), account("192.0.2.1"));
	ck_assert_uint_eq(
		account("2001:db8::1"), account("2001:DB8:0:0:ffff:ffff:ffff:ffff"));
	ck_assert_uint_ne(account("0.0.0.0"), 0);
}
END_TEST

START_TEST(trusted_networks_have_no_account)
{
	ck_assert_int_eq(
		configure("daemon", "192.0.2.0/24, [2001:db8::]/47 10.1.1.1 ::1"), 0);
	ck_assert_uint_eq(account("192.0.2.255"), 0);
	ck_assert_uint_eq(account("10.1.1.1"), 0);
	ck_assert_uint_eq(account("2001:db8:1::1"), 0);
	ck_assert_uint_eq(account("::1"), 0);
	ck_assert_uint_ne(account("192.0.3.1"), 0);
	ck_assert_uint_ne(account("10.1.1.2"), 0);
	ck_assert_uint_ne(account("2001:db8:2::1"), 0);
	for (int i = 0; i < 10 * CLIENTS_OPEN; i++) {
		ck_assert_int_eq(may(0), 1);
		clients_promised(c, 0, now);
		clients_ran_out(c, 0, now);
	}
	ck_assert_int_eq(configure("daemon", "192.0.2.0/33"), -1);
	ck_assert_uint_eq(account("192.0.2.255"), 0); /* as it was */
}
END_TEST

/* --- how many ----------------------------------------------------------------------- */

START_TEST(a_client_has_so_many_open_and_no_more)
{
	uint64_t a = account("192.0.2.1"), b = account("192.0.2.2");

	promise(a, CLIENTS_OPEN - 1);
	ck_assert_int_eq(may(a), 1);
	promise(a, 1);
	ck_assert_int_eq(may(a), 0);
	ck_assert_int_eq(may(b), 1);
	clients_used(c, a, now);
	ck_assert_int_eq(may(a), 1);
	promise(a, 1);
	ck_assert_int_eq(may(a), 0);
	now += 400 * HOUR; /* as long as they are open */
	ck_assert_int_eq(may(a), 0);
}
END_TEST

START_TEST(whose_promises_run_out_gets_none_for_a_day)
{
	uint64_t a = account("192.0.2.1");

	promise(a, 20);
	for (int i = 0; i < 5; i++)
		clients_used(c, a, now);
	run_out(a, 5 + CLIENTS_SPARE - 1);
	ck_assert_int_eq(may(a), 1);
	run_out(a, 1);
	ck_assert_int_eq(may(a), 0);
	now += 20 * HOUR;
	for (int i = 0; i < 9; i++) /* it does not help any more */
		clients_used(c, a, now);
	ck_assert_int_eq(may(a), 0);
	now += 4 * HOUR - 1;
	ck_assert_int_eq(may(a), 0);
	now += 1;
	ck_assert_int_eq(may(a), 1);
	promise(a, CLIENTS_SPARE);
	run_out(a, CLIENTS_SPARE);
	ck_assert_int_eq(may(a), 0);
}
END_TEST

START_TEST(what_comes_late_and_what_went_with_its_mailbox_bars_nobody)
{
	uint64_t a = account("192.0.2.1");

	promise(a, 100);
	run_out(a, 1);
	ck_assert_int_eq(may(a), 1);
	for (int i = 0; i < 90; i++)
		clients_gone(c, a, now);
	ck_assert_int_eq(may(a), 1);
	promise(a, CLIENTS_OPEN - 9);
	ck_assert_int_eq(
		may(a), 0); /* those that went are not open any more, others are */
	run_out(a, CLIENTS_SPARE - 2);
	ck_assert_int_eq(may(a), 1);
	run_out(a, 1);
	ck_assert_int_eq(may(a), 0);
}
END_TEST

START_TEST(what_was_more_than_a_day_ago_does_not_count)
{
	uint64_t a = account("192.0.2.1");

	promise(a, 2 + CLIENTS_SPARE);
	clients_used(c, a, now);
	clients_used(c, a, now);
	now += 25 * HOUR;
	run_out(a, CLIENTS_SPARE);
	ck_assert_int_eq(may(a), 0);
}
END_TEST

/* --- memory ------------------------------------------------------------------------- */

START_TEST(memory_is_bounded_and_who_has_promises_stays)
{
	const uint64_t first = 1000;

	for (uint64_t a = first; a < first + CLIENTS_MAX; a++) {
		ck_assert_int_eq(may(a), 1);
		promise(a, a <= first + 1 ? CLIENTS_SPARE : 1);
	}
	ck_assert_int_eq(may(7), 0); /* all have one */
	clients_promised(c, 7, now);
	clients_used(c, 7, now); /* of nobody */
	ck_assert_int_eq(may(first), 1);
	run_out(first, CLIENTS_SPARE);
	ck_assert_int_eq(may(first), 0);
	run_out(first + 1, CLIENTS_SPARE);
	ck_assert_int_eq(may(7), 1);
	promise(7, 1); /* the first is forgotten */
	ck_assert_int_eq(may(first), 1);
	ck_assert_int_eq(may(first + 1), 0);
	promise(7, CLIENTS_OPEN - 1);
	ck_assert_int_eq(may(7), 0);
}
END_TEST

/* --- networks ------------------------------------------------------------------------
 */

static const struct network_case {
	const char *network, *in, *out; /* IN is NULL: it is none */
} networks[] = {
	{"192.0.2.1", "192.0.2.1", "192.0.2.0"},
	{"192.0.2.0/25", "192.0.2.127", "192.0.2.128"},
	{"192.0.2.77/25", "192.0.2.1", "192.0.2.128"},
	{"[192.0.2.0]/31", "192.0.2.1", "192.0.2.2"},
	{"0.0.0.0/0", "255.1.2.3", "2001:db8::1"},
	{"::/0", "192.0.2.1", NULL},
	{"[2001:db8::]/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
	{"2001:db8::5/128", "2001:db8::5", "2001:db8::4"},
	{"::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9"},
	{"192.0.2.0/33", NULL, NULL},
	{"::/129", NULL, NULL},
	{"192.0.2.0/", NULL, NULL},
	{"192.0.2.0/-1", NULL, NULL},
	{"192.0.2/24", NULL, NULL},
	{"[::1", NULL, NULL},
	{"[", NULL, NULL},
	{"[]", NULL, NULL},
	{"", NULL, NULL},
	{"/0", NULL, NULL},
	{"mail.example.org", NULL, NULL},
	{"1111111111111111111111111111111111111111111111111111111111111111111", NULL,
		NULL},
};

START_TEST(a_network_is_an_address_and_its_bits)
{
	const struct network_case *n = &networks[_i];
	unsigned char address[NETWORK_ADDRESS];
	struct network network;
	struct reason why;

	ck_assert_int_eq(
		network_parse(&network, n->network, &why), n->in != NULL ? 0 : -1);
	if (n->in == NULL)
		ck_assert_ptr_nonnull(strstr(why.text, "is not an address or a network"));
	else
		ck_assert_int_eq(network_address(address, n->in), 0);
	if (n->in != NULL)
		ck_assert_int_eq(network_has(&network, address), 1);
	if (n->out != NULL) {
		ck_assert_int_eq(network_address(address, n->out), 0);
		ck_assert_int_eq(network_has(&network, address), 0);
	}
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {only_the_settings_users_are_asked_for,
		a_client_without_an_address_gets_none,
		each_address_has_an_account_and_each_64_of_ipv6,
		trusted_networks_have_no_account, a_client_has_so_many_open_and_no_more,
		whose_promises_run_out_gets_none_for_a_day,
		what_comes_late_and_what_went_with_its_mailbox_bars_nobody,
		what_was_more_than_a_day_ago_does_not_count,
		memory_is_bounded_and_who_has_promises_stays};
	TCase *all = ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);

	tcase_add_loop_test(all, a_network_is_an_address_and_its_bits, 0,
		(int)(sizeof networks / sizeof *networks));
}
