/*
 * Which queue ids a message's Received: lines give: those of this host, as each MTA
 * writes them, whatever stands between, and whatever a sender has written below.
 */
#include <stdlib.h>
#include <string.h>

#include "lda/delivery/received.h"
#include "mailbox.h"
#include "suite.h"

static const struct conf conf = {.local_domains = (char[]){"host.test"}};

/* What this host is called besides. */
int
mailbox_domain_is_local(const struct conf *c, const char *domain)
{
	ck_assert_ptr_eq(c, &conf);
	return strcmp(domain, "host.test") == 0 || strcmp(domain, "localhost") == 0;
}

#define POSTFIX                                                                          \
	"Received: from a.test (a.test [192.0.2.1])\n\tby mx.test (Postfix) with ESMTP " \
	"id "
#define FOR  "\n\tfor <alice@host.test>; Fri, 27 Nov 2026 04:40:10 +0000 (UTC)\n"
#define REST "Subject: x\n\nReceived: by mx.test id inthebody\n"

static const struct sample {
	const char *name, *message, *ids;
} samples[] = {
	{"no header at all", "", ""},
	{"no body", POSTFIX "4bXyZ0123zabc" FOR, "4bXyZ0123zabc"},
	{"no Received:", "Return-Path: <>\nSubject: x\n\nx\n", ""},
	{"a body alone", "\n" POSTFIX "A1" FOR, ""},
	{"Postfix", POSTFIX "4bXyZ0123zabc" FOR REST, "4bXyZ0123zabc"},
	{"Postfix with TLS and a login",
		"Received: from a.test (a.test [IPv6:2001:db8::1])\n"
		"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\n"
		"\t key-exchange X25519 server-signature RSA-PSS (2048 bits))\n"
		"\t(Client CN \"by x id 1\", Issuer \"()\" (not verified))\n"
		"\t(Authenticated sender: alice)\n"
		"\tby mx.test (Postfix) with ESMTPSA id 9F2C11A0B3" FOR REST,
		"9F2C11A0B3"},
	{"Postfix, submitted here",
		"Received: by mx.test (Postfix, from userid 0)\n\tid 4bXyZ1; Fri, 27 "
		"Nov\n" REST,
		"4bXyZ1"},
	{"Postfix, forwarded by an alias",
		"Received: by mx.test (Postfix)\n\tid B2; Fri\n" POSTFIX "A1" FOR REST,
		"B2,A1"},
	{"Exim",
		"Received: from [127.0.0.1] (helo=client.test)\n\tby host.test with "
		"esmtp "
		"(Exim 4.96)\n\t(envelope-from <me@sender.test>)\n\tid 1vOoHp-0001Xy-2a\n"
		"\tfor alice@host.test;\n\tFri, 27 Nov 2026 04:40:10 +0000\n" REST,
		"1vOoHp-0001Xy-2a"},
	{"Exim, submitted here, with an id of today's",
		"Received: from root by host.test with local (Exim 4.98)\n"
		"\t(envelope-from <root@host.test>)\n\tid 1vOoHp-000000001Xy-2aBc\n\tfor "
		"a@b;"
		" Fri\n" REST,
		"1vOoHp-000000001Xy-2aBc"},
	{"Exim with TLS",
		"Received: from a.test ([192.0.2.1])\n\tby host.test with esmtps "
		"(TLS1.3) tls "
		"TLS_AES_256_GCM_SHA384\n\t(Exim 4.96)\n\tid 1vOoHp-0001Xy-2a\n\tfor "
		"a@b; x\n",
		"1vOoHp-0001Xy-2a"},
	{"OpenSMTPD",
		"Received: from client.test (localhost [127.0.0.1])\n\tby host.test "
		"(OpenSMTPD) with ESMTP id 1a2b3c4d\n\tfor "
		"<alice@host.test>;\n\tFri\n" REST,
		"1a2b3c4d"},
	{"OpenSMTPD, submitted here",
		"Received: from localhost (host.test [local])\n\tby host.test "
		"(OpenSMTPD) with "
		"ESMTPA id 1a2b3c4d;\n\tFri\n" REST,
		"1a2b3c4d"},
	{"sendmail",
		"Received: from client.test (localhost [127.0.0.1] (may be "
		"forged))\n\tby "
		"host.test (8.17.1.9/8.17.1.9/Debian-2) with ESMTP id "
		"4AR4eA1x012345\n\tfor "
		"<alice@host.test>; Fri\n" REST,
		"4AR4eA1x012345"},
	{"sendmail, submitted here",
		"Received: (from root@localhost)\n\tby host.test "
		"(8.17.1.9/8.17.1.9/Submit) id "
		"4AR4eA1x012345;\n\tFri\n" REST,
		"4AR4eA1x012345"},
	{"the headers of a delivery before it",
		"Return-Path: <me@sender.test>\nX-Original-To: "
		"alice@host.test\nDelivered-To: "
		"alice@host.test\n" POSTFIX "A1" FOR REST,
		"A1"},
	{"headers of a milter before and between",
		"Authentication-Results: mx.test; spf=pass by id X\n" POSTFIX "A2" FOR
		"DKIM-Signature: v=1; by mx.test id X;\n\tby mx.test id Y\n" POSTFIX
		"A1" FOR REST,
		"A2,A1"},
	{"a content filter between",
		"Received: from localhost (localhost [127.0.0.1])\n\tby mx.test "
		"(Postfix) with "
		"ESMTP id B2" FOR
		"Received: from mx.test ([127.0.0.1])\n\tby filter (mx.test "
		"[127.0.0.1]) (amavisd-new, port 10024)\n\twith ESMTP id aBcDeFgH" FOR
			POSTFIX "A1" FOR REST,
		"B2,A1"},
	{"a content filter by a name of this host, its ids of another form",
		"Received: from x by mx.test (Postfix) id B2;\nReceived: from x by "
		"localhost "
		"(amavisd-new) with ESMTP id aB_c+d;\n" POSTFIX "A1" FOR REST,
		"B2,A1"},
	{"a filter's MTA by another name of this host",
		"Received: from x by filtered.test (Postfix) id B2;\nReceived: from x by "
		"HOST.test id A1;\nReceived: from x by filtered.test id A0;\n\n",
		"B2,A1,A0"},
	{"another host's",
		POSTFIX "A1" FOR "Received: from x by a.test (Postfix) id A0;\nReceived: "
			"by mx.test.evil id A0;\n\n",
		"A1"},
	{"names in capitals",
		"RECEIVED: BY MX.Test ID a1; x\nReceived: by mx.TEST id a2;\n\n",
		"a1,a2"},
	{"a topmost one without an id",
		"Received: from x by mx.test with LMTP;\nReceived: by y id Y;\n" POSTFIX
		"A1" FOR,
		"A1"},
	{"qmail's, which has neither",
		"Received: (qmail 1234 invoked by uid 0); 27 Nov\n" POSTFIX "A1" FOR,
		"A1"},
	{"CRLF",
		"Received: from a.test (a.test)\r\n\tby mx.test (Postfix)\r\n\tid A1; "
		"Fri\r\n"
		"Received: by mx.test id A0\r\n\r\nReceived: by mx.test id X\r\n",
		"A1,A0"},
	{"folded after each word",
		"Received:\n from\n a\n by\n\tmx.test\n id\n A1\n ;\n\n", "A1"},
	{"from a host that is called by",
		"Received: from by (id [192.0.2.1]) by mx.test id A1;\n\n", "A1"},
	{"a name in quotes",
		"Received: from \"x by evil id B (\\\" \" by mx.test id A1;\n\n", "A1"},
	{"a comment in a comment",
		"Received: from x (a (b) \\) by evil id B (\")) by mx.test (c) id "
		"(d)A1(e);\n\n",
		"A1"},
	{"a comment that does not end", "Received: from x (by mx.test id A1;\n\n", ""},
	{"a quote that does not end", "Received: from \"x by mx.test id A1;\n\n", ""},
	{"a backslash at the end", "Received: by mx.test id A1 (\\", "A1"},
	{"an id twice", "Received: by mx.test id A1 id A2;\n\n", "A1"},
	{"a host twice",
		"Received: by mx.test by other.test id A1;\n"
		"Received: by other.test id A2;\n\n",
		"A1"},
	{"an id in the date", "Received: by mx.test; id A1\n\n", ""},
	{"an id with nothing behind", "Received: by mx.test id\n\n", ""},
	{"an empty Received:", "Received:\nReceived: by mx.test id A1\n\n", "A1"},
	{"a blank before the colon", "Received : by mx.test id A1\n\n", ""},
	{"ids that are none",
		"Received: by mx.test id A,B;\nReceived: by mx.test id A=B;\nReceived: "
		"by mx.test "
		"id <A1@x>;\nReceived: by mx.test id ..;\nReceived: by mx.test id "
		"%41;\n\n",
		""},
	{"an id that is too long",
		"Received: by mx.test id "
		"0123456789012345678901234567890123456789012345678901234"
		"5678901234;\nReceived: by mx.test id "
		"01234567890123456789012345678901234567890"
		"1234567890123456789012;\n\n",
		"012345678901234567890123456789012345678901234567890123456789012"},
	{"too many",
		"Received: by m id 1;\nReceived: by m id 2;\nReceived: by m id "
		"3;\nReceived: by m "
		"id 4;\nReceived: by m id 5;\nReceived: by m id 6;\nReceived: by m id "
		"7;\n"
		"Received: by m id 8;\nReceived: by m id 9;\n\n",
		"1,2,3,4,5,6,7,8"},
	{"a line that is none", "nonsense\n" POSTFIX "A1" FOR, "A1"},
	{"an mbox line", "From x Fri Nov 27\n" POSTFIX "A1" FOR, "A1"},
};

/* In memory of its own, so that a byte too far is found. */
static void
read_ids(char ids[RECEIVED_SIZE], const char *text, size_t length, int is_whole)
{
	char *copy = malloc(length + !length);

	memcpy(copy, text, length);
	memset(ids, '?', RECEIVED_SIZE);
	received_ids(ids, &conf, copy, length, is_whole);
	free(copy);
}

START_TEST(a_message_has_the_ids_of_this_host)
{
	const struct sample *s = &samples[_i];
	char ids[RECEIVED_SIZE];

	read_ids(ids, s->message, strlen(s->message), 1);
	ck_assert_msg(
		strcmp(ids, s->ids) == 0, "%s: \"%s\", not \"%s\"", s->name, ids, s->ids);
}
END_TEST

/* Wherever the first chunk ends: what is there in full is taken, and nothing else. */
START_TEST(a_cut_message_has_the_first_of_the_ids)
{
	const struct sample *s = &samples[_i];
	char ids[RECEIVED_SIZE];

	for (size_t length = 0; length <= strlen(s->message); length++) {
		read_ids(ids, s->message, length, 0);
		ck_assert_msg(
			!ids[0] || (strncmp(s->ids, ids, strlen(ids)) == 0 &&
					   strchr(",", s->ids[strlen(ids)]) != NULL),
			"%s: %zu bytes: \"%s\"", s->name, length, ids);
	}
}
END_TEST

START_TEST(a_nul_is_a_byte_like_others)
{
	static const char text[] =
		"X: \0\nReceived: from \0 by mx.test (\0) id A1;\n"
		"Received: by mx.test\0 id A2;\nReceived: by mx.test id A\0;\n"
		"Received: by mx.test id A3;\n\n";
	char ids[RECEIVED_SIZE];

	read_ids(ids, text, sizeof text - 1, 1);
	ck_assert_str_eq(ids, "A1,A3");
}
END_TEST

START_TEST(a_header_of_a_megabyte_is_passed)
{
	static const char head[] = "X: ", tail[] = "\n" POSTFIX "A1" FOR;
	static char text[1 << 20];
	char ids[RECEIVED_SIZE];

	memset(text, '(', sizeof text);
	memcpy(text, head, sizeof head - 1);
	memcpy(text + sizeof text - sizeof tail, tail, sizeof tail - 1);
	read_ids(ids, text, sizeof text - 1, 1);
	ck_assert_str_eq(ids, "A1");
	memcpy(text, "Received: by mx.test id A0 ", 27); /* all of it a comment */
	read_ids(ids, text, sizeof text - sizeof tail, 1);
	ck_assert_str_eq(ids, "A0");
}
END_TEST

START_TEST(lines_below_the_first_are_not_looked_at_for_ever)
{
	static const char line[] = "Received: by x id X;\n", last[] = POSTFIX "A0" FOR;
	char text[sizeof last + 40 * sizeof line] = POSTFIX "A1" FOR, ids[RECEIVED_SIZE];

	for (int i = 0; i < 20; i++)
		strcat(text, line);
	strcat(text, last);
	read_ids(ids, text, strlen(text), 1);
	ck_assert_str_eq(ids, "A1");
}
END_TEST

START_TEST(settings_that_were_not_read_name_no_host)
{
	static const struct conf none;
	static const char text[] = POSTFIX "A2" FOR "Received: by host.test id A1;\n\n";
	char ids[RECEIVED_SIZE];

	received_ids(ids, &none, text, sizeof text - 1, 1);
	ck_assert_str_eq(ids, "A2");
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_nul_is_a_byte_like_others,
		a_header_of_a_megabyte_is_passed,
		lines_below_the_first_are_not_looked_at_for_ever,
		settings_that_were_not_read_name_no_host};
	const int count = sizeof samples / sizeof *samples;
	TCase *c = ADD_CASE(suite, tests, .timeout = 60);

	tcase_add_loop_test(c, a_message_has_the_ids_of_this_host, 0, count);
	tcase_add_loop_test(c, a_cut_message_has_the_first_of_the_ids, 0, count);
}
