/* From an address to its mailbox, over a table of lines in place of the database. */
#include "line_table.h"
#include "mailbox.h"
#include "suite.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const sound_lines[] = {
	"alice@example.org uid=1001 gid=1001 mail=/m/alice/ quota=1000",
	"bob@example.org uid=1002 gid=1002 mail=/m/bob/ quota=0 messages=7 over_quota=1d "
	"smtp_full=refuse",
	"bob+lists@example.org uid=1003 gid=1003 mail=/m/lists/",
	"gone@example.org uid=1004 gid=1004 mail=/m/gone/ state=moved "
	"moved_to=gone@new.test",
	"sales@example.org alias=alice@example.org",
	"many@example.org alias=alice@example.org,bob@example.org",
	"nowhere@example.org alias=lost@example.org",
	"abroad@example.org alias=x@elsewhere.test",
	"loop1@example.org alias=loop2@example.org",
	"loop2@example.org alias=loop1@example.org",
	"a10@example.org alias=a9@example.org",
	"a9@example.org alias=a8@example.org",
	"a8@example.org alias=a7@example.org",
	"a7@example.org alias=a6@example.org",
	"a6@example.org alias=a5@example.org",
	"a5@example.org alias=a4@example.org",
	"a4@example.org alias=a3@example.org",
	"a3@example.org alias=a2@example.org",
	"a2@example.org alias=a1@example.org",
	"a1@example.org alias=root",
	"a11@example.org alias=a10@example.org",
	"root alias=alice@example.org",
	"carol uid=1005 gid=1005 mail=/home/carol/Maildir/",
	"carol+work uid=1006 gid=1006 mail=/home/carol-work/Maildir/",
	"@example.org quota=5000 over_quota=bounce smtp_full=wait",
	"@all.test catchall=alice+all@example.org",
	"dave@all.test uid=1007 gid=1007 mail=/m/dave/",
	"@lost.test catchall=lost@lost.test",
	"@away.test catchall=many@example.org",
	"@host2.test",
	"@alias.test alias=@example.org",
	"@alias2.test alias=@alias.test",
	"@toall.test alias=@all.test",
	"@tohost.test alias=@host.test",
	"@host3.test alias=@example.org",
	"@ring1.test alias=@ring2.test",
	"@ring2.test alias=@ring1.test",
	"@tonone.test alias=@elsewhere.test",
	"@nonsense.test alias=alice@example.org",
	"abuse@alias.test alias=bob@example.org",
	"into@example.org alias=bob+lists@alias2.test",
	"@caught.test catchall=gone@alias2.test",
	"@again.test catchall=x@caught.test",
	"@whirl1.test catchall=x@whirl2.test",
	"@whirl2.test catchall=x@whirl1.test",
	"low@example.org uid=5 gid=1001 mail=/m/low/",
	"rootgroup@example.org uid=1001 gid=0 mail=/m/low/",
	"nomail@example.org uid=1001 gid=1001",
	"mbox@example.org uid=1001 gid=1001 mail=/var/mail/mbox",
	"badquota@example.org uid=1001 gid=1001 mail=/m/bq/ quota=1G",
	"badstate@example.org uid=1001 gid=1001 mail=/m/bs/ state=asleep",
	"baduid@example.org uid=x gid=1001 mail=/m/bu/",
	"nobody@example.org uid=65534 gid=1001 mail=/m/no/",
	"huge@example.org uid=4294967295 gid=1001 mail=/m/hu/",
	NULL,
};

static char delimiter[] = "+", local_domains[] = "host.test, Host2.Test, host3.test";

static void
setup(void)
{
	line_table.lines = sound_lines;
}

static struct conf
settings(void)
{
	return (struct conf){.recipient_delimiter = delimiter,
		.local_domains = local_domains,
		.over_quota = 259200,
		.quota = 9000,
		.min_uid = 100};
}

/* --- the order of look-ups -------------------------------------------------------- */

static const struct find_case {
	const char *address, *key; /* KEY NULL: not found */
	enum verdict verdict;
	const char *word; /* of the outcome's text */
} cases[] = {
	{"alice@example.org", "alice@example.org", 0, NULL},
	{"ALICE@Example.ORG", "alice@example.org", 0, NULL},
	{"alice+x@example.org", "alice@example.org", 0, NULL},
	{"bob+lists@example.org", "bob+lists@example.org", 0, NULL},
	{"bob+other@example.org", "bob@example.org", 0, NULL},
	{"carol", "carol", 0, NULL},
	{"carol@host.test", "carol", 0, NULL},
	{"carol@HOST2.test", "carol", 0, NULL},
	{"carol+work@host.test", "carol+work", 0, NULL},
	{"carol+x@host.test", "carol", 0, NULL},
	{"carol+x", "carol", 0, NULL},
	{"carol@localhost", "carol", 0, NULL},
	{"carol@LocalHost.LocalDomain", "carol", 0, NULL},
	{"carol+x@[127.0.0.1]", "carol", 0, NULL},
	{"carol@[127.8.9.10]", "carol", 0, NULL},
	{"carol@[IPv6:::1]", "carol", 0, NULL},
	{"carol@[ipv6:0:0:0:0:0:0:0:1]", "carol", 0, NULL},
	{"carol@[IPV6:0::0001]", "carol", 0, NULL},
	{"nobody1@localhost", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"nobody1@[127.0.0.1]", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"carol@[203.0.113.77]", NULL, VERDICT_MISCONFIGURED, "203.0.113.77"},
	{"carol@[IPv6:2001:db8::77]", NULL, VERDICT_MISCONFIGURED, "2001:db8"},
	{"carol@[::1]", NULL, VERDICT_MISCONFIGURED, NULL},
	{"carol@[127.0.0.1", NULL, VERDICT_MISCONFIGURED, NULL},
	{"carol@127.0.0.1", NULL, VERDICT_MISCONFIGURED, NULL},
	{"carol@[]", NULL, VERDICT_MISCONFIGURED, NULL},
	{"sales@example.org", "alice@example.org", 0, NULL},
	{"sales+x@example.org", "alice@example.org", 0, NULL},
	{"a9@example.org", "alice@example.org", 0, NULL},
	{"anybody@all.test", "alice@example.org", 0, NULL},
	{"dave@all.test", "dave@all.test", 0, NULL},
	{"alice@alias.test", "alice@example.org", 0, NULL},
	{"Alice@ALIAS2.test", "alice@example.org", 0, NULL},
	{"bob+lists@alias.test", "bob+lists@example.org", 0, NULL},
	{"bob+other@alias2.test", "bob@example.org", 0, NULL},
	{"sales+x@alias.test", "alice@example.org", 0, NULL},
	{"abuse@alias.test", "bob@example.org", 0, NULL},
	{"abuse@alias2.test", "bob@example.org", 0, NULL},
	{"into@alias.test", "bob+lists@example.org", 0, NULL},
	{"anybody@toall.test", "alice@example.org", 0, NULL},
	{"dave@toall.test", "dave@all.test", 0, NULL},
	{"anybody@caught.test", "gone@example.org", 0, NULL},
	{"anybody@again.test", "gone@example.org", 0, NULL},
	{"anybody@whirl1.test", NULL, VERDICT_MISCONFIGURED, "loop"},
	{"carol+work@tohost.test", "carol+work", 0, NULL},
	{"carol@host3.test", "carol", 0, NULL},
	{"bob@host3.test", "bob@example.org", 0, NULL},
	{"nobody1@alias.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"nobody1@tohost.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"bob@example.org@alias.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"a\nb@alias.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"x@ring1.test", NULL, VERDICT_MISCONFIGURED, "loop"},
	{"x@tonone.test", NULL, VERDICT_MISCONFIGURED, "elsewhere.test"},
	{"x@nonsense.test", NULL, VERDICT_MISCONFIGURED, "no domain"},
	{"nobody1@example.org", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"nobody1", NULL, VERDICT_NO_SUCH_USER, "User unknown, "},
	{"dave", NULL, VERDICT_MISCONFIGURED, "dave@"},
	{"Dave+x", NULL, VERDICT_MISCONFIGURED, "the whole address"},
	{"dave@host.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"nobody1@host.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"nobody1@host2.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"\"carol@x\"@host.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"alice@example.org@host.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"@all.test@host.test", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"alice@elsewhere.test", NULL, VERDICT_MISCONFIGURED, "elsewhere.test"},
	{"carol@example.com", NULL, VERDICT_MISCONFIGURED, "example.com"},
	{"many@example.org", NULL, VERDICT_MISCONFIGURED, "several targets"},
	{"x@away.test", NULL, VERDICT_MISCONFIGURED, "several targets"},
	{"nowhere@example.org", NULL, VERDICT_MISCONFIGURED, "lost@example.org"},
	{"abroad@example.org", NULL, VERDICT_MISCONFIGURED, "x@elsewhere.test"},
	{"x@lost.test", NULL, VERDICT_MISCONFIGURED, "lost@lost.test"},
	{"loop1@example.org", NULL, VERDICT_MISCONFIGURED, "loop"},
	{"a10@example.org", NULL, VERDICT_MISCONFIGURED, "10 aliases"},
	{"", NULL, VERDICT_MISCONFIGURED, "empty"},
	{"alice@", NULL, VERDICT_MISCONFIGURED, "behind"},
	{"@example.org", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"@elsewhere.test", NULL, VERDICT_MISCONFIGURED, "elsewhere.test"},
	{"a\nb@example.org", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"a\nb@elsewhere.test", NULL, VERDICT_MISCONFIGURED, "elsewhere.test"},
	{"a@exam\nple.org", NULL, VERDICT_MISCONFIGURED, "exam?ple.org"},
	{"a\tb", NULL, VERDICT_NO_SUCH_USER, NULL},
	{"low@example.org", NULL, VERDICT_MISCONFIGURED, "min_uid"},
	{"rootgroup@example.org", NULL, VERDICT_MISCONFIGURED, "gid 0"},
	{"nomail@example.org", NULL, VERDICT_MISCONFIGURED, "no mail="},
	{"mbox@example.org", NULL, VERDICT_MISCONFIGURED, "Maildirs"},
	{"badquota@example.org", NULL, VERDICT_MISCONFIGURED, "quota"},
	{"badstate@example.org", NULL, VERDICT_MISCONFIGURED, "asleep"},
	{"baduid@example.org", NULL, VERDICT_MISCONFIGURED, "uid"},
	{"nobody@example.org", NULL, VERDICT_MISCONFIGURED, "65534"},
	{"huge@example.org", NULL, VERDICT_MISCONFIGURED, "4294967295"},
};

START_TEST(each_address_finds_its_mailbox_or_its_verdict)
{
	const struct find_case *c = &cases[_i];
	struct conf conf = settings();
	struct outcome o = {.verdict = VERDICT_DELIVERED};
	struct mailbox m;
	int result = mailbox_find(&m, NULL, &conf, c->address, &o);

	ck_assert_msg(result == (c->key ? 0 : -1), "%s: %s", c->address, o.text);
	if (c->key)
		ck_assert_str_eq(m.key, c->key);
	else
		ck_assert_msg(o.verdict == c->verdict, "%s: %s %s", c->address,
			verdict_code(o.verdict), o.text);
	if (c->word)
		ck_assert_msg(
			strstr(o.text, c->word) != NULL, "%s: %s", c->address, o.text);
	mailbox_clear(&m);
}
END_TEST

START_TEST(a_very_long_address_is_no_such_user_of_an_owned_domain)
{
	struct conf conf = settings();
	char *address = malloc(70000);
	struct outcome o;
	struct mailbox m;

	memset(address, 'a', 65536);
	strcpy(address + 65536, "@example.org");
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, address, &o), -1);
	ck_assert_int_eq((int)o.verdict, VERDICT_NO_SUCH_USER);
	memset(address, 'a', 65536);
	address[1] = '@';
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, address, &o), -1);
	ck_assert_int_eq((int)o.verdict, VERDICT_NO_SUCH_USER);
	strcpy(address + 309, "@alias.test"); /* it fits, and in the other domain not */
	address[1] = 'a';
	ck_assert_uint_eq(strlen(address), ADDRESS_MAX);
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, address, &o), -1);
	ck_assert_int_eq((int)o.verdict, VERDICT_NO_SUCH_USER);
	memset(address, 'a', 65536);
	address[1] = '@';
	address[65536] = '\0'; /* a@aaaa..., and no domain is that long */
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, address, &o), -1);
	ck_assert_int_eq((int)o.verdict, VERDICT_MISCONFIGURED);
	free(address);
}
END_TEST

static void
find_with_extension(const char *before, int length, const char *after, int result)
{
	struct conf conf = settings();
	char *address;
	struct outcome o;
	struct mailbox m;

	ck_assert_int_gt(asprintf(&address, "%s%0*d%s", before, length, 0, after), 0);
	ck_assert_msg(mailbox_find(&m, NULL, &conf, address, &o) == result, "%s", o.text);
	if (result)
		ck_assert_int_eq((int)o.verdict, VERDICT_NO_SUCH_USER);
	mailbox_clear(&m);
	free(address);
}

START_TEST(an_extension_of_any_length_leads_to_the_mailbox)
{
	for (int length = 1; length < 5000; length += 7) {
		find_with_extension("alice+", length, "@example.org", 0);
		find_with_extension("alice+x+", length, "@Example.ORG", 0);
		find_with_extension("carol+", length, "@host.test", 0);
		find_with_extension("carol+", length, "", 0);
		find_with_extension("nobody1+", length, "@example.org", -1);
		find_with_extension("alice", length, "@example.org", -1);
	}
	find_with_extension("alice+", 70000, "@example.org", 0);
	find_with_extension("alice+", 400, "\n@example.org", -1);
}
END_TEST

START_TEST(an_empty_table_bounces_nobody)
{
	static const char *const none[] = {NULL};
	static const char *const addresses[] = {
		"carol", "carol@host.test", "a@example.org", "a\nb@host.test", "a\nb"};
	struct conf conf = settings();
	struct outcome o;
	struct mailbox m;

	line_table.lines = none;
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		ck_assert_int_eq(mailbox_find(&m, NULL, &conf, addresses[i], &o), -1);
		ck_assert_int_eq((int)o.verdict, VERDICT_MISCONFIGURED);
		ck_assert_msg(strstr(o.text, "empty") != NULL, "%s", o.text);
	}
	line_table.lines = sound_lines;
}
END_TEST

/* Then the MTA is set up to give a form of names that this table does not have. */
START_TEST(a_table_without_bare_names_bounces_none)
{
	static const char *const virtual_only[] = {
		"alice@example.org uid=1001 gid=1001 mail=/m/alice/", "@example.org",
		"@host2.test", NULL};
	static const struct {
		const char *address, *word;
	} names[] = {{"alice", "the whole address"}, {"nobody1", "the whole address"},
		{"nobody1+x", "the whole address"}, {"a\tb", "the whole address"},
		{"nobody1@host.test", "host.test"}};
	struct conf conf = settings();
	struct outcome o;
	struct mailbox m;

	line_table.lines = virtual_only;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		ck_assert_int_eq(mailbox_find(&m, NULL, &conf, names[i].address, &o), -1);
		ck_assert_int_eq((int)o.verdict, VERDICT_MISCONFIGURED);
		ck_assert_ptr_nonnull(strstr(o.text, names[i].word));
	}
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "x@example.org", &o), -1);
	ck_assert_int_eq((int)o.verdict, VERDICT_NO_SUCH_USER);
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "x@host2.test", &o), -1);
	ck_assert_int_eq((int)o.verdict, VERDICT_NO_SUCH_USER);
	line_table.lines = sound_lines;
}
END_TEST

/* Wherever the damage is met, on the way to any outcome. */
static const struct {
	const char *key, *address;
} damages[] = {
	{"alice@example.org", "alice@example.org"},
	{"alice+x@example.org", "alice+x@example.org"},
	{"alice@example.org", "sales@example.org"},
	{"@example.org", "alice@example.org"},
	{"@example.org", "nobody1@example.org"},
	{"@example.org", "a\nb@example.org"},
	{"alice@example.org", "x@all.test"},
	{"@alias.test", "alice@alias.test"},
	{"alice@example.org", "alice@alias.test"},
	{"@alias.test", "into@example.org"},
	{"", "nobody1@example.org"},
	{"carol", "carol@host.test"},
	{"bare", "nobody1"},
	{"bare", "nobody1@host.test"},
	{"whole", "nobody1"},
};

START_TEST(a_damaged_table_bounces_nobody)
{
	struct conf conf = settings();
	struct outcome o;
	struct mailbox m;

	line_table.damaged = damages[_i].key;
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, damages[_i].address, &o), -1);
	ck_assert_int_eq((int)o.verdict, VERDICT_MISCONFIGURED);
	ck_assert_msg(strstr(o.text, "damaged") != NULL, "%s", o.text);
	line_table.damaged = NULL;
}
END_TEST

/* Reading its domain's, lda learns all that there is to know of it. */
START_TEST(an_unknown_name_asks_for_its_domain_once)
{
	struct conf conf = settings();
	struct outcome o;
	struct mailbox m;

	line_table.lookups = 0;
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "nobody1@example.org", &o), -1);
	ck_assert_int_eq(line_table.lookups, 2);
	line_table.lookups = 0;
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "bob@alias.test", &o), 0);
	ck_assert_int_eq(
		line_table.lookups, 3); /* there, the alias domain, and the record */
	mailbox_clear(&m);
}
END_TEST

START_TEST(the_common_case_asks_twice)
{
	struct conf conf = settings();
	struct outcome o;
	struct mailbox m;

	line_table.lookups = 0;
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "alice@example.org", &o), 0);
	ck_assert_int_eq(
		line_table.lookups, 2); /* the record and its domain's defaults */
	mailbox_clear(&m);
	line_table.lookups = 0;
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "bob@example.org", &o), 0);
	ck_assert_int_eq(
		line_table.lookups, 1); /* it has a value of its own for each of them */
	mailbox_clear(&m);
	line_table.lookups = 0;
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "carol", &o), 0);
	ck_assert_int_eq(line_table.lookups, 1);
	mailbox_clear(&m);
}
END_TEST

/* --- values ------------------------------------------------------------------------ */

START_TEST(defaults_come_from_the_domain_then_the_settings)
{
	static const struct {
		const char *address;
		uint64_t quota, messages, over_quota, smtp_full_waits;
	} wanted[] = {{"alice@example.org", 1000, 0, 0, 1},
		{"bob@example.org", 0, 7, 86400, 0},
		{"bob+lists@example.org", 5000, 0, 0, 1}, {"carol", 9000, 0, 259200, 0},
		{"x@all.test", 1000, 0, 0, 1}};
	struct conf conf = settings();
	struct outcome o;
	struct mailbox m;

	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		ck_assert_int_eq(mailbox_find(&m, NULL, &conf, wanted[i].address, &o), 0);
		ck_assert_uint_eq(m.quota, wanted[i].quota);
		ck_assert_uint_eq(m.messages, wanted[i].messages);
		ck_assert_uint_eq(m.over_quota, wanted[i].over_quota);
		ck_assert_uint_eq(m.smtp_full_waits, wanted[i].smtp_full_waits);
		mailbox_clear(&m);
	}
}
END_TEST

START_TEST(a_mailbox_has_what_its_record_says)
{
	struct conf conf = settings();
	struct outcome o;
	struct mailbox m;

	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "gone@example.org", &o), 0);
	ck_assert_uint_eq(m.uid, 1004);
	ck_assert_uint_eq(m.gid, 1004);
	ck_assert_str_eq(m.path, "/m/gone/");
	ck_assert_int_eq((int)m.state, MAILBOX_MOVED);
	ck_assert_str_eq(m.moved_to, "gone@new.test");
	mailbox_clear(&m);
	ck_assert_ptr_null(m.path);
}
END_TEST

static const struct {
	enum mailbox_state state;
	char *moved_to;
	uint64_t quota, limit, bytes;
	enum verdict verdict;
	const char *text;
} policies[] = {
	{MAILBOX_ENABLED, NULL, 0, 0, UINT64_MAX, VERDICT_DELIVERED, ""},
	{MAILBOX_ENABLED, NULL, 1024, 0, 1024, VERDICT_DELIVERED, ""},
	{MAILBOX_ENABLED, NULL, 1024, 0, 1025, VERDICT_TOO_LARGE,
		"the message is larger than 1K, the whole quota of this mailbox"},
	{MAILBOX_ENABLED, NULL, 1024, 1, 0, VERDICT_DELIVERED, ""},
	{MAILBOX_ENABLED, NULL, 0, 2048, 2048, VERDICT_DELIVERED, ""},
	{MAILBOX_ENABLED, NULL, 0, 2048, 2049, VERDICT_TOO_LARGE,
		"the message is larger than 2K, the limit of this server"},
	{MAILBOX_DISABLED, NULL, 0, 0, 0, VERDICT_DISABLED, "the mailbox is disabled"},
	{MAILBOX_SUSPENDED, NULL, 1, 1, 9, VERDICT_SUSPENDED,
		"the mailbox takes no mail at the moment"},
	{MAILBOX_MOVED, (char[]){"x@y.test"}, 0, 0, 0, VERDICT_MOVED,
		"the mailbox has moved, new address: x@y.test"},
	{MAILBOX_MOVED, (char[]){"x+\\a=@y.test"}, 0, 0, 0, VERDICT_MOVED,
		"the mailbox has moved, new address: x+\\a=@y.test"},
	{MAILBOX_MOVED, (char[]){"m\u00fcller+a\\@\U0001d11e.test"}, 0, 0, 0,
		VERDICT_MOVED,
		"the mailbox has moved, new address: "
		"m\\x{FC}ller\\x{2B}a\\x{5C}@\\x{1D11E}.test"},
	{MAILBOX_MOVED, (char[]){"m\xfcller@y.test"}, 0, 0, 0, VERDICT_MOVED,
		"the mailbox has moved"},
	{MAILBOX_MOVED, NULL, 0, 0, 0, VERDICT_DISABLED, "the mailbox has moved"},
};

START_TEST(the_record_alone_decides)
{
	struct conf conf = settings();
	struct mailbox m = {.state = policies[_i].state,
		.moved_to = policies[_i].moved_to,
		.quota = policies[_i].quota};
	struct outcome o = {.verdict = VERDICT_DELIVERED};
	int result;

	conf.message_size_limit = policies[_i].limit;
	result = mailbox_policy(&m, &conf, policies[_i].bytes, &o);
	ck_assert_int_eq(result, policies[_i].verdict == VERDICT_DELIVERED ? 0 : -1);
	ck_assert_int_eq((int)o.verdict, (int)policies[_i].verdict);
	ck_assert_str_eq(o.text, policies[_i].text);
}
END_TEST

/* --- what an administrator may write --------------------------------------------- */

static const struct {
	const char *line, *fault; /* FAULT NULL: allowed */
} checks[] = {
	{"a@b.c uid=1 gid=1 mail=/m/", NULL},
	{"a@b.c uid=1 gid=1 mail=/m/a/ quota=5 messages=5 over_quota=3d state=enabled",
		NULL},
	{"a@b.c uid=1 gid=1 mail=/m/a/ colour=blue", NULL},
	{"a@b.c alias=x@y.z,b", NULL},
	{"@b.c", NULL},
	{"@b.c quota=1 messages=2 over_quota=defer smtp_full=wait catchall=x@y.z", NULL},
	{"a@b.c gid=1 mail=/m/a/", "needs uid="},
	{"a@b.c uid=1 mail=/m/a/", "needs gid="},
	{"a@b.c uid=1 gid=1", "needs mail="},
	{"a@b.c uid=0 gid=1 mail=/m/a/", "root"},
	{"a@b.c uid=1 gid=0 mail=/m/a/", "root"},
	{"a@b.c uid=65534 gid=1 mail=/m/a/", "nobody"},
	{"a@b.c uid=4294967295 gid=1 mail=/m/a/", "nobody"},
	{"a@b.c uid=-1 gid=1 mail=/m/a/", "not a number"},
	{"a@b.c uid=1 gid=1 mail=m/a/", "absolute"},
	{"a@b.c uid=1 gid=1 mail=/m/../a/", ".."},
	{"a@b.c uid=1 gid=1 mail=/m/./a/", "."},
	{"a@b.c uid=1 gid=1 mail=/m//a/", "empty"},
	{"a@b.c uid=1 gid=1 mail=/m/a", "Maildirs"},
	{"a@b.c uid=1 gid=1 mail=/", "Maildirs"},
	{"a@b.c uid=1 gid=1 mail=/m/ quota=5K", "quota"},
	{"a@b.c uid=1 gid=1 mail=/m/ quota=18446744073709551616", "quota"},
	{"a@b.c uid=1 gid=1 mail=/m/ messages=-1", "messages"},
	{"a@b.c uid=1 gid=1 mail=/m/ over_quota=soon", "defer, bounce"},
	{"a@b.c uid=1 gid=1 mail=/m/ smtp_full=defer", "refuse or wait"},
	{"a@b.c uid=1 gid=1 mail=/m/ state=dead", "state"},
	{"a@b.c uid=1 gid=1 mail=/m/ state=moved", "moved_to"},
	{"a@b.c uid=1 gid=1 mail=/m/ catchall=x@y.z", "no field catchall"},
	{"a@b.c alias=x@y.z uid=1", "no field uid"},
	{"a@b.c alias=x@y.z,", "empty"},
	{"a@b.c alias=x@y.z,,a", "empty"},
	{"a@b.c alias=@y.z", "before"},
	{"a@b.c alias=x@", "behind"},
	{"@b.c uid=1", "no field uid"},
	{"@b.c alias=@y.z", NULL},
	{"@b.c alias=@y.z colour=blue", NULL},
	{"@b.c alias=x@y.z", "is no domain"},
	{"@b.c alias=@y.z,@a.z", "is no domain"},
	{"@b.c alias=y.z", "is no domain"},
	{"@b.c alias=@", "behind"},
	{"@b.c alias=@y.z catchall=x@y.z", "an alias domain has no field catchall"},
	{"@b.c alias=@y.z quota=5", "an alias domain has no field quota"},
	{"@b.c uid=1 alias=@y.z", "an alias domain has no field uid"},
	{"@b.c catchall=x@y.z,y@y.z", "more than one"},
};

START_TEST(a_record_is_checked_before_it_goes_in)
{
	struct record r;
	struct reason why = {""};
	int result;

	ck_assert_int_eq(
		record_parse(&r, checks[_i].line, strlen(checks[_i].line), 1, &why), 0);
	result = mailbox_check_record(&r, &why);
	ck_assert_msg(result == (checks[_i].fault ? -1 : 0), "%s: %s", checks[_i].line,
		why.text);
	if (checks[_i].fault)
		ck_assert_msg(strstr(why.text, checks[_i].fault) != NULL, "%s: %s",
			checks[_i].line, why.text);
	record_clear(&r);
}
END_TEST

START_TEST(without_a_setting_the_hosts_name_is_local)
{
	struct conf conf = settings();
	char host[256];

	conf.local_domains = (char[]){""};
	ck_assert_int_eq(gethostname(host, sizeof host), 0);
	ck_assert_int_eq(mailbox_domain_is_local(&conf, host), 1);
	ck_assert_int_eq(mailbox_domain_is_local(&conf, "other.test"), 0);
	ck_assert_int_eq(mailbox_domain_is_local(&conf, ""), 0);
}
END_TEST

/* What the kernel calls the host, and every address of every interface. */
START_TEST(the_hosts_names_and_addresses_are_local_whatever_is_set)
{
	const struct conf conf = settings();
	char host[256], text[INET6_ADDRSTRLEN], literal[INET6_ADDRSTRLEN + 16];
	struct ifaddrs *all;

	ck_assert_int_eq(gethostname(host, sizeof host), 0);
	ck_assert_int_eq(mailbox_domain_is_local(&conf, host), 1);
	host[strcspn(host, ".")] = '\0';
	ck_assert_int_eq(mailbox_domain_is_local(&conf, host), 1);
	ck_assert_int_eq(getifaddrs(&all), 0);
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		int six = i->ifa_addr && i->ifa_addr->sa_family == AF_INET6;
		const void *address =
			six ? (const void *)&((const struct sockaddr_in6 *)(const void *)
						      i->ifa_addr)
					->sin6_addr
			    : &((const struct sockaddr_in *)(const void *)i->ifa_addr)
					->sin_addr;

		if (!i->ifa_addr || (!six && i->ifa_addr->sa_family != AF_INET))
			continue;
		inet_ntop(i->ifa_addr->sa_family, address, text, sizeof text);
		snprintf(literal, sizeof literal, "[%s%s]", six ? "IPv6:" : "", text);
		ck_assert_msg(
			mailbox_domain_is_local(&conf, literal) == 1, "%s", literal);
	}
	freeifaddrs(all);
}
END_TEST

START_TEST(a_virtual_domain_named_as_the_host_has_no_accounts_unless_it_is_local)
{
	static const char *const named[] = {"@localhost",
		"eve@localhost uid=1008 gid=1008 "
		"mail=/m/eve/",
		"carol uid=1005 gid=1005 mail=/home/carol/Maildir/", NULL};
	struct conf conf = settings();
	struct outcome o;
	struct mailbox m;

	line_table.lines = named;
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "eve@localhost", &o), 0);
	mailbox_clear(&m);
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "carol@localhost", &o), -1);
	ck_assert_int_eq(o.verdict, VERDICT_NO_SUCH_USER);
	conf.local_domains = (char[]){"localhost"};
	ck_assert_int_eq(mailbox_find(&m, NULL, &conf, "carol@localhost", &o), 0);
	mailbox_clear(&m);
	line_table.lines = sound_lines;
}
END_TEST

/* By another program's SipHash-1-3, as quotad(8) tells. */
START_TEST(a_place_is_a_path_and_an_owner)
{
	ck_assert_uint_eq(mailbox_place("/home/alice/Maildir/", 1001),
		UINT64_C(0x1ecde33d7a291658));
	ck_assert_uint_ne(mailbox_place("/home/alice/Maildir/", 1002),
		UINT64_C(0x1ecde33d7a291658));
	ck_assert_uint_ne(
		mailbox_place("/home/alice/", 1001), UINT64_C(0x1ecde33d7a291658));
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {
		a_very_long_address_is_no_such_user_of_an_owned_domain,
		an_unknown_name_asks_for_its_domain_once,
		an_extension_of_any_length_leads_to_the_mailbox,
		a_table_without_bare_names_bounces_none, an_empty_table_bounces_nobody,
		the_common_case_asks_twice,
		defaults_come_from_the_domain_then_the_settings,
		a_mailbox_has_what_its_record_says,
		without_a_setting_the_hosts_name_is_local,
		the_hosts_names_and_addresses_are_local_whatever_is_set,
		a_virtual_domain_named_as_the_host_has_no_accounts_unless_it_is_local,
		a_place_is_a_path_and_an_owner};
	TCase *c = ADD_CASE(suite, tests, .setup = setup);

	tcase_add_loop_test(
		c, each_address_finds_its_mailbox_or_its_verdict, 0, COUNT(cases));
	tcase_add_loop_test(c, a_damaged_table_bounces_nobody, 0, COUNT(damages));
	tcase_add_loop_test(c, the_record_alone_decides, 0, COUNT(policies));
	tcase_add_loop_test(c, a_record_is_checked_before_it_goes_in, 0, COUNT(checks));
}
