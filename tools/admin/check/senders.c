/* check: the file of blocked_senders, as quotad reads it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "privileges.h"
#include "sender_list.h"

/* 0, or -1 with the reason. */
static int
read_list(const char *path, struct reason *why)
{
	struct sender_list *l = sender_list_read(path, why);

	if (!l)
		return -1;
	sender_list_free(&l);
	return 0;
}

/* A line with a fault names nobody: as a comment it stays for whoever wrote it. */
static const char *
repair(struct check *c, const char *path, const char *fault)
{
	const char *quoted = check_quote(c, path);
	unsigned line;
	struct stat st;

	if (strncmp(fault, path, strlen(path)) == 0 &&
		sscanf(fault + strlen(path), " line %9u:", &line) == 1)
		return check_text(c, "sed -i '%us/^/#/' %s", line, quoted);
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		if (st.st_uid != 0)
			return check_text(c, "chown root %s", quoted);
		if (st.st_mode & (S_IWGRP | S_IWOTH))
			return check_text(c, "chmod go-w %s", quoted);
	}
	return check_text(c, "Put the list there, or take blocked_senders out of %s.",
		check_conf_file(c));
}

/* Root can read it; whether quotad's user can. */
static void
check_as_daemon(struct check *c, const char *path)
{
	const char *name = c->a->conf.daemon_user;
	struct privileges_user daemon;
	struct reason why;
	struct stat st;
	int result;

	if (privileges_find_user(name, &daemon, NULL) || privileges_act_as(&daemon, NULL))
		return; /* which check_users tells */
	result = read_list(path, &why);
	privileges_act_as(NULL, NULL);
	if (!result)
		return;
	check_found(c, CHECK_BLOCKED_SENDERS, path,
		stat(path, &st) == 0 && !(st.st_mode & S_IROTH)
			? check_text(c, "chmod a+r %s", check_quote(c, path))
			: check_text(c, "Let %s search the directories of it.", name),
		"%s, whom quotad runs as, can't read it: %s", name, why.text);
}

void
check_senders(struct check *c)
{
	const char *path = c->a->conf.blocked_senders;
	struct reason why;

	if (!*path)
		return;
	if (read_list(path, &why))
		check_found(c, CHECK_BLOCKED_SENDERS, path, repair(c, path, why.text),
			"%s", why.text);
	else
		check_as_daemon(c, path);
}
