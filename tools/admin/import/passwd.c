/*
 * import-passwd: a mailbox for each account of this host, of its own uid, in
 * HOME/Maildir/. Accounts below --min-uid and nobody are the system's and are left out;
 * any other that can't have a mailbox is a fault, for its mail would bounce: it needs an
 * alias or a record of its own first.
 */
#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "privileges.h"

#define COLUMNS 7 /* passwd(5) */

static int
import_account(struct import *i, const char *name, const char *uid, const char *gid,
	const char *home)
{
	struct reason fault;
	char *path;
	int status;

	if (home[0] != '/' || home[1] == '\0')
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s has no home of its own (%.80s): give it an alias first "
			"(brimadm alias), or a record",
			name, home);
	if (asprintf(&path, "%s%sMaildir/", home,
		    home[strlen(home) - 1] == '/' ? "" : "/") < 0)
		return brimadm_refuse(i->a, TOOL_CANT, "no memory");
	status = import_record(i, name,
		(const struct import_field[]){
			{"uid", uid}, {"gid", gid}, {"mail", path}, {0}});
	free(path);
	fault = i->a->why;
	if (status == TOOL_USAGE)
		brimadm_refuse(i->a, TOOL_USAGE,
			"%.200s: give it an alias first (brimadm alias), or a record",
			fault.text);
	return status;
}

static int
import_line(struct import *i, const struct input *in, uint64_t min_uid)
{
	char *column[COLUMNS], *rest = in->line;
	uint64_t uid;
	int count = 0;

	while (rest && count < COLUMNS)
		column[count++] = strsep(&rest, ":");
	if (count < COLUMNS || rest || strlen(in->line) == in->length)
		return brimadm_refuse(i->a, TOOL_USAGE,
			"not a line of passwd(5): it has %d columns", COLUMNS);
	if (amount_count(column[2], &uid, NULL))
		return brimadm_refuse(
			i->a, TOOL_USAGE, "the uid \"%.40s\" is no number", column[2]);
	if (uid < min_uid || uid == UID_NOBODY || uid >= UINT32_MAX) {
		i->left_out++;
		return TOOL_OK;
	}
	return import_account(i, column[0], column[2], column[3], column[5]);
}

int
brimadm_import_passwd(struct brimadm *a, int argc, char **argv)
{
	char account_file[] = "/etc/passwd", *without[] = {account_file};
	const char *least = a->option[OPTION_MIN_UID];
	struct import i = {.a = a};
	struct input in;
	uint64_t min_uid = 1000;
	int more = 0, status;

	if (least && amount_count(least, &min_uid, &a->why))
		return tool_fail(TOOL_USAGE, "--min-uid: %s", a->why.text);
	status = input_open(a, &in, 1, argc ? argv : without);
	if (!status)
		status = import_begin(a, &i);
	while (!status && (more = input_next(a, &in)) > 0)
		if (in.length && in.line[0] != '#')
			status = import_judge(
				&i, &in, in.number, import_line(&i, &in, min_uid));
	if (!status && more < 0)
		status = TOOL_CANT;
	input_close(&in);
	return import_end(&i, status);
}
