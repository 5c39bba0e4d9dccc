/* Addresses, good and bad. */
#include <string.h>

#include "address.h"
#include "suite.h"

static const struct good {
	const char *text, *folded, *base, *user, *extension, *domain;
} goods[] = {
	{"Alice@Example.ORG", "alice@example.org", "alice@example.org", "alice", NULL,
		"example.org"},
	{"alice+News@example.org", "alice+news@example.org", "alice@example.org", "alice",
		"news", "example.org"},
	{"alice", "alice", "alice", "alice", NULL, ""},
	{"alice+x", "alice+x", "alice", "alice", "x", ""},
	{"a+b+c@d", "a+b+c@d", "a@d", "a", "b+c", "d"},
	{"+x@d", "+x@d", "+x@d", "+x", NULL, "d"},
	{"a+@d", "a+@d", "a@d", "a", "", "d"},
	{"a@b@d", "a@b@d", "a@b@d", "a@b", NULL, "d"},
	{"a b'\"@d", "a b'\"@d", "a b'\"@d", "a b'\"", NULL, "d"},
	{"../x@d", "../x@d", "../x@d", "../x", NULL, "d"},
	{"a+../../y@d", "a+../../y@d", "a@d", "a", "../../y", "d"},
	{"\xc3\x89t\xc3\xa9@d", "\xc3\x89t\xc3\xa9@d", "\xc3\x89t\xc3\xa9@d",
		"\xc3\x89t\xc3\xa9", NULL, "d"},
};

START_TEST(an_address_is_taken_apart)
{
	struct address a;

	for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
		ck_assert_msg(address_parse(&a, goods[i].text, "+", NULL) == 0, "%s",
			goods[i].text);
		ck_assert_str_eq(a.text, goods[i].folded);
		ck_assert_str_eq(a.base, goods[i].base);
		ck_assert_str_eq(a.user, goods[i].user);
		ck_assert_str_eq(a.domain, goods[i].domain);
		ck_assert_pstr_eq(a.extension, goods[i].extension);
	}
}
END_TEST

START_TEST(what_cannot_be_an_address_is_refused)
{
	static const char *const bad[] = {
		"", "@d", "a@", "@", "a\n@d", "a@d\r", "\x01", "a\x7f@d"};
	char longest[ADDRESS_MAX + 2], huge[65537];
	struct reason why;
	struct address a;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		why.text[0] = '\0';
		ck_assert_msg(
			address_parse(&a, bad[i], "+", &why) == -1, "\"%s\"", bad[i]);
		ck_assert(why.text[0]);
	}
	memset(longest, 'a', sizeof longest);
	longest[ADDRESS_MAX + 1] = '\0';
	ck_assert_int_eq(address_parse(&a, longest, "+", &why), -1);
	longest[ADDRESS_MAX] = '\0';
	ck_assert_int_eq(address_parse(&a, longest, "+", &why), 0);
	memset(huge, 'a', sizeof huge);
	huge[sizeof huge - 1] = '\0';
	ck_assert_int_eq(address_parse(&a, huge, "+", &why), -1);
}
END_TEST

START_TEST(delimiters_are_the_administrators)
{
	struct address a;

	ck_assert_int_eq(address_parse(&a, "alice-x@d", "+-", NULL), 0);
	ck_assert_str_eq(a.base, "alice@d");
	ck_assert_int_eq(address_parse(&a, "alice+x@d", "", NULL), 0);
	ck_assert_ptr_null(a.extension);
	ck_assert_str_eq(a.base, "alice+x@d");
}
END_TEST

START_TEST(a_key_is_cut_at_its_last_at)
{
	ck_assert_str_eq(address_domain_key("a@b@example.org"), "@example.org");
	ck_assert_str_eq(address_domain_key("@example.org"), "@example.org");
	ck_assert_ptr_null(address_domain_key("alice"));
}
END_TEST

START_TEST(a_key_may_be_a_domain)
{
	char key[ADDRESS_MAX + 1];

	ck_assert_int_eq(address_key(key, "@Example.org", NULL), 0);
	ck_assert_str_eq(key, "@example.org");
	ck_assert_int_eq(address_key(key, "a@", NULL), -1);
	ck_assert_int_eq(address_key(key, "", NULL), -1);
	ck_assert_int_eq(address_key(key, "a\tb", NULL), -1);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {an_address_is_taken_apart,
		what_cannot_be_an_address_is_refused, delimiters_are_the_administrators,
		a_key_is_cut_at_its_last_at, a_key_may_be_a_domain};

	ADD_CASE(suite, tests);
}
