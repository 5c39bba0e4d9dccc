/* One change of the table: begun, checked, made, and waited for. */
#include "brimadm.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static void
say_waiting(void)
{
	tool_warn("waiting: another brimadm is changing the table");
}

int
brimadm_begin_new(struct brimadm *a)
{
	a->edit = users_edit_begin(a->conf.users_db, 1, say_waiting, &a->why);
	return a->edit ? TOOL_OK : TOOL_CANT;
}

int
brimadm_begin(struct brimadm *a)
{
	struct stat st;

	if (lstat(a->conf.users_db, &st) && errno == ENOENT)
		return brimadm_refuse(a, TOOL_CANT,
			"there is no user table %s yet: run brimadm init",
			a->conf.users_db);
	a->edit = users_edit_begin(a->conf.users_db, 0, say_waiting, &a->why);
	return a->edit ? TOOL_OK : TOOL_CANT;
}

static int
find_group(struct brimadm *a, gid_t *gid)
{
	const char *name = a->conf.users_group;
	struct group *g = name[0] ? getgrnam(name) : NULL;

	*gid = g ? g->gr_gid : 0;
	if (name[0] && !g)
		return brimadm_refuse(
			a, TOOL_CANT, "users_group: there is no group %s", name);
	return TOOL_OK;
}

static int
replace_table(struct brimadm *a, gid_t gid, struct stat *table)
{
	struct progress p = {0};
	int result;

	if (a->large)
		progress_say(&p, "writing the table");
	result = users_edit_commit(
		&a->edit, (mode_t)a->conf.users_mode, gid, table, &a->why);
	progress_end(&p);
	return result ? TOOL_CANT : TOOL_OK;
}

int
brimadm_commit(struct brimadm *a)
{
	struct stat table;
	gid_t gid;
	int status = brimadm_check_aliases(a);

	if (!status)
		status = brimadm_check_removed(a);
	if (!status)
		status = find_group(a, &gid);
	if (!status)
		status = replace_table(a, gid, &table);
	if (!status)
		brimadm_wait(a, &table);
	return status;
}

void
brimadm_forget(struct brimadm *a)
{
	for (size_t i = 0; i < a->led_count; i++)
		free(a->led[i]);
	free(a->led);
	a->led = NULL;
	a->led_count = 0;
	a->removed = 0;
}

int
brimadm_settle(struct brimadm *a, int status)
{
	if (!status)
		status = brimadm_commit(a);
	users_edit_abort(&a->edit);
	brimadm_forget(a);
	return status;
}

int
brimadm_end(struct brimadm *a, int status)
{
	if (!status && a->option[OPTION_DRY_RUN]) {
		status = brimadm_show_difference(a);
		brimadm_settle(a, status ? status : TOOL_NO);
	} else {
		status = brimadm_settle(a, status);
	}
	return status ? tool_fail((enum tool_status)status, "%s", a->why.text) : TOOL_OK;
}

/* --- putting a record in ---------------------------------------------------------------
 */

/* A record that lda would refuse has no place in the table. */
static int
check_mailbox(struct brimadm *a, const struct record *r)
{
	struct mailbox m;

	if (mailbox_kind_of(r) != MAILBOX_KIND_MAILBOX)
		return TOOL_OK;
	if (mailbox_from_record(&m, r, NULL, &a->conf, &a->why))
		return TOOL_USAGE;
	mailbox_clear(&m);
	return TOOL_OK;
}

static int
check_path(struct brimadm *a, const struct record *r)
{
	const char *path = record_get(r, "mail");
	char owner[ADDRESS_MAX + 1];
	int taken = path ? users_edit_path_owner(a->edit, path, owner, &a->why) : 0;

	if (taken < 0)
		return TOOL_CANT;
	if (taken)
		return brimadm_refuse(a, TOOL_USAGE,
			"%.80s: mail=%.80s is, holds or lies in the mailbox of %.80s",
			r->key, path, owner);
	return TOOL_OK;
}

/* A domain is in the table from its first mailbox on. */
static int
need_domain(struct brimadm *a, const struct record *r)
{
	char *at = strrchr(r->key, '@');
	struct record domain;
	int found;

	if (!at || mailbox_kind_of(r) != MAILBOX_KIND_MAILBOX)
		return TOOL_OK;
	found = users_edit_get(a->edit, at, &domain, &a->why);
	if (found == 0) {
		domain.key = at;
		found = users_edit_put(a->edit, &domain, &a->why);
		domain.key = NULL;
	}
	record_clear(&domain);
	return found < 0 ? TOOL_CANT : TOOL_OK;
}

/* Where all of the table will be looked at, nothing need be remembered. */
static int
remember(struct brimadm *a, const struct record *r)
{
	char **grown;

	if (a->removed || (!record_get(r, "alias") && !record_get(r, "catchall")))
		return TOOL_OK;
	grown = reallocarray(a->led, a->led_count + 1, sizeof *grown);
	if (grown) {
		a->led = grown;
		a->led[a->led_count] = strdup(r->key);
	}
	if (!grown || !a->led[a->led_count])
		return brimadm_refuse(a, TOOL_CANT, "no memory");
	a->led_count++;
	return TOOL_OK;
}

/* What the table could not hold is the line's fault, not the table's. */
static int
check_length(struct brimadm *a, const struct record *r)
{
	size_t size = 3 * strlen(r->key); /* at most, with all bytes as %XX */
	char *line;
	int fits;

	for (size_t i = 0; i < r->count; i++)
		size += strlen(r->fields[i].name) + 3 * strlen(r->fields[i].value) + 2;
	if (size <= RECORD_LINE_MAX)
		return TOOL_OK;
	line = record_format(r);
	if (!line)
		return brimadm_refuse(a, TOOL_CANT, "no memory");
	fits = strlen(line) <= RECORD_LINE_MAX;
	free(line);
	return fits ? TOOL_OK
		    : brimadm_refuse(a, TOOL_USAGE,
			      "the record of %.100s is longer than %d bytes", r->key,
			      RECORD_LINE_MAX);
}

static int
same_path(const struct record *old, const struct record *r)
{
	const char *a = record_get(old, "mail"), *b = record_get(r, "mail");

	return a && b ? strcmp(a, b) == 0 : !b;
}

/* The old record is out while paths are compared, so that its own is not in the way. */
static int
check_new_path(struct brimadm *a, const struct record *old, const struct record *r)
{
	struct reason why;
	int status;

	if (old->key && same_path(old, r))
		return TOOL_OK;
	if (!old->key)
		return check_path(a, r);
	if (users_edit_remove(a->edit, r->key, &a->why) < 0)
		return TOOL_CANT;
	status = check_path(a, r);
	if (status && users_edit_put(a->edit, old, &why)) {
		a->why = why;
		return TOOL_CANT;
	}
	return status;
}

/* A domain that came with its first mailbox may still get its own record. */
static int
check_once(struct brimadm *a, const struct record *old)
{
	if (!a->once || !old->key || (old->count == 0 && old->key[0] == '@'))
		return TOOL_OK;
	return brimadm_refuse(a, TOOL_USAGE, "%.100s stands twice", old->key);
}

int
brimadm_store(struct brimadm *a, const struct record *r)
{
	struct record old;
	int status = mailbox_check_record(r, &a->why) ? TOOL_USAGE : check_mailbox(a, r);

	if (!status)
		status = check_length(a, r);
	if (status)
		return status;
	if (users_edit_get(a->edit, r->key, &old, &a->why) < 0)
		return TOOL_CANT;
	status = check_once(a, &old);
	if (!status)
		status = check_new_path(a, &old, r);
	record_clear(&old);
	if (!status && users_edit_put(a->edit, r, &a->why))
		status = TOOL_CANT;
	if (!status)
		status = need_domain(a, r);
	return status ? status : remember(a, r);
}
