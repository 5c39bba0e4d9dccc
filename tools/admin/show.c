/* The commands that show. */
#include "brimadm.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "address_name.h"

static int
has_table(const struct brimadm *a)
{
	struct stat st;

	if (lstat(a->conf.users_db, &st) == 0 || errno != ENOENT)
		return 1;
	tool_warn("there is no user table %s yet: run brimadm init", a->conf.users_db);
	return 0;
}

/* Opens the table, and reads all of it before any of it is shown: of a damaged one there
 * might be a part, which would be taken for the whole. libdb knows forms that no other
 * reader does, and a dump makes them anew. A status. */
static int
open_table(struct brimadm *a, struct users **u)
{
	int status = TOOL_CANT;

	*u = NULL;
	if (!has_table(a))
		return TOOL_CANT;
	*u = users_open_to_stay(a->conf.users_db, &a->why);
	if (*u && users_read_through(*u, &a->why) == 0)
		return TOOL_OK;
	if (*u)
		status = TOOL_NO;
	users_close(u);
	tool_warn("%s%s", a->why.text, brimadm_repair(&a->why));
	return status;
}

/* --- show --- */

static int
show_record(const struct record *r)
{
	static const struct tool_column columns[] = {{"FIELD", 0}, {"VALUE", 0}};
	struct tool_table *t = tool_table_new(columns, 2);
	char *written = address_written(r->key);
	int failed = !t || tool_table_row(t, (const char *[]){"address", r->key});

	if (written && !failed) /* with the domain as people write it */
		failed = tool_table_row(t, (const char *[]){"", written});
	free(written);

	for (size_t i = 0; i < r->count && !failed; i++) {
		char buf[AMOUNT_SIZE];
		const struct record_field *f = &r->fields[i];
		const char *cells[] = {
			f->name, brimadm_show_field(f->name, f->value, buf)};

		failed = tool_table_row(t, cells);
	}
	if (failed)
		return tool_fail(TOOL_CANT, "no memory");
	tool_table_print(&t);
	return TOOL_OK;
}

int
brimadm_show(struct brimadm *a, int argc, char **argv)
{
	char key[ADDRESS_MAX + 1];
	struct users *u;
	struct record r;
	int found, status = open_table(a, &u);

	(void)argc;
	if (status)
		return status;
	status = brimadm_status(users_name(u, key, argv[0], &a->why));
	if (status) {
		users_close(&u);
		return tool_fail(
			(enum tool_status)status, "\"%s\": %s", argv[0], a->why.text);
	}
	found = users_get(u, key, &r, &a->why);
	if (found < 0)
		status = tool_fail(TOOL_CANT, "%s", a->why.text);
	else if (!found)
		status = tool_fail(TOOL_NO, "%s is not in the table", key);
	else if (a->option[OPTION_JSON])
		tool_json_print(brimadm_json(&r));
	else
		status = show_record(&r);
	record_clear(&r);
	users_close(&u);
	return status;
}

/* --- list --- */

struct listing {
	const char *pattern;      /* as a key; NULL for all */
	const char *written;      /* with U-labels, as people write it */
	struct tool_table *table; /* NULL: JSON */
	size_t count;
};

static const char *
state_of(const struct record *r)
{
	const char *state = record_get(r, "state");

	switch (mailbox_kind_of(r)) {
	case MAILBOX_KIND_ALIAS:
	case MAILBOX_KIND_ALIAS_DOMAIN:
		return "alias";
	case MAILBOX_KIND_DOMAIN:
		return "domain";
	default:
		return state ? state : "enabled";
	}
}

/* Where mail for it goes. */
static const char *
target_of(const struct record *r)
{
	static const char *const names[] = {"moved_to", "alias", "catchall", "mail"};
	const char *target = NULL;

	for (size_t i = 0; i < sizeof names / sizeof *names && !target; i++)
		target = record_get(r, names[i]);
	return target;
}

/* By the key, or by what people write for it. */
static int
matches(const struct listing *l, const char *key)
{
	char *written = address_written(key);
	int matched = !l->pattern || fnmatch(l->pattern, key, 0) == 0 ||
		      fnmatch(l->written, written ? written : key, 0) == 0;

	free(written);
	return matched;
}

static int
list_record(void *arg, const struct record *r)
{
	struct listing *l = arg;
	const char *quota = record_get(r, "quota");
	char buf[AMOUNT_SIZE];

	if (!matches(l, r->key))
		return 0;
	if (!l->table) {
		tool_json_item(brimadm_json(r), &l->count);
		return ferror(stdout);
	}
	l->count++;
	return tool_table_row(
		l->table, (const char *[]){r->key, state_of(r), record_get(r, "uid"),
				  record_get(r, "gid"),
				  quota ? brimadm_show_field("quota", quota, buf) : NULL,
				  target_of(r)});
}

static int
list_table(struct brimadm *a, struct listing *l)
{
	struct users *u;
	int result = open_table(a, &u);

	if (result)
		return result;
	result = users_each(u, "", list_record, l, &a->why);
	users_close(&u);
	return result < 0 ? tool_fail(TOOL_CANT, "%s", a->why.text) : TOOL_OK;
}

int
brimadm_list(struct brimadm *a, int argc, char **argv)
{
	static const struct tool_column columns[] = {{"ADDRESS", 0}, {"STATE", 0},
		{"UID", 1}, {"GID", 1}, {"QUOTA", 1}, {"TARGET", 0}};
	char pattern[ADDRESS_MAX + 1], written[ADDRESS_MAX + 1];
	struct listing l = {.written = written};
	int status;

	if (argc && (address_key(pattern, argv[0], &a->why) ||
			    address_key_older(written, argv[0], &a->why)))
		return tool_fail(TOOL_USAGE, "\"%s\": %s", argv[0], a->why.text);
	l.pattern = argc ? pattern : NULL;
	if (!a->option[OPTION_JSON] && !(l.table = tool_table_new(columns, 6)))
		return tool_fail(TOOL_CANT, "no memory");
	status = list_table(a, &l);
	if (l.table)
		tool_table_print(&l.table);
	else if (!status)
		tool_json_end(l.count);
	return !status && argc && l.count == 0 ? TOOL_NO : status;
}

/* --- dump, config --- */

static int
dump_record(void *arg, const struct record *r)
{
	char *line = record_format(r);

	(void)arg;
	if (!line)
		return -1;
	fputs(line, stdout);
	putchar('\n');
	free(line);
	return ferror(stdout);
}

static void
tell_lost(void *arg, const char *key)
{
	char *shown = record_escape(key);

	(void)arg;
	tool_warn("missing: %s", shown ? shown : "");
	free(shown);
}

static void
tell_saved(const struct brimadm *a, const struct users_salvaged *s)
{
	const char *table = a->conf.users_db,
		   *found = AMOUNT_OF(s->found, "record is", "records are");

	if (s->sound)
		tool_warn("%s is sound: no record is missing", table);
	else if (s->complete)
		tool_warn("%s is damaged; no record is missing", table);
	else if (!s->knows_missing)
		tool_warn("%s is damaged; %s saved; how many are missing can't be told: "
			  "compare with the last dump",
			table, found);
	else if (s->missing)
		tool_warn("%s is damaged; %s saved, %s missing: their mail would bounce; "
			  "take them from the last dump",
			table, found, AMOUNT_OF(s->missing, "is", "are"));
	else
		tool_warn("%s is damaged; %s saved, but some are not as they were last: "
			  "compare with the last dump",
			table, found);
}

static int
dump_salvage(struct brimadm *a)
{
	const struct users_salvage to = {.each = dump_record, .lost = tell_lost};
	struct users_salvaged s;
	int result;

	if (!has_table(a))
		return TOOL_CANT;
	reason_set(&a->why, "no memory");
	result = users_salvage(a->conf.users_db, &to, &s, &a->why);
	if (result)
		return result < 0 ? tool_fail(TOOL_CANT, "%s", a->why.text) : TOOL_OK;
	fflush(stdout);
	tell_saved(a, &s);
	return s.complete ? TOOL_OK : TOOL_NO;
}

int
brimadm_dump(struct brimadm *a, int argc, char **argv)
{
	struct users *u;
	int result, status;

	(void)argc;
	(void)argv;
	if (a->option[OPTION_SALVAGE])
		return dump_salvage(a);
	status = open_table(a, &u);
	if (status)
		return brimadm_repair(&a->why)[0] ? TOOL_NO : status;
	reason_set(&a->why, "no memory");
	result = users_each(u, "", dump_record, NULL, &a->why);
	users_close(&u);
	return result < 0 ? tool_fail(TOOL_CANT, "%s", a->why.text) : TOOL_OK;
}

static void
add_setting(void *arg, const struct conf_row *row)
{
	json_t *setting = json_object();

	json_object_set_new(setting, "value", tool_json_name(row->value));
	json_object_set_new(setting, "default", tool_json_name(row->fallback));
	json_object_set_new(setting, "about", tool_json_text(row->sentence));
	json_object_set_new(setting, "restart", json_boolean(row->takes_restart));
	json_object_set_new(arg, row->name, setting);
}

int
brimadm_config(struct brimadm *a, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (a->option[OPTION_JSON]) {
		json_t *all = json_object();

		conf_each(&a->conf, add_setting, all);
		tool_json_print(all);
	} else {
		conf_print(&a->conf, stdout); /* a failed write is told by tool_finish */
	}
	return TOOL_OK;
}
