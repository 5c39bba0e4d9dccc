/* Addresses, good and bad. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_name.h"
#include "fold.h"
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
	{"Été@d", "été@d", "été@d", "été", NULL, "d"},
	{"ИВАН+Новости@d", "иван+новости@d", "иван@d", "иван", "новости", "d"},
	{"\xc9t\xe9@d", "\xc9t\xe9@d", "\xc9t\xe9@d", "\xc9t\xe9", NULL, "d"},
	{"\"John Doe\"@d", "john doe@d", "john doe@d", "john doe", NULL, "d"},
	{"\"a\\\"b+c\"@d", "a\"b+c@d", "a\"b@d", "a\"b", "c", "d"},
	{"\"a\"b@d", "\"a\"b@d", "\"a\"b@d", "\"a\"b", NULL, "d"},
	{"a\"@d", "a\"@d", "a\"@d", "a\"", NULL, "d"},
	{"a@MÜLLER.Example", "a@xn--mller-kva.example", "a@xn--mller-kva.example", "a",
		NULL, "xn--mller-kva.example"},
	{"a@XN--MLLER-KVA.example", "a@xn--mller-kva.example", "a@xn--mller-kva.example",
		"a", NULL, "xn--mller-kva.example"},
	{"a@[IPv6:::1]", "a@[ipv6:::1]", "a@[ipv6:::1]", "a", NULL, "[ipv6:::1]"},
	{"a@[ipv6:0:0:0:0:0:0:0:1]", "a@[ipv6:::1]", "a@[ipv6:::1]", "a", NULL,
		"[ipv6:::1]"},
	{"a+x@[IPV6:0:0::0.0.0.1]", "a+x@[ipv6:::1]", "a@[ipv6:::1]", "a", "x",
		"[ipv6:::1]"},
	{"a@[IPv6:2001:0DB8::0001:0:0]", "a@[ipv6:2001:db8::1:0:0]",
		"a@[ipv6:2001:db8::1:0:0]", "a", NULL, "[ipv6:2001:db8::1:0:0]"},
	{"a@[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]", "a", NULL, "[192.0.2.1]"},
	{"a@[::1]", "a@[::1]", "a@[::1]", "a", NULL, "[::1]"},
	{"a@[IPv6:::1::]", "a@[ipv6:::1::]", "a@[ipv6:::1::]", "a", NULL, "[ipv6:::1::]"},
	{"a@d..", "a@d..", "a@d..", "a", NULL, "d.."},
	{"a@M\xdcLLER.d", "a@m\xdcller.d", "a@m\xdcller.d", "a", NULL, "m\xdcller.d"},
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
	char longest[ADDRESS_MAX + 2], huge[65537], wide[ADDRESS_MAX + 1];
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
	/* what grows when it is folded (Ⱥ, ⱥ) or made ASCII does so within the bound */
	for (size_t i = 0; i + 2 <= ADDRESS_MAX; i += 2)
		memcpy(wide + i, "Ⱥ", 2);
	wide[ADDRESS_MAX] = '\0';
	ck_assert_int_eq(address_parse(&a, wide, "+", &why), -1);
	for (size_t at = 1; at < ADDRESS_MAX; at += 3) {
		memset(wide, 'a', ADDRESS_MAX);
		wide[at] = '@';
		for (size_t i = at + 1; i + 3 <= ADDRESS_MAX; i += 3)
			memcpy(wide + i, "ü.", 3);
		ck_assert(address_parse(&a, wide, "+", &why) == 0 || why.text[0]);
		ck_assert_int_le(strlen(a.text), ADDRESS_MAX);
	}
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

START_TEST(a_letter_folds_once_and_as_unicode_says)
{
	static const uint32_t folds[][2] = {{'A', 'a'}, {'a', 'a'}, {'@', '@'},
		{'[', '['}, {0xc4, 0xe4}, {0xd7, 0xd7}, {0xdf, 0xdf}, {0x130, 0x130},
		{0x178, 0xff}, {0x100, 0x101}, {0x101, 0x101}, {0x17f, 's'},
		{0x3a3, 0x3c3}, {0x3c2, 0x3c3}, {0x418, 0x438}, {0x13a0, 0x13a0},
		{0xab70, 0x13a0}, {0x1e9e, 0xdf}, {0x212a, 'k'}, {0x4e00, 0x4e00},
		{0x10400, 0x10428}, {0x1e921, 0x1e943}, {0x10ffff, 0x10ffff}};

	for (size_t i = 0; i < sizeof folds / sizeof *folds; i++)
		ck_assert_msg(fold_code(folds[i][0]) == folds[i][1], "U+%04X",
			(unsigned)folds[i][0]);
	for (uint32_t code = 0; code <= 0x10ffff; code++)
		ck_assert_msg(fold_code(fold_code(code)) == fold_code(code), "U+%04X",
			(unsigned)code);
}
END_TEST

/* A character of each length, the bounds of UTF-8, and what is none. */
START_TEST(characters_are_read_as_rfc_3629_says)
{
	static const char *const bad[] = {"\x80", "\xc1\x81", "\xc3", "\xc3(",
		"\xe0\x80\x80", "\xe2\x82", "\xed\xa0\x80", "\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"};
	static const uint32_t good[] = {
		1, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
	uint32_t code;
	char text[5];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_int_eq(fold_read(bad[i], &code), 0);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		size_t n = fold_write(text, good[i]);

		text[n] = '\0';
		ck_assert_int_eq(fold_read(text, &code), n);
		ck_assert_int_eq(code, good[i]);
	}
}
END_TEST

/* RFC 3492 section 7.1, and names that are in use. */
START_TEST(a_domain_has_the_a_labels_of_libidn2)
{
	static const char *const domains[] = {"@müller.example", "@ёжик.рф",
		"@例え.テスト", "@bücher.straße.example", "@βόλος.example",
		"@مثال.إختبار", "@_dmarc.ñ.example", "@3年b組金八先生.example",
		"@安室奈美恵-with-super-monkeys.example",
		"@почемужеонинеговорятпорусски.example",
		"@hello-another-way-それぞれの場所.example", "@ひとつ屋根の下2.example",
		"@הםפשוטלאמדבריםעברית.example", "@ü.ö.ä.example"};
	char key[ADDRESS_MAX + 1], name[ADDRESS_MAX + 1], *written;
	struct reason why;

	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
		ck_assert_int_eq(address_key(key, domains[i], NULL), 0);
		ck_assert_msg(address_name(name, domains[i], &why) == 0, "%s: %s",
			domains[i], why.text);
		ck_assert_str_eq(key, name);
		written = address_written(key);
		ck_assert_pstr_eq(written, domains[i]);
		free(written);
	}
	ck_assert_ptr_null(address_written("a@example.org"));
	ck_assert_ptr_null(address_written("xn--mller-kva"));
	ck_assert_int_eq(address_name(name, "a@mu\xcc\x88ller.example", NULL), 0);
	ck_assert_str_eq(name, "a@xn--mller-kva.example");
}
END_TEST

/* The address, and a word of the reason; NULL where it is one. */
static const struct name {
	const char *text, *word;
} names[] = {
	{"a..b@example.org", NULL},
	{".a.@example.org", NULL},
	{"a b@example.org", NULL},
	{"a\"b\\c@example.org", NULL},
	{"a@b@example.org", NULL},
	{"DOM\\user", NULL},
	{"o'brien!#$%&*+-/=?^_`{|}~@example.org", NULL},
	{"\xe9t\xe9@example.org", NULL},
	{"İ@example.org", NULL},
	{"a@under_score.example", NULL},
	{"a@localhost", NULL},
	{"a@[192.0.2.1]", NULL},
	{"a@[IPv6:2001:db8::1]", NULL},
	{"a@[ipv6:::ffff:255.255.255.255]", NULL},
	{"@example.org", NULL},
	{"", "empty"},
	{"a@", "behind"},
	{"@", "behind"},
	{"\"\"@example.org", "before"},
	{"a\tb@example.org", "control"},
	{"a@example.org.", "end"},
	{"a@.example.org", "empty part"},
	{"a@example..org", "empty part"},
	{"a@example.org..", "empty part"},
	{"a@.", "empty part"},
	{"@.example.org", "empty part"},
	{"a@@example.org", "@ too many"},
	{"@a@example.org", "@ too many"},
	{"@@example.org", "@ too many"},
	{"a@example.org b@example.org", "more than one"},
	{"a@example.org;b@example.org", "more than one"},
	{"a@example.org,b@example.org", "\",\""},
	{"a,@example.org", "\",\""},
	{"a,b", "\",\""},
	{"<a@example.org>", "\"<\""},
	{"<a>", "\"<\""},
	{"A <a@example.org>", "\"<\""},
	{"\"A\" <a@example.org>", "\"<\""},
	{"a@example.org>", "\">\""},
	{"a@example.org (A)", "\" \""},
	{"a@exa mple.org", "\" \""},
	{"a@example.org ", "\" \""},
	{"a@ example.org", "\" \""},
	{"a@example.org,", "\",\""},
	{"a@exam/ple.org", "\"/\""},
	{"a@exam\"ple.org", "\"\"\""},
	{"a@*.example.org", "\"*\""},
	{"a@example.org:25", "\":\""},
	{" a@example.org", "blank"},
	{"a @example.org", "blank"},
	{" a", "blank"},
	{"\" a\"@example.org", "blank"},
	{"\"a@example.org", "quotation"},
	{"\"a\"b@example.org", "quotation"},
	{"\"\\\"a\\\"\"@example.org", "quotation"},
	{"\"a\\\"@example.org", "quotation"},
	{"mailto:a@example.org", "mailto"},
	{"a\xe2\x80\x8b@example.org", "U+200B"},
	{"a\xe2\x80\x8d@example.org", "U+200D"},
	{"\xe2\x80\xaa"
	 "a@example.org",
		"U+202A"},
	{"a@example.org\xe2\x80\xac", "U+202C"},
	{"a\xc2\xad"
	 "b@example.org",
		"U+00AD"},
	{"a@exam\xc2\xadple.org", "U+00AD"},
	{"a\xc2\xa0@example.org", "U+00A0"},
	{"a@example.org\xc2\xa0", "U+00A0"},
	{"\xef\xbb\xbf"
	 "a@example.org",
		"U+FEFF"},
	{"a\xe3\x80\x80@example.org", "U+3000"},
	{"a\xc2\x85@example.org", "U+0085"},
	{"a\xf3\xa0\x81\xa1@example.org", "U+E0061"},
	{"a@m\xfcller.example", "no UTF-8"},
	{"a@\xcc\x88.example", "no name"},
	{"a@[192.0.2.1", "brackets"},
	{"a@[192.0.2]", "brackets"},
	{"a@[192.0.2.256]", "brackets"},
	{"a@[IPv6:2001:db8::1::2]", "brackets"},
	{"a@[2001:db8::1]", "brackets"},
	{"a@[]", "brackets"},
	{"a@[", "brackets"},
	{"a@[192.0.2.1].example", "brackets"},
	{"a@[example.org]", "brackets"},
	{"a@example.[192.0.2.1]", "\"[\""},
};

START_TEST(what_no_mta_hands_over_is_no_key_and_the_reason_is_told)
{
	char key[ADDRESS_MAX + 1], again[ADDRESS_MAX + 1];

	for (const struct name *n = names; n < names + sizeof names / sizeof *names;
		n++) {
		struct reason why = {""};
		int result = address_name(key, n->text, &why);

		ck_assert_msg(
			(result != 0) == (n->word != NULL), "%s: %s", n->text, why.text);
		ck_assert_msg(!result || strstr(why.text, n->word), "%s: %s", n->text,
			why.text);
		if (result)
			continue;
		ck_assert_int_eq(address_name(again, key, NULL), 0);
		ck_assert_str_eq(again, key);
	}
}
END_TEST

static const struct {
	const char *written, *key;
} literals[] = {
	{"::", "::"},
	{"0:0:0:0:0:0:0:0", "::"},
	{"1::", "1::"},
	{"1:0:0:0:0:0:0:0", "1::"},
	{"0:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"}, /* a zero alone stays */
	{"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
	{"1:2:3:0:5:6:7:8", "1:2:3:0:5:6:7:8"},
	{"1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"},
	{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, /* the first of equals */
	{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},       /* the longest */
	{"fe80::0202:B3FF:FE1E:8329", "fe80::202:b3ff:fe1e:8329"},
	{"FFFF:ffff:FFFF:ffff:ffff:ffff:ffff:ffff",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"::ffff:c000:0201", "::ffff:192.0.2.1"},
	{"0:0:0:0:0:FFFF:192.0.2.1", "::ffff:192.0.2.1"},
	{"::192.0.2.1", "::c000:201"},
	{"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
};

START_TEST(an_ipv6_literal_has_one_key_however_it_is_spelled)
{
	char text[128], expected[128], key[ADDRESS_MAX + 1];

	for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
		snprintf(expected, sizeof expected, "a@[ipv6:%s]", literals[i].key);
		snprintf(text, sizeof text, "A@[IPv6:%s]", literals[i].written);
		ck_assert_int_eq(address_key(key, text, NULL), 0);
		ck_assert_str_eq(key, expected);
		ck_assert_int_eq(address_name(key, text, NULL), 0);
		ck_assert_str_eq(key, expected);
		ck_assert_int_eq(address_key(key, expected, NULL), 0);
		ck_assert_str_eq(key, expected);
	}
}
END_TEST

START_TEST(a_literal_that_makes_an_address_too_long_is_refused)
{
	char text[2 * ADDRESS_MAX], key[ADDRESS_MAX + 1];

	for (size_t local = ADDRESS_MAX - 20; local <= ADDRESS_MAX; local++) {
		size_t whole = local + strlen("@[ipv6:::1]");

		memset(text, 'a', local);
		strcpy(text + local, "@[IPv6:::1]");
		ck_assert_int_eq(
			address_key(key, text, NULL), whole > ADDRESS_MAX ? -1 : 0);
	}
}
END_TEST

START_TEST(a_part_of_a_domain_has_63_bytes_at_most)
{
	char text[80] = "a@", key[ADDRESS_MAX + 1];
	struct reason why;

	memset(text + 2, 'b', 63);
	ck_assert_int_eq(address_name(key, text, &why), 0);
	text[2 + 63] = 'b';
	ck_assert_int_eq(address_name(key, text, &why), -1);
	ck_assert(strstr(why.text, "63") != NULL);
	memcpy(text + 2, "ü", 2); /* as ASCII it is longer */
	text[2 + 61] = '\0';
	ck_assert_int_eq(address_name(key, text, &why), -1);
	ck_assert(strstr(why.text, "too long") != NULL);
	text[2 + 56] = '\0';
	ck_assert_int_eq(address_name(key, text, &why), 0);
}
END_TEST

START_TEST(a_domain_has_253_bytes_at_most)
{
	char text[ADDRESS_MAX + 1] = "a@", key[ADDRESS_MAX + 1];
	struct reason why;

	for (size_t i = 0; i < 253; i++)
		text[2 + i] = i % 50 == 49 ? '.' : 'a';
	ck_assert_int_eq(address_name(key, text, NULL), 0);
	text[2 + 253] = 'a';
	ck_assert_int_eq(address_name(key, text, &why), -1);
	ck_assert(strstr(why.text, "253") != NULL);
	memcpy(text + 2 + 50, "ü", 2); /* as ASCII it is longer */
	text[2 + 253] = '\0';
	ck_assert_int_eq(address_name(key, text, &why), -1);
}
END_TEST

START_TEST(an_older_key_is_folded_in_ascii_alone)
{
	struct address a, b;
	char key[ADDRESS_MAX + 1];

	ck_assert_int_eq(address_key_older(key, "ÉTÉ@MÜLLER.example", NULL), 0);
	ck_assert_str_eq(key, "ÉtÉ@mÜller.example");
	ck_assert_int_eq(address_parse(&a, "ÉTÉ+X@MÜLLER.example", "+", NULL), 0);
	ck_assert_str_eq(a.older, "ÉtÉ+x@mÜller.example");
	ck_assert_int_eq(address_parse_older(&b, a.older, "+", NULL), 0);
	ck_assert_str_eq(b.base, "ÉtÉ@mÜller.example");
	ck_assert_int_eq(address_parse(&a, "ALICE@Example.org", "+", NULL), 0);
	ck_assert_str_eq(a.older, "");
}
END_TEST

/* What has a letter of another form in front goes the long way. */
START_TEST(a_plain_address_has_the_key_that_the_long_way_leads_to)
{
	static const char bytes[] = "az09AZ._-+@/:,~!%[]{}' ";
	char text[20] = "É", key[ADDRESS_MAX + 1], longer[ADDRESS_MAX + 1];
	const size_t head = strlen(text);

	for (int i = 0; i < 100000; i++) {
		size_t length = 1 + (size_t)(random() % 12);

		for (size_t at = 0; at < length; at++)
			text[head + at] =
				bytes[(size_t)random() % (i % 2 ? 10 : strlen(bytes))];
		text[head + length] = '\0';
		if (address_key(longer, text, NULL))
			continue;
		if (address_key(key, text + head, NULL) == 0)
			ck_assert_str_eq(key, longer + head);
	}
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
		a_key_is_cut_at_its_last_at, a_key_may_be_a_domain,
		a_plain_address_has_the_key_that_the_long_way_leads_to,
		a_letter_folds_once_and_as_unicode_says,
		characters_are_read_as_rfc_3629_says,
		a_domain_has_the_a_labels_of_libidn2, a_domain_has_253_bytes_at_most,
		an_ipv6_literal_has_one_key_however_it_is_spelled,
		a_literal_that_makes_an_address_too_long_is_refused,
		a_part_of_a_domain_has_63_bytes_at_most,
		what_no_mta_hands_over_is_no_key_and_the_reason_is_told,
		an_older_key_is_folded_in_ascii_alone};

	ADD_CASE(suite, tests);
}
