/*
 * Who is trusted, with a kernel that says what the test wants, and memory that runs out
 * when it wants.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "privileges.h"
#include "quotad/wire/peer.h"
#include "suite.h"

#define DAEMON 1 /* on every Debian */
#define BIN    2
#define GROUP  5

static struct {
	uid_t uid; /* at the other end */
	gid_t gid;
	uid_t own; /* the daemon's */
	int nss_asked, no_memory;
} fake;

int
getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict size)
{
	const struct ucred who = {.pid = 1, .uid = fake.uid, .gid = fake.gid};

	(void)fd;
	(void)level;
	if (option != SO_PEERCRED)
		return -1;
	memcpy(value, &who, sizeof who);
	*size = sizeof who;
	return 0;
}

uid_t
geteuid(void)
{
	return fake.own;
}

struct passwd *
getpwnam(const char *name)
{
	static struct passwd p;

	fake.nss_asked++;
	p.pw_uid = strcmp(name, "daemon") == 0 ? DAEMON : BIN;
	return &p;
}

void *
reallocarray(void *p, size_t count, size_t size)
{
	return fake.no_memory ? NULL : realloc(p, count * size);
}

/* Uids from 100 on are nobody's mailboxes. */
int
users_reload_knows(const struct users_reload *r, uid_t uid)
{
	(void)r;
	return uid < 100;
}

static struct peers *
new_peers(void)
{
	struct peers *p = peers_new(GROUP, NULL);

	ck_assert_ptr_nonnull(p);
	return p;
}

static int
configure(struct peers *p, const char *trusted_users, uint64_t tickets)
{
	char list[100];
	const struct conf c = {.max_connections = 100,
		.max_user_connections = 10,
		.max_user_tickets = tickets,
		.trusted_users = list};
	struct reason why;
	int result;

	strcpy(list, trusted_users);
	result = peers_configure(p, &c, &why);
	if (result == -1)
		ck_assert_str_eq(why.text, "no memory");
	return result;
}

static struct room_asker
asker(struct peers *p, uid_t uid)
{
	struct peer peer;
	struct room_asker a;
	struct reason why;

	fake.uid = uid;
	ck_assert_int_eq(peer_enter(p, 0, 0, &peer, &why), 0);
	a = peer_asker(p, &peer);
	peer_leave(p, &peer);
	return a;
}

START_TEST(trusted_users_are_found_without_nss)
{
	struct peers *p = new_peers();

	ck_assert_int_eq(configure(p, "daemon nobody-of-that-name", 10), 0);
	ck_assert_int_eq(fake.nss_asked, 0);
	ck_assert_int_eq(asker(p, DAEMON).trusted, 1);
	ck_assert_int_eq(asker(p, BIN).trusted, 0);
	ck_assert_int_eq(configure(p, "bin", 10), 0);
	ck_assert_int_eq(asker(p, DAEMON).trusted, 0);
	ck_assert_int_eq(asker(p, BIN).trusted, 1);
	peers_free(&p);
}
END_TEST

START_TEST(the_daemons_own_user_has_its_own_rights_alone)
{
	struct peers *p = new_peers();

	fake.own = DAEMON;
	fake.gid = GROUP; /* a child of the scanner has the group as well */
	ck_assert_int_eq(configure(p, "", 10), 0);
	ck_assert_int_eq(asker(p, DAEMON).trusted, 0);
	ck_assert_uint_eq(asker(p, DAEMON).uid, DAEMON);
	ck_assert_uint_eq(asker(p, DAEMON).ticket_limit, 10);
	ck_assert_int_eq(asker(p, BIN).trusted, 1);
	ck_assert_int_eq(asker(p, 0).trusted, 1);
	ck_assert_int_eq(configure(p, "daemon", 10), 0);
	ck_assert_int_eq(asker(p, DAEMON).trusted, 0);
	ck_assert_uint_eq(asker(p, DAEMON).ticket_limit, 160);
	peers_free(&p);
}
END_TEST

START_TEST(without_memory_all_stays_as_it_was)
{
	struct peers *p = new_peers();

	ck_assert_int_eq(configure(p, "daemon", 10), 0);
	fake.no_memory = 1;
	ck_assert_int_eq(configure(p, "bin", 20), -1);
	ck_assert_int_eq(asker(p, DAEMON).trusted, 1);
	ck_assert_int_eq(asker(p, BIN).trusted, 0);
	ck_assert_uint_eq(asker(p, BIN).ticket_limit, 10);
	peers_free(&p);
}
END_TEST

/* What connections still count in at a test's end: its process's, and gone with it. */
static struct peers *volatile kept;

/* Connections of that uid until one is refused: their number. */
static int
enter_as(struct peers *p, uid_t uid, int permitted)
{
	struct peer peer;
	struct reason why;
	int entered = 0;

	fake.uid = fake.gid = uid;
	while (peer_enter(p, 0, permitted, &peer, &why) == 0) {
		ck_assert_int_eq(!permitted || peer_asker(p, &peer).trusted, 1);
		entered++;
	}
	return entered;
}

static int
enter_many(struct peers *p, uid_t uid)
{
	return enter_as(p, uid, 0);
}

START_TEST(who_may_open_a_socket_is_trusted_there_and_counted_apart)
{
	struct peers *p = peers_new(GROUP, (const struct users_reload *)&fake);

	kept = p;
	fake.own = 99;
	ck_assert_int_eq(configure(p, "", 10), 0);
	/* of 100 twelve are for others than these, and three of the rest for who has few
	 */
	ck_assert_int_eq(enter_as(p, 1000, 1), 85);
	ck_assert_int_eq(enter_as(p, UID_NOBODY, 1), 3);
	ck_assert_int_eq(enter_as(p, 1001, 1), 0);
	ck_assert_int_eq(enter_many(p, 1000), 2); /* a stranger's, as ever */
	ck_assert_int_eq(enter_many(p, 10), 8);
	ck_assert_int_eq(enter_many(p, 0), 2);
}
END_TEST

START_TEST(strangers_have_little_and_leave_the_rest)
{
	/* the fake knows by itself who has a mailbox */
	struct peers *p = peers_new(GROUP, (const struct users_reload *)&fake);
	int strangers = 0, known = 0;

	kept = p;
	fake.own = 99;
	ck_assert_int_eq(configure(p, "", 10), 0);
	ck_assert_int_eq(enter_many(p, 1000), 2); /* a quarter of ten */
	for (uid_t uid = 1001; uid < 1050; uid++)
		strangers += enter_many(p, uid);
	ck_assert_int_eq(strangers, 100 / 16 - 2);
	for (uid_t uid = 10; uid < 60; uid++) {
		int entered = enter_many(p, uid);

		ck_assert_int_le(entered, 10);
		known += entered;
	}
	ck_assert_int_gt(known, 60);
	ck_assert_int_eq(known + 100 / 16, 75); /* a quarter is the trusted's */
	ck_assert_int_eq(enter_many(p, 0), 25);
}
END_TEST

START_TEST(those_who_come_late_find_a_place)
{
	struct peers *p = peers_new(GROUP, (const struct users_reload *)&fake);

	kept = p;
	fake.own = 99;
	ck_assert_int_eq(configure(p, "", 10), 0);
	for (uid_t uid = 10; uid < 17; uid++)
		ck_assert_int_eq(enter_many(p, uid), 10);
	ck_assert_int_ge(enter_many(p, 17), 4); /* of five that are left */
	ck_assert_int_eq(enter_many(p, 18), 1);
	ck_assert_int_eq(enter_many(p, 10), 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {trusted_users_are_found_without_nss,
		the_daemons_own_user_has_its_own_rights_alone,
		without_memory_all_stays_as_it_was,
		strangers_have_little_and_leave_the_rest,
		those_who_come_late_find_a_place,
		who_may_open_a_socket_is_trusted_there_and_counted_apart};

	ADD_CASE(suite, tests);
}
