/* One change of the user table: what it refuses, keeps, undoes and leaves behind. */
#include "change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mailbox.h"
#include "suite.h"

static char folder[64], table[128];
static struct conf conf;
static struct reason why;

static void
in_new_folder(void)
{
	char file[160];
	FILE *f;

	strcpy(folder, access("/dev/shm", W_OK) ? "/tmp/brim-change-XXXXXX"
						: "/dev/shm/brim-change-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(table, sizeof table, "%s/users.db", folder);
	snprintf(file, sizeof file, "%s/brim.conf", folder);
	f = fopen(file, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "users_db = %s\nlocal_domains = here.example\n", table);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_msg(conf_load(&conf, file, &why) == 0, "%s", why.text);
	ck_assert_int_eq(unlink(file), 0);
}

static void
remove_folder(void)
{
	conf_free(&conf);
	remove_tree(folder);
}

static struct change *
begin(unsigned flags)
{
	struct change *c = change_begin(&conf, flags | CHANGE_NEW_TABLE, NULL, &why);

	ck_assert_msg(c != NULL, "%s", why.text);
	return c;
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

static void
put_mailbox(struct change *c, const char *key)
{
	char line[200];

	snprintf(line, sizeof line, "%s uid=1001 gid=1001 mail=/srv/%s/", key, key);
	ck_assert_msg(put(c, line) == CHANGE_OK, "%s", why.text);
}

static uint64_t
commit(struct change **c)
{
	struct change_made made;

	ck_assert_msg(change_commit(c, &made, &why) == CHANGE_OK, "%s", why.text);
	ck_assert_ptr_null(*c);
	return made.generation;
}

static int
add_line(void *arg, const struct record *r)
{
	char *line = record_format(r);

	fprintf(arg, "%s\n", line);
	free(line);
	return 0;
}

/* The table as it is, a line a record; it lives until the next call. */
static const char *
lines(void)
{
	static char *text;
	size_t size;
	FILE *to;
	struct users *u = users_open(table, &why);

	ck_assert_msg(u != NULL, "%s", why.text);
	free(text);
	to = open_memstream(&text, &size);
	ck_assert_int_eq(users_each(u, "", add_line, to, &why), 0);
	users_close(&u);
	ck_assert_int_eq(fclose(to), 0);
	return text;
}

#define ANN "ann@a.example uid=1001 gid=1001 mail=/srv/ann@a.example/\n"
#define BOB "bob@a.example uid=1001 gid=1001 mail=/srv/bob@a.example/\n"

static void
make_table(void)
{
	struct change *c = begin(0);

	put_mailbox(c, "ann@a.example");
	ck_assert_uint_eq(commit(&c), 1);
	ck_assert_str_eq(lines(), "@a.example\n" ANN);
}

START_TEST(a_commit_tells_the_new_file_and_its_generation)
{
	struct change *c;
	struct change_made made;
	struct users *u;

	make_table();
	c = begin(0);
	put_mailbox(c, "bob@a.example");
	ck_assert_int_eq(change_commit(&c, &made, &why), CHANGE_OK);
	ck_assert_uint_eq(made.generation, 2);
	u = users_open(table, &why);
	ck_assert_uint_eq(users_stat(u)->st_ino, made.table.st_ino);
	ck_assert_int_eq(users_stat(u)->st_mtim.tv_nsec == made.table.st_mtim.tv_nsec, 1);
	users_close(&u);
	ck_assert_str_eq(lines(), "@a.example\n" ANN BOB);
}
END_TEST

START_TEST(a_key_is_folded_as_it_is_put)
{
	struct change *c = begin(0);

	ck_assert_int_eq(
		put(c, "Ann@A.Example uid=1001 gid=1001 mail=/srv/ann@a.example/"),
		CHANGE_OK);
	commit(&c);
	ck_assert_str_eq(lines(), "@a.example\n" ANN);
}
END_TEST

START_TEST(what_is_refused_leaves_the_copy_as_it_was)
{
	static const char *const refused[] = {
		"@ uid=1",
		"zoe@a.example uid=1001",
		"zoe@a.example uid=0 gid=1001 mail=/srv/zoe/",
		"zoe@a.example uid=1001 gid=1001 mail=srv/",
		"zoe@b.example uid=1001 gid=1001 mail=/srv/ann@a.example/in/",
		"bob@a.example uid=1001 gid=1001 mail=/srv/ann@a.example/",
		"@a.example uid=1001",
	};
	struct change *c;

	make_table();
	c = begin(0);
	put_mailbox(c, "bob@a.example");
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		ck_assert_msg(put(c, refused[i]) == CHANGE_REFUSED, "%s", refused[i]);
	ck_assert_int_eq(change_remove(c, "zoe@a.example", &why), CHANGE_NO_RECORD);
	ck_assert_int_eq(change_remove(c, "@a.example", &why), CHANGE_REFUSED);
	commit(&c);
	ck_assert_str_eq(lines(), "@a.example\n" ANN BOB);
}
END_TEST

START_TEST(a_key_that_must_come_once_is_refused_twice)
{
	struct change *c = begin(CHANGE_EACH_ONCE);

	put_mailbox(c, "ann@a.example");
	ck_assert_int_eq(put(c, "@a.example quota=5"), CHANGE_OK);
	ck_assert_int_eq(put(c, "ann@a.example alias=bob@b.example"), CHANGE_REFUSED);
	ck_assert_int_eq(put(c, "@a.example quota=6"), CHANGE_REFUSED);
	commit(&c);
	ck_assert_str_eq(lines(), "@a.example quota=5\n" ANN);
}
END_TEST

START_TEST(aliases_may_come_before_their_targets)
{
	struct change *c = begin(0);

	ck_assert_int_eq(put(c, "@a.example catchall=x@a.example"), CHANGE_OK);
	ck_assert_int_eq(put(c, "x@a.example alias=ann@a.example"), CHANGE_OK);
	put_mailbox(c, "ann@a.example");
	commit(&c);
}
END_TEST

/* Each is the second change of a table with ann; none may be made. */
static void
assert_broken(struct change *c, const char *words)
{
	ck_assert_int_eq(change_check_aliases(c, &why), CHANGE_REFUSED);
	ck_assert_msg(strstr(why.text, words) != NULL, "%s", why.text);
	ck_assert_int_eq(change_commit(&c, NULL, &why), CHANGE_REFUSED);
	ck_assert_ptr_null(c);
	ck_assert_str_eq(lines(), "@a.example\n" ANN);
}

START_TEST(an_alias_that_leads_nowhere_is_no_change)
{
	struct change *c;

	make_table();
	c = begin(0);
	ck_assert_int_eq(put(c, "x@a.example alias=nobody@a.example"), CHANGE_OK);
	assert_broken(c, "would not be in the table");
	c = begin(0);
	ck_assert_int_eq(put(c, "x@a.example alias=y@a.example"), CHANGE_OK);
	ck_assert_int_eq(put(c, "y@a.example alias=x@a.example"), CHANGE_OK);
	assert_broken(c, "loop");
	c = begin(0);
	ck_assert_int_eq(put(c, "@a.example catchall=nobody@a.example"), CHANGE_OK);
	assert_broken(c, "must lead to a mailbox");
}
END_TEST

/* Each as the second change of a table with ann. */
START_TEST(an_alias_domain_leads_to_a_domain_and_has_no_mailboxes)
{
	static const struct {
		const char *first, *second, *words; /* WORDS NULL: it is made */
	} cases[] = {
		{"@b.example alias=@a.example", "@c.example alias=@b.example", NULL},
		{"@c.example alias=@b.example", "@b.example alias=@a.example", NULL},
		{"@b.example alias=@a.example", "x@b.example alias=ann@a.example", NULL},
		{"x@c.example alias=ann@b.example", "@b.example alias=@a.example", NULL},
		{"@b.example alias=@c.example", "@b.example alias=@a.example", NULL},
		{"@b.example alias=@c.example", "@b.example", NULL},
		{"@b.example alias=@here.example", "@c.example alias=@b.example", NULL},
		{"@b.example alias=@c.example", "@d.example",
			"would not be in the table"},
		{"@b.example alias=@a.example", "@a.example alias=@b.example", "itself"},
		{"@b.example alias=@b.example", "@c.example", "itself"},
		{"@a.example alias=@b.example", "@b.example",
			"ann@a.example is a mailbox"},
		{"@b.example alias=@a.example",
			"1bob@b.example uid=1001 gid=1001 "
			"mail=/srv/1bob/",
			"1bob@b.example is a mailbox"},
		{"bob@b.example uid=1001 gid=1001 mail=/srv/bob/",
			"@b.example alias=@a.example", "bob@b.example is a mailbox"},
		{"x@c.example alias=bob@b.example", "@b.example alias=@a.example",
			"bob@a.example, which would not be in the table"},
		{"@b.example alias=@a.example", "x@a.example alias=x@b.example", "loop"},
		{"@b.example catchall=ann@a.example", "@c.example catchall=x@b.example",
			NULL},
		{"@b.example catchall=x@c.example", "@c.example catchall=x@b.example",
			"must lead to a mailbox"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct change *c = begin(CHANGE_NEW_TABLE);
		enum change_result result;

		ck_assert_int_eq(change_empty(c, &why), CHANGE_OK);
		put_mailbox(c, "ann@a.example");
		commit(&c);
		c = begin(0);
		ck_assert_int_eq(put(c, cases[i].first), CHANGE_OK);
		ck_assert_int_eq(put(c, cases[i].second), CHANGE_OK);
		result = change_commit(&c, NULL, &why);
		ck_assert_msg(result == (cases[i].words ? CHANGE_REFUSED : CHANGE_OK),
			"%s, %s: %s", cases[i].first, cases[i].second, why.text);
		if (cases[i].words)
			ck_assert_msg(
				strstr(why.text, cases[i].words) != NULL, "%s", why.text);
	}
}
END_TEST

START_TEST(what_an_alias_domain_stands_for_stays)
{
	struct change *c;

	make_table();
	c = begin(0);
	ck_assert_int_eq(put(c, "@b.example alias=@a.example"), CHANGE_OK);
	ck_assert_int_eq(put(c, "x@c.example alias=ann@b.example"), CHANGE_OK);
	commit(&c);
	c = begin(CHANGE_CAN_UNDO); /* ann@b.example would be nobody */
	ck_assert_int_eq(put(c, "@b.example"), CHANGE_OK);
	ck_assert_int_eq(change_check_aliases(c, &why), CHANGE_REFUSED);
	ck_assert_int_eq(change_undo(c, &why), CHANGE_OK);
	ck_assert_int_eq(change_remove(c, "x@c.example", &why), CHANGE_OK);
	ck_assert_int_eq(change_remove(c, "ann@a.example", &why), CHANGE_OK);
	ck_assert_int_eq(change_check_aliases(c, &why), CHANGE_OK);
	ck_assert_int_eq(change_remove(c, "@a.example", &why), CHANGE_OK);
	ck_assert_int_eq(change_commit(&c, NULL, &why), CHANGE_REFUSED);
	ck_assert_ptr_nonnull(strstr(why.text, "@b.example leads to @a.example"));
}
END_TEST

START_TEST(a_catch_all_that_another_one_rests_on_stays)
{
	struct change *c;

	make_table();
	c = begin(0);
	ck_assert_int_eq(put(c, "@b.example catchall=ann@a.example"), CHANGE_OK);
	ck_assert_int_eq(put(c, "@c.example catchall=x@b.example"), CHANGE_OK);
	commit(&c);
	c = begin(0);
	ck_assert_int_eq(put(c, "@b.example quota=5"), CHANGE_OK);
	ck_assert_int_eq(change_commit(&c, NULL, &why), CHANGE_REFUSED);
	ck_assert_ptr_nonnull(strstr(why.text, "the catchall of @c.example"));
}
END_TEST

START_TEST(a_target_that_is_removed_breaks_aliases_of_before)
{
	struct change *c;

	make_table();
	c = begin(0);
	ck_assert_int_eq(put(c, "x@a.example alias=ann@a.example"), CHANGE_OK);
	commit(&c);
	c = begin(0);
	ck_assert_int_eq(change_remove(c, "ann@a.example", &why), CHANGE_OK);
	ck_assert_int_eq(change_commit(&c, NULL, &why), CHANGE_REFUSED);
	ck_assert_ptr_nonnull(strstr(lines(), ANN));
}
END_TEST

START_TEST(an_undo_goes_back_to_the_last_sound_check)
{
	struct change *c;

	make_table();
	c = begin(CHANGE_CAN_UNDO);
	put_mailbox(c, "bob@a.example");
	ck_assert_int_eq(change_check_aliases(c, &why), CHANGE_OK);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(put(c, i % 2 ? "x@a.example alias=ann@a.example"
					      : "x@a.example alias=nobody@a.example"),
			CHANGE_OK);
	put_mailbox(c, "new@new.example");
	ck_assert_int_eq(put(c, "@a.example quota=7"), CHANGE_OK);
	ck_assert_int_eq(put(c, "bob@a.example alias=ann@a.example"), CHANGE_OK);
	ck_assert_int_eq(change_remove(c, "ann@a.example", &why), CHANGE_OK);
	ck_assert_int_eq(change_check_aliases(c, &why), CHANGE_REFUSED);
	ck_assert_int_eq(change_undo(c, &why), CHANGE_OK);
	ck_assert_int_eq(change_check_aliases(c, &why), CHANGE_OK);
	put_mailbox(c, "new@new.example"); /* its path is free again */
	ck_assert_int_eq(change_undo(c, &why), CHANGE_OK);
	commit(&c);
	ck_assert_str_eq(lines(), "@a.example\n" ANN BOB);
}
END_TEST

START_TEST(an_abort_leaves_the_table)
{
	struct change *c;

	make_table();
	c = begin(0);
	ck_assert_int_eq(change_empty(c, &why), CHANGE_OK);
	change_abort(&c);
	ck_assert_ptr_null(c);
	change_abort(&c);
	ck_assert_str_eq(lines(), "@a.example\n" ANN);
}
END_TEST

static void
note(void *arg, const struct record *old, const struct record *new)
{
	fprintf(arg, "%s:%s\n", old ? old->key : "", new ? new->key : "");
}

/* More than are read at a time: of these 1501 records one is changed, one removed, and
 * one added. */
START_TEST(the_difference_is_what_changed_in_key_order)
{
	struct change *c = begin(CHANGE_CHECK_ALL);
	struct change_counts counts;
	char key[40], *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	for (int i = 0; i < 1500; i++) {
		snprintf(key, sizeof key, "u%04d@a.example", i);
		put_mailbox(c, key);
	}
	commit(&c);
	c = begin(0);
	put_mailbox(c, "u0007@a.example"); /* the same again */
	ck_assert_int_eq(put(c, "u0900@a.example alias=u0001@a.example"), CHANGE_OK);
	ck_assert_int_eq(change_remove(c, "u1499@a.example", &why), CHANGE_OK);
	put_mailbox(c, "u0900x@a.example");
	ck_assert_int_eq(change_difference(c, note, to, &counts, &why), CHANGE_OK);
	ck_assert_int_eq(fclose(to), 0);
	ck_assert_str_eq(text, "u0900@a.example:u0900@a.example\n:u0900x@a.example\n"
			       "u1499@a.example:\n");
	ck_assert(counts.records == 1501 && counts.added == 1 && counts.removed == 1 &&
		  counts.changed == 1);
	ck_assert_int_eq(change_difference(c, NULL, NULL, &counts, &why), CHANGE_OK);
	ck_assert(counts.records == 1501 && counts.added == 1 && counts.removed == 1 &&
		  counts.changed == 0);
	free(text);
	change_abort(&c);
}
END_TEST

START_TEST(more_than_a_tenth_is_too_much_to_remove)
{
	struct change_counts counts = {.records = 20, .removed = 2, .added = 100};

	ck_assert_int_eq(change_check_removed(&counts, &why), 0);
	counts.removed = 3;
	ck_assert_int_eq(change_check_removed(&counts, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "3 of 20"));
	counts = (struct change_counts){.added = 5};
	ck_assert_int_eq(change_check_removed(&counts, &why), 0);
}
END_TEST

START_TEST(a_damaged_table_is_not_compared_but_can_be_replaced)
{
	struct change *c;
	struct change_counts counts;

	make_table();
	ck_assert_int_eq(truncate(table, 100), 0);
	c = begin(CHANGE_CHECK_ALL);
	ck_assert_int_eq(change_empty(c, &why), CHANGE_OK);
	put_mailbox(c, "ann@a.example");
	ck_assert_int_eq(
		change_difference(c, NULL, NULL, &counts, &why), CHANGE_TABLE_DAMAGED);
	commit(&c);
	ck_assert_str_eq(lines(), "@a.example\n" ANN);
}
END_TEST

/* A table as brimadm made it before keys were folded by Unicode and domains were
 * A-labels.
 */
static void
make_older_table(void)
{
	static const char *const older[] = {"@a.example", "@müller.example",
		"bob@müller.example uid=1001 gid=1001 mail=/srv/bob/",
		"Иван@a.example uid=1001 gid=1001 mail=/srv/ivan/",
		"b@a.example. uid=1001 gid=1001 mail=/srv/b/",
		"plain@a.example uid=1001 gid=1001 mail=/srv/plain/",
		"Été@a.example alias=%D0%98%D0%B2%D0%B0%D0%BD@a.example"};
	struct users_edit *e = users_edit_begin(table, 1, NULL, &why);

	ck_assert_msg(e != NULL, "%s", why.text);
	for (size_t i = 0; i < sizeof older / sizeof *older; i++) {
		const char *end = strchrnul(older[i], ' '),
			   *fields = *end ? end + 1 : end;
		char *key;
		struct record r;

		key = strndup(older[i], (size_t)(end - older[i]));
		ck_assert_int_eq(record_parse(&r, fields, strlen(fields), 0, &why), 0);
		ck_assert_int_eq(record_set_key(&r, key), 0);
		ck_assert_msg(users_edit_put(e, &r, &why) == 0, "%s", why.text);
		record_clear(&r);
		free(key);
	}
	ck_assert_msg(users_edit_commit(&e, 0644, 0, NULL, &why) == 0, "%s", why.text);
}

/* The key of the mailbox that the address leads to; "" for none. */
static const char *
leads_to(const char *address)
{
	static char key[ADDRESS_MAX + 1];
	struct users *u = users_open(table, &why);
	struct outcome o;
	struct mailbox m;

	ck_assert_msg(u != NULL, "%s", why.text);
	key[0] = '\0';
	if (mailbox_find(&m, u, &conf, address, &o) == 0) {
		strcpy(key, m.key);
		mailbox_clear(&m);
	}
	users_close(&u);
	return key;
}

START_TEST(an_older_table_leads_where_it_did)
{
	make_older_table();
	ck_assert_str_eq(leads_to("Иван@a.example"), "Иван@a.example");
	ck_assert_str_eq(leads_to("Иван+x@A.example"), "Иван@a.example");
	ck_assert_str_eq(leads_to("Été@a.example"), "Иван@a.example");
	ck_assert_str_eq(leads_to("bob@müller.example"), "bob@müller.example");
	ck_assert_str_eq(leads_to("b@a.example."), "b@a.example.");
	ck_assert_str_eq(leads_to("plain@a.example"), "plain@a.example");
	ck_assert_str_eq(leads_to("nobody@müller.example"), "");
}
END_TEST

static enum verdict
verdict_of(const char *address)
{
	struct users *u = users_open(table, &why);
	struct outcome o = {.verdict = VERDICT_DELIVERED};
	struct mailbox m;

	ck_assert_msg(u != NULL, "%s", why.text);
	mailbox_find(&m, u, &conf, address, &o);
	mailbox_clear(&m);
	users_close(&u);
	return o.verdict;
}

START_TEST(an_older_table_says_of_no_such_address_that_it_is_nobodys)
{
	static const char *const odd[] = {"ИВАН@a.example", "été@a.example",
		"\"a b\"@a.example", "bob@MÜLLER.example", "x@xn--mller-kva.example"};
	struct change *c;

	make_older_table();
	for (int changed = 0; changed < 2; changed++) {
		for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
			ck_assert_msg(verdict_of(odd[i]) == VERDICT_MISCONFIGURED, "%s",
				odd[i]);
		ck_assert_int_eq(verdict_of("nobody@a.example"), VERDICT_NO_SUCH_USER);
		c = begin(0);
		ck_assert_int_eq(put(c, "y@xn--mller-kva.example alias=plain@a.example"),
			CHANGE_OK);
		commit(&c);
	}
	c = begin(0);
	for (const char *const *key = (const char *const[]){"Été@a.example",
		     "Иван@a.example", "bob@müller.example", "@müller.example", NULL};
		*key; key++)
		ck_assert_msg(change_remove(c, *key, &why) == CHANGE_OK, "%s", why.text);
	commit(&c);
	ck_assert_int_eq(verdict_of("été@a.example"), VERDICT_NO_SUCH_USER);
}
END_TEST

START_TEST(an_older_key_is_found_as_it_was_written)
{
	static const char *const names[][2] = {{"Иван@a.example", "Иван@a.example"},
		{"иван@a.example", "иван@a.example"}, {"ЯН@a.example", "ян@a.example"},
		{"Bob@müller.example", "bob@müller.example"},
		{"ann@müller.example", "ann@xn--mller-kva.example"},
		{"b@a.example.", "b@a.example."}};
	struct change *c;
	char key[ADDRESS_MAX + 1];

	make_older_table();
	c = begin(0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		ck_assert_int_eq(change_name(c, key, names[i][0], &why), CHANGE_OK);
		ck_assert_str_eq(key, names[i][1]);
	}
	ck_assert_int_eq(change_name(c, key, "c@a.example.", &why), CHANGE_REFUSED);
	ck_assert(strstr(why.text, "dot") != NULL);
	ck_assert_int_eq(
		put(c, "b@a.example. uid=1002 gid=1002 mail=/srv/b/"), CHANGE_OK);
	ck_assert_int_eq(change_remove(c, "b@a.example.", &why), CHANGE_OK);
	ck_assert_int_eq(
		put(c, "b@a.example. uid=1002 gid=1002 mail=/srv/b/"), CHANGE_REFUSED);
	commit(&c);
}
END_TEST

/* lda would look for the new address in the old domain. */
START_TEST(a_domain_is_not_in_the_table_in_both_forms)
{
	struct change *c;

	make_older_table();
	c = begin(0);
	ck_assert_int_eq(
		put(c, "ann@m%C3%BCller.example uid=1001 gid=1001 mail=/srv/ann/"),
		CHANGE_REFUSED);
	ck_assert_msg(strstr(why.text, "load --replace") != NULL, "%s", why.text);
	change_abort(&c);
}
END_TEST

START_TEST(an_older_table_is_made_new_by_a_load_and_nothing_is_removed)
{
	struct change_counts counts;
	struct change *c;

	make_older_table();
	c = begin(CHANGE_CHECK_ALL | CHANGE_EACH_ONCE);
	ck_assert_int_eq(change_empty(c, &why), CHANGE_OK);
	ck_assert_int_eq(put(c, "@a.example"), CHANGE_OK);
	ck_assert_int_eq(put(c, "@m%C3%BCller.example"), CHANGE_OK);
	ck_assert_int_eq(
		put(c, "bob@m%C3%BCller.example uid=1001 gid=1001 mail=/srv/bob/"),
		CHANGE_OK);
	ck_assert_int_eq(
		put(c, "plain@a.example uid=1001 gid=1001 mail=/srv/plain/"), CHANGE_OK);
	ck_assert_int_eq(put(c, "%D0%98%D0%B2%D0%B0%D0%BD@a.example uid=1001 gid=1001 "
				"mail=/srv/ivan/"),
		CHANGE_OK);
	ck_assert_int_eq(put(c, "%C3%89t%C3%A9@a.example "
				"alias=%D0%98%D0%B2%D0%B0%D0%BD@a.example"),
		CHANGE_OK);
	ck_assert_int_eq(change_difference(c, NULL, NULL, &counts, &why), CHANGE_OK);
	ck_assert_uint_eq(counts.removed, 1); /* b@a.example. */
	commit(&c);
	ck_assert_str_eq(leads_to("ÉTÉ@a.example"), "иван@a.example");
	ck_assert_str_eq(leads_to("ИВАН@a.example"), "иван@a.example");
	ck_assert_str_eq(leads_to("bob@MÜLLER.example"), "bob@xn--mller-kva.example");
	ck_assert_str_eq(
		leads_to("bob@xn--mller-kva.example"), "bob@xn--mller-kva.example");
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_commit_tells_the_new_file_and_its_generation,
		a_key_is_folded_as_it_is_put, what_is_refused_leaves_the_copy_as_it_was,
		a_key_that_must_come_once_is_refused_twice,
		aliases_may_come_before_their_targets,
		an_alias_that_leads_nowhere_is_no_change,
		an_alias_domain_leads_to_a_domain_and_has_no_mailboxes,
		what_an_alias_domain_stands_for_stays,
		a_catch_all_that_another_one_rests_on_stays,
		a_target_that_is_removed_breaks_aliases_of_before,
		an_undo_goes_back_to_the_last_sound_check, an_abort_leaves_the_table,
		the_difference_is_what_changed_in_key_order,
		more_than_a_tenth_is_too_much_to_remove,
		a_damaged_table_is_not_compared_but_can_be_replaced,
		an_older_table_says_of_no_such_address_that_it_is_nobodys,
		an_older_table_leads_where_it_did,
		an_older_key_is_found_as_it_was_written,
		a_domain_is_not_in_the_table_in_both_forms,
		an_older_table_is_made_new_by_a_load_and_nothing_is_removed};

	ADD_CASE(suite, tests, .setup = in_new_folder, .teardown = remove_folder);
}
