/* Settings: read whole or not at all, and every fault with its place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf_read.h"
#include "conf.h"
#include "suite.h"

static char file[64];

static int
load_bytes(const char *text, size_t size, struct conf *c, struct reason *why)
{
	FILE *to;
	int fd, result;

	strcpy(file, "/tmp/brim-conf.XXXXXX");
	fd = mkstemp(file);
	ck_assert_int_ge(fd, 0);
	to = fdopen(fd, "w");
	fwrite(text, 1, size, to);
	fclose(to);
	result = conf_load(c, file, why);
	unlink(file);
	return result;
}

static int
load(const char *text, struct conf *c, struct reason *why)
{
	return load_bytes(text, strlen(text), c, why);
}

START_TEST(an_empty_file_is_the_defaults)
{
	struct conf c;

	ck_assert_int_eq(load("# nothing\n\n  # nor here\n \t\n", &c, NULL), 0);
	ck_assert_str_eq(c.socket, "/run/brim/quotad.sock");
	ck_assert_str_eq(c.recipient_delimiter, "+");
	ck_assert_uint_eq(c.over_quota, 3 * 86400);
	ck_assert_uint_eq(c.smtp_full_waits, 0);
	ck_assert_uint_eq(c.wait_max, 10 << 20);
	ck_assert_uint_eq(c.deadline, 300);
	ck_assert_uint_eq(c.quotad_timeout, 10);
	ck_assert_uint_eq(c.recheck_above, 80);
	ck_assert_uint_eq(c.quotad_down_delivers, 0);
	ck_assert_uint_eq(c.users_mode, 0644);
	conf_free(&c);
}
END_TEST

START_TEST(values_are_taken_with_blanks_around)
{
	struct conf c;

	ck_assert_int_eq(load("quota \t =  1.5G  \t \nover_quota=defer\n"
			      "smtp_full = wait\nwait_max = 1M\n"
			      "quotad_down = deliver\nlocal_domains = a.org, b.org\n"
			      "log = stderr",
				 &c, NULL),
		0);
	ck_assert_uint_eq(c.quota, 3ULL << 29);
	ck_assert_uint_eq(c.over_quota, CONF_DEFER);
	ck_assert_uint_eq(c.smtp_full_waits, 1);
	ck_assert_uint_eq(c.wait_max, 1 << 20);
	ck_assert_uint_eq(c.quotad_down_delivers, 1);
	ck_assert_uint_eq(c.log, CONF_LOG_STDERR);
	ck_assert_str_eq(c.local_domains, "a.org, b.org");
	conf_free(&c);
}
END_TEST

START_TEST(networks_are_networks)
{
	struct reason why;
	struct conf c;

	ck_assert_int_eq(load("promise_trusted = 192.0.2.0/24, 10.0.0.1\n"
			      " [2001:db8::]/32 ::1/128 fe80::/129\n"
			      "promise_time = 0\n",
				 &c, &why),
		-1);
	ck_assert_ptr_nonnull(strstr(why.text, "promise_trusted: \"fe80::/129\" is not"));
	ck_assert_int_eq(load("promise_trusted = 192.0.2.0/24, 10.0.0.1\n"
			      " [2001:db8::]/32 ::1/128\n"
			      "promise_time = 0\n",
				 &c, &why),
		0);
	ck_assert_uint_eq(c.promise_time, 0);
	conf_free(&c);
	ck_assert_int_eq(load("promise_time = 2d\n", &c, &why), -1);
}
END_TEST

START_TEST(a_line_that_begins_with_a_blank_continues)
{
	struct conf c;

	ck_assert_int_eq(load("trusted_users = vmail,\n  # the archive's\n\n \t\n# and\n"
			      "\tarchive \n quota 1G\nquota\n =\n 2G\n",
				 &c, NULL),
		0);
	ck_assert_str_eq(c.trusted_users, "vmail,\tarchive quota 1G");
	ck_assert_uint_eq(c.quota, 2ULL << 30);
	conf_free(&c);
}
END_TEST

START_TEST(a_cr_at_the_end_of_a_line_is_a_blank)
{
	struct conf c;

	ck_assert_int_eq(load("quota = 1G\r\n\r\n# x\r\ntrusted_users = a\r\n  b\r\n"
			      "socket = /a\r",
				 &c, NULL),
		0);
	ck_assert_uint_eq(c.quota, 1ULL << 30);
	ck_assert_str_eq(c.trusted_users, "a  b");
	ck_assert_str_eq(c.socket, "/a");
	conf_free(&c);
}
END_TEST

START_TEST(lines_are_of_any_length)
{
	static char text[100000] = "trusted_users = ";
	struct conf c;

	memset(text + strlen(text), 'x', 70000);
	strcat(text, "\n ");
	memset(text + strlen(text), 'y', 20000);
	strcat(text, "\nquota = 1G\n");
	ck_assert_int_eq(load(text, &c, NULL), 0);
	ck_assert_uint_eq(strlen(c.trusted_users), 90001);
	ck_assert_uint_eq(c.quota, 1ULL << 30);
	conf_free(&c);
}
END_TEST

START_TEST(every_fault_names_file_line_and_setting)
{
	static const struct {
		const char *text, *words;
	} faults[] = {
		{"\nquota = 100\n", "line 2: quota"},
		{"qouta = 1G\n", "line 1: there is no setting \"qouta\""},
		{"deadline = 1s\n", "line 1: deadline"},
		{"deadline = 1d\n", "between 2s and 15m"},
		{"quotad_down = bounce\n", "quotad_down"},
		{"over_quota = never\n", "over_quota"},
		{"smtp_full = bounce\n", "refuse or wait"},
		{"wait_max = 10\n", "wait_max"},
		{"release_socket =\n", "absolute"},
		{"users_mode = 0666\n", "users_mode"},
		{"users_mode = rw\n", "octal"},
		{"socket = quotad.sock\n", "absolute"},
		{"usage_dir = /var/../etc\n", "absolute"},
		{"log = printer\n", "log"},
		{"recheck_above = 101\n", "recheck_above"},
		{"min_uid = 0\n", "min_uid"},
		{"[mail]\nquota = 1G\n", "line 1: sections"},
		{"quota = 1G\n  [mail]\n", "line 2: sections"},
		{"# fine\njust words\n", "line 2: not"},
		{"quota = 1G\n\nquota = 1G\n",
			"line 3: quota is set already in line 1: take that one out"},
		{"log = stderr\n  quota = 1G\n",
			"line 2: \"quota\" looks like a setting"},
		{"log = stderr\n\n\tquota: 1G\n", "continues line 1: take the blank out"},
		{"quota: 1G\n", "line 1: not \"name = value\": write = for the colon"},
		{"quota 1G\n", "line 1: not \"name = value\": the = is missing"},
		{"\n= 1G\n", "line 2: not \"name = value\": the name is missing"},
		{"; fine\n", "line 1: comments begin with #"},
		{"quota = 1G\n\t; fine\n", "line 2: comments begin with #"},
		{"quota = 1G ; fine\n", "line 1: \" ;\" begins no comment"},
		{"quota_ignore = a\n b\t;c\n", "line 2: \" ;\" begins no comment"},
		{"# fine\n quota = 1G\n", "line 2: a line that begins with a blank"},
		{"\xEF\xBB\xBFquota = 1G\n", "line 1: it begins with a byte order mark"},
		{"# a\rquota = 1G\n", "line 1: a CR"},
		{"quota = 1G\n  x\n", "line 1: quota"},
		{"quota =\n\n", "line 1: quota"},
		{"quotad_down = bounce\n", "\"bounce\" is not defer or deliver"},
		{"quota_ignore = a%2\n", "line 1: quota_ignore: \"a%2\""},
		{"quota_ignore = 100%, a\n", "write a blank in a name as %20"},
		{"trusted_users = a%00\n", "trusted_users"},
	};
	struct reason why;
	struct conf c;

	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		ck_assert_msg(load(faults[i].text, &c, &why) == -1, "%s", faults[i].text);
		ck_assert_msg(strstr(why.text, faults[i].words), "%s: %s", faults[i].text,
			why.text);
		ck_assert_msg(strstr(why.text, file), "%s", why.text);
		ck_assert_ptr_null(c.socket);
	}
}
END_TEST

START_TEST(a_nul_is_a_fault_wherever_it_is)
{
	static const struct {
		const char *text;
		size_t size;
		const char *line;
	} faults[] = {{"\0", 1, "line 1: a NUL"}, {"# a\n# b\0c\n", 10, "line 2: a NUL"},
		{"quota = 1G\n\nlog = stderr\0", 25, "line 3: a NUL"}};
	struct reason why;
	struct conf c;

	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		ck_assert_int_eq(
			load_bytes(faults[i].text, faults[i].size, &c, &why), -1);
		ck_assert_msg(strstr(why.text, faults[i].line), "%s", why.text);
	}
}
END_TEST

START_TEST(what_is_no_file_or_too_large_is_refused_at_once)
{
	const char *const others[] = {"/", "/dev/zero", file};
	struct reason why;
	struct conf c;
	char *text;

	strcpy(file, "/tmp/brim-conf.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(file));
	rmdir(file);
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		ck_assert_int_eq(conf_load(&c, others[i], &why), -1);
		ck_assert_msg(strstr(why.text, "not a regular file"), "%s", why.text);
	}
	unlink(file);
	text = malloc(CONF_FILE_MAX + 1);
	memset(text, '\n', CONF_FILE_MAX + 1);
	ck_assert_int_eq(load_bytes(text, CONF_FILE_MAX, &c, &why), 0);
	conf_free(&c);
	ck_assert_int_eq(load_bytes(text, CONF_FILE_MAX + 1, &c, &why), -1);
	ck_assert_msg(strstr(why.text, "larger than 1 MB"), "%s", why.text);
	free(text);
}
END_TEST

static int
any_name(const char *text, size_t length)
{
	return length && strcspn(text, "= \t") == length && text[0] == 'n';
}

static int
count_setting(
	void *arg, unsigned line, const char *name, const char *value, struct reason *why)
{
	unsigned *last = arg;

	ck_assert_uint_gt(line, *last);
	*last = line;
	ck_assert(name[0] && !strpbrk(name, "=\n") && !strpbrk(value, "\r\n"));
	ck_assert(value[0] == '\0' || !strchr(" \t", value[strlen(value) - 1]));
	return name[0] == 'x' ? reason_set(why, "x") : 0;
}

START_TEST(any_bytes_are_settings_or_a_reason)
{
	static const char bytes[] = "nnx==  \t\t\r;#[:%\n\n\n\n\0\xEF\xBB\xBF";
	unsigned last, taken = 0;
	const struct conf_reader reader = {any_name, count_setting, &last};
	struct reason why;

	srandom(7);
	for (int i = 0; i < 50000; i++) {
		size_t size = (size_t)random() % 24;
		char *text = malloc(size + 1); /* its end is ASan's to see */

		for (size_t j = 0; j < size; j++)
			text[j] = bytes[(size_t)random() %
					(sizeof bytes - (i % 4 ? 6 : 1))];
		text[size] = '\0';
		last = 0;
		why.text[0] = '\0';
		if (conf_read_text("f", text, size, &reader, &why))
			ck_assert_msg(
				strncmp(why.text, "f line ", 7) == 0, "%s", why.text);
		else
			taken += last > 0;
		free(text);
	}
	ck_assert_uint_gt(taken, 1000);
}
END_TEST

START_TEST(a_file_that_is_named_must_be_there)
{
	struct reason why;
	struct conf c;

	ck_assert_int_eq(conf_load(&c, "/nowhere/brim.conf", &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "/nowhere/brim.conf"));
	ck_assert_int_eq(conf_load(&c, "/", &why), -1);
}
END_TEST

START_TEST(what_is_printed_reads_back)
{
	struct conf c, back;
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	ck_assert_int_eq(load("quota = 2G\nover_quota = bounce\ndeadline = "
			      "2m\nusers_mode = 0640\n",
				 &c, NULL),
		0);
	ck_assert_int_eq(conf_print(&c, to), 0);
	fclose(to);
	ck_assert_int_eq(load(text, &back, NULL), 0);
	ck_assert_uint_eq(back.quota, c.quota);
	ck_assert_uint_eq(back.over_quota, 0);
	ck_assert_uint_eq(back.deadline, 120);
	ck_assert_uint_eq(back.users_mode, 0640);
	ck_assert_ptr_nonnull(strstr(text, "#socket = /run/brim/quotad.sock"));
	free(text);
	conf_free(&c);
	conf_free(&back);
}
END_TEST

static void
print_value(void *arg, const struct conf_row *row)
{
	fprintf(arg, "%s=%s\n", row->name, row->value);
}

/* To be freed: all values, as they are in force or as a file that sets them. */
static char *
text_of(const struct conf *c, int as_file)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (as_file)
		conf_print(c, to);
	else
		conf_each(c, print_value, to);
	fclose(to);
	return text;
}

START_TEST(odd_values_that_are_printed_read_back)
{
	static const char *const odd[] = {"recipient_delimiter =;\n",
		"recipient_delimiter =;;-+\n", "recipient_delimiter =\n",
		"recipient_delimiter = #\n", "recipient_delimiter ==\n",
		"recipient_delimiter = :;\n", "recipient_delimiter = \"[\\%\n",
		"daemon_user = a  b\tc\n", "users_group =;[x]\n",
		"trusted_users =;a,b;c\n", "trusted_users =\n a\n# x\n\t=\n  #b,,c\n",
		"local_domains = [IPv6:2001:db8::1], \xC3\xA4.example,\n",
		"quota_ignore =,;%3B%20%25%23\n", "users_db = /a;b #c=\t%\n",
		"socket = //\n", "usage_dir = /\n", "users_mode = 400\n",
		"over_quota = 0\n", "over_quota = bounce\n", "over_quota = defer\n",
		"over_quota = 72h\n", "over_quota = 90061s\n", "over_quota = 4w\n",
		"quota = 18446744073709551615B\n", "quota = 1025B\n", "quota = 1024K\n",
		"message_size_limit = 0\n", "quotad_down = deliver\n", "log = stderr\n",
		"deadline = 61s\n", "recount_every = 31622400s\n", "recheck_above = 0\n",
		"min_uid = 4294967294\n", "max_user_tickets = 0001\n"};
	struct reason why;
	struct conf c, back;

	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		char *printed, *values, *again;

		ck_assert_msg(load(odd[i], &c, &why) == 0, "%s", why.text);
		printed = text_of(&c, 1);
		ck_assert_msg(load(printed, &back, &why) == 0, "%s", why.text);
		values = text_of(&c, 0);
		again = text_of(&back, 0);
		ck_assert_str_eq(again, values);
		free(again);
		free(values);
		free(printed);
		conf_free(&back);
		conf_free(&c);
	}
}
END_TEST

START_TEST(a_list_is_names_with_blanks_or_commas)
{
	ck_assert(conf_list_has("a.org, b.org c.org", "B.org"));
	ck_assert(conf_list_has("a", "a"));
	ck_assert(!conf_list_has("a.org", "a"));
	ck_assert(!conf_list_has("", "a"));
	ck_assert(!conf_list_has(" , ", ""));
}
END_TEST

START_TEST(a_blank_in_a_listed_name_is_percent_20)
{
	const char *list = "Deleted%20Items, Trash\t100%25";
	const char *const names[] = {"Deleted Items", "Trash", "100%"};

	ck_assert(conf_list_has(list, "deleted items"));
	ck_assert(conf_list_has(list, "Trash"));
	ck_assert(conf_list_has(list, "100%"));
	ck_assert(!conf_list_has(list, "Deleted%20Items"));
	ck_assert(!conf_list_has(list, "Deleted"));
	for (size_t i = 0; i < 3; i++) {
		char *name = conf_list_next(&list);

		ck_assert_str_eq(name, names[i]);
		free(name);
	}
	ck_assert_ptr_null(conf_list_next(&list));
	ck_assert_ptr_null(conf_list_next(&list));
}
END_TEST

static void
add_name(void *arg, const char *name)
{
	strcat(strcat(arg, name), " ");
}

/* As after SIGHUP. */
static void
read_again(struct conf *in_force, char names[100])
{
	struct conf new;

	ck_assert_int_eq(load("quota = 2G\nlog = stderr\nusage_dir = /x\nmin_uid = 7\n"
			      "socket = /run/brim/quotad.sock\ntrusted_users = x\n",
				 &new, NULL),
		0);
	conf_keep(&new, in_force, add_name, names);
	conf_free(in_force);
	*in_force = new;
}

START_TEST(what_takes_a_restart_stays_in_force_and_is_told_each_time)
{
	char names[100] = "";
	struct conf old, new;

	ck_assert_int_eq(load("quota = 1G\n", &old, NULL), 0);
	for (int i = 0; i < 2; i++) {
		names[0] = '\0';
		read_again(&old, names);
		ck_assert_str_eq(names, "usage_dir log ");
	}
	ck_assert_str_eq(old.usage_dir, "/var/lib/brim/usage");
	ck_assert_int_eq(old.quota, 2ULL << 30);
	ck_assert_int_eq(load("quota = 3G\n", &new, NULL), 0);
	conf_keep(&new, &old, add_name, names);
	ck_assert_str_eq(
		names, "usage_dir log "); /* nothing more: they are as in force */
	conf_free(&old);
	conf_free(&new);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {an_empty_file_is_the_defaults,
		values_are_taken_with_blanks_around, networks_are_networks,
		a_line_that_begins_with_a_blank_continues,
		a_cr_at_the_end_of_a_line_is_a_blank, lines_are_of_any_length,
		every_fault_names_file_line_and_setting, a_nul_is_a_fault_wherever_it_is,
		what_is_no_file_or_too_large_is_refused_at_once,
		any_bytes_are_settings_or_a_reason, a_file_that_is_named_must_be_there,
		what_is_printed_reads_back, odd_values_that_are_printed_read_back,
		a_list_is_names_with_blanks_or_commas,
		a_blank_in_a_listed_name_is_percent_20,
		what_takes_a_restart_stays_in_force_and_is_told_each_time};

	ADD_CASE(suite, tests);
}
