/* brim.conf beside Postfix's files: its text is edited, its meaning compared. */
#include "brim_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/quote.h"
#include "conf_edit.h"

/* --- staging ------------------------------------------------------------------------ */

struct editing {
	const char *path;
	struct postfix_files *files;
	char *text; /* NULL: nothing to change yet */
	size_t length;
	struct reason *why;
};

static int
edit_setting(void *arg, const char *name, const char *value, const char *reason)
{
	struct editing *e = arg;
	char *edited;

	(void)reason;
	if (!e->text) {
		if (postfix_files_open_conf(e->files, e->path, e->why))
			return -1;
		e->text = postfix_files_read_conf(e->files, "", e->why);
	}
	if (!e->text)
		return -1;
	edited = conf_edit_text(e->text, &e->length, name, value);
	free(e->text);
	e->text = edited;
	return edited ? 0 : reason_set(e->why, "no memory");
}

/* The path of NAMEsuffix, or of what is staged where SUFFIX is NULL. */
static char *
path_of(const struct postfix_files *f, const char *suffix)
{
	char *path;
	int n = suffix ? asprintf(&path, "%s%s", f->conf, suffix)
		       : asprintf(&path, "%s/%s", f->brim.staged, f->conf_name);

	return n < 0 ? NULL : path;
}

/* What an empty file means: all defaults. */
static int
load_defaults(struct conf *conf, struct reason *why)
{
	int fd = memfd_create("brim.conf", MFD_CLOEXEC), result;
	char path[32];

	if (fd < 0)
		return reason_errno(why, "no memory");
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	result = fchmod(fd, 0600) ? reason_errno(why, "no memory")
				  : conf_load(conf, path, why);
	close(fd);
	return result;
}

/* A file that was not there is kept as one that nobody may read. */
static int
load(struct conf *conf, const struct postfix_files *f, const char *suffix,
	struct reason *why)
{
	char *path = path_of(f, suffix);
	struct stat st;
	int result;

	if (!path)
		return reason_set(why, "no memory");
	if (stat(path, &st) || (st.st_size == 0 && (st.st_mode & 0777) == 0))
		result = load_defaults(conf, why);
	else
		result = conf_load(conf, path, why);
	free(path);
	return result;
}

int
brim_conf_stage(const struct plan *p, struct postfix_files *f, const char *conf,
	struct reason *why)
{
	struct editing e = {.path = conf, .files = f, .why = why};
	struct conf check;
	int result = plan_each_of_brim(p, edit_setting, &e);

	if (result == 0 && e.text)
		result = postfix_files_stage_conf(f, e.text, e.length, why);
	if (result == 0 && e.text) {
		result = load(&check, f, NULL, why);
		if (result == 0)
			conf_free(&check);
	}
	free(e.text);
	return result;
}

/* --- differences -------------------------------------------------------------------- */

struct comparison {
	const struct postfix_files *files;
	const struct conf *other;
	const char *name, *value; /* of the row that is looked for */
	char *found;              /* its value in the other; NULL without memory */
	struct brim_conf_changes changes;
	void (*each)(
		struct comparison *c, const char *name, const char *old, const char *new);
};

static void
find_row(void *arg, const struct conf_row *row)
{
	struct comparison *c = arg;

	if (strcmp(row->name, c->name) == 0)
		c->found = strdup(row->value);
}

static void
compare_row(void *arg, const struct conf_row *row)
{
	struct comparison *c = arg;

	c->name = row->name;
	c->found = NULL;
	conf_each(c->other, find_row, c);
	if (c->found && strcmp(c->found, row->value) != 0) {
		c->changes.count++;
		c->changes.restarts += row->takes_restart != 0;
		c->each(c, row->name, row->value, c->found);
	}
	free(c->found);
}

/* Calls EACH for each setting that differs. */
static int
compare(struct comparison *c, const char *old_suffix, const char *new_suffix,
	struct reason *why)
{
	struct conf old, new;

	if (load(&old, c->files, old_suffix, why))
		return -1;
	if (load(&new, c->files, new_suffix, why)) {
		conf_free(&old);
		return -1;
	}
	c->other = &new; /* cppcheck-suppress autoVariables */
	conf_each(&old, compare_row, c);
	c->other = NULL;
	conf_free(&old);
	conf_free(&new);
	return 0;
}

static void
print_row(struct comparison *c, const char *name, const char *old, const char *new)
{
	if (c->changes.count == 1)
		printf("# %s:\n", c->files->conf);
	printf("-%s =%s%s\n+%s =%s%s\n", name, *old ? " " : "", old, name,
		*new ? " " : "", new);
}

int
brim_conf_show(const struct postfix_files *f, const char *old, const char *new,
	struct brim_conf_changes *changes, struct reason *why)
{
	struct comparison c = {.files = f, .each = print_row};
	int result = 0;

	if (f->conf && (new || f->brim.staged_fd >= 0))
		result = compare(&c, old, new, why);
	*changes = c.changes;
	return result;
}

static void
print_command(struct comparison *c, const char *name, const char *old, const char *new)
{
	struct reason why;
	char *text = postfix_files_read_conf(c->files, POSTFIX_FILES_BEFORE, &why);
	int was_set = text && conf_edit_has(text, name);
	char *command = conf_edit_command(c->files->conf, name, was_set ? old : NULL);

	(void)new;
	if (command)
		puts(command);
	else
		printf("# set %s = %s in %s\n", name, old, c->files->conf);
	free(text);
	free(command);
}

int
brim_conf_print_commands(const struct postfix_files *f, struct reason *why)
{
	struct comparison c = {.files = f, .each = print_command};
	char *path;

	if (!f->conf)
		return 0;
	if (compare(&c, POSTFIX_FILES_BEFORE, POSTFIX_FILES_AFTER, why))
		return -1;
	path = quote_word(f->conf);
	if (path)
		printf("rm -f %s" POSTFIX_FILES_BEFORE " %s" POSTFIX_FILES_AFTER
		       " %s" POSTFIX_FILES_FOR "\n",
			path, path, path);
	free(path);
	return 0;
}
