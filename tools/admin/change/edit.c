/* One change of the table, as a command makes it: begun, made, and waited for. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "brimadm.h"
#include "cli/progress.h"

int
brimadm_refuse(struct brimadm *a, enum tool_status status, const char *format, ...)
{
	char *text;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	reason_set(&a->why, "%s", n < 0 ? "no memory" : text);
	if (n >= 0)
		free(text);
	return (int)status;
}

const char *
brimadm_repair(const struct reason *why)
{
	return strstr(why->text, ": damaged") ? "; load the last dump (brimadm load "
						"--replace FILE), or see what "
						"can be saved (brimadm dump --salvage)"
					      : "";
}

int
brimadm_status(enum change_result result)
{
	switch (result) {
	case CHANGE_OK:
		return TOOL_OK;
	case CHANGE_NO_RECORD:
		return TOOL_NO;
	case CHANGE_REFUSED:
		return TOOL_USAGE;
	default:
		return TOOL_CANT;
	}
}

int
brimadm_put(struct brimadm *a, struct record *r)
{
	return brimadm_status(change_put(a->change, r, &a->why));
}

static void
say_waiting(void)
{
	tool_warn("waiting: another brimadm is changing the table");
}

int
brimadm_begin(struct brimadm *a, unsigned flags)
{
	struct stat st;

	if (!(flags & CHANGE_NEW_TABLE) && lstat(a->conf.users_db, &st) &&
		errno == ENOENT)
		return brimadm_refuse(a, TOOL_CANT,
			"there is no user table %s yet: run brimadm init",
			a->conf.users_db);
	a->change = change_begin(&a->conf, flags, say_waiting, &a->why);
	return a->change ? TOOL_OK : TOOL_CANT;
}

/* What is damaged can't be compared, and must be replaced all the same; but not by fewer
 * records than it had, or without some that can still be seen. */
static int
check_damaged(struct brimadm *a, const struct change_counts *counts)
{
	if (counts->removed)
		return brimadm_refuse(a, TOOL_USAGE,
			"load --replace: the table is damaged; of at least %s that it "
			"had "
			"the new one lacks %llu: their mail would bounce. If that is "
			"meant, say --force",
			AMOUNT_OF(counts->records, "record", "records"), counts->removed);
	tool_warn("how much is removed can't be told: %s", a->why.text);
	return TOOL_OK;
}

static int
check_removed(struct brimadm *a)
{
	struct change_counts counts;
	enum change_result result;

	if (!a->option[OPTION_REPLACE] || a->option[OPTION_FORCE])
		return TOOL_OK;
	result = change_difference(a->change, NULL, NULL, &counts, &a->why);
	if (result == CHANGE_TABLE_DAMAGED)
		return check_damaged(a, &counts);
	return result ? brimadm_status(result) : brimadm_check_removed(a, &counts);
}

int
brimadm_check_removed(struct brimadm *a, const struct change_counts *counts)
{
	struct reason fault;

	if (!a->option[OPTION_REPLACE] || a->option[OPTION_FORCE] ||
		change_check_removed(counts, &fault) == 0)
		return TOOL_OK;
	return brimadm_refuse(a, TOOL_USAGE,
		"load --replace: %s: if that is meant, say --force", fault.text);
}

/* Makes the change, if what it touches is sound, and waits until quotad has taken it. */
static int
commit(struct brimadm *a)
{
	struct change_made made;
	struct progress p = {0};
	int status = brimadm_status(change_check_aliases(a->change, &a->why));

	if (!status)
		status = check_removed(a);
	if (status)
		return status;
	if (a->shows_progress)
		progress_say(&p, "writing the table");
	status = brimadm_status(change_commit(&a->change, &made, &a->why));
	progress_end(&p);
	if (!status)
		brimadm_wait(a, &made);
	return status;
}

int
brimadm_end_silently(struct brimadm *a, int status)
{
	if (!status)
		status = commit(a);
	change_abort(&a->change);
	return status;
}

int
brimadm_end(struct brimadm *a, int status)
{
	if (!status && a->option[OPTION_DRY_RUN]) {
		status = brimadm_show_difference(a);
		change_abort(&a->change);
	} else {
		status = brimadm_end_silently(a, status);
	}
	if (status)
		tool_fail((enum tool_status)status, "%s%s", a->why.text,
			brimadm_repair(&a->why));
	return status;
}
