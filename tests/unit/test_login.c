/* Logins: whose they are, what a change refuses, and tables that an older brimadm has
 * changed. */
#include "login.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "directory/users_db.h"
#include "suite.h"

#define ALICE "alice@example.org uid=1001 gid=1001 mail=/m/alice/"
#define BOB   "bob@example.org uid=1002 gid=1002 mail=/m/bob/"

static char folder[64], table[128];
static struct conf conf;
static struct reason why;

static void
setup(void)
{
	char file[160];
	FILE *f;

	strcpy(folder, access("/dev/shm", W_OK) ? "/tmp/brim-login-XXXXXX"
						: "/dev/shm/brim-login-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(table, sizeof table, "%s/users.db", folder);
	snprintf(file, sizeof file, "%s/brim.conf", folder);
	f = fopen(file, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "users_db = %s\nlocal_domains = here.example\nsend_quota = 5K\n",
		table);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_msg(conf_load(&conf, file, &why) == 0, "%s", why.text);
}

static void
teardown(void)
{
	conf_free(&conf);
	remove_tree(folder);
}

static enum change_result
put(struct change *c, const char *line)
{
	struct record r;
	enum change_result result;

	ck_assert_int_eq(record_parse(&r, line, strlen(line), 1, &why), 0);
	result = change_put(c, &r, &why);
	record_clear(&r);
	return result;
}

/* One change of these lines, the last NULL: what the first that is refused gets, or the
 * whole. */
static enum change_result
change_with(unsigned flags, const char *const *lines)
{
	struct change *c = change_begin(&conf, flags | CHANGE_NEW_TABLE, NULL, &why);
	enum change_result result = CHANGE_OK;

	ck_assert_msg(c != NULL, "%s", why.text);
	for (; *lines && !result; lines++)
		result = put(c, *lines);
	if (result)
		change_abort(&c);
	else
		result = change_commit(&c, NULL, &why);
	return result;
}

#define CHANGE(flags, ...) change_with(flags, (const char *const[]){__VA_ARGS__, NULL})

static void
remove_record(const char *key)
{
	struct change *c = change_begin(&conf, 0, NULL, &why);

	ck_assert_int_eq(change_remove(c, key, &why), CHANGE_OK);
	ck_assert_int_eq(change_commit(&c, NULL, &why), CHANGE_OK);
}

static struct login
find(const char *login)
{
	struct users *u = users_open(table, &why);
	struct login l;

	ck_assert_msg(u != NULL, "%s", why.text);
	ck_assert_msg(users_read_through(u, &why) == 0, "%s", why.text);
	ck_assert_msg(login_find(&l, u, &conf, login, &why) >= 0, "%s", why.text);
	users_close(&u);
	return l;
}

static void
assert_leads(const char *login, const char *mailbox)
{
	ck_assert_str_eq(find(login).mailbox, mailbox);
}

START_TEST(a_login_leads_to_the_record_that_has_it_or_the_address)
{
	ck_assert_int_eq(CHANGE(0, ALICE " login=Alice.Smith", BOB,
				 "@example.net alias=@example.org",
				 "sales@example.org alias=bob@example.org",
				 "carol uid=1003 gid=1003 mail=/m/carol/ "
				 "login=carol@m%C3%BCller.example",
				 "@caught.example catchall=bob@example.org"),
		CHANGE_OK);
	assert_leads("alice.smith", "alice@example.org");
	assert_leads("ALICE.SMITH", "alice@example.org");
	assert_leads("alice@example.org", "alice@example.org");
	assert_leads("Bob@Example.ORG", "bob@example.org");
	assert_leads("bob@example.net", "bob@example.org");
	assert_leads("carol", "carol");
	assert_leads("carol@here.example", "carol");
	assert_leads("carol@xn--mller-kva.example", "carol");
	assert_leads("carol@M\xC3\x9CLLER.example", "carol");
}
END_TEST

START_TEST(what_leads_to_mail_and_not_to_a_person_is_no_login)
{
	static const char *const nobody[] = {"sales@example.org", "x@caught.example",
		"bob+x@example.org", "bob", "alice", "@example.org", "", "@", "a\nb",
		"\\\\x", "=", "/m/bob", "\001", "login=x"};

	ck_assert_int_eq(CHANGE(0, ALICE " login=a.smith", BOB,
				 "sales@example.org alias=bob@example.org",
				 "@caught.example catchall=bob@example.org"),
		CHANGE_OK);
	for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++)
		assert_leads(nobody[i], "");
}
END_TEST

START_TEST(the_limit_is_the_records_the_domains_or_the_settings)
{
	ck_assert_int_eq(
		CHANGE(0, "@example.org send_quota=3000",
			ALICE " send_quota=2000 login=al", BOB,
			"carol uid=1003 gid=1003 mail=/m/carol/",
			"dave@example.org uid=1004 gid=1004 mail=/m/dave/ send_quota=0"),
		CHANGE_OK);
	ck_assert_uint_eq(find("al").send_quota, 2000);
	ck_assert_uint_eq(find("bob@example.org").send_quota, 3000);
	ck_assert_uint_eq(find("carol").send_quota, 5 * 1024);
	ck_assert_uint_eq(find("dave@example.org").send_quota, 0);
}
END_TEST

START_TEST(two_mailboxes_never_have_one_login)
{
	ck_assert_int_eq(CHANGE(0, ALICE " login=al", BOB), CHANGE_OK);
	ck_assert_int_eq(CHANGE(0, BOB " login=AL"), CHANGE_REFUSED);
	ck_assert_str_eq(
		why.text, "bob@example.org: login=AL is the login of alice@example.org");
	/* an address is a login without being said so */
	ck_assert_int_eq(CHANGE(0, BOB " login=alice@example.org"), CHANGE_REFUSED);
	ck_assert_int_eq(CHANGE(0, "al uid=1003 gid=1003 mail=/m/al/"), CHANGE_REFUSED);
	ck_assert_str_eq(why.text, "al: alice@example.org has this as its login");
	ck_assert_int_eq(CHANGE(0, BOB " login=bob@example.org"), CHANGE_OK);
	ck_assert_int_eq(CHANGE(0, BOB " login=b,c"), CHANGE_REFUSED);
	ck_assert_int_eq(CHANGE(0, BOB " login=@example.org"), CHANGE_REFUSED);
	ck_assert_int_eq(
		CHANGE(0, "x@example.org alias=bob@example.org login=x"), CHANGE_REFUSED);
	assert_leads("al", "alice@example.org");
}
END_TEST

START_TEST(a_login_is_free_once_its_record_lets_go)
{
	ck_assert_int_eq(CHANGE(0, ALICE " login=al", BOB), CHANGE_OK);
	ck_assert_int_eq(CHANGE(0, ALICE " login=a.smith"), CHANGE_OK);
	assert_leads("al", "");
	assert_leads("a.smith", "alice@example.org");
	ck_assert_int_eq(CHANGE(0, BOB " login=al"), CHANGE_OK);
	assert_leads("al", "bob@example.org");
	remove_record("bob@example.org");
	assert_leads("al", "");
	ck_assert_int_eq(CHANGE(0, ALICE " login=al"), CHANGE_OK);
	assert_leads("al", "alice@example.org");
}
END_TEST

START_TEST(two_mailboxes_change_logins_in_one_change)
{
	ck_assert_int_eq(CHANGE(0, ALICE " login=one", BOB " login=two"), CHANGE_OK);
	ck_assert_int_eq(CHANGE(CHANGE_PATHS_LATER, ALICE " login=two", BOB " login=one"),
		CHANGE_OK);
	assert_leads("one", "bob@example.org");
	assert_leads("two", "alice@example.org");
	ck_assert_int_eq(CHANGE(CHANGE_PATHS_LATER, ALICE " login=one"), CHANGE_REFUSED);
	assert_leads("two", "alice@example.org");
}
END_TEST

START_TEST(an_undo_gives_logins_back)
{
	struct change *c;

	ck_assert_int_eq(CHANGE(0, ALICE " login=one", BOB " login=two"), CHANGE_OK);
	c = change_begin(&conf, CHANGE_CAN_UNDO, NULL, &why);
	ck_assert_int_eq(put(c, ALICE " login=three"), CHANGE_OK);
	ck_assert_int_eq(put(c, BOB " login=one"), CHANGE_OK);
	ck_assert_int_eq(change_undo(c, &why), CHANGE_OK);
	ck_assert_int_eq(change_commit(&c, NULL, &why), CHANGE_OK);
	assert_leads("one", "alice@example.org");
	assert_leads("two", "bob@example.org");
	assert_leads("three", "");
}
END_TEST

/* --- an older brimadm ------------------------------------------------------------- */

/* As one changes the table that knows no logins: EDIT keeps the paths alone, and what the
 * table says of itself has no word of them. */
static void
change_as_before(void (*edit)(struct users *u))
{
	struct users u = {.path = table};
	char own[128];

	u.fd = open(table, O_RDWR | O_CLOEXEC);
	ck_assert(u.fd >= 0 && fstat(u.fd, &u.stat) == 0);
	ck_assert_msg(users_file_check(&u, &why) == 0 && btree_verify(&u, 0, &why) == 0 &&
			      users_db_attach(&u, 0, 1 << 20, &why) == 0,
		"%s", why.text);
	edit(&u);
	snprintf(own, sizeof own, "generation=9 records=%llu sum=%llu bare=0 older=0",
		(unsigned long long)u.totals.records, (unsigned long long)u.totals.sum);
	ck_assert_int_eq(users_db_put(&u, users_key_table, 1, own, &why), 0);
	ck_assert_int_eq(users_db_detach(&u, &why), 0);
	close(u.fd);
}

static void
give_bob_the_login(struct users *u)
{
	static const char alice[] = "alice@example.org", bob[] = "bob@example.org";

	ck_assert_int_eq(users_db_put(u, alice, strlen(alice),
				 "uid=1001 gid=1001 mail=/m/alice/ login=new", &why),
		0);
	ck_assert_int_eq(users_db_put(u, bob, strlen(bob),
				 "uid=1002 gid=1002 mail=/m/bob/ login=al", &why),
		0);
}

START_TEST(no_login_leads_elsewhere_after_a_change_by_an_older_brimadm)
{
	ck_assert_int_eq(CHANGE(0, ALICE " login=al", BOB), CHANGE_OK);
	change_as_before(give_bob_the_login);
	assert_leads("al", ""); /* no limit, rather than another's */
	assert_leads("alice@example.org", "alice@example.org");
	/* the next change, whatever it is, makes the index anew */
	ck_assert_int_eq(
		CHANGE(0, "x@example.org uid=1003 gid=1003 mail=/m/x/"), CHANGE_OK);
	assert_leads("al", "bob@example.org");
	assert_leads("new", "alice@example.org");
}
END_TEST

static int
count_record(void *arg, const struct record *r)
{
	(void)r;
	++*(int *)arg;
	return 0;
}

static void
count_lost(void *arg, const char *key)
{
	(void)arg;
	ck_abort_msg("%s is told as lost", key);
}

/* Whether the records of the table, whose first page is damaged, are all that it had, by
 * their sum. */
static int
is_complete_when_damaged(int expected)
{
	int records = 0;
	const struct users_salvage to = {count_record, count_lost, &records};
	struct users_salvaged s;
	FILE *f = fopen(table, "r+");

	ck_assert(
		f && fseek(f, 100, SEEK_SET) == 0 && fputc(1, f) == 1 && fclose(f) == 0);
	ck_assert_int_eq(users_salvage(table, &to, &s, &why), 0);
	ck_assert(!s.sound && s.missing == 0);
	ck_assert_int_eq(records, expected);
	return s.complete;
}

static void
remove_alice(struct users *u)
{
	static const char alice[] = "alice@example.org", path[] = "\001/m/alice";

	ck_assert_int_eq(users_db_remove(u, alice, strlen(alice), &why), 1);
	ck_assert_int_eq(users_db_remove(u, path, strlen(path), &why), 1);
}

START_TEST(the_index_that_is_made_anew_has_nothing_of_before)
{
	ck_assert_int_eq(CHANGE(0, ALICE " login=al", BOB " login=b"), CHANGE_OK);
	change_as_before(remove_alice);
	ck_assert_int_eq(CHANGE(0, BOB " login=b2"), CHANGE_OK);
	ck_assert(is_complete_when_damaged(2));
}
END_TEST

START_TEST(a_login_whose_mailbox_an_older_brimadm_removed_is_nobodys)
{
	ck_assert_int_eq(CHANGE(0, ALICE " login=al", BOB), CHANGE_OK);
	change_as_before(remove_alice);
	assert_leads("al", "");
	ck_assert_int_eq(CHANGE(0, BOB " login=al"), CHANGE_OK);
	assert_leads("al", "bob@example.org");
}
END_TEST

START_TEST(what_is_salvaged_of_a_sound_table_with_logins_is_complete)
{
	int records = 0;
	const struct users_salvage to = {count_record, count_lost, &records};
	struct users_salvaged s;

	ck_assert_int_eq(CHANGE(0, ALICE " login=al", BOB " login=b"), CHANGE_OK);
	ck_assert_int_eq(users_salvage(table, &to, &s, &why), 0);
	ck_assert(s.sound && s.complete && records == 3);
	ck_assert(is_complete_when_damaged(3));
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		a_login_leads_to_the_record_that_has_it_or_the_address,
		what_leads_to_mail_and_not_to_a_person_is_no_login,
		the_limit_is_the_records_the_domains_or_the_settings,
		two_mailboxes_never_have_one_login,
		a_login_is_free_once_its_record_lets_go,
		two_mailboxes_change_logins_in_one_change,
		an_undo_gives_logins_back,
		no_login_leads_elsewhere_after_a_change_by_an_older_brimadm,
		a_login_whose_mailbox_an_older_brimadm_removed_is_nobodys,
		the_index_that_is_made_anew_has_nothing_of_before,
		what_is_salvaged_of_a_sound_table_with_logins_is_complete,
	};

	ADD_CASE(suite, tests, .setup = setup, .teardown = teardown);
}
