/*
 * import-passwd: a mailbox for each account of this host, of its own uid, in
 * HOME/Maildir/. Accounts below --min-uid and nobody are the system's and are left out;
 * any other that can't have a mailbox, since its home is missing or another's, is a
 * fault, for its mail would bounce: it needs an alias or a record of its own first.
 */
#include "import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "privileges.h"
#include "probe.h"

#define COLUMNS 7 /* passwd(5) */

struct account {
	const char *name, *uid, *gid, *home;
	uint64_t uid_number;
};

/* Whether lda could make a Maildir there. */
static int
check_home(const struct account *account, struct probe *probe, struct reason *why)
{
	const char *home = account->home;
	struct stat st;

	if (import_check_path(home, why))
		return -1;
	if (home[0] != '/')
		return reason_set(why, "it is no absolute path");
	if (!probe_answers(probe, home))
		return reason_set(why, "its file system does not answer");
	if (stat(home, &st))
		return reason_set(
			why, "%s", errno == ENOENT ? "it is missing" : strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return reason_set(why, "it is no directory");
	if (st.st_uid != account->uid_number)
		return reason_set(why, "it belongs to %s%u",
			st.st_uid ? "uid " : "root, uid ", (unsigned)st.st_uid);
	return 0;
}

static int
put_account(struct import *i, const struct account *account)
{
	const char *home = account->home;
	struct reason fault;
	char *path;
	int status;

	if (asprintf(&path, "%s%sMaildir/", home,
		    home[strlen(home) - 1] == '/' ? "" : "/") < 0)
		return brimadm_refuse(i->a, TOOL_CANT, "no memory");
	status = import_record(i, account->name,
		(const struct import_field[]){{"uid", account->uid},
			{"gid", account->gid}, {"mail", path}, {0}});
	free(path);
	fault = i->a->why;
	if (status == TOOL_USAGE)
		brimadm_refuse(i->a, TOOL_USAGE,
			"%.200s: give it an alias first (brimadm alias), or a record",
			fault.text);
	return status;
}

/* One that has a record keeps it, whatever its home is. */
static int
import_account(struct import *i, const struct account *account, struct probe *probe)
{
	char key[ADDRESS_MAX + 1];
	struct reason fault;
	enum change_result named;
	int there;

	if (account->name[strcspn(account->name, "@\\")])
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: a name with @ or \\ in it is no account of this host's "
			"own: leave the line out",
			account->name);
	named = change_name(i->a->change, key, account->name, &fault);
	if (named)
		return brimadm_refuse(i->a, (enum tool_status)brimadm_status(named),
			"\"%.80s\": %.150s", account->name, fault.text);
	there = import_has_record(i, key);
	if (there < 0)
		return TOOL_CANT;
	if (!there && check_home(account, probe, &fault))
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s has no home of its own (%.80s): %.80s: give it an alias "
			"first (brimadm alias), or a record",
			account->name, account->home, fault.text);
	return put_account(i, account);
}

static int
import_line(struct import *i, struct input *in, uint64_t min_uid, struct probe *probe)
{
	char *column[COLUMNS], *rest = in->line;
	struct account account;
	int count = 0;

	if (in->line[0] == '+' || in->line[0] == '-') {
		import_leave_out(
			i, in, "%.80s: a line for NIS (nsswitch.conf(5))", in->line);
		return TOOL_OK;
	}
	while (rest && count < COLUMNS)
		column[count++] = strsep(&rest, ":");
	if (count < COLUMNS || rest || strlen(in->line) == in->length)
		return brimadm_refuse(i->a, TOOL_USAGE,
			"not a line of passwd(5): it has %d columns", COLUMNS);
	account = (struct account){
		.name = column[0], .uid = column[2], .gid = column[3], .home = column[5]};
	if (amount_count(account.uid, &account.uid_number, NULL))
		return brimadm_refuse(
			i->a, TOOL_USAGE, "the uid \"%.40s\" is no number", account.uid);
	if (account.uid_number >= min_uid && account.uid_number != UID_NOBODY &&
		account.uid_number < UINT32_MAX)
		return import_account(i, &account, probe);
	i->left_out++;
	return TOOL_OK;
}

int
brimadm_import_passwd(struct brimadm *a, int argc, char **argv)
{
	char account_file[] = "/etc/passwd", *without[] = {account_file};
	const char *least = a->option[OPTION_MIN_UID];
	struct import i = {.a = a};
	struct probe probe = {0};
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
			status = import_judge(&i, &in, in.number,
				import_line(&i, &in, min_uid, &probe));
	if (!status && more < 0)
		status = TOOL_CANT;
	probe_end(&probe);
	input_close(&in);
	return import_end(&i, status);
}
