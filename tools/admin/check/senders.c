/* check: the file of blocked_senders, as quotad reads it, and whom it blocks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "address.h"
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

/* --- whom it blocks --------------------------------------------------------------- */

#define NAMED 5 /* of those that are blocked */

struct own {
	struct check *check;
	const struct sender_list *list;
	FILE *names;
	size_t count;
};

/* Whether it blocks all of the domain: nobody has such a name. */
static int
blocks_domain(const struct own *o, const char *domain)
{
	char name[ADDRESS_MAX + 1];

	snprintf(name, sizeof name, "no.user@%s", domain);
	return sender_list_has(o->list, name);
}

static void
note(struct own *o, const char *name)
{
	char *shown = o->count++ < NAMED ? record_escape(name) : NULL;

	if (shown)
		fprintf(o->names, "%s%s", o->count > 1 ? ", " : "", shown);
	free(shown);
}

/* A domain stands in front of its addresses, which are not named beside it. */
static int
look_at_own(void *arg, const struct record *r)
{
	struct own *o = arg;
	const char *at = strrchr(r->key, '@');

	if (at && (at == r->key ? blocks_domain(o, at + 1)
				: sender_list_has(o->list, r->key) &&
					  !blocks_domain(o, at + 1)))
		note(o, r->key);
	return 0;
}

void
check_own_senders(struct check *c)
{
	const char *path = c->a->conf.blocked_senders,
		   *domains = c->a->conf.local_domains;
	struct sender_list *list = *path ? sender_list_read(path, NULL) : NULL;
	char *names = NULL, *domain;
	size_t size;
	struct own o = {.check = c, .list = list};

	if (!list)
		return; /* what is wrong with it was told */
	o.names = open_memstream(&names, &size);
	while (o.names && (domain = conf_list_next(&domains))) {
		if (blocks_domain(&o, domain))
			note(&o, check_text(c, "@%s", domain));
		free(domain);
	}
	if (o.names)
		users_each(c->users, "", look_at_own, &o, NULL);
	if (!o.names || fclose(o.names))
		c->failed = 1;
	else if (o.count)
		check_found(c, CHECK_BLOCKED_OWN, path,
			check_text(c, "Take the lines for them out of %s.", path),
			"it blocks senders of this host: %s%s", names,
			o.count > NAMED ? ", ..." : "");
	free(names);
	sender_list_free(&list);
}
