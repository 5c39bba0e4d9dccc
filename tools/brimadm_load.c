/* The commands that make a table, or change many records as one change. */
#include "brimadm.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- init ------------------------------------------------------------------------------
 */

static int
make_directory(struct brimadm *a)
{
	char *path = strdup(a->conf.users_db);
	int result = path ? mkdir(dirname(path), 0755) : -1;

	if (result && errno == EEXIST)
		result = 0;
	if (result)
		reason_errno(&a->why, "%s: make its directory", a->conf.users_db);
	free(path);
	return result;
}

/* A table that is there is left alone, and said to be damaged if it is. */
static int
look_at_old(struct brimadm *a)
{
	struct users *u = users_open(a->conf.users_db, &a->why);
	int result = u ? users_read_through(u, &a->why) : -1;

	users_close(&u);
	if (result)
		return tool_fail(TOOL_CANT, "%s", a->why.text);
	tool_warn("%s is there already and sound", a->conf.users_db);
	return TOOL_OK;
}

int
brimadm_init(struct brimadm *a, int argc, char **argv)
{
	struct stat st;

	(void)argc;
	(void)argv;
	if (lstat(a->conf.users_db, &st) == 0)
		return look_at_old(a);
	if (make_directory(a))
		return tool_fail(TOOL_CANT, "%s", a->why.text);
	return brimadm_end(a, brimadm_begin_new(a));
}

/* --- lines -----------------------------------------------------------------------------
 */

struct input {
	FILE *file;
	const char *name;
	char *line;
	size_t size, length; /* LENGTH without the line's end */
	unsigned long number;
	int cut_off; /* the last line has no end */
};

static int
open_input(struct brimadm *a, struct input *in, int argc, char **argv)
{
	int named = argc && strcmp(argv[0], "-") != 0;

	*in = (struct input){.name = named ? argv[0] : "standard input"};
	in->file = named ? fopen(argv[0], "re") : stdin;
	if (in->file)
		return TOOL_OK;
	reason_errno(&a->why, "%s", in->name);
	return TOOL_CANT;
}

static void
close_input(struct input *in)
{
	if (in->file && in->file != stdin)
		fclose(in->file);
	free(in->line);
}

/* 1 with the next line, 0 at the end, -1. */
static int
next_line(struct brimadm *a, struct input *in)
{
	ssize_t n;

	errno = 0;
	n = getline(&in->line, &in->size, in->file);
	if (n < 0 && (ferror(in->file) || errno)) /* a closed one, say, or no memory */
		return reason_errno(&a->why, "%s: read", in->name);
	if (n < 0)
		return 0;
	in->number++;
	in->cut_off = in->line[n - 1] != '\n';
	in->length = (size_t)n - !in->cut_off;
	in->line[in->length] = '\0';
	return 1;
}

/* Puts file and line in front of the reason. */
static int
at_line(struct brimadm *a, const struct input *in, int status)
{
	struct reason fault = a->why;

	return brimadm_refuse(a, (enum tool_status)status, "%s:%lu: %s", in->name,
		in->number, fault.text);
}

/* --- load ------------------------------------------------------------------------------
 */

/* In place of the whole table a key that stands twice is a mistake. */
static int
check_twice(struct brimadm *a, const struct record *r)
{
	struct record other;
	int found = a->replace ? users_edit_get(a->edit, r->key, &other, &a->why) : 0;
	int made_by_us = found > 0 && other.count == 0 && r->key[0] == '@';

	if (found > 0)
		record_clear(&other);
	if (found < 0)
		return TOOL_CANT;
	return found && !made_by_us
		       ? brimadm_refuse(a, TOOL_USAGE, "%.100s stands twice", r->key)
		       : TOOL_OK;
}

static int
load_line(struct brimadm *a, const struct input *in)
{
	char key[ADDRESS_MAX + 1];
	struct record r;
	int status = TOOL_USAGE;

	if (in->cut_off)
		return brimadm_refuse(
			a, TOOL_USAGE, "the line has no end: the file may be cut off");
	if (record_parse(&r, in->line, in->length, 1, &a->why))
		return TOOL_USAGE;
	if (address_key(key, r.key, &a->why) == 0)
		status = record_set_key(&r, key)
				 ? brimadm_refuse(a, TOOL_CANT, "no memory")
				 : check_twice(a, &r);
	if (!status)
		status = brimadm_store(a, &r);
	record_clear(&r);
	return status;
}

static int
load_lines(struct brimadm *a, struct input *in)
{
	unsigned long records = 0;
	int more;

	while ((more = next_line(a, in)) > 0) {
		int status = in->length ? load_line(a, in) : TOOL_OK;

		if (status)
			return at_line(a, in, status);
		records += in->length > 0;
	}
	if (more < 0)
		return TOOL_CANT;
	if (records == 0 && a->replace)
		return brimadm_refuse(a, TOOL_USAGE,
			"%s holds no record: the table is left as it is", in->name);
	return TOOL_OK;
}

int
brimadm_load(struct brimadm *a, int argc, char **argv)
{
	struct input in;
	int status = open_input(a, &in, argc, argv);

	if (!status)
		status = brimadm_begin(a);
	if (!status && a->replace && users_edit_empty(a->edit, &a->why))
		status = TOOL_CANT;
	if (!status)
		status = load_lines(a, &in);
	close_input(&in);
	a->removed = 1; /* so all of the table is looked at */
	return brimadm_end(a, status);
}

/* --- apply -----------------------------------------------------------------------------
 */

/* Cuts the line into words, each decoded: their number, or -1. WORDS has room for as many
 * as the line has bytes. */
static int
cut(struct brimadm *a, char *line, char **words)
{
	int count = 0;

	for (char *word; (word = strsep(&line, " \t"));) {
		if (*word == '\0')
			continue;
		if (record_unescape(word))
			return reason_set(&a->why, "\"%.60s\" has a bad %%XX", word);
		words[count++] = word;
	}
	return count;
}

static int
run_words(struct brimadm *a, int count, char **words)
{
	const struct command *c;

	if (count < 1 || !words[0] || words[0][0] == '#')
		return TOOL_OK;
	c = brimadm_command(a, words[0], count - 1);
	if (!c)
		return TOOL_USAGE;
	if (!(c->flags & COMMAND_CHANGES))
		return brimadm_refuse(
			a, TOOL_USAGE, "%s can't be applied from a file", c->name);
	return c->run(a, count - 1, words + 1);
}

static int
apply_line(struct brimadm *a, const struct input *in)
{
	char **words;
	int count, status;

	if (strlen(in->line) != in->length)
		return brimadm_refuse(a, TOOL_USAGE, "a NUL byte");
	words = calloc(in->length + 1, sizeof *words);
	if (!words)
		return brimadm_refuse(a, TOOL_CANT, "no memory");
	count = cut(a, in->line, words);
	status = count < 0 ? TOOL_USAGE : run_words(a, count, words);
	free(words);
	return status;
}

int
brimadm_apply(struct brimadm *a, int argc, char **argv)
{
	struct input in;
	int more, status = open_input(a, &in, argc, argv);

	if (!status)
		status = brimadm_begin(a);
	while (!status && (more = next_line(a, &in)) != 0) {
		status = more < 0 ? TOOL_CANT : apply_line(a, &in);
		if (status && more > 0)
			status = at_line(a, &in, status);
	}
	close_input(&in);
	return brimadm_end(a, status);
}
