/* From an address to all that it leads to, over a table of lines. */
#include "targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "line_table.h"
#include "mailbox.h"
#include "suite.h"

static const char *const sound_lines[] = {
	"alice@example.org uid=1001 gid=1001 mail=/m/alice/",
	"bob@example.org uid=1002 gid=1002 mail=/m/bob/",
	"bob+lists@example.org uid=1003 gid=1003 mail=/m/lists/",
	"carol uid=1005 gid=1005 mail=/home/carol/Maildir/",
	"sales@example.org alias=alice@example.org",
	"team@example.org alias=alice@example.org,bob+x@example.org,carol",
	"tree@example.org alias=team@example.org,sales@example.org,x@elsewhere.test",
	"abroad@example.org alias=X@elsewhere.test",
	"dangling@example.org alias=ghost@example.org",
	"half@example.org alias=ghost@example.org,alice@example.org",
	"caught@example.org alias=anybody@all.test",
	"loop1@example.org alias=loop2@example.org",
	"loop2@example.org alias=alice@example.org,loop1@example.org",
	"@example.org",
	"@all.test catchall=alice+all@example.org",
	"dave@all.test uid=1007 gid=1007 mail=/m/dave/",
	"@again.test catchall=x@all.test",
	"@toteam.test catchall=team@example.org",
	"@lost.test catchall=lost@lost.test",
	"@leaving.test catchall=x@elsewhere.test",
	"@missing.test catchall=ghost@example.org",
	"@several.test catchall=alice@example.org,bob@example.org",
	"@alias.test alias=@example.org",
	"@toall.test alias=@all.test",
	"@host.test quota=5",
	"@ring1.test alias=@ring2.test",
	"@ring2.test alias=@ring1.test",
	NULL,
};

static char delimiter[] = "+", local_domains[] = "host.test";
static const struct conf conf = {
	.recipient_delimiter = delimiter, .local_domains = local_domains, .min_uid = 100};

static void
setup(void)
{
	line_table = (struct line_table){.lines = sound_lines};
}

/* "alias: mailbox elsewhere=... nobody=...", or "! verdict". */
static const char *
show(int result, struct targets *t, const struct outcome *o)
{
	static const char *const kinds[] = {
		[TARGET_MAILBOX] = "",
		[TARGET_ELSEWHERE] = "elsewhere=",
		[TARGET_NOBODY] = "nobody=",
	};
	static char text[4000];
	int n = snprintf(text, sizeof text, "%s", t->is_alias ? "alias:" : "");

	if (result == -1) {
		ck_assert_ptr_null(t->list);
		snprintf(text, sizeof text, "! %s", verdict_name(o->verdict));
		return text;
	}
	for (size_t i = 0; i < t->count; i++)
		n += snprintf(text + n, sizeof text - (size_t)n, "%s%s%s", n ? " " : "",
			kinds[t->list[i].kind], t->list[i].address);
	targets_clear(t);
	return text;
}

static const char *
find(const char *address)
{
	struct targets t;
	struct outcome o;
	int result = targets_find(&t, NULL, &conf, address, &o);

	return show(result, &t, &o);
}

static const char *
find_alias(const char *address)
{
	struct targets t;
	struct outcome o;
	int result = targets_of_alias(&t, NULL, &conf, address, &o);

	return show(result, &t, &o);
}

static const struct find_case {
	const char *address, *found;
} cases[] = {
	{"alice@example.org", "alice@example.org"},
	{"ALICE+x@Example.ORG", "alice@example.org"},
	{"bob+lists@example.org", "bob+lists@example.org"},
	{"bob+lists@alias.test", "bob+lists@example.org"},
	{"carol", "carol"},
	{"carol+x@host.test", "carol"},
	{"sales+x@example.org", "alias: alice@example.org"},
	{"sales@alias.test", "alias: alice@example.org"},
	{"team@example.org", "alias: alice@example.org bob@example.org carol"},
	{"tree@example.org", "alias: alice@example.org bob@example.org carol "
			     "alice@example.org elsewhere=x@elsewhere.test"},
	{"abroad@example.org", "alias: elsewhere=X@elsewhere.test"},
	{"dangling@example.org", "alias: nobody=ghost@example.org"},
	{"half@example.org", "alias: nobody=ghost@example.org alice@example.org"},
	{"caught@example.org", "alias: alice@example.org"},
	{"anybody@all.test", "alias: alice@example.org"},
	{"dave@all.test", "dave@all.test"},
	{"anybody@toall.test", "alias: alice@example.org"},
	{"anybody@again.test", "alias: alice@example.org"},
	{"anybody@toteam.test", "alias: alice@example.org bob@example.org carol"},
	{"ghost@example.org", "nobody=ghost@example.org"},
	{"ghost@alias.test", "nobody=ghost@alias.test"},
	{"Ghost+x@Example.org", "nobody=Ghost+x@Example.org"},
	{"\x01@example.org", "nobody=\x01@example.org"},
	/* not ours, or known to others, too */
	{"x@elsewhere.test", "elsewhere=x@elsewhere.test"},
	{"\x01@elsewhere.test", "elsewhere=\x01@elsewhere.test"},
	{"root", "elsewhere=root"},
	{"root@host.test", "elsewhere=root@host.test"},
	{"root@localhost", "elsewhere=root@localhost"},
	{"", "elsewhere="},
	{"@", "elsewhere=@"},
	{"x@", "elsewhere=x@"},
	/* errors of ours */
	{"loop1@example.org", "! misconfigured"},
	{"loop2@example.org", "! misconfigured"},
	{"x@lost.test", "! misconfigured"},
	{"x@leaving.test", "! misconfigured"},
	{"x@missing.test", "! misconfigured"},
	{"x@several.test", "! misconfigured"},
	{"x@ring1.test", "! misconfigured"},
};

START_TEST(each_address_leads_to_its_targets)
{
	ck_assert_msg(strcmp(find(cases[_i].address), cases[_i].found) == 0,
		"%s: %s instead of %s", cases[_i].address, find(cases[_i].address),
		cases[_i].found);
}
END_TEST

/* Where mailbox_find has a mailbox, it is the only target. */
START_TEST(a_mailbox_is_found_where_a_delivery_finds_it)
{
	const struct find_case *c = &cases[_i];
	struct mailbox m;
	struct outcome o;
	struct targets t;

	if (mailbox_find(&m, NULL, &conf, c->address, &o) == 0) {
		ck_assert_int_eq(targets_find(&t, NULL, &conf, c->address, &o), 0);
		ck_assert_uint_eq(t.count, 1);
		ck_assert_str_eq(t.list[0].address, m.key);
		targets_clear(&t);
	}
	mailbox_clear(&m);
}
END_TEST

START_TEST(an_empty_table_has_nobody_and_owns_nothing)
{
	static const char *const none[] = {NULL};

	line_table.lines = none;
	ck_assert_str_eq(find("alice@example.org"), "elsewhere=alice@example.org");
	ck_assert_str_eq(find("alice"), "elsewhere=alice");
}
END_TEST

START_TEST(an_owned_domain_of_an_older_table_has_nobody_for_sure_only_if_it_is_plain)
{
	line_table.has_older_keys = 1;
	ck_assert_str_eq(find("gh\u00f6st@example.org"), "! misconfigured");
	ck_assert_str_eq(find("ghost@example.org"), "nobody=ghost@example.org");
}
END_TEST

START_TEST(a_damaged_table_is_an_error)
{
	static const struct {
		const char *damaged, *address;
	} damages[] = {
		{"alice@example.org", "alice@example.org"},
		{"alice@example.org", "team@example.org"},
		{"@example.org", "ghost@example.org"},
		{"@example.org", "\x01@example.org"},
		{"@alias.test", "ghost@alias.test"},
		{"@all.test", "anybody@all.test"},
		{"@elsewhere.test", "x@elsewhere.test"},
		{"root", "root"},
	};

	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		line_table.damaged = damages[i].damaged;
		ck_assert_msg(strcmp(find(damages[i].address), "! misconfigured") == 0,
			"%s", damages[i].address);
	}
	line_table.damaged = "team@example.org";
	ck_assert_str_eq(find_alias("team@example.org"), "! misconfigured");
}
END_TEST

START_TEST(an_alias_is_told_as_it_is_written)
{
	static const struct find_case aliases[] = {
		{"team@example.org", "alias: elsewhere=alice@example.org "
				     "elsewhere=bob+x@example.org elsewhere=carol"},
		{"Team+x@alias.test", "alias: elsewhere=alice@example.org "
				      "elsewhere=bob+x@example.org elsewhere=carol"},
		{"abroad@example.org", "alias: elsewhere=X@elsewhere.test"},
		{"loop1@example.org", "alias: elsewhere=loop2@example.org"},
		{"alice@example.org", ""},
		{"ghost@example.org", ""},
		{"anybody@all.test", ""},
		{"x@elsewhere.test", ""},
		{"", ""},
		{"\x01@example.org", ""},
	};

	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		ck_assert_str_eq(find_alias(aliases[i].address), aliases[i].found);
}
END_TEST

/* "NAME alias=" and COUNT times the target; the caller frees it. */
static char *
long_alias(const char *name, int count, const char *target)
{
	char *line = NULL;
	size_t size;
	FILE *to = open_memstream(&line, &size);

	fprintf(to, "%s alias=", name);
	for (int i = 0; i < count; i++)
		fprintf(to, "%s%s", i ? "," : "", target);
	fclose(to);
	return line;
}

/* Each of ten aliases names the next one ten times over. */
START_TEST(so_many_targets_are_found_and_no_more)
{
	char *many = long_alias("many", 100, "carol");
	char *thousand = long_alias("thousand", 10, "many");
	char *more = long_alias("more", 1, "carol,thousand");
	char *bomb = long_alias("bomb", 100, "thousand");
	const char *const lines[] = {many, thousand, more, bomb,
		"carol uid=1005 gid=1005 mail=/home/carol/Maildir/", NULL};
	struct targets t;
	struct outcome o;

	line_table.lines = lines;
	ck_assert_int_eq(targets_find(&t, NULL, &conf, "thousand", &o), 0);
	ck_assert_uint_eq(t.count, TARGETS_MAX);
	targets_clear(&t);
	ck_assert_str_eq(find("more"), "! misconfigured");
	line_table.lookups = 0;
	ck_assert_str_eq(find("bomb"), "! misconfigured");
	ck_assert_int_lt(line_table.lookups, 3 * TARGETS_MAX);
	free(many);
	free(thousand);
	free(more);
	free(bomb);
}
END_TEST

START_TEST(no_more_is_looked_up_than_was_asked_for)
{
	struct targets t;
	struct outcome o;

	for (size_t most = 1; most <= 6; most++) {
		line_table.lookups = 0;
		ck_assert_int_eq(
			targets_find_some(&t, most, NULL, &conf, "tree@example.org", &o),
			0);
		ck_assert_uint_eq(t.count, most < 5 ? most : 5);
		ck_assert_int_eq(t.is_cut, most < 5);
		ck_assert_str_eq(t.list[0].address, "alice@example.org");
		if (most == 1)
			ck_assert_int_le(line_table.lookups, 5);
		targets_clear(&t);
	}
}
END_TEST

START_TEST(ten_aliases_in_a_row_are_followed_and_no_more)
{
	char texts[12][80];
	const char *lines[13] = {"a0 uid=1005 gid=1005 mail=/m/a/"};

	for (int i = 1; i < 12; i++) {
		snprintf(texts[i], sizeof texts[i], "a%d alias=a%d", i, i - 1);
		lines[i] = texts[i];
	}
	line_table.lines = lines;
	ck_assert_str_eq(find("a10"), "alias: a0");
	ck_assert_str_eq(find("a11"), "! misconfigured");
}
END_TEST

/* The extension alone may be cut, and what is no key all the same is in no table. */
START_TEST(an_address_longer_than_any_key_is_no_error)
{
	char text[2000];

	snprintf(text, sizeof text, "sales+%0400d@example.org", 1);
	ck_assert_str_eq(find(text), "alias: alice@example.org");
	ck_assert_str_eq(find_alias(text), "alias: elsewhere=alice@example.org");
	snprintf(text, sizeof text, "%0400d@example.org", 1);
	ck_assert_int_eq(strncmp(find(text), "nobody=", 7), 0);
	snprintf(text, sizeof text, "alice@%0400d", 1);
	ck_assert_int_eq(strncmp(find(text), "elsewhere=", 10), 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {an_empty_table_has_nobody_and_owns_nothing,
		an_owned_domain_of_an_older_table_has_nobody_for_sure_only_if_it_is_plain,
		a_damaged_table_is_an_error, an_alias_is_told_as_it_is_written,
		so_many_targets_are_found_and_no_more,
		no_more_is_looked_up_than_was_asked_for,
		ten_aliases_in_a_row_are_followed_and_no_more,
		an_address_longer_than_any_key_is_no_error};
	TCase *c = ADD_CASE(suite, tests, .setup = setup);

	tcase_add_loop_test(c, each_address_leads_to_its_targets, 0,
		(int)(sizeof cases / sizeof *cases));
	tcase_add_loop_test(c, a_mailbox_is_found_where_a_delivery_finds_it, 0,
		(int)(sizeof cases / sizeof *cases));
}
