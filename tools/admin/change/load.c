/* The commands that make a table and fill it. */
#include "input.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hash.h"

/* --- init --- */

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
	return brimadm_end(a, brimadm_begin(a, CHANGE_NEW_TABLE));
}

/* --- load --- */

/* Two lines may be one address today that were two when they were written. */
static int
check_once(struct brimadm *a, struct hash *keys, const char *key)
{
	int added = hash_add(keys, key, strlen(key), NULL);

	if (added < 0)
		return brimadm_refuse(a, TOOL_CANT, "no memory");
	return added ? TOOL_OK
		     : brimadm_refuse(a, TOOL_USAGE, "%.100s stands twice", key);
}

/* A dump has none, but people write them. */
static int
is_comment(const struct input *in)
{
	return in->line[0] == '#' && strchr(" \t", in->line[1]);
}

static int
load_line(struct brimadm *a, const struct input *in, struct hash *keys)
{
	struct record r;
	int status;

	if (in->cut_off)
		return brimadm_refuse(
			a, TOOL_USAGE, "the line has no end: the file may be cut off");
	if (in->line[0] == '#' && !is_comment(in))
		return brimadm_refuse(a, TOOL_USAGE,
			"it begins with #: a comment has a blank behind that, and an "
			"address is written with %%23 in its place");
	if (record_parse(&r, in->line, in->length, 1, &a->why))
		return TOOL_USAGE;
	status = brimadm_put(a, &r);
	if (!status && !a->option[OPTION_REPLACE]) /* else the table is asked */
		status = check_once(a, keys, r.key);
	record_clear(&r);
	return status;
}

static int
load_lines(struct brimadm *a, struct input *in, struct hash *keys)
{
	unsigned long records = 0;
	int more;

	while ((more = input_next(a, in)) > 0) {
		int status;

		change_at(a->change, in->number);
		if (in->length == 0 || (is_comment(in) && !in->cut_off))
			continue;
		status = load_line(a, in, keys);
		if (status)
			return input_fault(a, in, status);
		records++;
	}
	if (more < 0)
		return TOOL_CANT;
	if (records == 0 && a->option[OPTION_REPLACE])
		return brimadm_refuse(a, TOOL_USAGE,
			"%s holds no record: the table is left as it is", in->name);
	return input_check_paths(a, in);
}

static int
load_all(struct brimadm *a, struct input *in)
{
	struct hash keys;
	int status;

	if (hash_init(&keys, NULL))
		return brimadm_refuse(a, TOOL_CANT, "no memory");
	status = load_lines(a, in, &keys);
	hash_free(&keys);
	return status;
}

int
brimadm_load(struct brimadm *a, int argc, char **argv)
{
	struct input in;
	int replace = a->option[OPTION_REPLACE] != NULL,
	    status = input_open(a, &in, argc, argv);

	a->shows_progress = 1;
	if (!status)
		status = brimadm_begin(
			a, CHANGE_CHECK_ALL |
				   (replace ? CHANGE_EACH_ONCE : CHANGE_PATHS_LATER));
	if (!status && replace)
		status = brimadm_status(change_empty(a->change, &a->why));
	if (!status)
		status = load_all(a, &in);
	input_close(&in);
	return brimadm_end(a, status);
}
