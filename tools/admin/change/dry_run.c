/*
 * --dry-run: what the change would do, a line a record or field.
 *
 * The lines wait in a nameless file until the table's lock is free, so that a reader of
 * them that takes its time (a pager) keeps nobody from the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brimadm.h"

static void
print_record(FILE *to, char mark, const struct record *r)
{
	char *line = record_format(r);

	if (line)
		fprintf(to, "%c %s\n", mark, line);
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

/* Each field of OLD that is not the same in NEW, and those that OLD lacks. */
static void
print_fields(FILE *to, const struct record *old, const struct record *new)
{
	for (size_t i = 0; i < old->count; i++) {
		const struct record_field *f = &old->fields[i];
		const char *value = record_get(new, f->name);

		if (!value || strcmp(f->value, value) != 0)
			print_field(to, old->key, f->name, f->value, value);
	}
	for (size_t i = 0; i < new->count; i++)
		if (!record_get(old, new->fields[i].name))
			print_field(to, new->key, new->fields[i].name, NULL,
				new->fields[i].value);
}

static void
print_change(void *arg, const struct record *old, const struct record *new)
{
	if (!new)
		print_record(arg, '-', old);
	else if (!old)
		print_record(arg, '+', new);
	else
		print_fields(arg, old, new);
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
show(struct brimadm *a, FILE *lines)
{
	struct change_counts counts;
	int status = brimadm_status(
		change_difference(a->change, print_change, lines, &counts, &a->why));

	change_abort(&a->change); /* this lets the next writer in */
	if (!status)
		status = copy_out(a, lines);
	if (status)
		return status;
	fflush(stdout);
	tool_warn("not done: %llu to add, %llu to remove, %llu to change", counts.added,
		counts.removed, counts.changed);
	return brimadm_check_removed(a, &counts);
}

int
brimadm_show_difference(struct brimadm *a)
{
	int status = brimadm_status(change_check_aliases(a->change, &a->why));
	FILE *lines = status ? NULL : tmpfile();

	if (status)
		return status;
	if (!lines) {
		reason_errno(&a->why, "a temporary file");
		return TOOL_CANT;
	}
	status = show(a, lines);
	fclose(lines);
	return status;
}
