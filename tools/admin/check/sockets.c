/*
 * check: whether Postfix gets to a socket that it asks quotad by. Its daemons are one
 * user, with that user's own group alone (set_ugid(3) of Postfix drops all others), and
 * stand in queue_directory: no right is needed on what is above it.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct way {
	struct check *c;
	enum check_kind kind;
	enum sockets_kind socket;
	const char *path;
	const struct passwd *user;
};

/* --- its name ----------------------------------------------------------------------- */

static const char *
keep(struct check *c, char *text)
{
	const char *kept = text ? check_text(c, "%s", text) : NULL;

	if (!text)
		c->failed = 1;
	free(text);
	return kept;
}

const char *
check_socket_name(struct check *c, struct check_socket *s)
{
	const struct conf *conf = &c->a->conf;
	const char *listed = sockets_listed(conf, s->kind), *setting,
		   *path = keep(c, sockets_path(&c->postfix, s->name, s->chroot));
	char *list = NULL;

	s->first = NULL;
	if (!path || sockets_have(listed, path))
		return NULL;
	setting = sockets_setting(s->kind);
	s->better = keep(c, sockets_name(&c->postfix, conf, s->kind, s->chroot, &list));
	if (list && !(c->listens & 1U << s->kind)) {
		s->first = check_text(
			c, "%s && %s", check_setting(c, setting, list), check_restart(c));
		c->listens |= 1U << s->kind;
	}
	free(list);
	if (!s->better || (!s->first && strcmp(s->better, s->name) == 0))
		return NULL;
	return check_text(c, "%s leads to %s%s, and %s is %s", s->name, path,
		s->chroot && s->name[0] == '/' ? " within the chroot" : "", setting,
		*listed ? listed : "not set");
}

const char *
check_socket_repair(struct check *c, const struct check_socket *s, const char *change)
{
	if (!s->first)
		return change;
	if (strcmp(s->better, s->name) == 0)
		return s->first;
	return check_text(c, "%s && { %s }", change, s->first);
}

/* --- the way to it ------------------------------------------------------------------ */

/* The first directory on it that the user can't search is reported: 1, or 0. */
static int
check_directories(const struct way *w)
{
	const char *queue = check_postfix_value(w->c, "queue_directory");
	size_t n = strlen(queue);
	const char *from = strncmp(w->path, queue, n) == 0 && w->path[n] == '/'
				   ? w->path + n
				   : strchr(w->path + 1, '/');

	for (const char *p = from; p; p = strchr(p + 1, '/')) {
		const char *directory =
			check_text(w->c, "%.*s", (int)(p - w->path), w->path);
		const char *right;
		struct stat st;

		if (stat(directory, &st))
			return 0;
		right = check_missing_right(&st, w->user->pw_uid, w->user->pw_gid);
		if (!right)
			continue;
		check_found(w->c, w->kind, w->path,
			check_hold(directory, w->user->pw_uid) == HOLD_OTHERS
				? check_look_at(w->c, directory)
				: check_text(w->c, "chmod %s %s", right,
					  check_bare_path(w->c, directory)),
			"%s can't be searched by Postfix's user %s (mode %04o)",
			directory, w->user->pw_name, (unsigned)st.st_mode & 07777);
		return 1;
	}
	return 0;
}

/* connect(2) needs the right to write (unix(7)). */
static int
may_connect(const struct stat *st, const struct passwd *user)
{
	if (st->st_uid == user->pw_uid)
		return (st->st_mode & S_IWUSR) != 0;
	if (st->st_gid == user->pw_gid)
		return (st->st_mode & S_IWGRP) != 0;
	return (st->st_mode & S_IWOTH) != 0;
}

/* The settings that give the user the right, as far as they are others, and a restart. */
static const char *
give_right(const struct way *w)
{
	const struct conf *conf = &w->c->a->conf;
	const int is_policy = w->socket == SOCKETS_POLICY;
	const char *group = is_policy ? conf->policy_group : conf->map_group,
		   *prefix = is_policy ? "policy" : "map", *repair = "";
	const struct group *own = getgrgid(w->user->pw_gid);

	if (own && strcmp(own->gr_name, group) != 0)
		repair = check_text(w->c, "%s && ",
			check_setting(w->c, check_text(w->c, "%s_group", prefix),
				own->gr_name));
	if (!((is_policy ? conf->policy_mode : conf->map_mode) & S_IWGRP))
		repair = check_text(w->c, "%s%s && ", repair,
			check_setting(w->c, check_text(w->c, "%s_mode", prefix), "0660"));
	return check_text(w->c, "%s%s", repair, check_restart(w->c));
}

static const char *
group_name(struct check *c, gid_t gid)
{
	const struct group *g = getgrgid(gid);

	return g ? check_text(c, "%s", g->gr_name) : check_text(c, "%u", (unsigned)gid);
}

/* A socket that is not there; without quotad that is another finding. */
static void
tell_missing(const struct way *w)
{
	const char *directory =
		check_text(w->c, "%.*s", (int)(strrchr(w->path, '/') - w->path), w->path);
	struct stat st;

	if (!check_listener(w->c->a->conf.socket))
		return;
	if (stat(directory, &st))
		check_found(w->c, w->kind, w->path,
			check_text(w->c, "install -d -m 755 %s && %s",
				check_quote(w->c, directory), check_restart(w->c)),
			"its directory is not there");
	else
		check_found(w->c, w->kind, w->path, check_restart(w->c),
			"quotad runs, but was started without it, or could not make it");
}

void
check_socket_reach(struct check *c, const struct check_socket *s)
{
	struct way w = {.c = c,
		.kind = s->kind == SOCKETS_POLICY ? CHECK_POLICY_REACH : CHECK_MAP_REACH,
		.socket = s->kind,
		.path = keep(c, sockets_path(&c->postfix, s->name, s->chroot)),
		.user = getpwnam(check_postfix_value(c, "mail_owner"))};
	const char *line = check_text(c, "\n%s\n", w.path ? w.path : "");
	struct stat st;
	int is_there;

	if (!w.path || !w.user || (c->sockets && strstr(c->sockets, line)))
		return;
	c->sockets = check_text(c, "%s%s", c->sockets ? c->sockets : "", line);
	if (check_directories(&w))
		return;
	is_there = stat(w.path, &st) == 0;
	if (is_there && !S_ISSOCK(st.st_mode))
		check_found(c, w.kind, w.path,
			check_text(c, "Move %s away, and restart quotad.", w.path),
			"it is not a socket");
	else if (is_there && !may_connect(&st, w.user))
		check_found(c, w.kind, w.path, give_right(&w),
			"its group is %s and its mode %04o, and Postfix's user %s has no "
			"other group than its own",
			group_name(c, st.st_gid), (unsigned)st.st_mode & 07777,
			w.user->pw_name);
	else if (!is_there || !check_listener(w.path))
		tell_missing(&w);
}
