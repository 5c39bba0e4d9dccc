/*
 * The copy and the table as it is, side by side in key order: what --dry-run shows, and
 * how much load --replace would take away.
 *
 * The difference waits in a nameless file until the lock is free, so that a reader of it
 * that takes its time (a pager) keeps nobody from the table.
 */
#include "brimadm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 512 /* records taken from a table at a time */

/* One of the two tables, read on in batches. */
struct side {
	struct users *table;
	int keys_only, ended;
	struct record batch[BATCH];
	size_t count, at;
	char last[ADDRESS_MAX + 1];
};

struct difference {
	struct side old, new;
	FILE *to; /* NULL: it is only counted */
	unsigned long long records, added, removed, changed;
};

static int
keep(void *arg, const struct record *r)
{
	struct side *s = arg;
	struct record *to = &s->batch[s->count];

	if (s->keys_only ? record_set_key(to, r->key) : record_copy(to, r))
		return -2;
	s->count++;
	return s->count == BATCH;
}

static void
clear(struct side *s)
{
	for (size_t i = 0; i < s->count; i++)
		record_clear(&s->batch[i]);
	s->count = s->at = 0;
}

/* The record that it stands at; NULL at the end, or (a->why set) with *failed. */
static const struct record *
current(struct brimadm *a, struct side *s, int *failed)
{
	int result;

	if (s->at < s->count)
		return &s->batch[s->at];
	if (s->ended)
		return NULL;
	if (s->count)
		strcpy(s->last, s->batch[s->count - 1].key);
	clear(s);
	result = users_each(s->table, s->last, keep, s, &a->why);
	s->ended = result == 0 && s->count == 0;
	if (result < 0) {
		*failed = 1;
		if (result == -2)
			reason_set(&a->why, "no memory");
	}
	return result >= 0 && s->count ? &s->batch[0] : NULL;
}

/* --- lines ------------------------------------------------------------------------- */

static void
print_record(FILE *to, char sign, const struct record *r)
{
	char *line = to ? record_format(r) : NULL;

	if (line)
		fprintf(to, "%c %s\n", sign, line);
	free(line);
}

/* "~ key field=old -> new"; an absent field has an empty value. */
static void
print_field(FILE *to, const char *key, const char *name, const char *old, const char *new)
{
	char *shown_key = record_escape(key), *shown_old = record_escape(old ? old : ""),
	     *shown_new = record_escape(new ? new : "");

	if (shown_key && shown_old && shown_new)
		fprintf(to, "~ %s %s=%s -> %s\n", shown_key, name, shown_old, shown_new);
	free(shown_key);
	free(shown_old);
	free(shown_new);
}

static int
same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Each field of the one that is not the same in the other; of NEW those alone that OLD
 * lacks. */
static void
compare_fields(struct difference *d, const struct record *old, const struct record *new)
{
	unsigned fields = 0;

	if (d->old.keys_only)
		return;
	for (size_t i = 0; i < old->count; i++) {
		const struct record_field *f = &old->fields[i];
		const char *value = record_get(new, f->name);

		if (same(f->value, value))
			continue;
		fields++;
		print_field(d->to, old->key, f->name, f->value, value);
	}
	for (size_t i = 0; i < new->count; i++)
		if (!record_get(old, new->fields[i].name)) {
			fields++;
			print_field(d->to, new->key, new->fields[i].name, NULL,
				new->fields[i].value);
		}
	d->changed += fields > 0;
}

/* One step along both: whichever key comes first. */
static void
compare(struct difference *d, const struct record *old, const struct record *new)
{
	int order = !old ? 1 : !new ? -1 : strcmp(old->key, new->key);

	if (order < 0) {
		d->removed++;
		print_record(d->to, '-', old);
	} else if (order > 0) {
		d->added++;
		print_record(d->to, '+', new);
	} else {
		compare_fields(d, old, new);
	}
	d->records += order <= 0;
	d->old.at += order <= 0;
	d->new.at += order >= 0;
}

static int
walk(struct brimadm *a, struct difference *d)
{
	int failed = 0;

	for (;;) {
		const struct record *old = current(a, &d->old, &failed),
				    *new = current(a, &d->new, &failed);

		if (failed || (!old && !new))
			break;
		compare(d, old, new);
	}
	clear(&d->old);
	clear(&d->new);
	return failed ? TOOL_CANT : TOOL_OK;
}

/* Compares the sound table OLD with the copy; the caller frees *d. */
static int
find_difference(struct brimadm *a, struct users *old, FILE *to, struct difference **d)
{
	*d = calloc(1, sizeof **d);
	if (!*d)
		return brimadm_refuse(a, TOOL_CANT, "no memory");
	(*d)->to = to;
	(*d)->old.table = old;
	(*d)->new.table = users_edit_table(a->edit, &a->why);
	(*d)->old.keys_only = (*d)->new.keys_only = to == NULL;
	return (*d)->new.table ? walk(a, *d) : TOOL_CANT;
}

/* --- what is asked -------------------------------------------------------------------
 */

static int
refuse_removed(struct brimadm *a, const struct difference *d)
{
	if (!a->option[OPTION_REPLACE] || a->option[OPTION_FORCE] ||
		d->removed * 10 <= d->records)
		return TOOL_OK;
	return brimadm_refuse(a, TOOL_USAGE,
		"load --replace would remove %llu of %llu records, more than a tenth: if "
		"that is meant, say --force",
		d->removed, d->records);
}

/* What is too damaged to be read can't be compared, and must be replaced all the same. */
int
brimadm_check_removed(struct brimadm *a)
{
	struct difference *d = NULL;
	struct users *old;
	int status = TOOL_OK;

	if (!a->option[OPTION_REPLACE] || a->option[OPTION_FORCE])
		return TOOL_OK;
	old = users_open(a->conf.users_db, &a->why);
	if (old && users_read_through(old, &a->why) == 0)
		status = find_difference(a, old, NULL, &d);
	else
		tool_warn("how much is removed can't be told: %s", a->why.text);
	if (d && !status)
		status = refuse_removed(a, d);
	users_close(&old);
	free(d);
	return status;
}

static int
copy_out(struct brimadm *a, FILE *from)
{
	char buffer[65536];
	size_t n;

	if (fflush(from) || ferror(from)) {
		reason_errno(&a->why, "a temporary file: write");
		return TOOL_CANT;
	}
	rewind(from);
	/* a failed write is told by tool_finish */
	while (!ferror(stdout) && (n = fread(buffer, 1, sizeof buffer, from)) > 0)
		fwrite(buffer, 1, n, stdout);
	if (!ferror(from))
		return TOOL_OK;
	reason_errno(&a->why, "a temporary file: read");
	return TOOL_CANT;
}

static int
print_difference(struct brimadm *a, const struct difference *d, FILE *lines)
{
	int status;

	users_edit_abort(&a->edit); /* this lets the next writer in */
	status = copy_out(a, lines);
	if (status)
		return status;
	fflush(stdout);
	tool_warn("not done: %llu to add, %llu to remove, %llu to change", d->added,
		d->removed, d->changed);
	return refuse_removed(a, d);
}

int
brimadm_show_difference(struct brimadm *a)
{
	struct difference *d = NULL;
	int status = brimadm_check_aliases(a);
	FILE *lines = status ? NULL : tmpfile();
	struct users *old = lines ? users_open(a->conf.users_db, &a->why) : NULL;

	if (!status && !lines)
		reason_errno(&a->why, "a temporary file");
	if (!status)
		status = old ? find_difference(a, old, lines, &d) : TOOL_CANT;
	users_close(&old);
	if (!status)
		status = print_difference(a, d, lines);
	if (lines)
		fclose(lines);
	free(d);
	return status;
}
